//! Reads the statistics that librdkafka emits about a consumer for signs of life. A quiet partition
//! reports its end only once, so records and ends of partitions do not distinguish a consumer of a
//! quiet topic from a wedged one. Answered fetches and heartbeats do.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Statistics;
use schemas::log::PartitionId;

/// How often consumers emit statistics, in milliseconds.
pub const STATISTICS_INTERVAL_MS: &str = "1000";

/// The name of the connection to a group's coordinator in statistics.
const COORDINATOR: &str = "GroupCoordinator";

/// Whether a consumer is a member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The consumer reads the partitions that it was told to.
    None,
    /// The consumer must be a steady member whose coordinator answers heartbeats. It may own no
    /// partition.
    Group,
}

/// Counts what each connection of a consumer received.
#[derive(Default)]
pub struct Pulse {
    received: BTreeMap<String, u64>,
    /// Connections that have received something since the last progress.
    answered: BTreeSet<String>,
}

impl Pulse {
    /// Whether the consumer has made progress since the last call that said so: it fetches each of
    /// its partitions, and every broker that it needs has answered. `is_paused` tells partitions
    /// that are not to be fetched.
    pub fn has_progress(
        &mut self,
        statistics: &Statistics,
        membership: Membership,
        is_paused: impl Fn(PartitionId) -> bool,
    ) -> bool {
        for (name, broker) in &statistics.brokers {
            let before = self.received.insert(name.clone(), broker.rx);
            if before.is_none_or(|before| broker.rx != before) && broker.rx > 0 {
                self.answered.insert(name.clone());
            }
        }
        // Brokers that left the cluster.
        self.received.retain(|name, _| statistics.brokers.contains_key(name));
        let progress = self.is_member(statistics, membership)
            && fetched(statistics, is_paused).all(|partition| {
                // While records wait to be polled, librdkafka fetches no more: this is no silence
                // of the broker.
                partition.fetchq_cnt > 0
                    || (partition.fetch_state == "active"
                        && self.has_answered(statistics, partition.broker))
            });
        if progress {
            self.answered.clear();
        }
        progress
    }

    fn is_member(&self, statistics: &Statistics, membership: Membership) -> bool {
        if membership == Membership::None {
            return true;
        }
        let steady = |group: &rdkafka::statistics::ConsumerGroup| {
            group.state == "up" && group.join_state == "steady"
        };
        statistics.cgrp.as_ref().is_some_and(steady) && self.answered.contains(COORDINATOR)
    }

    fn has_answered(&self, statistics: &Statistics, node: i32) -> bool {
        let of_node = |name: &&String| {
            statistics.brokers.get(*name).is_some_and(|broker| broker.nodeid == node)
        };
        self.answered.iter().filter(|name| *name != COORDINATOR).any(|name| of_node(&name))
    }
}

/// The partitions that the consumer must fetch. librdkafka also lists those that it only knows.
fn fetched<'a>(
    statistics: &'a Statistics,
    is_paused: impl Fn(PartitionId) -> bool + 'a,
) -> impl Iterator<Item = &'a rdkafka::statistics::Partition> {
    let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
    partitions.filter(move |partition| {
        partition.partition >= 0
            && partition.desired
            && !is_paused(PartitionId::from_kafka(partition.partition))
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, ConsumerGroup, Partition, Topic};

    use super::*;

    /// A consumer of two partitions on the brokers 1 and 2. The arguments count what its
    /// connections to them and to its coordinator have received.
    fn statistics(received: [u64; 3]) -> Statistics {
        let names = ["one:9092/1", "two:9092/2", COORDINATOR];
        let nodes = [1, 2, 1];
        let brokers = (0..3).map(|index| {
            let broker = Broker { nodeid: nodes[index], rx: received[index], ..Broker::default() };
            (names[index].to_owned(), broker)
        });
        let partition = |partition: i32| Partition {
            partition,
            broker: partition + 1,
            desired: partition >= 0,
            fetch_state: "active".into(),
            ..Partition::default()
        };
        let partitions = [-1, 0, 1].map(|id| (id, partition(id))).into();
        let topic = Topic { partitions, ..Topic::default() };
        let cgrp = ConsumerGroup {
            state: "up".into(),
            join_state: "steady".into(),
            ..ConsumerGroup::default()
        };
        Statistics {
            brokers: brokers.collect(),
            topics: [("views".to_owned(), topic)].into(),
            cgrp: Some(cgrp),
            ..Statistics::default()
        }
    }

    fn progress(pulse: &mut Pulse, received: [u64; 3], membership: Membership) -> bool {
        pulse.has_progress(&statistics(received), membership, |_| false)
    }

    #[test]
    fn each_broker_of_a_partition_must_answer() {
        let mut pulse = Pulse::default();
        let steps = [
            ([5, 5, 0], true),
            ([5, 5, 0], false),
            ([6, 5, 0], false),
            ([7, 6, 0], true),
            ([7, 6, 0], false),
        ];
        for (received, expected) in steps {
            assert_eq!(progress(&mut pulse, received, Membership::None), expected, "{received:?}");
        }
    }

    #[test]
    fn member_needs_its_coordinator() {
        let mut pulse = Pulse::default();
        assert!(progress(&mut pulse, [5, 5, 5], Membership::Group));
        assert!(!progress(&mut pulse, [6, 6, 5], Membership::Group), "no heartbeat");
        assert!(progress(&mut pulse, [6, 6, 6], Membership::Group));
        let mut joining = statistics([9, 9, 9]);
        joining.cgrp.as_mut().unwrap().join_state = "wait-join".into();
        assert!(!pulse.has_progress(&joining, Membership::Group, |_| false));
    }

    #[test]
    fn standby_member_needs_heartbeats_only() {
        let mut pulse = Pulse::default();
        for beat in 1..3 {
            let mut standby = statistics([0, 0, beat]);
            standby.topics.clear();
            assert!(pulse.has_progress(&standby, Membership::Group, |_| false));
        }
    }

    #[test]
    fn partition_that_is_not_fetched_is_a_silence() {
        for state in ["offset-query", "stopped", "validate-epoch-wait"] {
            let mut deaf = statistics([5, 5, 5]);
            let topic = deaf.topics.get_mut("views").unwrap();
            topic.partitions.get_mut(&1).unwrap().fetch_state = state.into();
            assert!(!Pulse::default().has_progress(&deaf, Membership::None, |_| false), "{state}");
            assert!(
                Pulse::default().has_progress(&deaf, Membership::None, |id| id == PartitionId(1))
            );
        }
    }

    #[test]
    fn records_that_wait_for_us_are_no_silence() {
        let mut pulse = Pulse::default();
        for _ in 0..2 {
            let mut full = statistics([5, 5, 5]);
            for partition in full.topics.get_mut("views").unwrap().partitions.values_mut() {
                partition.fetchq_cnt = 9;
            }
            assert!(pulse.has_progress(&full, Membership::None, |_| false));
        }
    }
}
