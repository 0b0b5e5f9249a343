//! Promises that a server broke, counted by kind, with a few examples that name clients by number
//! only.

use std::collections::BTreeMap;

use serde::Serialize;

/// What can be broken. Any one of them makes a run fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// A client was shown an offset below one it had been shown.
    VersionFell,
    /// The epoch of a channel changed during the run.
    EpochChanged,
    /// A delta began after the version that the client held.
    Gap,
    /// A delta's `to` is not the offset it came with.
    VersionMismatch,
    /// Somebody waiting moved away from the front although nobody overtook them.
    PositionRose,
    /// A ticket or a run went back, for example from called to waiting.
    StateWentBack,
    /// A ticket publication that showed its patient nothing new.
    NothingNew,
    /// The first state differs from the order in which the tickets were issued.
    WrongFirstState,
    /// The last state differs from what the order of tickets and the calls make it.
    WrongLastState,
    /// A folded view differs from the snapshot that the server gives out.
    WrongView,
    /// A client did not reach the version that it should have.
    NeverArrived,
    /// `call-next` did not call the first in line.
    WrongCall,
    /// A command that should apply was refused, or never got its outcome.
    CommandFailed,
    /// The server refused a subscription, or closed for good.
    TurnedAway,
    /// A message that does not follow the protocol.
    Malformed,
    /// A run's progress went back within one attempt, or something shown of it was taken back.
    ProgressFell,
    /// A run changed after its end.
    ChangedAfterEnd,
    /// A run that should complete failed or was cancelled.
    NotCompleted,
    /// A run's findings, tallies, counts and summary disagree, or are not what its file holds.
    WrongFindings,
}

/// How many breaches there were, and what some of them looked like.
#[derive(Debug, Default)]
pub struct Breaches {
    pub counts: BTreeMap<Breach, u64>,
    pub examples: Vec<String>,
}

/// Enough to see what went wrong; a server that is wrong everywhere must not fill the memory of its
/// checker.
const EXAMPLES: usize = 20;

impl Breaches {
    /// Counts one breach. `detail` must carry no ticket, token or payload.
    pub fn note(&mut self, breach: Breach, detail: impl FnOnce() -> String) {
        *self.counts.entry(breach).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(detail());
        }
    }

    /// Adds what another client found.
    pub fn merge(&mut self, other: Self) {
        for (breach, count) in other.counts {
            *self.counts.entry(breach).or_default() += count;
        }
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}
