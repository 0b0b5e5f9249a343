//! Batches of different partitions as statements. Rows are sent as arrays, one per column, so that
//! the number of statements depends neither on the number of rows nor on that of batches. A
//! statement without rows is left out.

mod statements;

use std::iter;

use tokio_postgres::types::ToSql;

pub(super) use self::statements::PARKED;
use self::statements::{
    AGGREGATES, APPOINTMENTS, FENCE, JOURNAL, NEW_OUTCOMES, NEW_TICKETS, OUTBOX, REMOVED_ENTRIES,
    SET_ENTRIES, SETTLED, TICKETS, VIEWS,
};
use super::{
    Consumer,
    columns::{Parameter, column, parts, to_json},
    long, number, runs,
    statements::PUBLISHED,
};
use crate::{
    ledger::{
        AggregateRow, AppointmentRow, Batch, JournalEntry, JournalRow, OutboxKey, OutboxRow,
        OutcomeRow, PartitionClaim, TicketRow,
    },
    log::LogOffset,
    run::{RunRow, WorkChange},
    views::ViewStep,
};

/// The required number of affected rows.
pub(super) enum RequiredRows {
    /// One for each partition, which the statement itself demands; otherwise another owner has one
    /// of the partitions.
    Fence,
    /// The number that the statement itself demands; otherwise the ledger is not at the start of
    /// the batch.
    Demanded,
    /// The number that the statement itself demands; otherwise a command was decided before, or a
    /// ticket was issued before.
    New,
    /// Exactly this number.
    Count(u64),
    Any,
}

pub(super) struct Write<'a> {
    pub(super) sql: &'static str,
    parameters: Vec<Parameter<'a>>,
    pub(super) expected: RequiredRows,
}

impl Write<'_> {
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect()
    }
}

/// The statements of batches of different partitions, in their order: the fence is the first.
pub(super) fn writes<'a>(batches: &[&'a Batch], consumer: &'a Consumer) -> Vec<Write<'a>> {
    let claims = batches.iter().map(|batch| (&batch.claim, &batch.to)).collect();
    let mut writes = BatchWrites(vec![fence(claims, consumer)]);
    writes.add_state(batches, consumer);
    writes.add_runs(batches);
    writes.add_alerts(batches);
    writes.add_webhooks(batches);
    writes.add_history(batches);
    writes.add_records(batches, consumer);
    writes.0
}

/// Moves checkpoints, each from the offset of a claim to another.
pub(super) fn fence<'a>(
    mut claims: Vec<(&PartitionClaim, &LogOffset)>,
    consumer: &'a Consumer,
) -> Write<'a> {
    // All transactions lock rows in one order.
    claims.sort_unstable_by_key(|(claim, _)| claim.partition);
    Write {
        sql: FENCE,
        parameters: vec![
            Box::new(&consumer.name),
            Box::new(&consumer.topic),
            column(&claims, |(claim, _)| number(claim.partition.0)),
            column(&claims, |(claim, _)| claim.next_offset.0),
            column(&claims, |(_, to)| to.0),
            column(&claims, |(claim, _)| claim.owner_epoch.0),
            Box::new(claims.len() as i64),
        ],
        expected: RequiredRows::Fence,
    }
}

/// The rows of batches of one kind, each with the partition that it comes from.
type Rows<'a, R> = Vec<(i32, &'a R)>;

fn rows<'a, R>(batches: &[&'a Batch], of: impl Fn(&'a Batch) -> &'a [R]) -> Rows<'a, R> {
    let rows = batches.iter().map(|batch| (number(batch.claim.partition.0), of(batch)));
    rows.flat_map(|(partition, rows)| rows.iter().map(move |row| (partition, row))).collect()
}

fn partitions<'a, R>(rows: &Rows<'_, R>) -> Parameter<'a> {
    column(rows, |(partition, _)| *partition)
}

/// The statements of a transaction.
pub(super) struct BatchWrites<'a>(pub(super) Vec<Write<'a>>);

impl<'a> BatchWrites<'a> {
    /// Adds a statement, unless it has no row.
    pub(super) fn add(
        &mut self,
        sql: &'static str,
        rows: usize,
        expected: RequiredRows,
        parameters: Vec<Parameter<'a>>,
    ) {
        if rows > 0 {
            self.0.push(Write { sql, parameters, expected });
        }
    }

