//! Views that were found not to exist a moment ago, so that asking for them in a loop reads
//! nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use schemas::{ids::Aggregate, view::Position};
use tokio::time::Instant;

/// How long an absence is remembered. A record of a new view ends it at once, so this is the
/// longest time that a wrong absence lasts on a node whose stream is late.
const BELIEVED: Duration = Duration::from_secs(1);
/// Absences that are remembered, about 200 bytes each. Past it, further ones are not, and each ask
/// costs a load, of which a node has few at once.
const MAX_ABSENCES: usize = 4096;

#[derive(Default)]
pub struct Absences(Mutex<AbsenceTable>);

#[derive(Default)]
struct AbsenceTable {
    by_aggregate: HashMap<Aggregate, HashMap<String, Absence>>,
    count: usize,
    swept: Option<Instant>,
}

struct Absence {
    since: Instant,
    /// The newest position of the aggregate before its view was looked for.
    seen: Option<Position>,
}

impl Absence {
    fn is_believed(&self, now: Instant) -> bool {
        now - self.since < BELIEVED
    }
}

impl Absences {
    /// Whether the view was absent a moment ago, and its aggregate has not changed since.
    pub fn holds(&self, aggregate: &Aggregate, view: &str, seen: Option<Position>) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let absence = remembered.by_aggregate.get(aggregate).and_then(|views| views.get(view));
        absence.is_some_and(|absence| absence.is_believed(Instant::now()) && absence.seen == seen)
    }

    /// Remembers that a view is absent. `seen` is the newest position of its aggregate before it
    /// was looked for.
    pub fn add(&self, aggregate: &Aggregate, view: &str, seen: Option<Position>) {
        let now = Instant::now();
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.sweep(now);
        if remembered.count >= MAX_ABSENCES {
            return;
        }
        let views = remembered.by_aggregate.entry(aggregate.clone()).or_default();
        let added = views.insert(view.to_owned(), Absence { since: now, seen }).is_none();
        remembered.count += usize::from(added);
    }
}

impl AbsenceTable {
    /// Forgets expired absences, at most once in [`BELIEVED`].
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now - swept < BELIEVED) {
            return;
        }
        self.swept = Some(now);
        self.by_aggregate.retain(|_, views| {
            views.retain(|_, absence| absence.is_believed(now));
            !views.is_empty()
        });
        self.count = self.by_aggregate.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate() -> Aggregate {
        Aggregate::parse("demo/riverside").unwrap()
    }

    fn at(version: u64) -> Option<Position> {
        Some(Position { epoch: 1, version })
    }

    #[tokio::test(start_paused = true)]
    async fn absence_is_believed_until_its_aggregate_changes() {
        let absences = Absences::default();
        absences.add(&aggregate(), "ticket:a", at(7));
        assert!(absences.holds(&aggregate(), "ticket:a", at(7)));
        assert!(!absences.holds(&aggregate(), "ticket:b", at(7)));
        assert!(!absences.holds(&aggregate(), "ticket:a", at(8)), "its ticket may be new");
        tokio::time::advance(BELIEVED).await;
        assert!(!absences.holds(&aggregate(), "ticket:a", at(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn random_names_fill_no_more_than_the_bound() {
        let absences = Absences::default();
        for name in 0..2 * MAX_ABSENCES {
            absences.add(&aggregate(), &name.to_string(), None);
        }
        assert_eq!(absences.0.lock().unwrap().count, MAX_ABSENCES);
        tokio::time::advance(BELIEVED).await;
        absences.add(&aggregate(), "later", None);
        assert_eq!(absences.0.lock().unwrap().count, 1);
    }
}
