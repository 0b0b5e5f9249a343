//! Aggregates in memory, bounded by their tickets; the one not used for longest goes first.

use std::collections::{BTreeMap, HashMap};

use schemas::ids::Aggregate;

use super::batch::Weighed;

struct Held {
    weighed: Weighed,
    partition: u32,
    used: u64,
}

pub(super) struct Cache {
    bound: usize,
    weight: usize,
    uses: u64,
    held: HashMap<Aggregate, Held>,
    by_use: BTreeMap<u64, Aggregate>,
}

impl Cache {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, weight: 0, uses: 0, held: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, aggregate: &Aggregate) -> Option<Weighed> {
        let held = self.held.remove(aggregate)?;
        self.by_use.remove(&held.used);
        self.weight -= weight(&held.weighed);
        Some(held.weighed)
    }

    pub(super) fn put(&mut self, partition: u32, aggregate: Aggregate, weighed: Weighed) {
        self.take(&aggregate);
        self.uses += 1;
        self.weight += weight(&weighed);
        self.by_use.insert(self.uses, aggregate.clone());
        self.held.insert(aggregate, Held { weighed, partition, used: self.uses });
        while self.weight > self.bound
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = oldest.clone();
            self.take(&oldest);
        }
    }

    pub(super) fn drop_partition(&mut self, partition: u32) {
        let of_partition = |held: &Held| held.partition == partition;
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

/// A location without tickets counts too, or names nobody knows would pile up.
fn weight(weighed: &Weighed) -> usize {
    weighed.tickets + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::ids::AggregateKind;

    use crate::aggregate::State;

    fn aggregate(name: &str) -> Aggregate {
        Aggregate::parse(&format!("demo/{name}")).unwrap()
    }

    fn weighed(tickets: usize) -> Weighed {
        Weighed { state: State::new(AggregateKind::Location, 1), tickets }
    }

    #[test]
    fn the_location_not_used_for_longest_goes_first() {
        let mut cache = Cache::new(10);
        for name in ["a", "b"] {
            cache.put(0, aggregate(name), weighed(4));
        }
        let a = cache.take(&aggregate("a")).unwrap();
        cache.put(0, aggregate("a"), a);
        cache.put(0, aggregate("c"), weighed(4));
        assert!(cache.take(&aggregate("b")).is_none());
        assert!(cache.take(&aggregate("a")).is_some() && cache.take(&aggregate("c")).is_some());
        assert_eq!(cache.weight, 0);
    }

    #[test]
    fn a_partition_takes_its_locations_along() {
        let mut cache = Cache::new(10);
        cache.put(0, aggregate("a"), weighed(0));
        cache.put(1, aggregate("b"), weighed(0));
        cache.drop_partition(0);
        assert!(cache.take(&aggregate("a")).is_none());
        assert!(cache.take(&aggregate("b")).is_some());
    }

    #[test]
    fn a_location_larger_than_the_bound_is_not_kept() {
        let mut cache = Cache::new(10);
        cache.put(0, aggregate("a"), weighed(50));
        assert!(cache.take(&aggregate("a")).is_none());
    }
}
