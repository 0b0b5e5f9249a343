//! Places in the log: the partition of a record, and its offset there. What a follower of a topic
//! yields.

use std::fmt;

use crate::{Millis, record::WireRecord};

/// One item that a follower of a topic yields. Items of a key are in order.
pub enum FeedItem {
    /// A record.
    Record {
        /// The record.
        record: WireRecord,
        /// The append time that the log gave the record.
        appended_at: Millis,
    },
    /// All records that were in the topic when following began have been yielded.
    CaughtUp,
    /// Records were lost: nothing that was derived from earlier ones is current.
    Lost,
}

/// The number of a partition within its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

impl PartitionId {
    /// The partition of a key in a topic with `partition_count` partitions, under the `murmur2`
    /// partitioner of Kafka's Java clients: the Murmur2 hash with seed `0x9747b28c`, cut to its
    /// lower 31 bits, modulo the partition count.
    pub fn for_key(key: &str, partition_count: u32) -> Self {
        Self((murmur2(key.as_bytes()) & 0x7fff_ffff) % partition_count.max(1))
    }

    /// The partition that a Kafka client calls `number`. No record has a negative number.
    pub fn from_kafka(number: i32) -> Self {
        Self(u32::try_from(number).unwrap_or_default())
    }

    /// The number that Kafka clients take.
    pub fn to_kafka(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a record in its partition. The first record of a topic has the offset 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogOffset(pub i64);

impl LogOffset {
    /// The offset of the first record of a partition.
    pub const START: Self = Self(0);

    /// The offset after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// MurmurHash2, 32 bit, as `org.apache.kafka.common.utils.Utils.murmur2` computes it.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (index, byte) in tail.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values come from the tests of Kafka's Java client. The partition of every key depends on
    /// this hash.
    #[test]
    fn murmur2_matches_the_java_client() {
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn key_has_one_partition_of_those_there_are() {
        // The hash of "foobar" without its sign is 1,357,151,166.
        for (partitions, expected) in [(12, 6), (11, 8), (1, 0)] {
            assert_eq!(PartitionId::for_key("foobar", partitions), PartitionId(expected));
        }
        assert_eq!(PartitionId::from_kafka(PartitionId(11).to_kafka()), PartitionId(11));
        assert_eq!(PartitionId(11).to_string(), "11");
        assert_eq!(LogOffset(41).next(), LogOffset(42));
        assert_eq!(LogOffset(42).to_string(), "42");
    }
}
