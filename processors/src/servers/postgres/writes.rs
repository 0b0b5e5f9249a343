//! One batch as statements. Rows are sent as arrays, one per column, so that the number of
//! statements does not depend on the number of rows. A statement without rows is left out.

use tokio_postgres::types::ToSql;

use super::{
    Consumer,
    columns::{Parameter, column, parts, to_json},
    long, number, runs,
    statements::PUBLISHED,
};
use crate::{
    ledger::{Batch, JournalEntry, JournalRow, OutcomeRow, PartitionClaim},
    log::LogOffset,
    run::{RunRow, WorkChange},
    views::ViewStep,
};

/// The required number of affected rows.
pub(super) enum RequiredRows {
    /// One, which the statement itself demands; otherwise another owner has the partition.
    Fence,
    /// As many as the statement itself demands; otherwise the ledger is not at the start of the
    /// batch.
    Demanded,
    /// This many.
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

// A statement that finds another number of rows than it must fails: it divides by zero. So the end
// of the transaction can be sent along with the statements, and rolls back after a failure.
const FENCE: &str = "WITH moved AS ( \
       UPDATE clinicwire.checkpoint SET next_offset = $5 \
       WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset = $4 \
         AND owner_epoch = $6 RETURNING 1) \
     SELECT 1 / count(*) FROM moved";

// A row at another version is not moved. A missing row is created only if the step starts at 0.
const AGGREGATES: &str = "WITH moved AS ( \
     INSERT INTO clinicwire.aggregate AS a \
       (tenant, aggregate, epoch, step_from, version, header, due, topic, partition) \
     SELECT tenant, aggregate, epoch, step_from, version, header::json, due, $8, $9 \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], \
       $7::bigint[]) \
       AS s (tenant, aggregate, epoch, step_from, version, header, due) \
     WHERE step_from = 0 OR (SELECT true FROM clinicwire.aggregate held \
       WHERE held.tenant = s.tenant AND held.aggregate = s.aggregate) \
     ON CONFLICT (tenant, aggregate) DO UPDATE \
     SET step_from = excluded.step_from, version = excluded.version, header = excluded.header, \
       due = excluded.due, topic = excluded.topic, partition = excluded.partition \
     WHERE a.epoch = excluded.epoch AND a.version = excluded.step_from \
     RETURNING 1) SELECT 1 / (count(*) = $10)::int FROM moved";

// The rule of `from` and `to`. A row that is missing although the step does not start at 0 was
// deleted after it expired: the step then starts it again.
const VIEWS: &str = "WITH moved AS ( \
     INSERT INTO clinicwire.view AS v \
       (tenant, aggregate, view, topic, partition, epoch, step_from, version, at, keep_until) \
     SELECT tenant, aggregate, view, $9, $10, epoch, step_from, version, at, \
       now() + make_interval(secs => keep_s) \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], \
       $7::bigint[], $8::int[]) \
       AS s (tenant, aggregate, view, epoch, step_from, version, at, keep_s) \
     ON CONFLICT (tenant, aggregate, view) DO UPDATE \
     SET topic = excluded.topic, partition = excluded.partition, step_from = excluded.step_from, \
       version = excluded.version, at = excluded.at, keep_until = excluded.keep_until \
     WHERE v.epoch = excluded.epoch AND excluded.step_from <= v.version \
       AND v.version < excluded.version \
     RETURNING 1) SELECT 1 / (count(*) = $11)::int FROM moved";

// Rows are looked up one by one (see `statements`) by their only owner, so their `ctid` cannot
// change meanwhile.
const REMOVED_ENTRIES: &str = "DELETE FROM clinicwire.view_entry WHERE ctid = ANY (ARRAY( \
       SELECT found.ctid FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
         AS s (tenant, aggregate, view, key) \
       CROSS JOIN LATERAL (SELECT e.ctid FROM clinicwire.view_entry e \
         WHERE e.tenant = s.tenant AND e.aggregate = s.aggregate AND e.view = s.view \
           AND e.key = s.key LIMIT 1) found))";

