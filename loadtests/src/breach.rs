//! Breaches of a server's promises, counted by kind, with examples that name clients only by
//! number.

use std::collections::BTreeMap;

use serde::Serialize;

/// A broken promise. One breach makes a run fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// A client received an offset below the one that it held.
    VersionFell,
    /// The epoch of a channel changed during the run.
    EpochChanged,
    /// A delta begins after the version that the client holds.
    Gap,
    /// The `to` of a delta is not the offset of its publication.
    VersionMismatch,
    /// A waiting ticket moved away from the front although no ticket passed it.
    PositionRose,
    /// A ticket or a run returned to an earlier state, such as from called to waiting.
    StateWentBack,
    /// A publication of a ticket shows its patient no change.
    NothingNew,
    /// The first state differs from the order in which the tickets were issued.
    WrongFirstState,
    /// The last state differs from the one that the order of tickets and the calls lead to.
    WrongLastState,
    /// A folded view differs from the server's snapshot.
    WrongView,
    /// A client did not reach a version.
    NeverArrived,
    /// `call-next` did not call the first in line.
    WrongCall,
    /// A valid command was refused, or has no outcome.
    CommandFailed,
    /// The server refused a subscription, or closed a connection for good.
    TurnedAway,
    /// A message violates the protocol.
    Malformed,
    /// The progress of a run fell within an attempt, or a published finding was withdrawn.
    ProgressFell,
    /// A run changed after its end.
    ChangedAfterEnd,
    /// A valid run failed or was cancelled.
    NotCompleted,
    /// Findings, tallies, counts and summary of a run disagree with each other or with its file.
    WrongFindings,
}

/// The number of breaches of each kind, and some examples.
#[derive(Debug, Default)]
pub struct Breaches {
    pub counts: BTreeMap<Breach, u64>,
    pub examples: Vec<String>,
}

/// The maximum number of examples. Further breaches are only counted, so that a broken server does
/// not fill the memory of the swarm.
const EXAMPLES: usize = 20;

impl Breaches {
    /// Counts one breach. `detail` must not contain a ticket, token or payload.
    pub fn note(&mut self, breach: Breach, detail: impl FnOnce() -> String) {
        *self.counts.entry(breach).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(detail());
        }
    }

    /// Adds the breaches that another client noted.
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
