//! The tenants as super admins have set them. A processor reads the topic `clinicwire.access.v1`
//! whole before it decides anything, and follows it from then on.
//!
//! While a tenant is suspended, requests from outside are not decided. What they may still change
//! follows from earlier decisions: timers fire, and moves between locations come to their end, so
//! that everybody stays in exactly one line.

mod tenant;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemas::{
    access::AccessRecord,
    codes::Code,
    command::Command,
    ids::{AggregateKind, TenantId},
    log::FeedItem,
    record::CommandRecord,
    tenant::{StoredTenant, TenantRetention},
};
use tokio::sync::{mpsc, watch};

pub use tenant::{Tenant, TenantHeader};

use crate::{aggregate::AggregateState, worker};

/// How the sources of our own commands begin: of timers, follow-ups and workers. Gateways and
/// bridges write other sources.
const PROCESSORS: [&str; 2] = ["clinicwire-processors", worker::SOURCE];

/// The tenants of an installation, as this process knows them.
pub struct Tenants(watch::Sender<Arc<TenantTable>>);

/// The tenants at one moment.
#[derive(Clone, Default)]
pub struct TenantTable {
    /// Whether the topic has been read to the end that it had at the start.
    is_read: bool,
    /// The suspended tenants. Each is a customer of the installation, so there are few.
    suspended: BTreeSet<TenantId>,
    /// The tenants that super admins have created.
    stored: BTreeMap<TenantId, StoredTenant>,
}

impl Tenants {
    /// Tenants that are not known yet: [`Tenants::follow`] reads them.
    pub fn unread() -> Arc<Self> {
        Arc::new(Self(watch::Sender::default()))
    }

    /// No tenant is suspended, for parts that run without the topic.
    pub fn none() -> Arc<Self> {
        let table = TenantTable { is_read: true, ..TenantTable::default() };
        Arc::new(Self(watch::Sender::new(Arc::new(table))))
    }

    /// The tenants at this moment.
    pub fn now(&self) -> Arc<TenantTable> {
        self.0.borrow().clone()
    }

    /// Reads the records of tenants until the feed ends.
    pub async fn follow(&self, mut feed: mpsc::Receiver<FeedItem>) {
        while let Some(item) = feed.recv().await {
            match item {
                FeedItem::Record { record, .. } => self.add(AccessRecord::from_wire(&record)),
                FeedItem::CaughtUp => self.change(|table| table.is_read = true),
                // Everything is read again from the beginning. What is known still counts.
                FeedItem::Lost => {}
            }
        }
    }

    fn add(&self, record: Result<AccessRecord, Code>) {
        match record {
            Ok(AccessRecord::Tenant(tenant, status)) => {
                self.set_suspended(tenant, status.suspended)
            }
            Ok(AccessRecord::Settings(tenant, stored)) => self.set_settings(tenant, stored),
            // Gateways judge tokens and answer questions.
            Ok(AccessRecord::Revoked(..) | AccessRecord::Asked(..)) => {}
            Err(code) => tracing::error!(%code, "a record of access was skipped"),
        }
    }

    /// Records that a tenant was suspended or resumed.
    pub fn set_suspended(&self, tenant: TenantId, suspended: bool) {
        self.change(|table| {
            if suspended {
                table.suspended.insert(tenant);
            } else {
                table.suspended.remove(&tenant);
            }
        });
    }

    /// Records the settings of a tenant.
    pub fn set_settings(&self, tenant: TenantId, stored: StoredTenant) {
        self.change(|table| drop(table.stored.insert(tenant, stored)));
    }

    fn change(&self, change: impl FnOnce(&mut TenantTable)) {
        self.0.send_modify(|table| change(Arc::make_mut(table)));
    }

    /// Waits until the topic has been read.
    pub async fn wait_until_read(&self) {
        self.wait(|table| table.is_read).await;
    }

    /// Waits until the topic has been read and the tenant is not suspended.
    pub async fn wait_until_served(&self, tenant: &TenantId) {
        self.wait(|table| table.is_read && !table.is_suspended(tenant)).await;
    }

    /// Waits until the tenants are others than in `known`.
    pub async fn changed(&self, known: &Arc<TenantTable>) {
        self.wait(|table| !Arc::ptr_eq(table, known)).await;
    }

    async fn wait(&self, is_reached: impl Fn(&Arc<TenantTable>) -> bool) {
        // The sender is in `self`, so the wait cannot fail.
        drop(self.0.subscribe().wait_for(is_reached).await);
    }
}

impl TenantTable {
    /// Whether the tenant is suspended.
    pub fn is_suspended(&self, tenant: &TenantId) -> bool {
        self.suspended.contains(tenant)
    }

    /// The suspended tenants.
    pub fn suspended(&self) -> &BTreeSet<TenantId> {
        &self.suspended
    }

    /// Checks that the tenant of a fact is served, which another system has sent. Nobody waits for
    /// its outcome and would send it again, so that it is parked rather than refused.
    ///
    /// # Errors
    /// `tenant_suspended`
    pub fn check_fact(&self, record: &CommandRecord) -> Result<(), Code> {
        if record.actor.is_some() { Ok(()) } else { self.check_outsider(record) }
    }

