//! One batch as statements. Rows travel as arrays, one per column, so that the number of statements does not depend on
//! the number of rows; a statement without rows is left out.

use schemas::ids::Aggregate;
use tokio_postgres::types::ToSql;

use super::{Consumer, long, number};
use crate::{
    ledger::{Batch, JournalEntry, JournalRow},
    views::ViewStep,
};

/// What the number of affected rows must be.
pub(super) enum Expected {
    /// One, or somebody else owns the partition.
    Fence,
    /// This many, or the ledger is not where the batch starts.
    Rows(u64),
    Any,
}

type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

pub(super) struct Write<'a> {
    pub(super) sql: &'static str,
    parameters: Vec<Parameter<'a>>,
    pub(super) expected: Expected,
}

impl Write<'_> {
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters
            .iter()
            .map(|parameter| &**parameter as &(dyn ToSql + Sync))
            .collect()
    }
}

/// Tenant and location of an aggregate, without building ids.
pub(super) fn parts(aggregate: &Aggregate) -> (&str, &str) {
    aggregate
        .as_str()
        .split_once('/')
        .expect("an aggregate is built with its slash")
}

const FENCE: &str = "UPDATE clinicwire.checkpoint SET next_offset = $5 \
     WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset = $4 AND owner_epoch = $6";

const LOCATIONS: &str = "WITH step AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], \
         $5::bigint[], $6::text[]) AS s (tenant, location, epoch, from_version, to_version, header)), \
     moved AS (UPDATE clinicwire.location l SET version = s.to_version, header = s.header::json FROM step s \
       WHERE l.tenant = s.tenant AND l.location = s.location AND l.epoch = s.epoch AND l.version = s.from_version \
       RETURNING 1), \
     made AS (INSERT INTO clinicwire.location (tenant, location, epoch, version, header) \
       SELECT tenant, location, epoch, to_version, header::json FROM step WHERE from_version = 0 \
       ON CONFLICT DO NOTHING RETURNING 1) \
     SELECT 1 FROM moved UNION ALL SELECT 1 FROM made";

// The rule of `from`, `to` and what is held; a later epoch starts afresh. A row that is missing although the step does not
// start at 0 was swept after its time: the step then begins it again.
const VIEWS: &str = "WITH step AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], \
         $5::bigint[], $6::bigint[], $7::bigint[], $8::int[]) \
         AS s (tenant, location, view, epoch, from_version, to_version, at, keep_s)), \
     moved AS (UPDATE clinicwire.view v SET epoch = s.epoch, version = s.to_version, at = s.at, partition = $9, \
         keep_until = now() + make_interval(secs => s.keep_s) \
       FROM step s WHERE v.tenant = s.tenant AND v.location = s.location AND v.view = s.view \
         AND (v.epoch = s.epoch AND s.from_version <= v.version AND v.version < s.to_version \
           OR v.epoch < s.epoch AND s.from_version = 0) \
       RETURNING 1), \
     made AS (INSERT INTO clinicwire.view (tenant, location, view, partition, epoch, version, at, keep_until) \
       SELECT tenant, location, view, $9, epoch, to_version, at, now() + make_interval(secs => keep_s) FROM step s \
       WHERE NOT EXISTS (SELECT FROM clinicwire.view v \
         WHERE v.tenant = s.tenant AND v.location = s.location AND v.view = s.view) \
       RETURNING 1) \
     SELECT 1 FROM moved UNION ALL SELECT 1 FROM made";

const BEGUN_VIEWS: &str = "DELETE FROM clinicwire.view_entry e \
     USING unnest($1::text[], $2::text[], $3::text[]) AS s (tenant, location, view) \
     WHERE e.tenant = s.tenant AND e.location = s.location AND e.view = s.view";

const REMOVED_ENTRIES: &str = "DELETE FROM clinicwire.view_entry e \
     USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s (tenant, location, view, key) \
     WHERE e.tenant = s.tenant AND e.location = s.location AND e.view = s.view AND e.key = s.key";

const SET_ENTRIES: &str = "INSERT INTO clinicwire.view_entry (tenant, location, view, key, body) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
     ON CONFLICT (tenant, location, view, key) DO UPDATE SET body = excluded.body";