    /// Adds the state of aggregates and their views.
    fn add_state(&mut self, batches: &[&'a Batch], consumer: &'a Consumer) {
        let changed = rows(batches, |batch| &batch.aggregates);
        let mut parameters = aggregates(&changed);
        let ends: [Parameter<'a>; 2] = [Box::new(&consumer.topic), Box::new(changed.len() as i64)];
        parameters.extend(ends);
        self.add(AGGREGATES, changed.len(), RequiredRows::Demanded, parameters);
        let steps = rows(batches, |batch| &batch.views);
        let mut parameters = views(&steps);
        let ends: [Parameter<'a>; 2] = [Box::new(&consumer.topic), Box::new(steps.len() as i64)];
        parameters.extend(ends);
        self.add(VIEWS, steps.len(), RequiredRows::Demanded, parameters);
        let (gone, parameters) = removed_entries(&steps);
        self.add(REMOVED_ENTRIES, gone, RequiredRows::Any, parameters);
        let (set, parameters) = set_entries(&steps);
        self.add(SET_ENTRIES, set, RequiredRows::Any, parameters);
        self.add_tickets(batches);
        let changed = rows(batches, |batch| &batch.appointments);
        self.add(APPOINTMENTS, changed.len(), RequiredRows::Any, appointments(&changed));
    }

    /// Adds tickets: those of batches that looked ended ones up, and those of batches whose issued
    /// tickets must be new.
    fn add_tickets(&mut self, batches: &[&'a Batch]) {
        let (new, looked_up): (Vec<&Batch>, Vec<&Batch>) =
            batches.iter().copied().partition(|batch| batch.all_new);
        let changed = rows(&looked_up, |batch| &batch.tickets);
        self.add(TICKETS, changed.len(), RequiredRows::Any, tickets(&changed));
        let changed = rows(&new, |batch| &batch.tickets);
        let mut parameters = tickets(&changed);
        parameters.push(Box::new(changed.len() as i64));
        self.add(NEW_TICKETS, changed.len(), RequiredRows::New, parameters);
    }

    /// Adds the lists of runs and the work that they cause.
    fn add_runs(&mut self, batches: &[&'a Batch]) {
        let rows: Vec<&'a RunRow> = batches.iter().flat_map(|batch| &batch.runs).collect();
        self.add(runs::RUNS, rows.len(), RequiredRows::Any, runs::runs(&rows));
        let (due, parameters) = runs::due(&rows);
        self.add(runs::DUE, due, RequiredRows::Any, parameters);
        let (cancelled, parameters) = runs::ending(&rows, WorkChange::Cancel);
        self.add(runs::CANCEL, cancelled, RequiredRows::Any, parameters);
        let (over, parameters) = runs::ending(&rows, WorkChange::Remove);
        self.add(runs::OVER, over, RequiredRows::Any, parameters);
    }

    /// Adds what each record leaves: journal, outcomes, outbox, and parked records.
    fn add_records(&mut self, batches: &[&'a Batch], consumer: &'a Consumer) {
        let topic = || -> Parameter<'a> { Box::new(&consumer.topic) };
        let entries = rows(batches, |batch| &batch.journal);
        let parameters = iter::once(topic()).chain(journal(&entries)).collect();
        self.add(JOURNAL, entries.len(), RequiredRows::Any, parameters);
        self.add_outcomes(batches, consumer);
        let sent = rows(batches, |batch| &batch.outbox);
        let parameters = iter::once(topic()).chain(outbox(&sent)).collect();
        self.add(OUTBOX, sent.len(), RequiredRows::Any, parameters);
        let gone = rows(batches, |batch| &batch.published);
        let parameters = iter::once(topic()).chain(published(&gone)).collect();
        self.add(PUBLISHED, gone.len(), RequiredRows::Any, parameters);
        // Parked records are rare, so they may cost a statement for each batch.
        for batch in batches {
            let is_parked = |row: &&JournalRow| matches!(row.entry, JournalEntry::Parked { .. });
            let parked: Vec<&JournalRow> = batch.journal.iter().filter(is_parked).collect();
            let from: [Parameter<'a>; 2] = [topic(), Box::new(number(batch.claim.partition.0))];
            let parameters = from.into_iter().chain(parked_records(&parked)).collect();
            self.add(PARKED, parked.len(), RequiredRows::Any, parameters);
        }
    }

    /// Adds the outcomes of commands: those that must be new, and those that replace the outcome of
    /// a move. An outcome that was looked up must be new too: the owner of another partition may
    /// have decided the command since.
    fn add_outcomes(&mut self, batches: &[&'a Batch], consumer: &'a Consumer) {
        let mut decided = rows(batches, |batch| &batch.outcomes);
        decided.retain(|(_, row)| row.settles.is_none());
        let mut parameters = outcomes(&decided);
        parameters.push(Box::new(&consumer.topic));
        let lifetime = batches.first().map_or(0, |batch| batch.key_lifetime);
        parameters.push(Box::new(lifetime));
        parameters.push(Box::new(decided.len() as i64));
        self.add(NEW_OUTCOMES, decided.len(), RequiredRows::New, parameters);
        let mut settled = rows(batches, |batch| &batch.outcomes);
        settled.retain(|(_, row)| row.settles.is_some());
        self.add(SETTLED, settled.len(), RequiredRows::Any, settlements(&settled));
    }
}

fn aggregates<'a>(rows: &Rows<'a, AggregateRow>) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |(_, row)| parts(&row.aggregate).0),
        column(rows, |(_, row)| parts(&row.aggregate).1),
        column(rows, |(_, row)| long(row.epoch)),
        column(rows, |(_, row)| long(row.from)),
        column(rows, |(_, row)| long(row.to)),
        column(rows, |(_, row)| to_json(&row.header)),
        column(rows, |(_, row)| row.due),
        partitions(rows),
    ]
}

fn names<'a>(steps: &[&'a ViewStep]) -> Vec<Parameter<'a>> {
    vec![
        column(steps, |step| parts(&step.aggregate).0),
        column(steps, |step| parts(&step.aggregate).1),
        column(steps, |step| step.step.view.as_str()),
    ]
}

fn views<'a>(rows: &Rows<'a, ViewStep>) -> Vec<Parameter<'a>> {
    let steps: Vec<&ViewStep> = rows.iter().map(|(_, step)| *step).collect();
    let mut parameters = names(&steps);
    parameters.extend([
        column(&steps, |step| long(step.epoch)),
        column(&steps, |step| long(step.step.delta.from)),
        column(&steps, |step| long(step.step.delta.to)),
        column(&steps, |step| step.step.delta.at),
        column(&steps, |step| step.step.keep_s.map(number)),
        partitions(rows),
    ]);
    parameters
}

