//! The calls of the ledger, each one statement or one transaction.

use std::{ops::Range, sync::Arc};

use futures_util::future::try_join;
use schemas::{
    Millis,
    identity::CommandIdentity,
    ids::{Aggregate, AppointmentId, SourceId, SourceKey, TicketId},
    view::{Entries, Position, View},
};
use serde_json::value::RawValue;
use tokio_postgres::{Row, types::ToSql};

use super::{
    Consumer, PostgresError, PostgresLedger, bounded,
    columns::parts,
    long, number,
    rows::{appointment, key, log_anchor, outbox_row, outcome_row, ticket},
    statements::{
        AGGREGATE, ANCHOR, APPOINTMENTS, CHECKPOINT, CLAIM, DIRTY, DUE, ENDED, ENTRIES,
        FORGET_OUTCOMES, MARK_DIRTY, MARK_SUSPECT, NAMED_APPOINTMENTS, NEXT_EPOCH, OUTBOX,
        OUTCOMES, PUBLISHED, REPAIRED, SHOWN_APPOINTMENTS, UNFINISHED, VIEW, WAKING_APPOINTMENTS,
    },
    unsigned,
};
use crate::{
    BoxFuture,
    aggregate::{AggregateHeader, StoredAggregate},
    anchor::{ANCHOR_RECORDS, LogAnchor},
    ledger::{
        Batch, Ledger, LedgerError, LocationParts, OutboxKey, OutboxRow, OutcomeRow, PartNames,
        PartitionClaim, ViewName,
    },
    location::{Appointment, RenewalNeed},
    log::PartitionId,
};

