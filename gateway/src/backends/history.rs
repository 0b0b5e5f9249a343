//! The history and the figures of locations, as a gateway asks for them.

use std::ops::Range;

use schemas::{
    Millis,
    figures::{FigureKey, Measure, Tally},
    history::{Stay, StayPlace},
    ids::{LocationId, QueueId, TicketId},
};

/// The tickets of a history.
#[derive(Clone, PartialEq, Eq)]
pub enum HistoryScope {
    /// One ticket.
    Ticket(TicketId),
    /// All tickets of a queue, while they were in it.
    Queue(QueueId),
    /// All tickets of a location.
    Location(LocationId),
}

/// Selects stays, newest first.
#[derive(Clone)]
pub struct HistoryQuery {
    /// The tickets.
    pub scope: HistoryScope,
    /// Only stays that began in this time.
    pub began: Range<Millis>,
    /// Only stays after this one in the list, which are older.
    pub after: Option<StayPlace>,
    /// Most stays of the answer.
    pub limit: u32,
}

impl HistoryQuery {
    /// Whether the list has the stay, whatever its length.
    pub fn selects(&self, stay: &Stay) -> bool {
        let is_of = match &self.scope {
            HistoryScope::Ticket(ticket) => stay.ticket == *ticket,
            HistoryScope::Queue(queue) => stay.queue == *queue,
            HistoryScope::Location(location) => stay.ticket.belongs_to(location),
        };
        is_of
            && self.began.contains(&stay.from)
            && self.after.as_ref().is_none_or(|after| stay.place() < *after)
    }
}

/// The rows into which figures are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureGroup {
    /// One row for each queue.
    Queue,
    /// One row for each doctor.
    Doctor,
    /// One row for each hour of the day.
    Hour,
    /// One row for each service day.
    Day,
}

impl FigureGroup {
    /// The name in queries and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Doctor => "doctor",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The row of a figure.
    pub fn key_of(self, key: &FigureKey) -> String {
        match self {
            Self::Queue => key.queue.as_ref().map(ToString::to_string).unwrap_or_default(),
            Self::Doctor => key.doctor.as_ref().map(ToString::to_string).unwrap_or_default(),
            Self::Hour => format!("{:02}", key.hour),
            Self::Day => key.day.clone(),
        }
    }
}

/// Selects figures of a location.
#[derive(Clone)]
pub struct FiguresQuery {
    /// The location.
    pub location: LocationId,
    /// The service days, `YYYY-MM-DD`: from the first to the last.
    pub days: [String; 2],
    /// The rows into which they are added up.
    pub group: FigureGroup,
}

/// The sum of the figures of one group, measure and bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupedFigure {
    /// The queue, the doctor, the hour (`00` to `23`) or the day. Empty where a figure has none.
    pub key: String,
    /// The measure.
    pub measure: Measure,
    /// The bucket of the measure.
    pub bucket: u8,
    /// The sum.
    pub tally: Tally,
}

/// Sums of figures, in no order, each group, measure and bucket once.
pub type Figures = Vec<GroupedFigure>;
