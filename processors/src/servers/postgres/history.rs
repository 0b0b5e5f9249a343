//! The history and the figures of locations: the rows of a batch, and the deletion of old ones.

use schemas::{Millis, ids::TenantId};
use tokio_postgres::types::ToSql;

use super::{
    PostgresLedger, bounded,
    columns::{column, parts},
    writes::{BatchWrites, RequiredRows},
};
use crate::ledger::{Batch, FigureRow, LedgerError, StayRow};

const STAYS: &str = "INSERT INTO clinicwire.stay \
       (tenant, location, ticket, number, label, queue, state, since, until, station, reason) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], \
       $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[]) \
     ON CONFLICT (tenant, ticket, number, since) DO UPDATE SET until = excluded.until";

const FIGURES: &str = "INSERT INTO clinicwire.figure AS f \
       (tenant, location, day, hour, queue, doctor, measure, bucket, count, total_ms) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::text[], \
       $6::text[], $7::text[], $8::smallint[], $9::bigint[], $10::bigint[]) \
     ON CONFLICT (tenant, location, day, hour, queue, doctor, measure, bucket) DO UPDATE \
     SET count = f.count + excluded.count, total_ms = f.total_ms + excluded.total_ms";

/// The stays of tenants that keep them for less time than the others, whose partitions are dropped.
/// Locations are the aggregates that have a timer. Old rows are found by the order of pages.
const OWN_STAYS: &str = "DELETE FROM clinicwire.stay \
     WHERE (tenant, ticket, number, since) IN ( \
       SELECT old.tenant, old.ticket, old.number, old.since \
       FROM unnest($2::text[], $3::bigint[]) AS own (tenant, before) \
       JOIN clinicwire.aggregate a ON a.tenant = own.tenant AND a.due IS NOT NULL \
       CROSS JOIN LATERAL ( \
         SELECT s.tenant, s.ticket, s.number, s.since FROM clinicwire.stay s \
         WHERE s.tenant = a.tenant AND s.location = a.aggregate AND s.since < own.before \
         ORDER BY s.since LIMIT $1) old LIMIT $1)";

/// Locations are the aggregates that have a timer. Their old rows are found by the primary key.
const OLD_FIGURES: &str = "DELETE FROM clinicwire.figure WHERE ctid = ANY (ARRAY( \
       SELECT old.ctid FROM clinicwire.aggregate a CROSS JOIN LATERAL ( \
         SELECT f.ctid FROM clinicwire.figure f WHERE f.tenant = a.tenant \
           AND f.location = a.aggregate AND f.day < $1 \
         ORDER BY f.day LIMIT $2) old \
       WHERE a.due IS NOT NULL LIMIT $2))";

/// Most rows that one statement deletes: some tens of milliseconds, so that no batch
/// is delayed.
const SLICE: i64 = 2_000;

impl<'a> BatchWrites<'a> {
    /// Adds the stays and the changes of figures.
    pub(super) fn add_history(&mut self, batches: &[&'a Batch]) {
        let rows: Vec<&'a StayRow> = batches.iter().flat_map(|batch| &batch.stays).collect();
        let parameters = vec![
            column(&rows, |row| parts(&row.aggregate).0),
            column(&rows, |row| parts(&row.aggregate).1),
            column(&rows, |row| row.stay.ticket.as_str()),
            column(&rows, |row| i32::try_from(row.stay.number).unwrap_or(i32::MAX)),
            column(&rows, |row| row.stay.label.as_str()),
            column(&rows, |row| row.stay.queue.as_str()),
            column(&rows, |row| row.stay.state.as_str()),
            column(&rows, |row| row.stay.from),
            column(&rows, |row| row.stay.until),
            column(&rows, |row| row.stay.station.as_ref().map(|station| station.as_str())),
            // PostgreSQL's texts hold no NUL, which a record of another program may have.
            column(&rows, |row| row.stay.reason.as_ref().map(|text| text.replace('\0', ""))),
        ];
        self.add(STAYS, rows.len(), RequiredRows::Any, parameters);
        let rows: Vec<&'a FigureRow> = batches.iter().flat_map(|batch| &batch.figures).collect();
        let parameters = vec![
            column(&rows, |row| parts(&row.aggregate).0),
            column(&rows, |row| parts(&row.aggregate).1),
            column(&rows, |row| row.figure.key.day.as_str()),
            column(&rows, |row| i16::from(row.figure.key.hour)),
            column(&rows, |row| row.figure.key.queue.as_ref().map_or("", |id| id.as_str())),
            column(&rows, |row| row.figure.key.doctor.as_ref().map_or("", |id| id.as_str())),
            column(&rows, |row| row.figure.key.measure.as_str()),
            column(&rows, |row| i16::from(row.figure.key.bucket)),
            column(&rows, |row| row.figure.tally.count),
            column(&rows, |row| row.figure.tally.total_ms),
        ];
        self.add(FIGURES, rows.len(), RequiredRows::Any, parameters);
    }
}

impl PostgresLedger {
    /// Deletes a slice of the stays that began before the moment of their tenant in `own`. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn sweep_own_stays(&self, own: &[(TenantId, Millis)]) -> Result<bool, LedgerError> {
        let tenants: Vec<&str> = own.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let before: Vec<Millis> = own.iter().map(|(_, before)| *before).collect();
        self.delete_slice(OWN_STAYS, &[&SLICE, &tenants, &before]).await
    }

    /// Deletes a slice of the figures of days before `day`, of all tenants. Returns whether there
    /// may be more.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn sweep_figures(&self, day: &str) -> Result<bool, LedgerError> {
        self.delete_slice(OLD_FIGURES, &[&day, &SLICE]).await
    }

    async fn delete_slice(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<bool, LedgerError> {
        bounded(async {
            let lease = self.pool.lease().await?;
            let deleted = lease.execute_cached(sql, parameters).await?;
            lease.give_back();
            Ok(deleted >= SLICE.unsigned_abs())
        })
        .await
    }
}
