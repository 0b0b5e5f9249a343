//! New epochs after the database turned out to be older than what was published.

use schemas::{
    Millis,
    ids::{Aggregate, AggregateKind},
    record::{VIEWS_TOPIC, ViewsRecord, WireRecord},
    view::Position,
};

use super::{
    Consumer, PostgresError, PostgresLedger,
    columns::{parts, to_json},
    long, number,
    rows::key,
    unsigned,
};
use crate::ledger::{LedgerError, PartitionClaim};

const POSITIONS: &str = "SELECT asked.place, held.epoch, held.version \
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, aggregate, place) \
     CROSS JOIN LATERAL (SELECT a.epoch, a.version FROM clinicwire.aggregate a \
       WHERE a.tenant = asked.tenant AND a.aggregate = asked.aggregate LIMIT 1) held";
// An epoch after all that were published, whatever the restored row and the clock say. Two
// processes at once: the second waits for the first and finds no row.
const BEGIN_EPOCH: &str = "WITH locked AS MATERIALIZED ( \
       SELECT partition FROM clinicwire.checkpoint \
       WHERE consumer = $1 AND topic = $2 AND epoch_floor <= $3 ORDER BY partition FOR UPDATE), \
     drawn AS (UPDATE clinicwire.epoch SET last = greatest(last + 1, $3 + 1, \
         floor(extract(epoch FROM clock_timestamp()))::bigint) \
       WHERE EXISTS (SELECT FROM locked) RETURNING last), \
     begun AS (UPDATE clinicwire.checkpoint c \
       SET epoch_floor = drawn.last, owner_epoch = owner_epoch + 1 FROM drawn, locked \
       WHERE c.consumer = $1 AND c.topic = $2 AND c.partition = locked.partition RETURNING 1) \
     SELECT last FROM drawn WHERE EXISTS (SELECT FROM begun)";
const HOLD: &str = "SELECT 1 FROM clinicwire.checkpoint \
     WHERE consumer = $1 AND topic = $2 AND partition = $3 AND owner_epoch = $4 FOR UPDATE";
// Keys of appointments are left out: nobody holds a position of one, and there are as many as there
// were appointments.
const OLD: &str = "SELECT tenant, aggregate, version FROM clinicwire.aggregate \
     WHERE topic = $1 AND partition = $2 AND epoch < $3 AND (tenant, aggregate) > ($4, $5) \
       AND aggregate NOT LIKE 'k\\_%' \
     ORDER BY tenant, aggregate LIMIT $6";
pub(super) const RENEW: &str = "UPDATE clinicwire.aggregate a SET epoch = $1 \
     FROM unnest($2::text[], $3::text[]) AS s (tenant, aggregate) \
     WHERE a.tenant = s.tenant AND a.aggregate = s.aggregate";
pub(super) const RENEW_VIEWS: &str = "UPDATE clinicwire.view v SET epoch = $1, suspect = true \
     FROM unnest($2::text[], $3::text[]) AS s (tenant, aggregate) \
     WHERE v.tenant = s.tenant AND v.aggregate = s.aggregate";
// Offsets below all others of the partition: announcements are published first.
pub(super) const ANNOUNCE: &str = "INSERT INTO clinicwire.outbox \
       (topic, partition, \"offset\", part, target, key, headers, value) \
     SELECT $1, $2, least((SELECT min(\"offset\") FROM clinicwire.outbox \
         WHERE topic = $1 AND partition = $2), 0) - s.place, 0, $3, s.key, s.headers::json, \
       s.value \
     FROM unnest($4::text[], $5::text[], $6::bytea[]) WITH ORDINALITY \
       AS s (key, headers, value, place)";
const DONE: &str = "UPDATE clinicwire.checkpoint SET epoch_done = $4 \
     WHERE consumer = $1 AND topic = $2 AND partition = $3";

