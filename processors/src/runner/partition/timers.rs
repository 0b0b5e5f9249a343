//! When the timers of a partition's aggregates are due, and which of them need a tick.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use schemas::{Millis, ids::Aggregate};
use tokio::time::Instant;

use crate::ledger::AggregateRow;

/// How long a location waits between two ticks. The first one may be lost, or may come too early by
/// the clock of the log, and timers that follow each other closely are served together. Timers run
/// for minutes, so these seconds do not matter.
const TICK_AGAIN: Duration = Duration::from_secs(3);
/// The longest sleep before a timer, since the clock may be changed meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How the id of a tick begins.
pub(in crate::runner) const TICK_ID: &str = "tick.";

/// When the timers of one partition's aggregates are due, as of the last commit.
#[derive(Default)]
pub(in crate::runner) struct PartitionTimers {
    by_time: BTreeSet<(Millis, Aggregate)>,
    due: HashMap<Aggregate, Millis>,
    /// When the last tick of each aggregate was written, if that is less than [`TICK_AGAIN`] ago.
    ticked: HashMap<Aggregate, Instant>,
    /// Aggregates whose last record left timers due: a step fires a limited number.
    unfinished: BTreeSet<Aggregate>,
    /// The number of ticks written so far. With the partition and the owner epoch, it makes the id
    /// of each tick.
    written: u64,
}

impl PartitionTimers {
    /// Sets the timers that the ledger knows, when the partition becomes ready. Records that waited
    /// for it carry the time themselves, so every aggregate counts as just ticked and ticks come
    /// after the records.
    pub(in crate::runner) fn load(&mut self, due: Vec<(Aggregate, Millis)>, now: Instant) {
        self.ticked = due.iter().map(|(aggregate, _)| (aggregate.clone(), now)).collect();
        self.by_time = due.iter().map(|(aggregate, at)| (*at, aggregate.clone())).collect();
        self.due = due.into_iter().collect();
    }

    /// Notes the timers of the aggregates of a batch, whose latest record was appended at `latest`.
    pub(in crate::runner) fn committed(&mut self, rows: &[AggregateRow], latest: Millis) {
        for row in rows {
            if row.due.is_some_and(|due| due <= latest) {
                self.unfinished.insert(row.aggregate.clone());
            }
            let before = match row.due {
                Some(at) => self.due.insert(row.aggregate.clone(), at),
                None => self.due.remove(&row.aggregate),
            };
            if let Some(before) = before {
                self.by_time.remove(&(before, row.aggregate.clone()));
            }
            if let Some(at) = row.due {
                self.by_time.insert((at, row.aggregate.clone()));
            }
        }
    }

    /// When the next tick must be written, if the owner's clock shows `wall` now.
    pub(in crate::runner) fn next(&self, wall: Millis, now: Instant) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        for (at, aggregate) in &self.by_time {
            let wait = u64::try_from(at.saturating_sub(wall))
                .map_or(Duration::ZERO, Duration::from_millis);
            let again = self.ticked.get(aggregate).map_or(now, |ticked| *ticked + TICK_AGAIN);
            let then = (now + wait.min(LOOK_EVERY)).max(again);
            first = Some(first.map_or(then, |first| first.min(then)));
            // Aggregates after one that is not due yet are not due earlier.
            if !wait.is_zero() {
                break;
            }
        }
        first
    }

    /// Takes aggregates whose timers are still due after their last record, at most `limit`, which
    /// then count as ticked. Their next tick does not wait, so that a line soon ends its day.
    pub(in crate::runner) fn take_unfinished(
        &mut self,
        now: Instant,
        limit: usize,
    ) -> Vec<Aggregate> {
        let taken: Vec<Aggregate> = self.unfinished.iter().take(limit).cloned().collect();
        for aggregate in &taken {
            self.unfinished.remove(aggregate);
            self.ticked.insert(aggregate.clone(), now);
        }
        taken
    }

    /// The aggregates that need a tick now, at most `limit`. They count as ticked.
    pub(in crate::runner) fn take_due(
        &mut self,
        wall: Millis,
        now: Instant,
        limit: usize,
    ) -> Vec<Aggregate> {
        self.ticked.retain(|_, at| now < *at + TICK_AGAIN);
        let overdue =
            self.by_time.iter().take_while(|(at, _)| *at <= wall).map(|(_, aggregate)| aggregate);
        let idle = overdue.filter(|aggregate| !self.ticked.contains_key(*aggregate));
        let taken: Vec<Aggregate> = idle.take(limit).cloned().collect();
        self.ticked.extend(taken.iter().map(|aggregate| (aggregate.clone(), now)));
        taken
    }

    /// Counts a tick that is written, and returns its number.
    pub(in crate::runner) fn next_number(&mut self) -> u64 {
        self.written += 1;
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(name: &str) -> Aggregate {
        testing::records::aggregate("demo", name)
    }

    /// Timers that were set long enough ago for ticks.
    fn timers(due: &[(&str, Millis)]) -> (PartitionTimers, Instant) {
        let (mut timers, loaded) = (PartitionTimers::default(), Instant::now());
        timers.load(due.iter().map(|(name, at)| (aggregate(name), *at)).collect(), loaded);
        (timers, loaded + TICK_AGAIN)
    }

    #[test]
    fn waiting_records_come_before_ticks() {
        let (mut timers, now) = timers(&[("a", 100)]);
        let loaded = now - TICK_AGAIN;
        assert_eq!(timers.next(200, loaded), Some(now));
        assert!(timers.take_due(200, loaded, 10).is_empty());
    }

    #[test]
    fn longest_overdue_timers_tick_first() {
        let (mut timers, now) = timers(&[("late", 300), ("a", 100), ("b", 200)]);
        assert!(timers.take_due(99, now, 10).is_empty());
        assert_eq!(timers.take_due(250, now, 1), [aggregate("a")]);
        assert_eq!(timers.take_due(250, now, 10), [aggregate("b")]);
        assert!(timers.take_due(250, now, 10).is_empty(), "no location gets two ticks in a row");
        assert_eq!(
            timers.take_due(300, now + TICK_AGAIN, 10).len(),
            3,
            "an unanswered tick is written again"
        );
    }

    #[test]
    fn next_tick_waits_for_due_time_and_pause() {
        let (mut timers, now) = timers(&[("a", 1_000), ("b", 1_500)]);
        assert_eq!(timers.next(400, now), Some(now + Duration::from_millis(600)));
        assert_eq!(timers.next(1_000, now), Some(now));
        assert_eq!(timers.take_due(1_000, now, 10).len(), 1);
        assert_eq!(timers.next(1_000, now), Some(now + Duration::from_millis(500)));
        assert_eq!(timers.take_due(1_500, now, 10).len(), 1);
        assert_eq!(timers.next(1_500, now), Some(now + TICK_AGAIN));
        assert_eq!(
            timers.next(-100_000, now),
            Some(now + TICK_AGAIN),
            "both were ticked a moment ago"
        );
        let (far, now) = self::timers(&[("a", Millis::MAX)]);
        assert_eq!(far.next(0, now), Some(now + LOOK_EVERY));
        assert_eq!(PartitionTimers::default().next(0, now), None);
    }
}
