//! One tenant as a value: the settings that a super admin chooses. It has no view: the batch
//! publishes each change on `clinicwire.access.v1`, which every gateway and processor reads.

use schemas::{
    Millis,
    codes::Code,
    command::Command,
    event::Event,
    record::CommandRecord,
    tenant::{StoredTenant, TenantSettings},
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::effect::{RecordEffect, RecordTime};

/// A tenant in memory.
pub struct Tenant {
    position: Position,
    header: TenantHeader,
}

/// The whole state of a tenant.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TenantHeader {
    /// The latest append time of its records.
    now: Millis,
    /// Absent until it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<StoredTenant>,
}

impl Tenant {
    /// A tenant that nobody has created, at version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(Position { epoch, version: 0 }, TenantHeader::default())
    }

    /// Restores a tenant from its stored state.
    pub fn restore(position: Position, header: TenantHeader) -> Self {
        Self { position, header }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps.
    pub fn header(&self) -> &TenantHeader {
        &self.header
    }

    /// Decides the record at its append time, applies the event and returns its effect.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.header.now.max(time.appended_at);
        self.header.now = at;
        match self.decide(record, at, time.decided_at) {
            Ok(stored) => {
                let event = Event::TenantStored { stored: stored.clone() };
                self.replay(self.position.version + 1, at, &event);
                let applied = RecordEffect::applied(self.position, at, vec![event], Vec::new());
                RecordEffect { tenant: Some(stored), ..applied }
            }
            Err(code) => RecordEffect::refused(self.position, at, code),
        }
    }

    /// Applies the event of one version, from a decision or from the journal.
    pub fn replay(&mut self, version: u64, at: Millis, event: &Event) {
        if let Event::TenantStored { stored } = event {
            self.header.stored = Some(stored.clone());
        }
        self.header.now = at;
        self.position.version = version;
    }

    fn decide(
        &self,
        record: &CommandRecord,
        at: Millis,
        decided_at: Millis,
    ) -> Result<StoredTenant, Code> {
        if record.is_expired(decided_at) {
            return Err(Code::CommandExpired);
        }
        let edition = self.position.version + 1;
        let store = |settings: &TenantSettings, created_at| match settings.fault() {
            Some(_) => Err(Code::InvalidValue),
            None => {
                let (settings, by) = (settings.clone(), record.actor.clone());
                Ok(StoredTenant { settings, created_at, edition, by })
            }
        };
        match (&record.command, &self.header.stored) {
            (Command::CreateTenant { settings }, None) => store(settings, at),
            (Command::CreateTenant { .. }, Some(_)) => Err(Code::TenantExists),
            (Command::ChangeTenant { .. }, None) => Err(Code::TenantUnknown),
            (Command::ChangeTenant { edition: Some(made_from), .. }, Some(held))
                if *made_from != held.edition =>
            {
                Err(Code::SettingsChanged)
            }
            (Command::ChangeTenant { settings, .. }, Some(held)) => {
                store(settings, held.created_at)
            }
            _ => Err(Code::IllegalMove),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        command::Verdict,
        ids::{Aggregate, CommandId, TenantId},
        tenant::TenantQuotas,
    };

    use super::*;

    fn send(tenant: &mut Tenant, command: Command) -> Result<StoredTenant, Code> {
        let record = CommandRecord {
            aggregate: Aggregate::tenant_settings(&TenantId::new("north").unwrap()),
            id: CommandId::from_random(1),
            source: "clinicwire-gateway".to_owned(),
            fingerprint: None,
            valid_until: None,
            actor: None,
            command,
        };
        let effect = tenant.handle(&record, RecordTime::at_once(7));
        match effect.verdict {
            Verdict::Refused { code } => Err(code),
            _ => Ok(effect.tenant.expect("a change is published")),
        }
    }

    fn settings(locations: u32) -> TenantSettings {
        let quotas = TenantQuotas { locations: Some(locations), ..TenantQuotas::default() };
        TenantSettings { quotas, ..TenantSettings::default() }
    }

    #[test]
    fn change_from_an_old_edition_is_refused() {
        let mut tenant = Tenant::new(1);
        let change =
            |locations, edition| Command::ChangeTenant { settings: settings(locations), edition };
        assert_eq!(send(&mut tenant, change(1, None)).err(), Some(Code::TenantUnknown));
        let create = || Command::CreateTenant { settings: settings(1) };
        let created = send(&mut tenant, create()).ok().unwrap();
        assert_eq!((created.edition, created.created_at), (1, 7));
        assert_eq!(send(&mut tenant, create()).err(), Some(Code::TenantExists));
        let changed = send(&mut tenant, change(2, Some(1))).ok().unwrap();
        assert_eq!((changed.edition, changed.settings.quotas.locations), (2, Some(2)));
        assert_eq!(send(&mut tenant, change(3, Some(1))).err(), Some(Code::SettingsChanged));
        let restored = Tenant::restore(tenant.position(), tenant.header().clone());
        assert!(restored.header().stored == Some(changed), "a refusal changes nothing");
    }
}
