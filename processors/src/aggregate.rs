//! The aggregates that records change: a location, a run, the rules, webhooks or settings of a
//! tenant, or the key of an appointment. The runner treats all of them alike.

use schemas::{
    Millis,
    event::Event,
    ids::{Aggregate, AggregateKind},
    record::{CommandRecord, ViewDelta},
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::{
    appointment_key::{AppointmentKey, AppointmentKeyHeader},
    effect::{RecordEffect, RecordTime},
    location::{self, Appointment, Location, Ticket},
    rule_book::{self, RuleBook},
    run::{self, Run, RunRow},
    tenants::{Tenant, TenantHeader},
    webhooks::{WebhookBook, WebhookBookHeader},
};

/// An aggregate as the ledger stores it: its header, and the live parts of a location.
pub struct StoredAggregate {
    /// The position as of the last commit.
    pub position: Position,
    /// The stored state without the parts.
    pub header: AggregateHeader,
    /// Live tickets of a location.
    pub tickets: Vec<Ticket>,
    /// Appointments of a location near its service day (`Appointment::is_near`).
    pub appointments: Vec<Appointment>,
}

/// An aggregate in memory.
pub enum AggregateState {
    /// A location.
    Location(Box<Location>),
    /// A run.
    Run(Box<Run>),
    /// The rules of a tenant.
    Rules(RuleBook),
    /// The webhooks of a tenant.
    Webhooks(WebhookBook),
    /// The settings of a tenant.
    Tenant(Tenant),
    /// The key of an appointment.
    AppointmentKey(AppointmentKey),
}

/// The state that the ledger stores of an aggregate, except its position and its parts. The kind
/// comes from the key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AggregateHeader {
    /// A location.
    Location(Box<location::LocationHeader>),
    /// A run.
    Run(Box<run::RunHeader>),
    /// The rules of a tenant.
    Rules(rule_book::RuleBookHeader),
    /// The webhooks of a tenant.
    Webhooks(WebhookBookHeader),
    /// The settings of a tenant.
    Tenant(TenantHeader),
    /// The key of an appointment.
    AppointmentKey(AppointmentKeyHeader),
}

impl AggregateHeader {
    /// Reads the stored state of an aggregate of this kind.
    ///
    /// # Errors
    /// When the text is not a state of this kind.
    pub fn from_json(kind: AggregateKind, text: &str) -> serde_json::Result<Self> {
        Ok(match kind {
            AggregateKind::Location => AggregateHeader::Location(serde_json::from_str(text)?),
            AggregateKind::Run => AggregateHeader::Run(serde_json::from_str(text)?),
            AggregateKind::Rules => AggregateHeader::Rules(serde_json::from_str(text)?),
            AggregateKind::Webhooks => AggregateHeader::Webhooks(serde_json::from_str(text)?),
            AggregateKind::Tenant => AggregateHeader::Tenant(serde_json::from_str(text)?),
            AggregateKind::AppointmentKey => {
                AggregateHeader::AppointmentKey(serde_json::from_str(text)?)
            }
        })
    }
}

impl AggregateState {
    /// Creates an aggregate that does not exist yet, at version 0.
    pub fn new(kind: AggregateKind, epoch: u64) -> Self {
        match kind {
            AggregateKind::Location => AggregateState::Location(Box::new(Location::new(epoch))),
            AggregateKind::Run => AggregateState::Run(Box::new(Run::new(epoch))),
            AggregateKind::Rules => AggregateState::Rules(RuleBook::new(epoch)),
            AggregateKind::Webhooks => AggregateState::Webhooks(WebhookBook::new(epoch)),
            AggregateKind::Tenant => AggregateState::Tenant(Tenant::new(epoch)),
            AggregateKind::AppointmentKey => {
                AggregateState::AppointmentKey(AppointmentKey::new(epoch))
            }
        }
    }

