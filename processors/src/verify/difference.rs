//! What a verification found.

use std::fmt;

use serde::Serialize;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// The versions of the journal, which are dense.
    Journal,
    /// Position and state of the aggregate.
    Aggregate,
    /// A ticket.
    Ticket,
    /// An appointment.
    Appointment,
    /// A view in PostgreSQL.
    View,
    /// A view in Redis.
    RedisView,
    /// The line of a queue in Redis.
    RedisLine,
}

/// How it differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is not there.
    Missing,
    /// It is there and should not be.
    Extra,
    /// It has another content.
    Differs,
    /// It has another position.
    Position,
    /// It cannot be read.
    Unreadable,
}

/// One difference. The id names a ticket, an appointment, a view or a version; no content is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Difference {
    /// What was compared.
    pub what: Compared,
    /// How it differs.
    pub how: How,
    /// The id.
    pub id: String,
}

impl Difference {
    /// A difference of the thing with this id.
    pub fn new(what: Compared, how: How, id: impl Into<String>) -> Self {
        Self { what, how, id: id.into() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Compared::Journal => "journal, version",
            Compared::Aggregate => "aggregate",
            Compared::Ticket => "ticket",
            Compared::Appointment => "appointment",
            Compared::View => "view",
            Compared::RedisView => "view in redis",
            Compared::RedisLine => "line in redis",
        };
        let how = match self.how {
            How::Missing => "is missing",
            How::Extra => "should not be there",
            How::Differs => "has another content",
            How::Position => "has another position",
            How::Unreadable => "cannot be read",
        };
        write!(f, "{what} {} {how}", self.id)
    }
}
