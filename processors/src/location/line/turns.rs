//! Turns and ranks: when a patient's turn comes within a priority, as a number.
//!
//! A rank is the moment of the turn in sixteenths of a millisecond, moved on where another ticket
//! of the queue has it already. So ranks compare across the queues of a location. A rank has 48
//! bits, which last until the year 2500.

use schemas::{
    Millis,
    ids::{AppointmentId, QueueId},
    settings::CallOrder,
};

use crate::location::{Location, indexes::QueueTally};

/// Ranks of one millisecond: tickets that arrive in the same millisecond mostly keep to it.
const RANKS_PER_MS: u64 = 16;
/// The largest rank that a turn has by itself: 2^48 less a reserve of 2^40 for tickets with the
/// same turn. Later turns, which no right clock shows, all begin here.
const LAST_TURN: u64 = (1 << 48) - (1 << 40);
/// Ranks of one second. An arrival goes behind every ticket whose turn is within the next second,
/// so that nobody overtakes a burst of arrivals.
const BURST: u64 = 1000 * RANKS_PER_MS;

fn rank_of_turn(turn: Millis) -> u64 {
    u64::try_from(turn).unwrap_or(0).saturating_mul(RANKS_PER_MS).min(LAST_TURN)
}

impl QueueTally {
    /// The first free rank from `rank` on.
    pub(crate) fn free_rank(&self, mut rank: u64) -> u64 {
        for taken in self.ranks.range(rank..).map(|(taken, _)| *taken) {
            if taken != rank {
                break;
            }
            rank += 1;
        }
        rank
    }

    /// The rank of a ticket that arrives now: behind all who arrived before.
    fn arrival_rank(&self, now: Millis) -> u64 {
        let mut rank = rank_of_turn(now);
        while let Some((taken, _)) = self.ranks.range(rank..rank + BURST).next_back() {
            rank = taken + 1;
        }
        rank
    }
}

impl Location {
    /// The rank at the end of a queue.
    pub(crate) fn rank_at_end(&self, queue: &QueueId) -> u64 {
        let now = self.header.now;
        match self.indexes.tallies.get(queue) {
            Some(tally) => tally.arrival_rank(now),
            None => rank_of_turn(now),
        }
    }

    /// The rank of a new ticket. With the order `appointment`, a patient in time for an appointment
    /// has the turn of its start.
    pub(crate) fn rank_of_new(&self, queue: &QueueId, appointment: Option<&AppointmentId>) -> u64 {
        let grace = Millis::from(self.header.timers.call_grace_s) * 1000;
        let start = appointment
            .filter(|_| self.header.call_order == CallOrder::Appointment)
            .and_then(|id| self.appointment(id)?.fact.start)
            .filter(|start| self.header.now <= start.saturating_add(grace));
        match (start.map(rank_of_turn), self.indexes.tallies.get(queue)) {
            (Some(rank), Some(tally)) => tally.free_rank(rank),
            (Some(rank), None) => rank,
            (None, _) => self.rank_at_end(queue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(ranks: impl IntoIterator<Item = u64>) -> QueueTally {
        QueueTally {
            ranks: ranks.into_iter().map(|rank| (rank, 1)).collect(),
            ..QueueTally::default()
        }
    }

    #[test]
    fn arrival_goes_behind_a_burst_with_gaps() {
        let now = 1_000;
        let full = tally(16_000..56_000);
        assert_eq!(full.arrival_rank(now), 56_000);
        let gaps = tally((16_000..56_000).step_by(7));
        assert_eq!(gaps.arrival_rank(now), 56_000 - 1);
        assert_eq!(tally([]).arrival_rank(now), 16_000);
    }

    #[test]
    fn free_rank_is_the_nearest() {
        let tally = tally([5, 6, 7, 9]);
        assert_eq!([4, 5, 8, 9].map(|rank| tally.free_rank(rank)), [4, 8, 8, 10]);
    }

    #[test]
    fn rank_of_any_moment_fits_its_bits() {
        for turn in [-1, 0, 1_800_000_000_000, Millis::MAX] {
            assert!(rank_of_turn(turn) + (1 << 40) <= 1 << 48, "{turn}");
        }
        assert!(rank_of_turn(16_000_000_000_000) < rank_of_turn(16_000_000_000_001), "year 2477");
    }
}
