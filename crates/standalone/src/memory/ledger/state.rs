//! The state of the ledger, and the one transaction that moves it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::{Arc, Mutex},
};

use processors::{
    aggregate::{AggregateHeader, StoredAggregate},
    anchor::{AnchorRecord, LogAnchor},
    ledger::{
        AggregateRow, AppointmentRow, Batch, JournalEntry, JournalRow, LedgerError, LocationParts,
        OutboxKey, OutboxRow, OwnerEpoch, PartNames, PartitionClaim, TicketRow, ViewName,
    },
    location::{Appointment, RenewalNeed, Ticket},
    log::{LogOffset, PartitionId},
    views::ViewStep,
};
use schemas::{
    Millis,
    ids::{Aggregate, AggregateKind, AppointmentId, LocationId, TenantId, TicketId},
    record::{VIEWS_TOPIC, ViewsRecord},
    view::{Position, View},
};

use super::{super::lock, bounded_map::BoundedMap, history::KeptHistory, outcomes::Outcomes};

/// Number of views before expired ones are removed.
const SWEEP_AT: usize = 1_000;

#[derive(Default)]
pub(super) struct State {
    checkpoints: HashMap<PartitionId, Checkpoint>,
    aggregates: HashMap<Aggregate, KeptAggregate>,
    ended: BoundedMap<(Aggregate, TicketId), Ticket>,
    closed: BoundedMap<(Aggregate, AppointmentId), Appointment>,
    /// Shared by the ledgers of both topics, because a key is one caller's for both.
    pub(super) outcomes: Arc<Mutex<Outcomes>>,
    /// Distinguishes the partitions of the ledgers that share outcomes.
    pub(super) number: u32,
    pub(super) history: KeptHistory,
    outbox: BTreeMap<(PartitionId, LogOffset, i16), OutboxRow>,
    views: HashMap<ViewName, StoredView>,
    /// Size at which expired views are removed: twice what the last sweep left.
    sweep_at: usize,
    pub(super) dirty: BTreeSet<ViewName>,
    pub(super) suspect: BTreeSet<ViewName>,
    epoch: u64,
    journaled: JournalCounts,
    journal: Option<Vec<(PartitionId, JournalRow)>>,
}

#[derive(Default, Clone)]
struct Checkpoint {
    owner_epoch: OwnerEpoch,
    next_offset: LogOffset,
    /// The last record whose command the journal names.
    last: Option<AnchorRecord>,
    /// The epoch that older aggregates begin, and the last one that all of them have reached.
    epoch_floor: u64,
    epoch_done: u64,
}

struct KeptAggregate {
    position: Position,
    header: AggregateHeader,
    partition: PartitionId,
    due: Option<Millis>,
    unfinished: BTreeMap<TicketId, Ticket>,
    open: BTreeMap<AppointmentId, Appointment>,
}

struct StoredView {
    view: View,
    until: Option<Millis>,
}

/// The number of journal rows by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct JournalCounts {
    pub applied: u64,
    pub refused: u64,
    pub repeated: u64,
    pub parked: u64,
}

impl State {
    pub(super) fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    pub(super) fn journal(&self) -> &[(PartitionId, JournalRow)] {
        self.journal.as_deref().unwrap_or_default()
    }

    pub(super) fn journaled(&self) -> JournalCounts {
        self.journaled
    }

    pub(super) fn claim(&mut self, partition: PartitionId) -> PartitionClaim {
        self.checkpoints.entry(partition).or_default().owner_epoch.0 += 1;
        self.checkpoint(partition)
    }

    pub(super) fn checkpoint(&self, partition: PartitionId) -> PartitionClaim {
        let Checkpoint { owner_epoch, next_offset, .. } =
            self.checkpoints.get(&partition).cloned().unwrap_or_default();
        PartitionClaim { partition, owner_epoch, next_offset }
    }