const SET_ENTRIES: &str = "INSERT INTO clinicwire.view_entry (tenant, aggregate, view, key, body) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
     ON CONFLICT (tenant, aggregate, view, key) DO UPDATE SET body = excluded.body";

const TICKETS: &str = "INSERT INTO clinicwire.ticket \
       (tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
       ended_at, body) \
     SELECT tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
       ended_at, body::json \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::text[], $8::bool[], $9::bigint[], $10::bigint[], $11::text[]) \
       AS t (tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
         ended_at, body) \
     ON CONFLICT (tenant, location, ticket) DO UPDATE \
     SET queue = excluded.queue, label = excluded.label, \
       service_day = excluded.service_day, state = excluded.state, \
       unfinished = excluded.unfinished, \
       issued_at = excluded.issued_at, ended_at = excluded.ended_at, body = excluded.body";

const APPOINTMENTS: &str = "INSERT INTO clinicwire.appointment \
       (tenant, location, appointment, source, source_key, wakes_at, status, open, kept, body) \
     SELECT tenant, location, appointment, source, source_key, wakes_at, status, open, kept, \
       body::json \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
       $7::text[], $8::bool[], $9::bool[], $10::text[]) \
       AS t (tenant, location, appointment, source, source_key, wakes_at, status, open, kept, \
         body) \
     ON CONFLICT (tenant, location, appointment) DO UPDATE SET wakes_at = excluded.wakes_at, \
       status = excluded.status, open = excluded.open, kept = excluded.kept, body = excluded.body";

const JOURNAL: &str = "INSERT INTO clinicwire.journal \
       (topic, partition, \"offset\", at, decided_at, tenant, aggregate, command, actor, kind, \
         epoch, version, events, code) \
     SELECT $1, $2, o, at, decided_at, tenant, aggregate, command, actor::json, kind, epoch, \
       version, events::json, code \
     FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], \
       $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[]) \
       AS j (o, at, decided_at, tenant, aggregate, command, actor, kind, epoch, version, events, \
         code)";

// A row replaces only one whose key is no longer kept ($11).
const OUTCOMES: &str = "INSERT INTO clinicwire.outcome AS o \
       (tenant, source, subject, command, aggregate, fingerprint, first_at, body, topic, \
       partition) \
     SELECT tenant, source, subject, command, aggregate, fingerprint, first_at, body, $9, $10 \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::bigint[], $8::text[]) \
       AS s (tenant, source, subject, command, aggregate, fingerprint, first_at, body) \
     ON CONFLICT (tenant, source, subject, command) DO UPDATE \
     SET aggregate = excluded.aggregate, body = excluded.body, topic = excluded.topic, \
       partition = excluded.partition, fingerprint = excluded.fingerprint, \
       first_at = excluded.first_at \
     WHERE excluded.first_at - o.first_at >= $11";

// A row replaces only the outcome of the same aggregate that is `moving` since that version. The
// owner of another partition can replace the outcome meanwhile, so the row is judged again.
const SETTLED: &str = "UPDATE clinicwire.outcome o SET body = found.body FROM ( \
       SELECT held.ctid, s.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], \
         $5::text[], $6::bigint[], $7::text[]) \
         AS s (tenant, source, subject, command, aggregate, settles, body) \
       CROSS JOIN LATERAL (SELECT h.ctid FROM clinicwire.outcome h WHERE h.tenant = s.tenant \
         AND h.source = s.source AND h.subject = s.subject AND h.command = s.command \
           LIMIT 1) held) found \
     WHERE o.ctid = found.ctid AND o.tenant = found.tenant AND o.source = found.source \
       AND o.subject = found.subject AND o.command = found.command \
       AND o.aggregate = found.aggregate AND o.body::json->>'outcome' = 'moving' \
       AND (o.body::json->>'version')::bigint = found.settles";

const OUTBOX: &str = "INSERT INTO clinicwire.outbox (topic, partition, \"offset\", part, target, \
       key, headers, value) \
     SELECT $1, $2, o, part, target, key, headers::json, value \
     FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::bytea[]) \
       AS r (o, part, target, key, headers, value)";

