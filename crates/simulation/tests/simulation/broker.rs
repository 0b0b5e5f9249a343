//! The log: topics in partitions, and the group of processors that share the topic `care`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use processors::log::{LogOffset, LogRecord, PartitionId};
use schemas::{
    Millis,
    record::{AUDIT_TOPIC, CARE_TOPIC, WireRecord},
};
use standalone::memory::Clock;
use tokio::{sync::Notify, time::Instant};

use crate::trace::Trace;

/// A member of the group, by the order in which it joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(u64);

/// The time without news from a member after which its partitions go to others.
pub const SESSION: Duration = Duration::from_secs(3);

pub struct Broker {
    clock: Clock,
    trace: Trace,
    /// The number of partitions of `care` and of `views`.
    pub partitions: u32,
    state: Mutex<State>,
    /// Notified when a topic grows or the group changes.
    pub changed: Notify,
}

#[derive(Default)]
struct State {
    at: Millis,
    topics: BTreeMap<(&'static str, PartitionId), Vec<LogRecord>>,
    members: BTreeMap<MemberId, Instant>,
    joined: u64,
    /// Who is to own each partition, and who has it until it gives it back.
    wanted: BTreeMap<PartitionId, MemberId>,
    held: BTreeMap<PartitionId, MemberId>,
    /// The next member to begin with, so that an assignment moves.
    turn: usize,
}

impl Broker {
    pub fn new(clock: Clock, trace: Trace, partitions: u32) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { clock, trace, partitions, state, changed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn partition_of(&self, topic: &str, key: &str) -> PartitionId {
        match topic {
            AUDIT_TOPIC => PartitionId(0),
            _ => PartitionId::for_key(key, self.partitions),
        }
    }

    /// Appends a record in the name of a process.
    pub fn append(&self, who: &str, topic: &'static str, record: WireRecord) {
        let partition = self.partition_of(topic, &record.key);
        let mut state = self.state();
        state.at = state.at.max((self.clock)());
        let at = state.at;
        let records = state.topics.entry((topic, partition)).or_default();
        let offset = LogOffset(records.len() as i64);
        if topic != AUDIT_TOPIC {
            let kind = record.header("ce_type").unwrap_or_default();
            let (id, key) = (record.header("ce_id").unwrap_or_default(), &record.key);
            self.trace.note(
                who,
                format_args!("appends {kind} {id} of {key} as {topic}/{partition}/{offset}"),
            );
        }
        records.push(LogRecord { offset, at, record });
        drop(state);
        self.changed.notify_waiters();
    }

    /// At most `most` records of a partition from `offset` on.
    pub fn read(
        &self,
        topic: &'static str,
        partition: PartitionId,
        offset: LogOffset,
        most: usize,
    ) -> Vec<LogRecord> {
        let state = self.state();
        let records = state.topics.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(offset.0).unwrap_or(0).min(records.len());
        records[from..].iter().take(most).cloned().collect()
    }

    /// The offset of the next record.
    pub fn end(&self, topic: &'static str, partition: PartitionId) -> LogOffset {
        let state = self.state();
        LogOffset(state.topics.get(&(topic, partition)).map_or(0, Vec::len) as i64)
    }

    /// The first record that was appended within `back` of now.
    pub fn since(&self, topic: &'static str, partition: PartitionId, back: Duration) -> LogOffset {
        let earliest = (self.clock)() - back.as_millis() as Millis;
        let state = self.state();
        let records = state.topics.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        LogOffset(records.partition_point(|record| record.at < earliest) as i64)
    }

    /// All records of a topic, by partition.
    pub fn all(&self, topic: &'static str) -> BTreeMap<PartitionId, Vec<LogRecord>> {
        let state = self.state();
        let of_topic = state.topics.iter().filter(|((name, _), _)| *name == topic);
        of_topic.map(|((_, id), records)| (*id, records.clone())).collect()
    }

    pub fn ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.partitions).map(PartitionId)
    }

    /// Whether every record of `care` was decided up to these offsets.
    pub fn is_at_end(&self, partition: PartitionId, next: LogOffset) -> bool {
        self.end(CARE_TOPIC, partition) == next
    }
}

/// The group.
impl Broker {
    pub fn join(&self) -> MemberId {
        let mut state = self.state();
        state.joined += 1;
        let member = MemberId(state.joined);
        state.members.insert(member, Instant::now());
        self.assign(&mut state);
        drop(state);
        self.changed.notify_waiters();
        member
    }

    /// Notes that a member lives. Returns whether the group has it.
    pub fn beat(&self, member: MemberId) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(seen) = state.members.get_mut(&member) {
            *seen = now;
        }
        let silent = state.members.iter().filter(|(_, seen)| now - **seen > SESSION);
        let silent: Vec<MemberId> = silent.map(|(member, _)| *member).collect();
        if !silent.is_empty() {
            for gone in &silent {
                self.trace.note("group", format_args!("drops member {}", gone.0));
                state.members.remove(gone);
                state.held.retain(|_, holder| holder != gone);
            }
            self.assign(&mut state);
        }
        let has = state.members.contains_key(&member);
        drop(state);
        if !silent.is_empty() {
            self.changed.notify_waiters();
        }
        has
    }

    /// Ends a membership in order.
    pub fn leave(&self, member: MemberId) {
        let mut state = self.state();
        state.members.remove(&member);
        state.held.retain(|_, holder| *holder != member);
        self.assign(&mut state);
        drop(state);
        self.changed.notify_waiters();
    }

    fn assign(&self, state: &mut State) {
        state.turn += 1;
        let members: Vec<MemberId> = state.members.keys().copied().collect();
        state.wanted.clear();
        if members.is_empty() {
            return;
        }
        for id in self.ids() {
            let owner = members[(id.0 as usize + state.turn) % members.len()];
            state.wanted.insert(id, owner);
        }
    }

    /// Moves partitions between the members, as a rebalance does.
    pub fn rebalance(&self) {
        self.assign(&mut self.state());
        self.trace.note("group", "rebalances");
        self.changed.notify_waiters();
    }

    /// The partitions that the member has to give back.
    pub fn revoked(&self, member: MemberId) -> Vec<PartitionId> {
        let state = self.state();
        let held = state.held.iter().filter(|(_, holder)| **holder == member);
        held.filter(|(id, _)| state.wanted.get(id) != Some(&member)).map(|(id, _)| *id).collect()
    }

    /// Gives partitions back.
    pub fn give_back(&self, member: MemberId, ids: &[PartitionId]) {
        self.state().held.retain(|id, holder| *holder != member || !ids.contains(id));
        self.changed.notify_waiters();
    }

    /// Takes the partitions that the member is to own and that nobody holds.
    pub fn take(&self, member: MemberId) -> Vec<PartitionId> {
        let mut state = self.state();
        let wanted = state.wanted.iter().filter(|(_, owner)| **owner == member);
        let free: BTreeSet<PartitionId> =
            wanted.map(|(id, _)| *id).filter(|id| !state.held.contains_key(id)).collect();
        state.held.extend(free.iter().map(|id| (*id, member)));
        free.into_iter().collect()
    }
}