const TICKETS: &str = "INSERT INTO clinicwire.ticket \
       (tenant, location, ticket, queue, label, service_day, state, live, issued_at, ended_at, body) \
     SELECT tenant, location, ticket, queue, label, service_day, state, live, issued_at, ended_at, body::json \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], \
       $9::bigint[], $10::bigint[], $11::text[]) \
       AS t (tenant, location, ticket, queue, label, service_day, state, live, issued_at, ended_at, body) \
     ON CONFLICT (tenant, location, ticket) DO UPDATE SET queue = excluded.queue, label = excluded.label, \
       service_day = excluded.service_day, state = excluded.state, live = excluded.live, \
       issued_at = excluded.issued_at, ended_at = excluded.ended_at, body = excluded.body";

const JOURNAL: &str = "INSERT INTO clinicwire.journal \
       (topic, partition, \"offset\", at, tenant, location, command, actor, kind, epoch, version, events, code) \
     SELECT $1, $2, o, at, tenant, location, command, actor::json, kind, epoch, version, events::json, code \
     FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
       $10::bigint[], $11::bigint[], $12::text[], $13::text[]) \
       AS j (o, at, tenant, location, command, actor, kind, epoch, version, events, code)";

// The first outcome stays, whatever a repeat that slipped through would say.
const OUTCOMES: &str = "INSERT INTO clinicwire.outcome (tenant, source, command, at, body) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) ON CONFLICT DO NOTHING";

const OUTBOX: &str = "INSERT INTO clinicwire.outbox (topic, partition, \"offset\", part, target, key, headers, value) \
     SELECT $1, $2, o, part, target, key, headers::json, value \
     FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::bytea[]) \
       AS r (o, part, target, key, headers, value)";

const PARKED: &str = "INSERT INTO clinicwire.parked (topic, partition, \"offset\", at, code, key, headers, value) \
     SELECT $1, $2, o, at, code, key, headers::json, value \
     FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[], $8::bytea[]) \
       AS p (o, at, code, key, headers, value)";

/// The statements of a batch in the order they must run: the fence is the first.
pub(super) fn writes<'a>(batch: &'a Batch, consumer: &'a Consumer) -> Vec<Write<'a>> {
    let claim = &batch.claim;
    let fence = Write {
        sql: FENCE,
        parameters: vec![
            Box::new(&consumer.name),
            Box::new(&consumer.topic),
            Box::new(number(claim.partition)),
            Box::new(claim.next_offset),
            Box::new(batch.to),
            Box::new(claim.owner_epoch),
        ],
        expected: Expected::Fence,
    };
    let mut writes = vec![fence];
    let mut add = |sql, rows: usize, expected, parameters: Vec<Parameter<'a>>| {
        if rows > 0 {
            writes.push(Write {
                sql,
                parameters,
                expected,
            });
        }
    };
    let from = || -> [Parameter<'a>; 2] { [Box::new(&consumer.topic), Box::new(number(claim.partition))] };

    let rows = batch.locations.len();
    add(LOCATIONS, rows, Expected::Rows(rows as u64), locations(batch));
    let rows = batch.views.len();
    add(VIEWS, rows, Expected::Rows(rows as u64), views(batch));
    let begun: Vec<&ViewStep> = batch
        .views
        .iter()
        .filter(|step| step.step.delta.from == 0)
        .collect();
    add(BEGUN_VIEWS, begun.len(), Expected::Any, names(&begun));
    let removed: Vec<_> = batch
        .views
        .iter()
        .flat_map(|step| step.step.delta.remove.iter().map(move |key| (step, key)))
        .collect();
    add(REMOVED_ENTRIES, removed.len(), Expected::Any, {
        let steps: Vec<_> = removed.iter().map(|(step, _)| *step).collect();
        let mut parameters = names(&steps);
        parameters.push(column(&removed, |(_, key)| key.as_str()));
        parameters
    });
    let set: Vec<_> = batch
        .views
        .iter()
        .flat_map(|step| step.step.delta.set.iter().map(move |entry| (step, entry)))
        .collect();
    add(SET_ENTRIES, set.len(), Expected::Any, {
        let steps: Vec<_> = set.iter().map(|(step, _)| *step).collect();
        let mut parameters = names(&steps);
        parameters.push(column(&set, |(_, (key, _))| key.as_str()));
        parameters.push(column(&set, |(_, (_, body))| body.get()));
        parameters
    });
    add(TICKETS, batch.tickets.len(), Expected::Any, tickets(batch));
    add(
        JOURNAL,
        batch.journal.len(),
        Expected::Any,
        from().into_iter().chain(journal(batch)).collect(),
    );
    add(OUTCOMES, batch.outcomes.len(), Expected::Any, outcomes(batch));
    add(
        OUTBOX,
        batch.outbox.len(),
        Expected::Any,
        from().into_iter().chain(outbox(batch)).collect(),
    );
    let parked: Vec<&JournalRow> = batch
        .journal
        .iter()
        .filter(|row| matches!(row.entry, JournalEntry::Parked { .. }))
        .collect();
    add(
        PARKED,
        parked.len(),
        Expected::Any,
        from().into_iter().chain(parked_records(&parked)).collect(),
    );
    writes
}