pub(super) const PARKED: &str = "INSERT INTO clinicwire.parked \
       (topic, partition, \"offset\", at, code, key, headers, value) \
     SELECT $1, $2, o, at, code, key, headers::json, value \
     FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[], $8::bytea[]) \
       AS p (o, at, code, key, headers, value)";

/// The statements of a batch in their order: the fence is the first.
pub(super) fn writes<'a>(batch: &'a Batch, consumer: &'a Consumer) -> Vec<Write<'a>> {
    let mut writes = BatchWrites(vec![fence(&batch.claim, &batch.to, consumer)]);
    writes.add_state(batch, consumer);
    writes.add_runs(&batch.runs);
    writes.add_records(batch, consumer);
    writes.0
}

/// Moves the checkpoint from the offset of a claim to `to`.
pub(super) fn fence<'a>(
    claim: &'a PartitionClaim,
    to: &'a LogOffset,
    consumer: &'a Consumer,
) -> Write<'a> {
    Write {
        sql: FENCE,
        parameters: vec![
            Box::new(&consumer.name),
            Box::new(&consumer.topic),
            Box::new(number(claim.partition.0)),
            Box::new(claim.next_offset.0),
            Box::new(to.0),
            Box::new(claim.owner_epoch.0),
        ],
        expected: RequiredRows::Fence,
    }
}

/// The topic and partition that the rows of a batch come from.
fn origin<'a>(batch: &Batch, consumer: &'a Consumer) -> [Parameter<'a>; 2] {
    [Box::new(&consumer.topic), Box::new(number(batch.claim.partition.0))]
}

/// The statements of a batch.
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
    fn add_state(&mut self, batch: &'a Batch, consumer: &'a Consumer) {
        let rows = batch.aggregates.len();
        let mut parameters: Vec<Parameter<'a>> =
            aggregates(batch).into_iter().chain(origin(batch, consumer)).collect();
        parameters.push(Box::new(rows as i64));
        self.add(AGGREGATES, rows, RequiredRows::Demanded, parameters);
        let rows = batch.views.len();
        let mut parameters = views(batch, consumer);
        parameters.push(Box::new(rows as i64));
        self.add(VIEWS, rows, RequiredRows::Demanded, parameters);
        let (rows, parameters) = removed_entries(batch);
        self.add(REMOVED_ENTRIES, rows, RequiredRows::Any, parameters);
        let (rows, parameters) = set_entries(batch);
        self.add(SET_ENTRIES, rows, RequiredRows::Any, parameters);
        self.add(TICKETS, batch.tickets.len(), RequiredRows::Any, tickets(batch));
        self.add(APPOINTMENTS, batch.appointments.len(), RequiredRows::Any, appointments(batch));
    }

    /// Adds the lists of runs and the work that they cause.
    fn add_runs(&mut self, rows: &'a [RunRow]) {
        self.add(runs::RUNS, rows.len(), RequiredRows::Any, runs::runs(rows));
        let (due, parameters) = runs::due(rows);
        self.add(runs::DUE, due, RequiredRows::Any, parameters);
        let (cancelled, parameters) = runs::ending(rows, WorkChange::Cancel);
        self.add(runs::CANCEL, cancelled, RequiredRows::Any, parameters);
        let (over, parameters) = runs::ending(rows, WorkChange::Remove);
        self.add(runs::OVER, over, RequiredRows::Any, parameters);
    }

    /// Adds what each record leaves: journal, outcomes, outbox, and parked records.
    fn add_records(&mut self, batch: &'a Batch, consumer: &'a Consumer) {
        let from = || origin(batch, consumer).into_iter();
        let parameters = from().chain(journal(batch)).collect();
        self.add(JOURNAL, batch.journal.len(), RequiredRows::Any, parameters);
        let (settled, decided): (Vec<_>, Vec<_>) =
            batch.outcomes.iter().partition(|row| row.settles.is_some());
        let mut parameters: Vec<Parameter<'a>> = outcomes(&decided);
        parameters.extend(from());
        parameters.push(Box::new(batch.key_lifetime));
        self.add(OUTCOMES, decided.len(), RequiredRows::Any, parameters);
        self.add(SETTLED, settled.len(), RequiredRows::Any, settlements(&settled));
        let parameters = from().chain(outbox(batch)).collect();
        self.add(OUTBOX, batch.outbox.len(), RequiredRows::Any, parameters);
        let (offsets, parts): (Vec<i64>, Vec<i16>) =
            batch.published.iter().map(|(offset, part)| (offset.0, *part)).unzip();
        let rows = offsets.len();
        let keys: [Parameter<'a>; 2] = [Box::new(offsets), Box::new(parts)];
        let parameters = from().chain(keys).collect();
        self.add(PUBLISHED, rows, RequiredRows::Any, parameters);
        let is_parked = |row: &&JournalRow| matches!(row.entry, JournalEntry::Parked { .. });
        let parked: Vec<&JournalRow> = batch.journal.iter().filter(is_parked).collect();
        let parameters = from().chain(parked_records(&parked)).collect();
        self.add(PARKED, parked.len(), RequiredRows::Any, parameters);
    }
}

