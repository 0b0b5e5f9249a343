//! Log lines of Kafka's clients that repeat: a broker that refuses connections, or a process
//! without free descriptors, makes a line for each attempt of each client.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Of each kind, one line is printed in this time: often enough to see that a fault continues.
const INTERVAL: Duration = Duration::from_secs(10);
/// Most kinds that are distinguished: librdkafka has about thirty. Lines of further kinds share
/// one.
const MOST_KINDS: usize = 64;
const OTHERS: &str = "others";

/// The kinds of lines of this process.
pub(super) static LINES: LineThrottle = LineThrottle(Mutex::new(BTreeMap::new()));

pub(super) struct LineThrottle(Mutex<BTreeMap<String, Lines>>);

/// The lines of one kind.
struct Lines {
    printed_at: Instant,
    left_out: u64,
}

impl LineThrottle {
    /// Whether to print a line of this kind now: then returns the number of lines that were left
    /// out before it.
    pub(super) fn admit(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.contains_key(kind) || kinds.len() < MOST_KINDS;
        let kind = if known { kind } else { OTHERS };
        let Some(lines) = kinds.get_mut(kind) else {
            kinds.insert(kind.to_owned(), Lines { printed_at: now, left_out: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(lines.printed_at) < INTERVAL {
            lines.left_out += 1;
            return None;
        }
        lines.printed_at = now;
        Some(std::mem::take(&mut lines.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_lines_become_one_with_a_count() {
        let lines = LineThrottle(Mutex::default());
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        assert_eq!(lines.admit("FAIL", at(0)), Some(0));
        for millis in 1..=1000 {
            assert_eq!(lines.admit("FAIL", at(millis)), None);
        }
        assert_eq!(lines.admit("ERROR", at(5)), Some(0), "another kind has lines of its own");
        assert_eq!(lines.admit("FAIL", at(10_000)), Some(1000));
        assert_eq!(lines.admit("FAIL", at(20_000)), Some(0));
    }

    #[test]
    fn kinds_past_the_bound_share_one() {
        let lines = LineThrottle(Mutex::default());
        let now = Instant::now();
        for kind in 0..1000 {
            lines.admit(&kind.to_string(), now);
        }
        assert_eq!(lines.0.lock().unwrap().len(), MOST_KINDS + 1);
        let shared = (1000 - MOST_KINDS - 1) as u64;
        assert_eq!(lines.admit("one more", now + INTERVAL), Some(shared));
    }
}
