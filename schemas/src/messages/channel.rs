//! Channels: what a client subscribes to, and how a channel is named. A channel and the view behind
//! it have the same name.

use std::fmt;

use crate::ids::{
    Aggregate, AppointmentId, LocationId, QueueId, RunId, ScheduleId, TenantId, TicketId,
};

/// Longest channel name in bytes that a client may send. The longest valid name, of a schedule, has
/// 90 bytes.
pub const MAX_CHANNEL: usize = 128;

/// A channel: its kind and its subject. The tenant comes from the token, never from the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// One patient's own place in a queue.
    Ticket(TicketId),
    /// The ordered line of one queue, for staff.
    Queue(QueueId),
    /// The board of a waiting room.
    Board(LocationId),
    /// One check of a claims file.
    Run(RunId),
    /// One appointment: its status, times and ticket.
    Appointment(AppointmentId),
    /// One doctor's service day.
    Schedule(ScheduleId),
    /// The load of a location: how busy it is.
    Load(LocationId),
    /// The settings of a location, its queues and its stations, for staff.
    Settings(LocationId),
}

/// A text that is no channel's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a channel")]
pub struct InvalidChannel;

impl Channel {
    /// Reads `ticket:<id>`, `queue:<id>`, `board:<location>`, `run:<id>`, `appointment:<id>`,
    /// `schedule:<location>/<doctor>`, `load:<location>` or `settings:<location>`.
    ///
    /// # Errors
    /// [`InvalidChannel`] for an unknown kind, or an id without the form of its kind.
    pub fn parse(name: &str) -> Result<Self, InvalidChannel> {
        let (kind, id) = name.split_once(':').ok_or(InvalidChannel)?;
        let channel = match kind {
            "ticket" => TicketId::new(id).map(Channel::Ticket),
            "queue" => QueueId::new(id).map(Channel::Queue),
            "board" => LocationId::new(id).map(Channel::Board),
            "run" => RunId::new(id).map(Channel::Run),
            "appointment" => AppointmentId::new(id).map(Channel::Appointment),
            "schedule" => ScheduleId::new(id).map(Channel::Schedule),
            "load" => LocationId::new(id).map(Channel::Load),
            "settings" => LocationId::new(id).map(Channel::Settings),
            _ => return Err(InvalidChannel),
        };
        channel.map_err(|_| InvalidChannel)
    }

    /// The aggregate that the channel is a projection of.
    pub fn aggregate(&self, tenant: &TenantId) -> Aggregate {
        match (self.location(), self) {
            (Some(location), _) => Aggregate::location(tenant, &location),
            (None, Channel::Run(id)) => Aggregate::run(tenant, id),
            (None, _) => unreachable!("every channel except a run's belongs to a location"),
        }
    }

    /// The location of the channel. A run has none.
    pub fn location(&self) -> Option<LocationId> {
        Some(match self {
            Channel::Ticket(id) => id.location(),
            Channel::Queue(id) => id.location(),
            Channel::Appointment(id) => id.location(),
            Channel::Schedule(id) => id.location(),
            Channel::Board(id) | Channel::Load(id) | Channel::Settings(id) => id.clone(),
            Channel::Run(_) => return None,
        })
    }

    /// The part of the name after its kind.
    pub fn id(&self) -> &str {
        match self {
            Channel::Ticket(id) => id.as_str(),
            Channel::Queue(id) => id.as_str(),
            Channel::Board(id) | Channel::Load(id) | Channel::Settings(id) => id.as_str(),
            Channel::Run(id) => id.as_str(),
            Channel::Appointment(id) => id.as_str(),
            Channel::Schedule(id) => id.as_str(),
        }
    }

    /// Every kind of channel, as names begin.
    pub const KINDS: [&'static str; 8] =
        ["ticket", "queue", "board", "run", "appointment", "schedule", "load", "settings"];

    /// The index of this channel's kind in [`Channel::KINDS`].
    pub fn kind_index(&self) -> usize {
        match self {
            Channel::Ticket(_) => 0,
            Channel::Queue(_) => 1,
            Channel::Board(_) => 2,
            Channel::Run(_) => 3,
            Channel::Appointment(_) => 4,
            Channel::Schedule(_) => 5,
            Channel::Load(_) => 6,
            Channel::Settings(_) => 7,
        }
    }

    /// The kind of the channel, as names begin. Also a label of metrics and audit records.
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.kind_index()]
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Ticket(_) | Channel::Appointment(_) => write!(f, "{}:…", self.kind()),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_round_trip() {
        for name in [
            "board:riverside",
            "queue:riverside.general",
            "ticket:riverside.00000000000000000000000000000007",
            "run:r_0123456789abcdef_00000000000000000000000000000007",
            "appointment:riverside.00000000000000000000000000000007",
            "schedule:riverside/dr-roy",
            "load:riverside",
            "settings:riverside",
        ] {
            let channel = Channel::parse(name).unwrap();
            assert_eq!(channel.to_string(), name);
            let (kind, id) = name.split_once(':').unwrap();
            assert_eq!((channel.kind(), channel.id()), (kind, id));
            let location = channel.location().map(|location| location.to_string());
            assert_eq!(location.as_deref(), (kind != "run").then_some("riverside"));
            // Ids of people's tickets and appointments are in no log.
            let shown = format!("{channel:?}");
            assert_eq!(shown == name, !matches!(kind, "ticket" | "appointment"), "{shown}");
            let demo = TenantId::new("demo").unwrap();
            let aggregate = channel.aggregate(&demo).to_string();
            let expected = if kind == "run" { id } else { "riverside" };
            assert_eq!(aggregate, format!("demo/{expected}"));
        }
        for bad in [
            "",
            "board",
            "board:",
            "board:A",
            "queue:riverside",
            "ticket:7",
            "run:1",
            "boards:riverside",
            "schedule:riverside",
            "appointment:7",
        ] {
            assert_eq!(Channel::parse(bad), Err(InvalidChannel), "{bad}");
        }
    }
}