fn aggregates(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.aggregates.iter().collect();
    vec![
        column(&rows, |row| parts(&row.aggregate).0),
        column(&rows, |row| parts(&row.aggregate).1),
        column(&rows, |row| long(row.epoch)),
        column(&rows, |row| long(row.from)),
        column(&rows, |row| long(row.to)),
        column(&rows, |row| to_json(&row.header)),
        column(&rows, |row| row.due),
    ]
}

fn names<'a>(steps: &[&'a ViewStep]) -> Vec<Parameter<'a>> {
    vec![
        column(steps, |step| parts(&step.aggregate).0),
        column(steps, |step| parts(&step.aggregate).1),
        column(steps, |step| step.step.view.as_str()),
    ]
}

fn views<'a>(batch: &'a Batch, consumer: &'a Consumer) -> Vec<Parameter<'a>> {
    let steps: Vec<&ViewStep> = batch.views.iter().collect();
    let mut parameters = names(&steps);
    parameters.extend([
        column(&steps, |step| long(step.epoch)),
        column(&steps, |step| long(step.step.delta.from)),
        column(&steps, |step| long(step.step.delta.to)),
        column(&steps, |step| step.step.delta.at),
        column(&steps, |step| step.step.keep_s.map(number)),
        Box::new(&consumer.topic),
        Box::new(number(batch.claim.partition.0)),
    ]);
    parameters
}

fn removed_entries(batch: &Batch) -> (usize, Vec<Parameter<'_>>) {
    let keys = |step: &'_ ViewStep| step.step.delta.remove.len();
    let steps: Vec<&ViewStep> =
        batch.views.iter().flat_map(|step| std::iter::repeat_n(step, keys(step))).collect();
    let keys: Vec<&str> =
        batch.views.iter().flat_map(|step| &step.step.delta.remove).map(String::as_str).collect();
    let mut parameters = names(&steps);
    parameters.push(Box::new(keys));
    (steps.len(), parameters)
}

fn set_entries(batch: &Batch) -> (usize, Vec<Parameter<'_>>) {
    let entries = |step: &'_ ViewStep| step.step.delta.set.len();
    let steps: Vec<&ViewStep> =
        batch.views.iter().flat_map(|step| std::iter::repeat_n(step, entries(step))).collect();
    let entries: Vec<_> = batch.views.iter().flat_map(|step| &step.step.delta.set).collect();
    let mut parameters = names(&steps);
    parameters.extend([
        column(&entries, |(key, _)| key.as_str()),
        column(&entries, |(_, body)| body.get()),
    ]);
    (steps.len(), parameters)
}

fn tickets(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.tickets.iter().collect();
    vec![
        column(&rows, |row| parts(&row.aggregate).0),
        column(&rows, |row| parts(&row.aggregate).1),
        column(&rows, |row| row.ticket.id.as_str()),
        column(&rows, |row| row.ticket.standing.queue.as_str()),
        column(&rows, |row| row.ticket.label.as_str()),
        column(&rows, |row| row.ticket.day.as_str()),
        column(&rows, |row| row.ticket.standing.state.as_str()),
        column(&rows, |row| row.ticket.is_unfinished()),
        column(&rows, |row| row.ticket.issued_at),
        column(&rows, |row| row.ticket.standing.ended_at),
        column(&rows, |row| to_json(&row.ticket)),
    ]
}