    pub(super) fn anchor(&self, partition: PartitionId) -> LogAnchor {
        let Some(checkpoint) = self.checkpoints.get(&partition) else {
            return LogAnchor::default();
        };
        let Checkpoint { epoch_floor, epoch_done, .. } = *checkpoint;
        let epoch_floor = (epoch_floor > epoch_done).then_some(epoch_floor);
        LogAnchor { base: 0, last: checkpoint.last.clone(), epoch_floor }
    }

    /// Aggregates that this ledger does not have may be those of the other topic.
    pub(super) fn begin_epoch_if_older(
        &mut self,
        published: &[(Aggregate, Position)],
        seconds: u64,
    ) -> Option<u64> {
        let is_lost = |(aggregate, position): &&(Aggregate, Position)| {
            self.aggregates.get(aggregate).is_some_and(|kept| kept.position < *position)
        };
        let newest = published.iter().filter(is_lost).map(|(_, position)| position.epoch).max()?;
        if self.checkpoints.values().all(|checkpoint| checkpoint.epoch_floor > newest) {
            return None;
        }
        let epoch = self.next_epoch(seconds.max(newest + 1));
        for checkpoint in self.checkpoints.values_mut() {
            checkpoint.owner_epoch.0 += 1;
            checkpoint.epoch_floor = epoch;
        }
        Some(epoch)
    }

    pub(super) fn renew_epochs(
        &mut self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&Aggregate>,
        limit: usize,
    ) -> Result<Option<Aggregate>, LedgerError> {
        let PartitionClaim { partition, owner_epoch, .. } = claim;
        if self.checkpoint(partition).owner_epoch != owner_epoch {
            return Err(LedgerError::Fenced);
        }
        let is_old = |(aggregate, kept): &(&Aggregate, &KeptAggregate)| {
            kept.partition == partition
                && kept.position.epoch < epoch
                && after.is_none_or(|after| *aggregate > after)
        };
        let old = self.aggregates.iter().filter(is_old).map(|(aggregate, _)| aggregate.clone());
        let mut old: Vec<Aggregate> = old.collect();
        old.sort_unstable();
        old.truncate(limit);
        for aggregate in &old {
            self.renew_epoch(partition, aggregate, epoch, at);
        }
        if old.is_empty() {
            self.checkpoints.entry(partition).or_default().epoch_done = epoch;
        }
        Ok(old.pop())
    }

    fn renew_epoch(
        &mut self,
        partition: PartitionId,
        aggregate: &Aggregate,
        epoch: u64,
        at: Millis,
    ) {
        let Some(kept) = self.aggregates.get_mut(aggregate) else { return };
        kept.position.epoch = epoch;
        let position = kept.position;
        for (name, kept) in self.views.iter_mut().filter(|(name, _)| name.0 == *aggregate) {
            kept.view.position.epoch = epoch;
            self.suspect.insert(name.clone());
        }
        if aggregate.kind() == AggregateKind::AppointmentKey {
            return;
        }
        let views = ViewsRecord { position, at, deltas: Vec::new(), reload: true, outcome: None };
        let first = self.outbox.range((partition, LogOffset(i64::MIN), i16::MIN)..).next();
        let first = first.map_or(
            0,
            |((found, offset, _), _)| {
                if *found == partition { offset.0.min(0) } else { 0 }
            },
        );
        let (offset, record) = (LogOffset(first - 1), views.to_wire(aggregate));
        let row = OutboxRow { offset, part: 0, topic: VIEWS_TOPIC, record };
        self.outbox.insert((partition, offset, 0), row);
    }

    pub(super) fn restore(&self, aggregate: &Aggregate) -> Option<StoredAggregate> {
        let kept = self.aggregates.get(aggregate)?;
        let today = match &kept.header {
            AggregateHeader::Location(header) => header.today(),
            AggregateHeader::Run(_)
            | AggregateHeader::Rules(_)
            | AggregateHeader::Webhooks(_)
            | AggregateHeader::Tenant(_)
            | AggregateHeader::AppointmentKey(_) => 0..0,
        };
        Some(StoredAggregate {
            position: kept.position,
            header: kept.header.clone(),
            tickets: kept.unfinished.values().cloned().collect(),
            appointments: self
                .appointments_that(aggregate, |appointment| appointment.is_near(&today)),
        })
    }