    /// Restores an aggregate from its stored state.
    pub fn restore(loaded: StoredAggregate) -> Self {
        let StoredAggregate { position, header, tickets, appointments } = loaded;
        match header {
            AggregateHeader::Location(header) => AggregateState::Location(Box::new(
                Location::restore(position, *header, tickets, appointments),
            )),
            AggregateHeader::Run(header) => {
                AggregateState::Run(Box::new(Run::restore(position, *header)))
            }
            AggregateHeader::Rules(header) => {
                AggregateState::Rules(RuleBook::restore(position, header))
            }
            AggregateHeader::Webhooks(header) => {
                AggregateState::Webhooks(WebhookBook::restore(position, header))
            }
            AggregateHeader::Tenant(header) => {
                AggregateState::Tenant(Tenant::restore(position, header))
            }
            AggregateHeader::AppointmentKey(header) => {
                AggregateState::AppointmentKey(AppointmentKey::restore(position, header))
            }
        }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        match self {
            AggregateState::Location(location) => location.position(),
            AggregateState::Run(run) => run.position(),
            AggregateState::Rules(rules) => rules.position(),
            AggregateState::Webhooks(webhooks) => webhooks.position(),
            AggregateState::Tenant(tenant) => tenant.position(),
            AggregateState::AppointmentKey(key) => key.position(),
        }
    }

    /// The state that the ledger stores, without the parts.
    pub fn header(&self) -> AggregateHeader {
        match self {
            AggregateState::Location(location) => {
                AggregateHeader::Location(Box::new(location.header().clone()))
            }
            AggregateState::Run(run) => AggregateHeader::Run(Box::new(run.header().clone())),
            AggregateState::Rules(rules) => AggregateHeader::Rules(rules.header().clone()),
            AggregateState::Webhooks(webhooks) => {
                AggregateHeader::Webhooks(webhooks.header().clone())
            }
            AggregateState::Tenant(tenant) => AggregateHeader::Tenant(tenant.header().clone()),
            AggregateState::AppointmentKey(key) => {
                AggregateHeader::AppointmentKey(key.header().clone())
            }
        }
    }

    /// The location, if the aggregate is one.
    pub fn location(&self) -> Option<&Location> {
        match self {
            AggregateState::Location(location) => Some(location),
            _ => None,
        }
    }

    /// The location, if the aggregate is one.
    pub fn location_mut(&mut self) -> Option<&mut Location> {
        match self {
            AggregateState::Location(location) => Some(location),
            _ => None,
        }
    }

    /// When the next timer is due. Only locations have timers.
    pub fn due(&self) -> Option<Millis> {
        self.location().and_then(Location::due)
    }

    /// The number of tickets and appointments in memory, which is the weight of an aggregate in the
    /// cache.
    pub fn parts(&self) -> usize {
        self.location().map_or(0, Location::parts)
    }

    /// Decides the record, applies the events and returns its effect.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        match self {
            AggregateState::Location(location) => location.handle(record, time),
            AggregateState::Run(run) => run.handle(record, time),
            AggregateState::Rules(rules) => rules.handle(record, time),
            AggregateState::Webhooks(webhooks) => webhooks.handle(record, time),
            AggregateState::Tenant(tenant) => tenant.handle(record, time),
            AggregateState::AppointmentKey(key) => key.handle(record, time),
        }
    }

    /// Applies the events of one version from the journal, and returns the changes of the views.
    pub fn replay(
        &mut self,
        aggregate: &Aggregate,
        version: u64,
        at: Millis,
        events: &[Event],
    ) -> Vec<ViewDelta> {
        match self {
            AggregateState::Location(location) => {
                let id = aggregate.location_id().expect("a location has the key of one");
                location.replay(&id, version, at, events)
            }
            AggregateState::Run(run) => vec![run.replay(aggregate, version, at, events)],
            AggregateState::Rules(rules) => {
                events.iter().flat_map(|event| rules.replay(version, at, event)).collect()
            }
            AggregateState::Webhooks(webhooks) => {
                events.iter().map(|event| webhooks.replay(version, at, event)).collect()
            }
            AggregateState::Tenant(tenant) => {
                events.iter().for_each(|event| tenant.replay(version, at, event));
                Vec::new()
            }
            AggregateState::AppointmentKey(key) => {
                events.iter().for_each(|event| key.replay(version, at, event));
                Vec::new()
            }
        }
    }

    /// The row of a run, for lists of runs and for workers.
    pub fn run(&self, aggregate: &Aggregate) -> Option<RunRow> {
        match self {
            AggregateState::Run(run) => run.row(aggregate),
            _ => None,
        }
    }
}
