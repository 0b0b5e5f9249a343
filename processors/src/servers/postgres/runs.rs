//! The rows of runs within a batch: the list of runs and the work queue.

use super::columns::{Parameter, column, parts, to_json};
use crate::run::{RunRow, WorkChange};

pub(super) const RUNS: &str = "INSERT INTO clinicwire.run \
       (tenant, run, state, requested_at, ended_at, attempt, head, file, keep_until) \
     SELECT tenant, run, state, requested_at, ended_at, attempt, head::json, file, \
       now() + make_interval(secs => keep_s) \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], \
       $7::text[], $8::text[], $9::int[]) \
       AS r (tenant, run, state, requested_at, ended_at, attempt, head, file, keep_s) \
     ON CONFLICT (tenant, run) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at, \
       attempt = excluded.attempt, head = excluded.head, file = excluded.file, \
       keep_until = excluded.keep_until";

// Work that has reached this attempt already is left to its worker.
pub(super) const DUE: &str = "INSERT INTO clinicwire.run_work AS w (tenant, run, attempt, request) \
     SELECT tenant, run, attempt, request::json \
     FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) \
       AS d (tenant, run, attempt, request) \
     ON CONFLICT (tenant, run) DO UPDATE SET attempt = excluded.attempt, tries = 0, \
       queued_at = clock_timestamp(), not_before = clock_timestamp(), worker = NULL, \
       lease_until = NULL, cancel = false, ended = NULL, told_ahead = NULL \
     WHERE w.attempt < excluded.attempt";

pub(super) const CANCEL: &str = "UPDATE clinicwire.run_work w SET cancel = true \
     FROM unnest($1::text[], $2::text[]) AS c (tenant, run) \
     WHERE w.tenant = c.tenant AND w.run = c.run";

pub(super) const OVER: &str = "DELETE FROM clinicwire.run_work w \
     USING unnest($1::text[], $2::text[]) AS o (tenant, run) \
     WHERE w.tenant = o.tenant AND w.run = o.run";

pub(super) fn runs<'a>(rows: &[&'a RunRow]) -> Vec<Parameter<'a>> {
    vec![
        column(rows, |row| parts(&row.aggregate).0),
        column(rows, |row| parts(&row.aggregate).1),
        column(rows, |row| row.head.state.as_str()),
        column(rows, |row| row.head.requested_at),
        column(rows, |row| row.head.ended_at),
        column(rows, |row| super::number(row.head.attempt.0)),
        column(rows, |row| to_json(&row.head)),
        column(rows, |row| row.needed_file().map(schemas::ids::FileId::as_str)),
        column(rows, |row| row.keep_s.map(super::number)),
    ]
}

/// The number of rows whose work is enqueued, and the parameters of [`DUE`].
pub(super) fn due<'a>(rows: &[&'a RunRow]) -> (usize, Vec<Parameter<'a>>) {
    let attempt = |row: &RunRow| match row.work {
        WorkChange::Enqueue(attempt) => Some(attempt),
        WorkChange::Cancel | WorkChange::Unchanged | WorkChange::Remove => None,
    };
    let rows: Vec<_> =
        rows.iter().filter_map(|row| attempt(row).map(|attempt| (*row, attempt))).collect();
    let parameters = vec![
        column(&rows, |(row, _)| parts(&row.aggregate).0),
        column(&rows, |(row, _)| parts(&row.aggregate).1),
        column(&rows, |(_, attempt)| super::number(attempt.0)),
        column(&rows, |(row, _)| to_json(&row.request)),
    ];
    (rows.len(), parameters)
}

/// The number of rows with this change of work, and the parameters of [`CANCEL`] and [`OVER`].
pub(super) fn ending<'a>(rows: &[&'a RunRow], work: WorkChange) -> (usize, Vec<Parameter<'a>>) {
    let rows: Vec<_> = rows.iter().copied().filter(|row| row.work == work).collect();
    let parameters = vec![
        column(&rows, |row| parts(&row.aggregate).0),
        column(&rows, |row| parts(&row.aggregate).1),
    ];
    (rows.len(), parameters)
}