fn removed_entries<'a>(rows: &Rows<'a, ViewStep>) -> (usize, Vec<Parameter<'a>>) {
    let keys =
        rows.iter().flat_map(|(_, step)| step.step.delta.remove.iter().map(|key| (*step, key)));
    let (steps, keys): (Vec<&ViewStep>, Vec<&str>) =
        keys.map(|(step, key)| (step, key.as_str())).unzip();
    let mut parameters = names(&steps);
    parameters.push(Box::new(keys));
    (steps.len(), parameters)
}

fn set_entries<'a>(rows: &Rows<'a, ViewStep>) -> (usize, Vec<Parameter<'a>>) {
    let entries =
        rows.iter().flat_map(|(_, step)| step.step.delta.set.iter().map(|entry| (*step, entry)));
    let (steps, entries): (Vec<&ViewStep>, Vec<_>) = entries.unzip();
    let mut parameters = names(&steps);
    parameters.extend([
        column(&entries, |(key, _)| key.as_str()),
        column(&entries, |(_, body)| body.get()),
    ]);
    (steps.len(), parameters)
}

fn tickets<'a>(rows: &Rows<'a, TicketRow>) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |(_, row)| parts(&row.aggregate).0),
        column(rows, |(_, row)| parts(&row.aggregate).1),
        column(rows, |(_, row)| row.ticket.id.as_str()),
        column(rows, |(_, row)| row.ticket.standing.queue.as_str()),
        column(rows, |(_, row)| row.ticket.label.as_str()),
        column(rows, |(_, row)| row.ticket.day.as_str()),
        column(rows, |(_, row)| row.ticket.standing.state.as_str()),
        column(rows, |(_, row)| row.ticket.is_unfinished()),
        column(rows, |(_, row)| row.ticket.issued_at),
        column(rows, |(_, row)| row.ticket.standing.ended_at),
        column(rows, |(_, row)| to_json(&row.ticket)),
    ]
}

fn appointments<'a>(rows: &Rows<'a, AppointmentRow>) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |(_, row)| parts(&row.aggregate).0),
        column(rows, |(_, row)| parts(&row.aggregate).1),
        column(rows, |(_, row)| row.appointment.id.as_str()),
        column(rows, |(_, row)| row.appointment.source().0.as_str()),
        column(rows, |(_, row)| row.appointment.source().1.as_str()),
        column(rows, |(_, row)| row.appointment.wakes_at()),
        column(rows, |(_, row)| row.appointment.status.as_str()),
        column(rows, |(_, row)| row.appointment.is_open()),
        column(rows, |(_, row)| row.appointment.is_kept()),
        column(rows, |(_, row)| to_json(&row.appointment)),
    ]
}

