//! Whether a process stays in its group, leaves it, or joins it again.

use std::time::{Duration, Instant};

use super::LIMITS;

/// How long a process whose producer makes no progress, although it can read, keeps its
/// partitions: longer than the watchdog takes to replace the producer.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(20);
/// How long it then stays out of the group, unless its producer recovers.
pub(super) const ASIDE: Duration = Duration::from_secs(30);
/// How often a member may be fenced in [`FENCED_WITHIN`] and join again. After a stall of Kafka a
/// member can fence itself: the broker answers its first request to join and then the repetition,
/// which names the member that the first has replaced. Two processes of one name fence each other
/// without end.
const FENCED_MOST: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_mins(10);

/// When this process was fenced in its group.
#[derive(Default)]
pub(super) struct Fencings(Vec<Instant>);

impl Fencings {
    /// Counts one more. Returns whether joining again may help.
    pub(super) fn may_join_again(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.duration_since(*at) < FENCED_WITHIN);
        self.0.push(now);
        self.0.len() <= FENCED_MOST
    }
}

/// The observations that decide whether a process stays in its group.
pub(super) struct GroupObservation {
    pub(super) aside_until: Option<Instant>,
    pub(super) owns_nothing: bool,
    /// Silence of the consumer and of the producer.
    pub(super) read: Duration,
    pub(super) published: Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum GroupStep {
    Stay,
    Leave,
    Join,
}

impl GroupObservation {
    /// A stall of Kafka is no reason to leave: then no process can publish.
    pub(super) fn turn(&self, now: Instant) -> GroupStep {
        match self.aside_until {
            None => {
                let reads = self.read < LIMITS.silence;
                let useless = reads && self.published >= GIVE_BACK_AFTER && !self.owns_nothing;
                if useless { GroupStep::Leave } else { GroupStep::Stay }
            }
            Some(until) if now < until && !self.published.is_zero() => GroupStep::Stay,
            Some(_) => GroupStep::Join,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_that_is_fenced_without_end_stops() {
        let now = Instant::now();
        let mut fencings = Fencings::default();
        for _ in 0..FENCED_MOST {
            assert!(fencings.may_join_again(now));
        }
        assert!(!fencings.may_join_again(now));
        assert!(fencings.may_join_again(now + FENCED_WITHIN), "it was long ago");
    }

    #[test]
    fn process_that_cannot_publish_leaves_its_group() {
        let now = Instant::now();
        let turn = |aside: Option<Duration>, owns_nothing, read: u64, published: u64| {
            let aside_until = aside.map(|rest| now + rest);
            let (read, published) = (Duration::from_secs(read), Duration::from_secs(published));
            GroupObservation { aside_until, owns_nothing, read, published }.turn(now)
        };
        let left = Some(ASIDE);
        assert_eq!(turn(None, false, 0, 0), GroupStep::Stay);
        assert_eq!(turn(None, false, 1, 19), GroupStep::Stay, "the producer may be replaced");
        assert_eq!(turn(None, false, 1, 20), GroupStep::Leave);
        assert_eq!(turn(None, false, 20, 20), GroupStep::Stay, "Kafka stalls for everybody");
        assert_eq!(turn(None, true, 1, 20), GroupStep::Stay, "there is nothing to give back");
        assert_eq!(turn(left, true, 0, 25), GroupStep::Stay);
        assert_eq!(turn(left, true, 0, 0), GroupStep::Join, "the producer works again");
        assert_eq!(turn(Some(Duration::ZERO), true, 0, 50), GroupStep::Join, "it tries again");
    }
}
