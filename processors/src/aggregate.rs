//! What the records of a topic move: a location, a run, or the rules of a tenant. The runner folds each alike.

use schemas::{
    Millis,
    ids::{Aggregate, AggregateKind},
    record::CommandRecord,
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::{
    location::{self, Appointment, Location, Ticket},
    rule_book::{self, RuleBook},
    run::{self, Run, RunRow},
    step::Step,
};

/// An aggregate as the ledger holds it: its header, and a location's live tickets.
pub struct Loaded {
    pub position: Position,
    pub header: Header,
    pub tickets: Vec<Ticket>,
    /// Those near its service day (`Appointment::is_near`).
    pub appointments: Vec<Appointment>,
}

/// An aggregate in memory.
pub enum State {
    Location(Box<Location>),
    Run(Box<Run>),
    Rules(RuleBook),
}

/// What the ledger keeps of an aggregate beside its position and its parts. The kind is the key's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Header {
    Location(Box<location::Header>),
    Run(Box<run::Header>),
    Rules(rule_book::Header),
}

impl Header {
    /// Reads what the ledger keeps of an aggregate of this kind.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_json(kind: AggregateKind, text: &str) -> serde_json::Result<Self> {
        Ok(match kind {
            AggregateKind::Location => Header::Location(serde_json::from_str(text)?),
            AggregateKind::Run => Header::Run(serde_json::from_str(text)?),
            AggregateKind::Rules => Header::Rules(serde_json::from_str(text)?),
        })
    }
}

impl State {
    /// An aggregate that does not exist yet: version 0.
    pub fn new(kind: AggregateKind, epoch: u64) -> Self {
        match kind {
            AggregateKind::Location => State::Location(Box::new(Location::new(epoch))),
            AggregateKind::Run => State::Run(Box::new(Run::new(epoch))),
            AggregateKind::Rules => State::Rules(RuleBook::new(epoch)),
        }
    }

    /// An aggregate as the ledger holds it, with its live parts.
    pub fn load(loaded: Loaded) -> Self {
        let Loaded { position, header, tickets, appointments } = loaded;
        match header {
            Header::Location(header) => {
                State::Location(Box::new(Location::load(position, *header, tickets, appointments)))
            }
            Header::Run(header) => State::Run(Box::new(Run::load(position, *header))),
            Header::Rules(header) => State::Rules(RuleBook::load(position, header)),
        }
    }

    pub fn position(&self) -> Position {
        match self {
            State::Location(location) => location.position(),
            State::Run(run) => run.position(),
            State::Rules(rules) => rules.position(),
        }
    }

    pub fn header(&self) -> Header {
        match self {
            State::Location(location) => Header::Location(Box::new(location.header().clone())),
            State::Run(run) => Header::Run(Box::new(run.header().clone())),
            State::Rules(rules) => Header::Rules(rules.header().clone()),
        }
    }

    pub fn location(&self) -> Option<&Location> {
        match self {
            State::Location(location) => Some(location),
            State::Run(_) | State::Rules(_) => None,
        }
    }

    pub fn location_mut(&mut self) -> Option<&mut Location> {
        match self {
            State::Location(location) => Some(location),
            State::Run(_) | State::Rules(_) => None,
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
    pub fn handle(&mut self, record: &CommandRecord, appended_at: Millis) -> Step {
        match self {
            State::Location(location) => location.handle(record, appended_at),
            State::Run(run) => run.handle(record, appended_at),
            State::Rules(rules) => rules.handle(record, appended_at),
        }
    }

    /// What a ledger keeps of the aggregate's key beside it: a run stands in lists and among the work.
    pub fn run(&self, aggregate: &Aggregate) -> Option<RunRow> {
        match self {
            State::Run(run) => run.row(aggregate),
            State::Location(_) | State::Rules(_) => None,
        }
    }
}