fn journal<'a>(rows: &Rows<'a, JournalRow>) -> Vec<Parameter<'a>> {
    vec![
        partitions(rows),
        column(rows, |(_, row)| row.offset.0),
        column(rows, |(_, row)| row.at),
        column(rows, |(_, row)| row.decided_at),
        column(rows, |(_, row)| row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).0)),
        column(rows, |(_, row)| row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).1)),
        column(rows, |(_, row)| row.command.as_ref().map(|(_, id, _)| id.as_str())),
        column(rows, |(_, row)| {
            row.command.as_ref().and_then(|(.., actor)| actor.as_ref()).map(to_json)
        }),
        column(rows, |(_, row)| match row.entry {
            JournalEntry::Applied { .. } => "applied",
            JournalEntry::Refused { .. } => "refused",
            JournalEntry::Repeated => "repeated",
            JournalEntry::Parked { .. } => "parked",
        }),
        column(rows, |(_, row)| row.entry.moved().map(|(position, _)| long(position.epoch))),
        column(rows, |(_, row)| row.entry.moved().map(|(position, _)| long(position.version))),
        column(rows, |(_, row)| row.entry.moved().map(|(_, events)| to_json(&events))),
        column(rows, |(_, row)| match row.entry {
            JournalEntry::Refused { code, .. } | JournalEntry::Parked { code, .. } => {
                Some(code.as_str())
            }
            _ => None,
        }),
    ]
}

fn outcomes<'a>(rows: &Rows<'a, OutcomeRow>) -> Vec<Parameter<'a>> {
    let mut parameters = identities(rows);
    parameters.extend([
        column(rows, |(_, row)| row.aggregate.id()),
        column(rows, |(_, row)| row.fingerprint.map(|fingerprint| fingerprint.to_string())),
        column(rows, |(_, row)| row.first_at),
        column(rows, |(_, row)| to_json(&row.outcome)),
        partitions(rows),
    ]);
    parameters
}

fn settlements<'a>(rows: &Rows<'a, OutcomeRow>) -> Vec<Parameter<'a>> {
    let mut parameters = identities(rows);
    parameters.extend([
        column(rows, |(_, row)| row.aggregate.id()),
        column(rows, |(_, row)| row.settles.map(long)),
        column(rows, |(_, row)| to_json(&row.outcome)),
    ]);
    parameters
}

fn identities<'a>(rows: &Rows<'a, OutcomeRow>) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |(_, row)| row.identity.tenant.as_str()),
        column(rows, |(_, row)| row.identity.source.as_str()),
        column(rows, |(_, row)| row.identity.subject.as_str()),
        column(rows, |(_, row)| row.identity.command.as_str()),
    ]
}

fn outbox<'a>(rows: &Rows<'a, OutboxRow>) -> Vec<Parameter<'a>> {
    vec![
        partitions(rows),
        column(rows, |(_, row)| row.offset.0),
        column(rows, |(_, row)| row.part),
        column(rows, |(_, row)| row.topic),
        column(rows, |(_, row)| row.record.key.as_str()),
        column(rows, |(_, row)| to_json(&row.record.headers)),
        column(rows, |(_, row)| &*row.record.value),
    ]
}

fn published<'a>(rows: &Rows<'a, OutboxKey>) -> Vec<Parameter<'a>> {
    vec![
        partitions(rows),
        column(rows, |(_, (offset, _))| offset.0),
        column(rows, |(_, (_, part))| *part),
    ]
}

fn parked_records<'a>(rows: &[&'a JournalRow]) -> Vec<Parameter<'a>> {
    let record = |row: &&'a JournalRow| match &row.entry {
        JournalEntry::Parked { code, record } => Some((code, record)),
        _ => None,
    };
    let rows: Vec<_> = rows
        .iter()
        .filter_map(|row| record(row).map(|(code, record)| (row, code, record)))
        .collect();
    vec![
        column(&rows, |(row, ..)| row.offset.0),
        column(&rows, |(_, code, _)| code.as_str()),
        column(&rows, |(.., record)| record.key.as_bytes()),
        column(&rows, |(.., record)| to_json(&record.headers)),
        column(&rows, |(.., record)| &*record.value),
    ]
}

#[cfg(test)]
mod tests;