impl Ledger for PostgresLedger {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CLAIM, partition)))
    }

    fn anchor(&self, partition: PartitionId) -> BoxFuture<'_, Result<LogAnchor, LedgerError>> {
        Box::pin(bounded(async move {
            let Consumer { name, topic } = &self.consumer;
            let named: [&(dyn ToSql + Sync); 4] =
                [name, topic, &number(partition.0), &ANCHOR_RECORDS];
            let rows = self.pool.query(ANCHOR, &named).await?;
            Ok(rows.first().map(log_anchor).transpose()?.unwrap_or_default())
        }))
    }

    fn begin_epoch_if_older<'a>(
        &'a self,
        published: &'a [(Aggregate, Position)],
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        Box::pin(bounded(self.begin_epoch(published)))
    }

    fn renew_epochs<'a>(
        &'a self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&'a Aggregate>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<Aggregate>, LedgerError>> {
        Box::pin(bounded(self.renew(claim, epoch, at, after, limit)))
    }

    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CHECKPOINT, partition)))
    }

    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            let read =
                self.snapshot(AGGREGATE, [UNFINISHED, APPOINTMENTS], &[&tenant, &id]).await?;
            let Some((row, [tickets, appointments])) = read else {
                return Ok(None);
            };
            Ok(Some(StoredAggregate {
                position: Position { epoch: unsigned(&row, 0), version: unsigned(&row, 1) },
                header: AggregateHeader::from_json(aggregate.kind(), row.get(2))
                    .map_err(|_| PostgresError::Unreadable("an aggregate's header"))?,
                tickets: tickets.iter().map(ticket).collect::<Result<_, _>>()?,
                appointments: appointments.iter().map(appointment).collect::<Result<_, _>>()?,
            }))
        }))
    }

    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, location) = parts(aggregate);
            let tickets: Vec<&str> = names.tickets.iter().map(TicketId::as_str).collect();
            let ids: Vec<&str> = names.appointments.iter().map(AppointmentId::as_str).collect();
            let sources: Vec<&str> =
                names.keys.iter().map(|(source, _): &(SourceId, _)| source.as_str()).collect();
            let keys: Vec<&str> =
                names.keys.iter().map(|(_, key): &(_, SourceKey)| key.as_str()).collect();
            let lease = self.pool.lease().await?;
            let (tickets, appointments) = try_join(
                lease.query_cached(ENDED, &[&tenant, &location, &tickets]),
                lease
                    .query_cached(NAMED_APPOINTMENTS, &[&tenant, &location, &ids, &sources, &keys]),
            )
            .await?;
            lease.give_back();
            Ok(LocationParts {
                tickets: tickets.iter().map(ticket).collect::<Result<_, _>>()?,
                appointments: appointments.iter().map(appointment).collect::<Result<_, _>>()?,
            })
        }))
    }

    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        wake: Range<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, location) = parts(aggregate);
            let (from, until) = (wake.start, wake.end);
            let rows =
                self.pool.query(WAKING_APPOINTMENTS, &[&tenant, &location, &from, &until]).await?;
            Ok(rows.iter().map(appointment).collect::<Result<_, _>>()?)
        }))
    }

    fn shown_appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        need: &'a RenewalNeed,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, location) = parts(aggregate);
            let after = need.after.as_ref().map_or("", AppointmentId::as_str);
            let limit = i64::try_from(need.limit).unwrap_or(i64::MAX);
            let parameters: [&(dyn ToSql + Sync); 5] =
                [&tenant, &location, &after, &need.since, &limit];
            let rows = self.pool.query(SHOWN_APPOINTMENTS, &parameters).await?;
            Ok(rows.iter().map(appointment).collect::<Result<_, _>>()?)
        }))
    }

    fn due(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>> {
        Box::pin(bounded(async move {
            let rows = self.pool.query(DUE, &[&self.consumer.topic, &number(partition.0)]).await?;
            Ok(rows
                .iter()
                .map(|row| Ok((key(row)?, row.get(2))))
                .collect::<Result<_, PostgresError>>()?)
        }))
    }

    fn outcomes<'a>(
        &'a self,
        commands: &'a [CommandIdentity],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>> {
        Box::pin(bounded(async move {
            let part = |part: fn(&CommandIdentity) -> &str| -> Vec<&str> {
                commands.iter().map(part).collect()
            };
            let (tenants, sources) =
                (part(|named| named.tenant.as_str()), part(|named| named.source.as_str()));
            let (subjects, ids) =
                (part(|named| named.subject.as_str()), part(|named| named.command.as_str()));
            let rows = self.pool.query(OUTCOMES, &[&tenants, &sources, &subjects, &ids]).await?;
            Ok(rows.iter().map(|row| outcome_row(row, commands)).collect::<Result<_, _>>()?)
        }))
    }

    fn delete_outcomes(
        &self,
        partition: PartitionId,
        before: Millis,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(bounded(async move {
            let (topic, partition) = (&self.consumer.topic, number(partition.0));
            let lease = self.pool.lease().await?;
            let deleted = lease
                .execute_cached(FORGET_OUTCOMES, &[topic, &partition, &before, &i64::from(limit)])
                .await?;
            lease.give_back();
            Ok(deleted)
        }))
    }

    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(bounded(async move {
            let lease = self.pool.lease().await?;
            let row = lease.query_one_cached(NEXT_EPOCH, &[]).await?;
            lease.give_back();
            Ok(unsigned(&row, 0))
        }))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(self.transactions.commit_alone(batch))
    }

    fn commit_with_others(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(self.transactions.commit(batch))
    }

    fn outbox(
        &self,
        partition: PartitionId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>> {
        Box::pin(bounded(async move {
            let topic = &self.consumer.topic;
            let rows =
                self.pool.query(OUTBOX, &[topic, &number(partition.0), &i64::from(limit)]).await?;
            Ok(rows.iter().map(outbox_row).collect::<Result<_, _>>()?)
        }))
    }

    fn delete_published<'a>(
        &'a self,
        partition: PartitionId,
        rows: &'a [OutboxKey],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (offsets, parts): (Vec<i64>, Vec<i16>) =
                rows.iter().map(|(offset, part)| (offset.0, *part)).unzip();
            self.write_without_sync(
                PUBLISHED,
                &[&self.consumer.topic, &vec![number(partition.0); rows.len()], &offsets, &parts],
            )
            .await
        }))
    }

    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (tenants, ids): (Vec<&str>, Vec<&str>) =
                views.iter().map(|(aggregate, _)| parts(aggregate)).unzip();
            let names: Vec<&str> = views.iter().map(|(_, name)| name.as_str()).collect();
            let lease = self.pool.lease().await?;
            // A lost mark would leave Redis behind: this write waits for the disk.
            lease.execute_cached(MARK_DIRTY, &[&tenants, &ids, &names]).await?;
            lease.give_back();
            Ok(())
        }))
    }

    fn mark_suspect<'a>(
        &'a self,
        partition: PartitionId,
        _of: u32,
        after: Option<&'a ViewName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<ViewName>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = after.map_or(("", ""), |(aggregate, _)| parts(aggregate));
            let name = after.map_or("", |(_, name)| name.as_str());
            let (topic, partition) = (&self.consumer.topic, number(partition.0));
            let limit = i64::from(limit);
            let lease = self.pool.lease().await?;
            // A lost mark would leave Redis behind: this write waits for the disk.
            let slice: [&(dyn ToSql + Sync); 6] = [topic, &partition, &tenant, &id, &name, &limit];
            let rows = lease.query_cached(MARK_SUSPECT, &slice).await?;
            lease.give_back();
            rows.first().map(|last| Ok((key(last)?, last.get(2)))).transpose()
        }))
    }

    fn dirty(
        &self,
        partition: PartitionId,
        _of: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>> {
        Box::pin(bounded(async move {
            let topic = &self.consumer.topic;
            let rows =
                self.pool.query(DIRTY, &[topic, &number(partition.0), &i64::from(limit)]).await?;
            Ok(rows
                .iter()
                .map(|row| Ok((key(row)?, row.get(2))))
                .collect::<Result<_, PostgresError>>()?)
        }))
    }

    fn view<'a>(
        &'a self,
        (aggregate, name): &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<(View, Option<u32>)>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            let named: [&(dyn ToSql + Sync); 3] = [&tenant, &id, &name];
            let Some((row, [rows])) = self.snapshot(VIEW, [ENTRIES], &named).await? else {
                return Ok(None);
            };
            let view = stored_view(&row, rows)?;
            let keep =
                row.get::<_, Option<i64>>(3).map(|left| u32::try_from(left).unwrap_or(u32::MAX));
            Ok(Some((view, keep)))
        }))
    }

    fn mark_repaired<'a>(
        &'a self,
        (aggregate, name): &'a ViewName,
        position: Position,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            let Position { epoch, version } = position;
            let parameters: [&(dyn ToSql + Sync); 5] =
                [&tenant, &id, &name, &long(version), &long(epoch)];
            self.write_without_sync(REPAIRED, &parameters).await
        }))
    }
}

/// A view, from its row and its entries.
pub(super) fn stored_view(row: &Row, entries: Vec<Row>) -> Result<View, PostgresError> {
    let entry = |row: Row| {
        let body =
            RawValue::from_string(row.get(1)).map_err(|_| PostgresError::Unreadable("an entry"))?;
        Ok((row.get(0), body))
    };
    Ok(View {
        position: Position { epoch: unsigned(row, 0), version: unsigned(row, 1) },
        at: row.get(2),
        entries: entries.into_iter().map(entry).collect::<Result<Entries, PostgresError>>()?,
    })
}