fn appointments(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.appointments.iter().collect();
    vec![
        column(&rows, |row| parts(&row.aggregate).0),
        column(&rows, |row| parts(&row.aggregate).1),
        column(&rows, |row| row.appointment.id.as_str()),
        column(&rows, |row| row.appointment.source().0.as_str()),
        column(&rows, |row| row.appointment.source().1.as_str()),
        column(&rows, |row| row.appointment.wakes_at()),
        column(&rows, |row| row.appointment.status.as_str()),
        column(&rows, |row| row.appointment.is_open()),
        column(&rows, |row| row.appointment.is_kept()),
        column(&rows, |row| to_json(&row.appointment)),
    ]
}

fn journal(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<&JournalRow> = batch.journal.iter().collect();
    vec![
        column(&rows, |row| row.offset.0),
        column(&rows, |row| row.at),
        column(&rows, |row| row.decided_at),
        column(&rows, |row| row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).0)),
        column(&rows, |row| row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).1)),
        column(&rows, |row| row.command.as_ref().map(|(_, id, _)| id.as_str())),
        column(&rows, |row| {
            row.command.as_ref().and_then(|(.., actor)| actor.as_ref()).map(to_json)
        }),
        column(&rows, |row| match row.entry {
            JournalEntry::Applied { .. } => "applied",
            JournalEntry::Refused { .. } => "refused",
            JournalEntry::Repeated => "repeated",
            JournalEntry::Parked { .. } => "parked",
        }),
        column(&rows, |row| row.entry.moved().map(|(position, _)| long(position.epoch))),
        column(&rows, |row| row.entry.moved().map(|(position, _)| long(position.version))),
        column(&rows, |row| row.entry.moved().map(|(_, events)| to_json(&events))),
        column(&rows, |row| match row.entry {
            JournalEntry::Refused { code, .. } | JournalEntry::Parked { code, .. } => {
                Some(code.as_str())
            }
            _ => None,
        }),
    ]
}

fn outcomes<'a>(rows: &[&'a OutcomeRow]) -> Vec<Parameter<'a>> {
    let mut parameters = identities(rows);
    parameters.extend([
        column(rows, |row| row.aggregate.id()),
        column(rows, |row| row.fingerprint.map(|fingerprint| fingerprint.to_string())),
        column(rows, |row| row.first_at),
        column(rows, |row| to_json(&row.outcome)),
    ]);
    parameters
}

fn settlements<'a>(rows: &[&'a OutcomeRow]) -> Vec<Parameter<'a>> {
    let mut parameters = identities(rows);
    parameters.extend([
        column(rows, |row| row.aggregate.id()),
        column(rows, |row| row.settles.map(long)),
        column(rows, |row| to_json(&row.outcome)),
    ]);
    parameters
}

fn identities<'a>(rows: &[&'a OutcomeRow]) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |row| row.identity.tenant.as_str()),
        column(rows, |row| row.identity.source.as_str()),
        column(rows, |row| row.identity.subject.as_str()),
        column(rows, |row| row.identity.command.as_str()),
    ]
}

fn outbox(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.outbox.iter().collect();
    vec![
        column(&rows, |row| row.offset.0),
        column(&rows, |row| row.part),
        column(&rows, |row| row.topic),
        column(&rows, |row| row.record.key.as_str()),
        column(&rows, |row| to_json(&row.record.headers)),
        column(&rows, |row| &*row.record.value),
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
        column(&rows, |(row, ..)| row.at),
        column(&rows, |(_, code, _)| code.as_str()),
        column(&rows, |(.., record)| record.key.as_bytes()),
        column(&rows, |(.., record)| to_json(&record.headers)),
        column(&rows, |(.., record)| &*record.value),
    ]
}

#[cfg(test)]
mod tests;