impl PostgresLedger {
    /// Begins an epoch for all partitions of the consumer, if an aggregate is older than published.
    pub(super) async fn begin_epoch(
        &self,
        published: &[(Aggregate, Position)],
    ) -> Result<Option<u64>, LedgerError> {
        let Some(newest) = self.newest_lost(published).await? else { return Ok(None) };
        let Consumer { name, topic } = &self.consumer;
        let rows = self.pool.query(BEGIN_EPOCH, &[name, topic, &long(newest)]).await?;
        Ok(rows.first().map(|row| unsigned(row, 0)))
    }

    /// The newest epoch of the published positions that the database does not have. A run may have
    /// been deleted since, so its absence says nothing; and keys of appointments begin no epoch.
    async fn newest_lost(
        &self,
        published: &[(Aggregate, Position)],
    ) -> Result<Option<u64>, LedgerError> {
        let (tenants, ids): (Vec<&str>, Vec<&str>) =
            published.iter().map(|(aggregate, _)| parts(aggregate)).unzip();
        let mut held = vec![None; published.len()];
        for row in self.pool.query(POSITIONS, &[&tenants, &ids]).await? {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            let position = Position { epoch: unsigned(&row, 1), version: unsigned(&row, 2) };
            if let Some(held) = held.get_mut(place) {
                *held = Some(position);
            }
        }
        let is_lost = |((aggregate, position), held): &(&(Aggregate, Position), Option<_>)| match (
            aggregate.kind(),
            held,
        ) {
            (AggregateKind::AppointmentKey, _) | (AggregateKind::Run, None) => false,
            (_, Some(held)) => held < position,
            (_, None) => true,
        };
        let lost = published.iter().zip(held).filter(is_lost);
        Ok(lost.map(|((_, position), _)| position.epoch).max())
    }

    /// Moves one slice of aggregates to `epoch`, in one transaction.
    pub(super) async fn renew(
        &self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&Aggregate>,
        limit: u32,
    ) -> Result<Option<Aggregate>, LedgerError> {
        let Consumer { name, topic } = &self.consumer;
        let (partition, epoch_column) = (number(claim.partition.0), long(epoch));
        let (tenant, id) = after.map_or(("", ""), parts);
        let lease = self.pool.lease().await?;
        lease.batch_execute("BEGIN").await.map_err(PostgresError::from)?;
        let held =
            lease.query_cached(HOLD, &[name, topic, &partition, &claim.owner_epoch.0]).await?;
        if held.is_empty() {
            return Err(LedgerError::Fenced);
        }
        let limit = i64::from(limit);
        let old = lease
            .query_cached(OLD, &[topic, &partition, &epoch_column, &tenant, &id, &limit])
            .await?;
        let mut aggregates = Vec::with_capacity(old.len());
        for row in &old {
            aggregates.push((key(row)?, Position { epoch, version: unsigned(row, 2) }));
        }
        if aggregates.is_empty() {
            lease.execute_cached(DONE, &[name, topic, &partition, &epoch_column]).await?;
        } else {
            let (tenants, ids): (Vec<&str>, Vec<&str>) =
                aggregates.iter().map(|(aggregate, _)| parts(aggregate)).unzip();
            lease.execute_cached(RENEW, &[&epoch_column, &tenants, &ids]).await?;
            lease.execute_cached(RENEW_VIEWS, &[&epoch_column, &tenants, &ids]).await?;
            let records: Vec<WireRecord> = aggregates
                .iter()
                .map(|(aggregate, position)| announcement(*position, at).to_wire(aggregate))
                .collect();
            let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
            let headers: Vec<String> =
                records.iter().map(|record| to_json(&record.headers)).collect();
            let values: Vec<&[u8]> = records.iter().map(|record| &*record.value).collect();
            lease
                .execute_cached(
                    ANNOUNCE,
                    &[topic, &partition, &VIEWS_TOPIC, &keys, &headers, &values],
                )
                .await?;
        }
        lease.batch_execute("COMMIT").await.map_err(PostgresError::from)?;
        lease.give_back();
        Ok(aggregates.pop().map(|(aggregate, _)| aggregate))
    }
}

/// A record that changes no entry: readers load every view of the aggregate again.
pub(super) fn announcement(position: Position, at: Millis) -> ViewsRecord {
    ViewsRecord { position, at, deltas: Vec::new(), reload: true, outcome: None }
}