    pub(super) fn location_parts(&self, aggregate: &Aggregate, names: &PartNames) -> LocationParts {
        let ended =
            |ticket: &TicketId| self.ended.held.get(&(aggregate.clone(), ticket.clone())).cloned();
        let is_named = |appointment: &Appointment| {
            let (source, key) = appointment.source();
            names.appointments.contains(&appointment.id)
                || names.keys.iter().any(|(of, name)| (of, name) == (source, key))
        };
        let asks = !names.appointments.is_empty() || !names.keys.is_empty();
        LocationParts {
            tickets: names.tickets.iter().filter_map(ended).collect(),
            appointments: if asks {
                self.appointments_that(aggregate, is_named)
            } else {
                Vec::new()
            },
        }
    }

    pub(super) fn appointments(
        &self,
        aggregate: &Aggregate,
        wake: &Range<Millis>,
    ) -> Vec<Appointment> {
        self.appointments_that(aggregate, |appointment| {
            appointment.wakes_at().is_some_and(|at| wake.contains(&at))
        })
    }

    pub(super) fn shown_appointments(
        &self,
        aggregate: &Aggregate,
        need: &RenewalNeed,
    ) -> Vec<Appointment> {
        let RenewalNeed { after, since, limit } = need;
        let mut found = self.appointments_that(aggregate, |appointment| {
            let is_next = after.as_ref().is_none_or(|after| appointment.id > *after);
            is_next && appointment.is_shown(*since)
        });
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.truncate(*limit);
        found
    }

    /// Appointments of a location that satisfy the condition. All are visited: at most 100,000 have
    /// ended, and few are open.
    fn appointments_that(
        &self,
        aggregate: &Aggregate,
        asked: impl Fn(&Appointment) -> bool,
    ) -> Vec<Appointment> {
        let open = self.aggregates.get(aggregate).into_iter().flat_map(|kept| kept.open.values());
        let closed = self.closed.held.iter().filter(|((of, _), _)| of == aggregate);
        let all = open.chain(closed.map(|(_, appointment)| appointment));
        all.filter(|appointment| asked(appointment)).cloned().collect()
    }

    pub(super) fn due(&self, partition: PartitionId) -> Vec<(Aggregate, Millis)> {
        let due =
            |(aggregate, kept): (&Aggregate, &KeptAggregate)| Some((aggregate.clone(), kept.due?));
        self.aggregates
            .iter()
            .filter(|(_, kept)| kept.partition == partition)
            .filter_map(due)
            .collect()
    }

    pub(super) fn next_epoch(&mut self, seconds: u64) -> u64 {
        self.epoch = (self.epoch + 1).max(seconds);
        self.epoch
    }