/// One column of `rows`.
fn column<'a, R, T>(rows: &[R], read: impl Fn(&R) -> T) -> Parameter<'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(read).collect::<Vec<T>>())
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types always have a JSON form")
}

fn locations(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.locations.iter().collect();
    vec![
        column(&rows, |row| parts(&row.aggregate).0),
        column(&rows, |row| parts(&row.aggregate).1),
        column(&rows, |row| long(row.epoch)),
        column(&rows, |row| long(row.from)),
        column(&rows, |row| long(row.to)),
        column(&rows, |row| to_json(&row.header)),
    ]
}

fn names<'a>(steps: &[&'a ViewStep]) -> Vec<Parameter<'a>> {
    vec![
        column(steps, |step| parts(&step.aggregate).0),
        column(steps, |step| parts(&step.aggregate).1),
        column(steps, |step| step.step.view.as_str()),
    ]
}

fn views(batch: &Batch) -> Vec<Parameter<'_>> {
    let steps: Vec<&ViewStep> = batch.views.iter().collect();
    let mut parameters = names(&steps);
    parameters.extend([
        column(&steps, |step| long(step.epoch)),
        column(&steps, |step| long(step.step.delta.from)),
        column(&steps, |step| long(step.step.delta.to)),
        column(&steps, |step| step.step.delta.at),
        column(&steps, |step| step.step.keep_s.map(number)),
        Box::new(number(batch.claim.partition)),
    ]);
    parameters
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
        column(&rows, |row| row.ticket.is_live()),
        column(&rows, |row| row.ticket.issued_at),
        column(&rows, |row| row.ticket.standing.ended_at),
        column(&rows, |row| to_json(&row.ticket)),
    ]
}

fn journal(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<&JournalRow> = batch.journal.iter().collect();
    let applied = |row: &&JournalRow| match &row.entry {
        JournalEntry::Applied { pair, .. } => Some(*pair),
        _ => None,
    };
    vec![
        column(&rows, |row| row.offset),
        column(&rows, |row| row.at),
        column(&rows, |row| {
            row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).0)
        }),
        column(&rows, |row| {
            row.command.as_ref().map(|(aggregate, ..)| parts(aggregate).1)
        }),
        column(&rows, |row| row.command.as_ref().map(|(_, id, _)| id.as_str())),
        column(&rows, |row| {
            row.command
                .as_ref()
                .and_then(|(.., actor)| actor.as_ref())
                .map(to_json)
        }),
        column(&rows, |row| match row.entry {
            JournalEntry::Applied { .. } => "applied",
            JournalEntry::Refused(_) => "refused",
            JournalEntry::Repeated => "repeated",
            JournalEntry::Parked { .. } => "parked",
        }),
        column(&rows, |row| applied(row).map(|pair| long(pair.epoch))),
        column(&rows, |row| applied(row).map(|pair| long(pair.version))),
        column(&rows, |row| match &row.entry {
            JournalEntry::Applied { events, .. } => Some(to_json(events)),
            _ => None,
        }),
        column(&rows, |row| match row.entry {
            JournalEntry::Refused(code) | JournalEntry::Parked { code, .. } => Some(code.as_str()),
            _ => None,
        }),
    ]
}

fn outcomes(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.outcomes.iter().collect();
    vec![
        column(&rows, |row| row.tenant.as_str()),
        column(&rows, |row| row.source.as_str()),
        column(&rows, |row| row.outcome.command.as_str()),
        column(&rows, |row| row.outcome.at),
        column(&rows, |row| to_json(&row.outcome)),
    ]
}

fn outbox(batch: &Batch) -> Vec<Parameter<'_>> {
    let rows: Vec<_> = batch.outbox.iter().collect();
    vec![
        column(&rows, |row| row.offset),
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
        column(&rows, |(row, ..)| row.offset),
        column(&rows, |(row, ..)| row.at),
        column(&rows, |(_, code, _)| code.as_str()),
        column(&rows, |(.., record)| record.key.as_bytes()),
        column(&rows, |(.., record)| to_json(&record.headers)),
        column(&rows, |(.., record)| &*record.value),
    ]
}
