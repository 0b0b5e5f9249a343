//! The readiness of a node: conditions that any part sets and clears, and the answer of
//! `/health/ready` that follows from them. [docs/operations.md](../../docs/operations.md) explains
//! each condition to operators.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// A condition of a node that operators must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Intake has not read the topic of views to its end since the node started.
    CatchingUp,
    /// The reader of the topic of views makes no progress.
    FollowerStalled,
    /// The producer cannot publish commands.
    ProducerStalled,
    /// Redis does not answer.
    StoreDown,
    /// PostgreSQL does not answer.
    AuthorityDown,
    /// The topic of revocations has not been read to its end since the node started.
    AccessUnread,
    /// The reader of the topic of revocations makes no progress.
    AccessStalled,
    /// The keys of no issuer of tokens have been fetched.
    KeysMissing,
    /// The keys of an issuer of tokens could not be fetched for a while.
    KeysLate,
    /// The node is stopping.
    Draining,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 10] = [
        Self::CatchingUp,
        Self::FollowerStalled,
        Self::ProducerStalled,
        Self::StoreDown,
        Self::AuthorityDown,
        Self::AccessUnread,
        Self::AccessStalled,
        Self::KeysMissing,
        Self::KeysLate,
        Self::Draining,
    ];

    /// The label of the condition in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching_up",
            Self::FollowerStalled => "follower_stalled",
            Self::ProducerStalled => "producer_stalled",
            Self::StoreDown => "store_down",
            Self::AuthorityDown => "authority_down",
            Self::AccessUnread => "access_unread",
            Self::AccessStalled => "access_stalled",
            Self::KeysMissing => "keys_missing",
            Self::KeysLate => "keys_late",
            Self::Draining => "draining",
        }
    }

    /// The line of `/health/ready`.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::CatchingUp => "the topic of views has not been read to its end yet",
            Self::FollowerStalled => "reading the topic of views makes no progress",
            Self::ProducerStalled => "commands cannot be published to Kafka",
            Self::StoreDown => "Redis does not answer; views are read from PostgreSQL",
            Self::AuthorityDown => {
                "PostgreSQL does not answer; views that Redis lacks cannot be read"
            }
            Self::AccessUnread => "the topic of revocations has not been read to its end yet",
            Self::AccessStalled => "reading the topic of revocations makes no progress",
            Self::KeysMissing => {
                "the keys that verify tokens have not been fetched from any issuer"
            }
            Self::KeysLate => {
                "the keys of an issuer of tokens cannot be fetched; the last ones count"
            }
            Self::Draining => "the node is stopping",
        }
    }

    /// Whether the condition alone takes the node out of its balancer. All nodes share Redis and
    /// PostgreSQL, so the loss of one of them would take out every node, although each can still
    /// serve. The same holds for an issuer whose keys are late.
    pub const fn is_blocking(self) -> bool {
        !matches!(self, Self::StoreDown | Self::AuthorityDown | Self::KeysLate)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The line of `/health/ready` while neither Redis nor PostgreSQL answers.
const NOTHING_TO_READ: &str = "neither Redis nor PostgreSQL answers; no view can be read";

/// The conditions of a node. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<AtomicU32>);

impl Default for Readiness {
    /// A node that has not caught up.
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(Condition::CatchingUp.bit())))
    }
}

impl Readiness {
    /// Sets or clears a condition. A change is logged once.
    pub fn set(&self, condition: Condition, holds: bool) {
        let bit = condition.bit();
        let before = if holds {
            self.0.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.0.fetch_and(!bit, Ordering::AcqRel)
        };
        if (before & bit != 0) == holds {
            return;
        }
        let is_usual = matches!(
            condition,
            Condition::CatchingUp | Condition::AccessUnread | Condition::Draining
        );
        let (condition, meaning) = (condition.name(), condition.explanation());
        // A node that starts or stops is no cause for alarm.
        if holds && is_usual {
            tracing::info!(condition, meaning, "a condition of readiness began");
        } else if holds {
            tracing::warn!(condition, meaning, "a condition of readiness began");
        } else {
            tracing::info!(condition, "a condition of readiness ended");
        }
    }

    /// Whether the condition holds now.
    pub fn holds(&self, condition: Condition) -> bool {
        self.0.load(Ordering::Acquire) & condition.bit() != 0
    }

    /// Whether the node should get new clients.
    pub fn is_ready(&self) -> bool {
        let (blocking, _) = self.reasons();
        blocking.is_empty()
    }

    /// The body of `/health/ready`: the verdict, and one line for each condition that holds.
    pub fn report(&self) -> String {
        let (blocking, degraded) = self.reasons();
        let mut text =
            if blocking.is_empty() { "ready\n".to_owned() } else { "not ready\n".to_owned() };
        for reason in blocking {
            text.push_str(&format!("{reason}\n"));
        }
        for reason in degraded {
            text.push_str(&format!("degraded: {reason}\n"));
        }
        text
    }

    /// Conditions that take the node out of its balancer, and conditions that do not.
    fn reasons(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let held = self.0.load(Ordering::Acquire);
        let (blocking, degraded): (Vec<_>, Vec<_>) = Condition::ALL
            .into_iter()
            .filter(|condition| held & condition.bit() != 0)
            .partition(|condition| condition.is_blocking());
        let texts = |held: Vec<Condition>| held.into_iter().map(Condition::explanation).collect();
        let (mut blocking, degraded): (Vec<_>, Vec<_>) = (texts(blocking), texts(degraded));
        let servers = Condition::StoreDown.bit() | Condition::AuthorityDown.bit();
        if held & servers != servers {
            return (blocking, degraded);
        }
        blocking.push(NOTHING_TO_READ);
        (blocking, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught_up() -> Readiness {
        let readiness = Readiness::default();
        readiness.set(Condition::CatchingUp, false);
        readiness
    }

    #[test]
    fn node_is_ready_once_caught_up() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.set(Condition::CatchingUp, false);
        assert!(readiness.is_ready());
        assert_eq!(readiness.report(), "ready\n");
    }

    #[test]
    fn each_condition_blocks_or_degrades() {
        for condition in Condition::ALL {
            let readiness = caught_up();
            readiness.set(condition, true);
            assert_eq!(readiness.is_ready(), !condition.is_blocking(), "{condition:?}");
            let prefix = if condition.is_blocking() { "not ready\n" } else { "ready\ndegraded: " };
            assert_eq!(readiness.report(), format!("{prefix}{}\n", condition.explanation()));
            readiness.set(condition, false);
            assert_eq!(readiness.report(), "ready\n", "{condition:?} ends");
        }
    }

    #[test]
    fn node_without_both_servers_is_not_ready() {
        let readiness = caught_up();
        readiness.set(Condition::StoreDown, true);
        readiness.set(Condition::AuthorityDown, true);
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report(), format!("not ready\n{NOTHING_TO_READ}\n"));
    }

    #[test]
    fn conditions_have_unique_bits_and_names() {
        let bits = Condition::ALL.iter().fold(0, |bits, condition| bits | condition.bit());
        assert_eq!(bits.count_ones() as usize, Condition::ALL.len());
        let mut names = Condition::ALL.map(Condition::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
