//! A question of a move that waits for its answer, and when it is asked again.

use schemas::{Millis, attempt::AttemptNumber};
use serde::{Deserialize, Serialize};

const MINUTE: Millis = 60_000;
/// The pauses between repetitions double this many times: 1, 2, 4, 8, 16 and 32 minutes. An answer
/// takes seconds, so the first minute passes only when something is wrong.
const DOUBLINGS: u32 = 6;
/// Later repetitions come once an hour, for as long as there is no answer. What parks records is
/// repaired by people, who take hours, and [`MAX_MOVES`] questions an hour are three a second.
const LONGEST: Millis = 60 * MINUTE;

/// Most moves of one location without an answer, tickets and appointments together: as many as a
/// location has live tickets. They stay in memory. Past it, a further move is refused as `moving`.
pub(crate) const MAX_MOVES: usize = 10_000;

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// When the question was asked first.
    pub since: Millis,
    /// How often the question was repeated. Repetitions that came too late count, too.
    pub attempt: AttemptNumber,
}

impl Question {
    pub(crate) fn new(since: Millis) -> Self {
        Self { since, attempt: AttemptNumber(0) }
    }

    /// When the question is asked again.
    pub(crate) fn due(&self) -> Millis {
        self.since.saturating_add(pause_before(self.attempt.next()))
    }

    /// The number of the last repetition that is due at `now`. After an outage it skips the
    /// repetitions that were missed, so that one question is asked and not all of them.
    pub(crate) fn attempt_at(&self, now: Millis) -> AttemptNumber {
        let waited = now.saturating_sub(self.since).max(0);
        let hours = (waited - pause_before(AttemptNumber(DOUBLINGS))).max(0) / LONGEST;
        let is_due = |number: &u32| pause_before(AttemptNumber(*number)) <= waited;
        let doubled = (0..=DOUBLINGS).rev().find(is_due).unwrap_or(0);
        AttemptNumber(doubled.saturating_add(u32::try_from(hours).unwrap_or(u32::MAX)))
    }
}

/// How long after the first question the repetition with this number is.
fn pause_before(attempt: AttemptNumber) -> Millis {
    let doubled = attempt.0.min(DOUBLINGS);
    ((1 << doubled) - 1) * MINUTE + Millis::from(attempt.0 - doubled) * LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_repeated_at_doubling_then_hourly_pauses() {
        let mut question = Question::new(1_000);
        let mut minutes = Vec::new();
        for _ in 0..9 {
            let due = question.due();
            minutes.push((due - 1_000) / MINUTE);
            assert_eq!(question.attempt_at(due - 1), question.attempt);
            question.attempt = question.attempt.next();
            assert_eq!(question.attempt_at(due), question.attempt);
        }
        assert_eq!(minutes, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn late_question_skips_the_missed_repetitions() {
        let question = Question::new(0);
        assert_eq!(question.attempt_at(48 * LONGEST), AttemptNumber(6 + 46));
        assert_eq!(question.attempt_at(-5), AttemptNumber(0));
        assert!(Question { since: 0, attempt: AttemptNumber(u32::MAX) }.due() > 0);
    }
}
