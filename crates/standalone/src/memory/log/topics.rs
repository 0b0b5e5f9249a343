//! The topics of the log in memory, and their kept records.

use std::collections::{BTreeMap, HashMap, VecDeque};

use processors::log::{LogOffset, LogRecord};
use schemas::{
    Millis,
    record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, WireRecord},
};
use tokio::time::Instant;

use super::RECORDS;

/// Most records of the audit that wait while no sink reads them, as in tests of other parts. Past
/// it the oldest is dropped.
const AUDIT_RECORDS: usize = 1_000;
/// Kept revocations, of which each key has one. Past it the oldest is dropped: a process that holds
/// so many has dropped it too (`gateway::access::revocations`).
const ACCESS_RECORDS: usize = 500_000;
/// Replaced records of access that stay for followers who are behind, as Kafka does not compact its
/// active segment. Two questions about sessions of one tenant have the same key.
const UNCOMPACTED: usize = 1_000;

#[derive(Default)]
pub(super) struct Topics {
    pub(super) at: Millis,
    pub(super) care: GroupTopic,
    pub(super) runs: GroupTopic,
    pub(super) views: Topic<(Instant, Millis, WireRecord)>,
    pub(super) audit: GroupTopic,
    pub(super) access: AccessTopic,
}

/// The compacted topic of revocations, by offset: the newest records, and of older ones the last
/// of each key.
#[derive(Default)]
pub(super) struct AccessTopic {
    pub(super) records: BTreeMap<LogOffset, (Millis, WireRecord)>,
    pub(super) offsets: HashMap<String, LogOffset>,
    /// Records that a newer one of their key replaces, oldest first.
    pub(super) replaced: VecDeque<LogOffset>,
    pub(super) end: LogOffset,
}

impl AccessTopic {
    pub(super) fn push(&mut self, at: Millis, record: WireRecord) {
        self.replaced.extend(self.offsets.insert(record.key.clone(), self.end));
        if self.replaced.len() > UNCOMPACTED
            && let Some(oldest) = self.replaced.pop_front()
        {
            self.records.remove(&oldest);
        }
        self.records.insert(self.end, (at, record));
        self.end = self.end.next();
        if self.records.len() > ACCESS_RECORDS
            && let Some((offset, (_, oldest))) = self.records.pop_first()
            && self.offsets.get(&oldest.key) == Some(&offset)
        {
            self.offsets.remove(&oldest.key);
        }
    }

    /// The first records from `offset` on, at most `RECORDS`, with their offsets.
    pub(super) fn from(&self, offset: LogOffset) -> Vec<(LogOffset, Millis, WireRecord)> {
        let after = self.records.range(offset..).take(RECORDS);
        after.map(|(offset, (at, record))| (*offset, *at, record.clone())).collect()
    }
}

/// A topic that processors share as a group.
#[derive(Default)]
pub(super) struct GroupTopic {
    pub(super) records: Topic<LogRecord>,
    /// The owner, and how often the topic was released.
    pub(super) owner: u64,
    pub(super) releases: u64,
}

impl Topics {
    /// Makes room for a record of a topic without a reader.
    pub(super) fn drop_unread_audit(&mut self) {
        if self.audit.owner == 0 && self.audit.records.records.len() >= AUDIT_RECORDS {
            self.audit.records.drop_first();
        }
    }

    pub(super) fn read(&mut self, topic: &str) -> &mut GroupTopic {
        match topic {
            CARE_TOPIC => &mut self.care,
            RUNS_TOPIC => &mut self.runs,
            AUDIT_TOPIC => &mut self.audit,
            other => unreachable!("nobody reads {other} as a group"),
        }
    }
}

/// Records from offset `first` on.
pub(super) struct Topic<T> {
    pub(super) first: LogOffset,
    pub(super) records: VecDeque<T>,
}

impl<T> Default for Topic<T> {
    fn default() -> Self {
        Self { first: LogOffset::START, records: VecDeque::new() }
    }
}

impl<T: Clone> Topic<T> {
    pub(super) fn end(&self) -> LogOffset {
        let count =
            i64::try_from(self.records.len()).expect("memory holds fewer records than that");
        LogOffset(self.first.0 + count)
    }

    /// At most `limit` records from `offset` on; `None` when the first of them was dropped.
    pub(super) fn from(&self, offset: LogOffset, limit: usize) -> Option<Vec<T>> {
        let skip = usize::try_from(offset.0 - self.first.0).ok()?;
        Some(self.records.iter().skip(skip).take(limit).cloned().collect())
    }

    pub(super) fn drop_first(&mut self) {
        self.records.pop_front();
        self.first = self.first.next();
    }
}
