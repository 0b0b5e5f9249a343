//! What a client subscribes to, and how it is spelt. A channel and the view behind it have the same name.

use std::fmt;

use crate::ids::{Aggregate, LocationId, QueueId, RunId, TenantId, TicketId};

/// Longest channel name any client may send: the longest ticket channel has 81 bytes.
pub const MAX_CHANNEL: usize = 128;

/// A channel's kind and whom it is about. The tenant comes from the token, never from the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// One patient's own place.
    Ticket(TicketId),
    /// The ordered line of one queue, for staff.
    Queue(QueueId),
    /// What a waiting room shows.
    Board(LocationId),
    /// One check of a claims file.
    Run(RunId),
}

/// Text that names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a channel")]
pub struct InvalidChannel;

impl Channel {
    /// Reads `ticket:<id>`, `queue:<id>`, `board:<location>` or `run:<id>`.
    ///
    /// # Errors
    /// [`InvalidChannel`] for an unknown kind or an id that is none.
    pub fn parse(name: &str) -> Result<Self, InvalidChannel> {
        let (kind, id) = name.split_once(':').ok_or(InvalidChannel)?;
        let channel = match kind {
            "ticket" => TicketId::new(id).map(Channel::Ticket),
            "queue" => QueueId::new(id).map(Channel::Queue),
            "board" => LocationId::new(id).map(Channel::Board),
            "run" => RunId::new(id).map(Channel::Run),
            _ => return Err(InvalidChannel),
        };
        channel.map_err(|_| InvalidChannel)
    }

    /// The aggregate that the channel is a projection of.
    pub fn aggregate(&self, tenant: &TenantId) -> Aggregate {
        match self {
            Channel::Ticket(id) => Aggregate::location(tenant, &id.location()),
            Channel::Queue(id) => Aggregate::location(tenant, &id.location()),
            Channel::Board(id) => Aggregate::location(tenant, id),
            Channel::Run(id) => Aggregate::run(tenant, id),
        }
    }

    /// What the name has behind its kind.
    pub fn id(&self) -> &str {
        match self {
            Channel::Ticket(id) => id.as_str(),
            Channel::Queue(id) => id.as_str(),
            Channel::Board(id) => id.as_str(),
            Channel::Run(id) => id.as_str(),
        }
    }

    /// Every kind of channel, as names begin with it.
    pub const KINDS: [&'static str; 4] = ["ticket", "queue", "board", "run"];

    /// The place of this channel's kind in [`Channel::KINDS`].
    pub fn kind_index(&self) -> usize {
        match self {
            Channel::Ticket(_) => 0,
            Channel::Queue(_) => 1,
            Channel::Board(_) => 2,
            Channel::Run(_) => 3,
        }
    }

    /// The word for metrics and audit: a closed set.
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
            Channel::Ticket(_) => f.write_str("ticket:…"),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_reads_back_as_it_is_written() {
        for name in [
            "board:riverside",
            "queue:riverside.general",
            "ticket:riverside.00000000000000000000000000000007",
            "run:r_0123456789abcdef_00000000000000000000000000000007",
        ] {
            assert_eq!(Channel::parse(name).unwrap().to_string(), name);
        }
        for bad in
            ["", "board", "board:", "board:A", "queue:riverside", "ticket:7", "run:1", "boards:riverside"]
        {
            assert_eq!(Channel::parse(bad), Err(InvalidChannel), "{bad}");
        }
    }
}