    pub(super) fn outbox(&self, partition: PartitionId, limit: usize) -> Vec<OutboxRow> {
        let keys =
            (partition, LogOffset(i64::MIN), i16::MIN)..=(partition, LogOffset(i64::MAX), i16::MAX);
        self.outbox.range(keys).take(limit).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn delete_published(&mut self, partition: PartitionId, rows: &[OutboxKey]) {
        for (offset, part) in rows {
            self.outbox.remove(&(partition, *offset, *part));
        }
    }

    pub(super) fn view(&self, name: &ViewName, now: Millis) -> Option<(View, Option<u32>)> {
        let kept = self.views.get(name).filter(|kept| kept.is_kept(now))?;
        let seconds =
            kept.until.map(|until| u32::try_from((until - now + 999) / 1000).unwrap_or(u32::MAX));
        Some((kept.view.clone(), seconds))
    }

    pub(super) fn has_tenant(&self, tenant: &TenantId) -> bool {
        self.views.keys().any(|(aggregate, _)| aggregate.tenant() == *tenant)
    }

    pub(super) fn other_locations(&self, tenant: &TenantId, location: &LocationId) -> Option<u32> {
        let is_settings = |(aggregate, view): &&ViewName| {
            aggregate.tenant() == *tenant && *view == format!("settings:{}", aggregate.id())
        };
        let all: Vec<_> = self.views.keys().filter(is_settings).collect();
        let is_new = all.iter().all(|(aggregate, _)| aggregate.id() != location.as_str());
        is_new.then(|| u32::try_from(all.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn views(&self, now: Millis) -> Vec<(ViewName, View)> {
        let kept = self.views.iter().filter(|(_, kept)| kept.is_kept(now));
        kept.map(|(name, kept)| (name.clone(), kept.view.clone())).collect()
    }

    pub(super) fn mark_repaired(&mut self, name: &ViewName, position: Position) {
        if self.views.get(name).is_none_or(|kept| kept.view.position <= position) {
            self.dirty.remove(name);
            self.suspect.remove(name);
        }
    }

    /// Marks the first `limit` views that `is_next` selects. Returns the last of them.
    pub(super) fn mark_suspect(
        &mut self,
        is_next: impl Fn(&ViewName) -> bool,
        limit: usize,
    ) -> Option<ViewName> {
        let mut slice: Vec<_> = self.views.keys().filter(|name| is_next(name)).cloned().collect();
        slice.sort_unstable();
        slice.truncate(limit);
        let last = slice.last().cloned();
        self.suspect.extend(slice);
        last
    }

    /// Applies the whole batch or nothing of it.
    pub(super) fn commit(&mut self, batch: &Batch, now: Millis) -> Result<(), LedgerError> {
        let PartitionClaim { partition, owner_epoch, next_offset } = batch.claim;
        let row = self.checkpoint(partition);
        if row.owner_epoch != owner_epoch || row.next_offset != next_offset {
            return Err(LedgerError::Fenced);
        }
        if !batch.aggregates.iter().all(|row| self.follows(row)) {
            return Err(LedgerError::Diverged);
        }
        // The owner of another partition may have decided a command since it was looked up.
        let is_new = lock(&self.outcomes).lacks_all_of(batch)
            && (!batch.all_new || self.issues_new_tickets(batch));
        if !is_new {
            return Err(LedgerError::Repeated);
        }
        let checkpoint = self.checkpoints.entry(partition).or_default();
        checkpoint.next_offset = batch.to;
        if let Some(last) = batch.journal.iter().rev().find_map(anchor_record) {
            checkpoint.last = Some(last);
        }
        for row in &batch.aggregates {
            self.set_aggregate(partition, row);
        }
        for row in &batch.tickets {
            self.set_ticket(row);
        }
        for row in &batch.appointments {
            self.set_appointment(row);
        }
        self.history.commit(batch);
        for step in &batch.views {
            self.set_view(step, now);
        }
        self.sweep(now);
        let mut outcomes = lock(&self.outcomes);
        for row in &batch.outcomes {
            outcomes.set((self.number, partition), row, batch.key_lifetime);
        }
        drop(outcomes);
        for row in &batch.outbox {
            self.outbox.insert((partition, row.offset, row.part), row.clone());
        }
        self.delete_published(partition, &batch.published);
        for row in &batch.journal {
            self.journaled.count(&row.entry);
            if let Some(journal) = &mut self.journal {
                journal.push((partition, row.clone()));
            }
        }
        Ok(())
    }

    /// Whether the aggregate is at the position from which the batch starts.
    fn follows(&self, row: &AggregateRow) -> bool {
        match self.aggregates.get(&row.aggregate) {
            Some(kept) => kept.position == Position { epoch: row.epoch, version: row.from },
            None => row.from == 0,
        }
    }

    /// Whether no ticket of the batch takes the place of an ended one that was issued before.
    fn issues_new_tickets(&self, batch: &Batch) -> bool {
        batch.tickets.iter().all(|row| {
            let ended = self.ended.held.get(&(row.aggregate.clone(), row.ticket.id.clone()));
            ended.is_none_or(|ended| ended.issued_at == row.ticket.issued_at)
        })
    }

    fn set_aggregate(&mut self, partition: PartitionId, row: &AggregateRow) {
        let position = Position { epoch: row.epoch, version: row.to };
        let (header, due) = (row.header.clone(), row.due);
        match self.aggregates.get_mut(&row.aggregate) {
            Some(kept) => {
                (kept.position, kept.header, kept.partition, kept.due) =
                    (position, header, partition, due)
            }
            None => {
                let (unfinished, open) = (BTreeMap::new(), BTreeMap::new());
                let kept = KeptAggregate { position, header, partition, due, unfinished, open };
                self.aggregates.insert(row.aggregate.clone(), kept);
            }
        }
    }

    fn set_ticket(&mut self, row: &TicketRow) {
        let id = row.ticket.id.clone();
        let Some(location) = self.aggregates.get_mut(&row.aggregate) else {
            return;
        };
        let key = (row.aggregate.clone(), id.clone());
        if row.ticket.is_unfinished() {
            self.ended.remove(&key);
            location.unfinished.insert(id, row.ticket.clone());
        } else {
            location.unfinished.remove(&id);
            self.ended.insert(key, row.ticket.clone());
        }
    }

    fn set_appointment(&mut self, row: &AppointmentRow) {
        let id = row.appointment.id.clone();
        let Some(location) = self.aggregates.get_mut(&row.aggregate) else {
            return;
        };
        let key = (row.aggregate.clone(), id.clone());
        if row.appointment.is_open() || row.appointment.is_kept() {
            self.closed.remove(&key);
            location.open.insert(id, row.appointment.clone());
        } else {
            location.open.remove(&id);
            self.closed.insert(key, row.appointment.clone());
        }
    }

    fn set_view(&mut self, step: &ViewStep, now: Millis) {
        let name = (step.aggregate.clone(), step.step.view.clone());
        let kept = self
            .views
            .remove(&name)
            .filter(|kept| kept.is_kept(now) && kept.view.position.epoch == step.epoch);
        // A view that is no longer kept begins again at the start of the step.
        let position = Position { epoch: step.epoch, version: step.step.delta.from };
        let mut view = kept.map_or(View { position, ..View::empty(step.epoch) }, |kept| kept.view);
        view.fold(&step.step.delta);
        let until = step.step.keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
        self.views.insert(name, StoredView { view, until });
    }

    /// Drops expired views and their runs, once there are twice as many views as the last sweep
    /// left.
    fn sweep(&mut self, now: Millis) {
        if self.views.len() < self.sweep_at.max(SWEEP_AT) {
            return;
        }
        self.views.retain(|_, kept| kept.is_kept(now));
        self.sweep_at = self.views.len() * 2;
        let view = |run: &Aggregate| (run.clone(), format!("run:{}", run.id()));
        let views = &self.views;
        self.aggregates
            .retain(|key, _| key.kind() != AggregateKind::Run || views.contains_key(&view(key)));
    }
}

fn anchor_record(row: &JournalRow) -> Option<AnchorRecord> {
    let (aggregate, command, _) = row.command.clone()?;
    Some(AnchorRecord { offset: row.offset, aggregate, command })
}

impl StoredView {
    fn is_kept(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl JournalCounts {
    fn count(&mut self, entry: &JournalEntry) {
        *match entry {
            JournalEntry::Applied { .. } => &mut self.applied,
            JournalEntry::Refused { .. } => &mut self.refused,
            JournalEntry::Repeated => &mut self.repeated,
            JournalEntry::Parked { .. } => &mut self.parked,
        } += 1;
    }
}
