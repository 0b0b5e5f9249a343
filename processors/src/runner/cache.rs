//! Aggregates in memory, limited by their tickets and appointments. The least recently used one is
//! dropped first.

use std::collections::{BTreeMap, HashMap};

use schemas::ids::Aggregate;

use crate::{aggregate::AggregateState, log::PartitionId};

struct CacheEntry {
    state: AggregateState,
    weight: usize,
    partition: PartitionId,
    used: u64,
}

pub(super) struct Cache {
    bound: usize,
    weight: usize,
    uses: u64,
    held: HashMap<Aggregate, CacheEntry>,
    by_use: BTreeMap<u64, Aggregate>,
}

impl Cache {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, weight: 0, uses: 0, held: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, aggregate: &Aggregate) -> Option<AggregateState> {
        let held = self.held.remove(aggregate)?;
        self.by_use.remove(&held.used);
        self.weight -= held.weight;
        Some(held.state)
    }

    pub(super) fn put(
        &mut self,
        partition: PartitionId,
        aggregate: Aggregate,
        state: AggregateState,
    ) {
        self.take(&aggregate);
        self.uses += 1;
        // An aggregate without parts counts as well; otherwise aggregates that do not exist would
        // accumulate.
        let weight = state.parts() + 1;
        self.weight += weight;
        self.by_use.insert(self.uses, aggregate.clone());
        self.held.insert(aggregate, CacheEntry { state, weight, partition, used: self.uses });
        while self.weight > self.bound
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = oldest.clone();
            self.take(&oldest);
        }
    }

    pub(super) fn drop_partition(&mut self, partition: PartitionId) {
        let of_partition = |held: &CacheEntry| held.partition == partition;
        let gone: Vec<Aggregate> = self
            .held
            .iter()
            .filter(|(_, held)| of_partition(held))
            .map(|(aggregate, _)| aggregate.clone())
            .collect();
        for aggregate in gone {
            self.take(&aggregate);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        appointment::AppointmentStatus,
        ids::{AppointmentId, LocationId},
        view::Position,
    };
    use testing::records::{self, bare_fact};

    use super::*;
    use crate::{
        aggregate::{AggregateHeader, StoredAggregate},
        location::Appointment,
    };

    fn aggregate(name: &str) -> Aggregate {
        records::aggregate("demo", name)
    }

    /// A location with this many appointments.
    fn location(appointments: u64) -> AggregateState {
        let appointment = |number: u64| Appointment {
            id: AppointmentId::from_random(&LocationId::new("a").unwrap(), number.into()),
            fact: bare_fact(&number.to_string(), 1, AppointmentStatus::Waitlist),
            reported_at: 0,
            status: AppointmentStatus::Waitlist,
            late: false,
            expired: false,
            missed_at: None,
            visits: Vec::new(),
            successor: None,
            moving: None,
            passed_on: None,
            booked_at: None,
            counted: None,
            clinic: None,
            view: 1,
        };
        AggregateState::restore(StoredAggregate {
            position: Position { epoch: 1, version: 1 },
            header: AggregateHeader::Location(Box::default()),
            tickets: Vec::new(),
            appointments: (0..appointments).map(appointment).collect(),
        })
    }

    #[test]
    fn least_recently_used_location_is_dropped_first() {
        let mut cache = Cache::new(10);
        for name in ["a", "b"] {
            cache.put(PartitionId(0), aggregate(name), location(4));
        }
        let a = cache.take(&aggregate("a")).unwrap();
        cache.put(PartitionId(0), aggregate("a"), a);
        cache.put(PartitionId(0), aggregate("c"), location(4));
        assert!(cache.take(&aggregate("b")).is_none());
        assert!(cache.take(&aggregate("a")).is_some() && cache.take(&aggregate("c")).is_some());
        assert_eq!(cache.weight, 0);
    }

    #[test]
    fn dropped_partition_drops_its_locations() {
        let mut cache = Cache::new(10);
        cache.put(PartitionId(0), aggregate("a"), location(0));
        cache.put(PartitionId(1), aggregate("b"), location(0));
        cache.drop_partition(PartitionId(0));
        assert!(cache.take(&aggregate("a")).is_none());
        assert!(cache.take(&aggregate("b")).is_some());
    }

    #[test]
    fn location_above_the_limit_is_not_cached() {
        let mut cache = Cache::new(10);
        cache.put(PartitionId(0), aggregate("a"), location(50));
        assert!(cache.take(&aggregate("a")).is_none());
    }
}
