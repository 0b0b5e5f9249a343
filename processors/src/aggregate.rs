//! What the records of a topic move: a location, a run, or the rules of a tenant. The runner folds each alike.

use schemas::{
    Millis,
    ids::{Aggregate, AggregateKind},
    record::CommandRecord,
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::{
    effect::RecordEffect,
    location::{self, Appointment, Location, Ticket},
    rule_book::{self, RuleBook},
    run::{self, Run, RunRow},
};

/// An aggregate as the ledger holds it: its header, and a location's live tickets.
pub struct StoredAggregate {
    pub position: Position,
    pub header: AggregateHeader,
    pub tickets: Vec<Ticket>,
    /// Those near its service day (`Appointment::is_near`).
    pub appointments: Vec<Appointment>,
}

/// An aggregate in memory.
pub enum AggregateState {
    Location(Box<Location>),
    Run(Box<Run>),
    Rules(RuleBook),
}

/// What the ledger keeps of an aggregate beside its position and its parts. The kind is the key's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AggregateHeader {
    Location(Box<location::LocationHeader>),
    Run(Box<run::RunHeader>),
    Rules(rule_book::RuleBookHeader),
}

impl AggregateHeader {
    /// Reads what the ledger keeps of an aggregate of this kind.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_json(kind: AggregateKind, text: &str) -> serde_json::Result<Self> {
        Ok(match kind {
            AggregateKind::Location => AggregateHeader::Location(serde_json::from_str(text)?),
            AggregateKind::Run => AggregateHeader::Run(serde_json::from_str(text)?),
            AggregateKind::Rules => AggregateHeader::Rules(serde_json::from_str(text)?),
        })
    }
}

impl AggregateState {
    /// An aggregate that does not exist yet: version 0.
    pub fn new(kind: AggregateKind, epoch: u64) -> Self {
        match kind {
            AggregateKind::Location => AggregateState::Location(Box::new(Location::new(epoch))),
            AggregateKind::Run => AggregateState::Run(Box::new(Run::new(epoch))),
            AggregateKind::Rules => AggregateState::Rules(RuleBook::new(epoch)),
        }
    }

    /// An aggregate as the ledger holds it, with its live parts.
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
        }
    }

    pub fn position(&self) -> Position {
        match self {
            AggregateState::Location(location) => location.position(),
            AggregateState::Run(run) => run.position(),
            AggregateState::Rules(rules) => rules.position(),
        }
    }

    pub fn header(&self) -> AggregateHeader {
        match self {
            AggregateState::Location(location) => {
                AggregateHeader::Location(Box::new(location.header().clone()))
            }
            AggregateState::Run(run) => AggregateHeader::Run(Box::new(run.header().clone())),
            AggregateState::Rules(rules) => AggregateHeader::Rules(rules.header().clone()),
        }
    }

    pub fn location(&self) -> Option<&Location> {
        match self {
            AggregateState::Location(location) => Some(location),
            AggregateState::Run(_) | AggregateState::Rules(_) => None,
        }
    }

    pub fn location_mut(&mut self) -> Option<&mut Location> {
        match self {
            AggregateState::Location(location) => Some(location),
            AggregateState::Run(_) | AggregateState::Rules(_) => None,
        }
    }

    /// When the next timer is due; only locations have any.
    pub fn due(&self) -> Option<Millis> {
        self.location().and_then(Location::due)
    }

    /// Tickets and appointments in memory: what an aggregate weighs, beside itself.
    pub fn parts(&self) -> usize {
        self.location().map_or(0, Location::parts)
    }

    /// Decides the record at its append time, applies what was decided and says how the views changed.
    pub fn handle(&mut self, record: &CommandRecord, appended_at: Millis) -> RecordEffect {
        match self {
            AggregateState::Location(location) => location.handle(record, appended_at),
            AggregateState::Run(run) => run.handle(record, appended_at),
            AggregateState::Rules(rules) => rules.handle(record, appended_at),
        }
    }

    /// What a ledger keeps of the aggregate's key beside it: a run stands in lists and among the work.
    pub fn run(&self, aggregate: &Aggregate) -> Option<RunRow> {
        match self {
            AggregateState::Run(run) => run.row(aggregate),
            AggregateState::Location(_) | AggregateState::Rules(_) => None,
        }
    }
}
