//! The key of an appointment at its source as a value: which location holds the appointment.
//!
//! A source may report an appointment at one location and later at another one. Each location that
//! books it claims its key. The key knows the newest claim, and tells the location with the older
//! claim that the appointment has moved, as the source itself can by `moved_from`
//! ([`rebooking`](crate::location)). So exactly one location holds the appointment in the end.

use schemas::{
    Millis,
    appointment::AppointmentFact,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    event::Event,
    ids::{Aggregate, AppointmentId},
    record::CommandRecord,
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::effect::{RecordEffect, RecordTime};

/// The key of an appointment in memory.
pub struct AppointmentKey {
    position: Position,
    header: AppointmentKeyHeader,
}

/// The whole state of a key. `Debug` is left out on purpose, as for an appointment.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AppointmentKeyHeader {
    /// The latest append time of its records.
    now: Millis,
    /// The location that holds the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<Claim>,
}

/// What a location says of the appointment that it holds.
#[derive(Clone, Serialize, Deserialize)]
struct Claim {
    appointment: AppointmentId,
    fact: AppointmentFact,
}

impl AppointmentKey {
    /// Creates a key that nobody has claimed, at version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(Position { epoch, version: 0 }, AppointmentKeyHeader::default())
    }

    /// Restores a key from its stored state.
    pub fn restore(position: Position, header: AppointmentKeyHeader) -> Self {
        Self { position, header }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps.
    pub fn header(&self) -> &AppointmentKeyHeader {
        &self.header
    }

    /// Decides a claim, and applies it. A refused claim has a follow-up too, if another location
    /// holds the appointment.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.header.now.max(time.appended_at);
        self.header.now = at;
        let Command::ClaimAppointment { appointment, fact } = &record.command else {
            return RecordEffect::refused(self.position, at, Code::IllegalMove);
        };
        let claim = Claim { appointment: appointment.clone(), fact: fact.clone() };
        let (newest, follow_up) = judge(self.header.holder.as_ref(), &claim, record);
        let follow_ups = Vec::from_iter(follow_up);
        if !newest {
            let refused = RecordEffect::refused(self.position, at, Code::WrongLocation);
            return RecordEffect { follow_ups, ..refused };
        }
        let Claim { appointment, fact } = claim;
        let event = Event::AppointmentClaimed { appointment, fact };
        self.replay(self.position.version + 1, at, &event);
        let Position { epoch, version } = self.position;
        let result = CommandResult::default();
        RecordEffect {
            verdict: Verdict::Applied { epoch, version, result },
            events: vec![event],
            follow_ups,
            ..RecordEffect::refused(self.position, at, Code::IllegalMove)
        }
    }

    /// Applies the event of one version, from a decision or from the journal.
    pub fn replay(&mut self, version: u64, at: Millis, event: &Event) {
        if let Event::AppointmentClaimed { appointment, fact } = event {
            let (appointment, fact) = (appointment.clone(), fact.clone());
            self.header.holder = Some(Claim { appointment, fact });
        }
        self.header.now = at;
        self.position.version = version;
    }
}

/// Whether the claim is the newest one, and the command for the location that has older news. With
/// equal revisions the first claim stays.
fn judge(
    holder: Option<&Claim>,
    claim: &Claim,
    record: &CommandRecord,
) -> (bool, Option<CommandRecord>) {
    let Some(holder) = holder else { return (true, None) };
    let newest = claim.fact.revision > holder.fact.revision;
    if holder.appointment.location() == claim.appointment.location() {
        return (newest, None);
    }
    let (older, newer) = if newest { (holder, claim) } else { (claim, holder) };
    (newest, Some(displace(record, older, newer)))
}

/// Tells the location of the older claim that the appointment has moved.
fn displace(record: &CommandRecord, older: &Claim, newer: &Claim) -> CommandRecord {
    let moved_to = Some(newer.appointment.location());
    let fact = AppointmentFact { moved_to, ..newer.fact.clone() };
    let appointment = older.appointment.clone();
    let there = Aggregate::location(&record.aggregate.tenant(), &appointment.location());
    record.follow_up("displace", there, Command::ReportAppointment { appointment, fact })
}

#[cfg(test)]
mod tests;