    /// Checks that the tenant of a person's command is served, and that a command from outside
    /// stays within the quotas of its tenant when the aggregate is as `state`.
    ///
    /// # Errors
    /// `tenant_suspended` or `quota_reached`
    pub fn check_command(
        &self,
        record: &CommandRecord,
        state: &AggregateState,
    ) -> Result<(), Code> {
        // A suspended tenant is managed by super admins of other tenants.
        if record.aggregate.kind() == AggregateKind::Tenant {
            return Ok(());
        }
        if record.actor.is_some() {
            self.check_outsider(record)?;
        }
        if self.stored.is_empty() { Ok(()) } else { self.check_quotas(record, state) }
    }

    /// A place in line that was promised elsewhere is never refused: moves between locations come
    /// to their end. Locations are counted by gateways.
    fn check_quotas(&self, record: &CommandRecord, state: &AggregateState) -> Result<(), Code> {
        let Some(stored) = self.stored.get(&record.aggregate.tenant()) else { return Ok(()) };
        let (quotas, Some(location)) = (stored.settings.quotas, state.location()) else {
            return Ok(());
        };
        let (most, held) = match &record.command {
            Command::IssueTicket { .. }
            | Command::CheckIn { .. }
            | Command::OverrideCheckIn { .. } => (quotas.live_tickets, location.live_tickets()),
            Command::ConfigureQueue { queue, .. }
                if !location.header().queues.contains_key(queue) =>
            {
                let queues = u32::try_from(location.header().queues.len());
                (quotas.queues, queues.unwrap_or(u32::MAX))
            }
            _ => return Ok(()),
        };
        most.is_none_or(|most| held < most).then_some(()).ok_or(Code::QuotaReached)
    }

    /// How long data of the tenants is kept that have times of their own.
    pub fn retentions(&self) -> impl Iterator<Item = (&TenantId, TenantRetention)> {
        self.stored.iter().map(|(tenant, stored)| (tenant, stored.settings.retention))
    }

    /// Commands of processors are always decided: they follow from earlier decisions.
    fn check_outsider(&self, record: &CommandRecord) -> Result<(), Code> {
        let is_decided = self.suspended.is_empty()
            || PROCESSORS.iter().any(|ours| record.source.starts_with(ours))
            || !self.is_suspended(&record.aggregate.tenant());
        is_decided.then_some(()).ok_or(Code::TenantSuspended)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        access::TenantStatus,
        ids::{Aggregate, CommandId, LocationId},
        record::{Actor, FOLLOW_UP_SOURCE},
    };

    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("demo").unwrap()
    }

    fn record(source: &str, actor: Option<&str>) -> CommandRecord {
        let location = LocationId::new("riverside").unwrap();
        let actor =
            actor.map(|subject| Actor { subject: subject.to_owned(), role: "admin".into() });
        CommandRecord {
            aggregate: Aggregate::location(&tenant(), &location),
            id: CommandId::from_random(1),
            source: source.to_owned(),
            fingerprint: None,
            valid_until: None,
            actor,
            command: Command::Tick {},
        }
    }

    #[test]
    fn suspension_refuses_people_and_parks_facts() {
        let tenants = Tenants::none();
        let check = |source, actor| {
            let (tenants, record) = (tenants.now(), record(source, actor));
            let state = AggregateState::new(AggregateKind::Location, 1);
            let is_decided = tenants.check_command(&record, &state).is_ok();
            (is_decided, tenants.check_fact(&record).is_ok())
        };
        for (source, actor, refused, parked) in [
            ("clinicwire-gateway", Some("ann"), true, false),
            ("clinicwire-bridge/his", None, false, true),
            (FOLLOW_UP_SOURCE, Some("ann"), false, false),
            (FOLLOW_UP_SOURCE, None, false, false),
            (worker::SOURCE, None, false, false),
        ] {
            tenants.set_suspended(tenant(), true);
            assert_eq!(check(source, actor), (!refused, !parked), "{source} {actor:?}");
            tenants.set_suspended(tenant(), false);
            assert_eq!(check(source, actor), (true, true), "{source} {actor:?}, resumed");
        }
    }

    #[tokio::test]
    async fn tenants_are_read_before_anything_is_decided() {
        let tenants = Tenants::unread();
        let by = Actor { subject: "boss".to_owned(), role: "super_admin".to_owned() };
        let status = TenantStatus { suspended: true, reason: "unpaid".to_owned(), at: 7, by };
        let (feed, items) = mpsc::channel(4);
        let record = status.to_wire(&tenant(), 1);
        feed.send(FeedItem::Record { record, appended_at: 7 }).await.unwrap();
        let following = tokio::spawn({
            let tenants = Arc::clone(&tenants);
            async move { tenants.follow(items).await }
        });
        let waiting = tenants.wait_until_read();
        feed.send(FeedItem::CaughtUp).await.unwrap();
        waiting.await;
        assert!(tenants.now().is_suspended(&tenant()), "a restart does not resume it");
        drop(feed);
        following.await.unwrap();
    }
}
