//! Rebuilds the read models of a location from its journal, and swaps them in by one transaction
//! beside live traffic.
//!
//! The journal is first folded without a lock. Then the checkpoint of the partition is locked,
//! which holds up its commits, the last steps are folded, and only what differs is written. The new
//! owner epoch fences the owner, whose cached location may be wrong; it claims the partition again
//! and restores what was written.

use schemas::{
    Millis,
    ids::{Aggregate, AppointmentId, TicketId},
    record::VIEWS_TOPIC,
    view::{Position, View},
};
use tokio_postgres::{IsolationLevel, Transaction, types::ToSql};

use super::{
    Consumer, PostgresError, PostgresVerifier,
    columns::{parts, to_json},
    epochs::{ANNOUNCE, RENEW, RENEW_VIEWS, announcement},
    long, number,
    statements::NEXT_EPOCH,
    unsigned,
    verify::{ComparedAggregate, continue_fold},
    writes::writes,
};
use crate::{
    ledger::{AggregateRow, AppointmentRow, Batch, OwnerEpoch, PartitionClaim, TicketRow},
    log::{LogOffset, PartitionId},
    verify::{AggregateSnapshot, Compared, FoldedAggregate, TouchedParts},
};

const PLACE: &str = "SELECT topic, partition FROM clinicwire.aggregate \
     WHERE tenant = $1 AND aggregate = $2";
const LOCK: &str = "SELECT owner_epoch, next_offset FROM clinicwire.checkpoint \
     WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE";
const FENCE_OWNER: &str = "UPDATE clinicwire.checkpoint SET owner_epoch = owner_epoch + 1 \
     WHERE consumer = $1 AND topic = $2 AND partition = $3";
const POSITION: &str = "SELECT epoch FROM clinicwire.aggregate \
     WHERE tenant = $1 AND aggregate = $2";
// The journal alone decides the version, so a wrong one is corrected before the batch checks it.
const SET_VERSION: &str = "UPDATE clinicwire.aggregate SET version = $3 \
     WHERE tenant = $1 AND aggregate = $2";
const EXTRA_TICKETS: &str = "DELETE FROM clinicwire.ticket \
     WHERE tenant = $1 AND location = $2 AND ticket = ANY ($3::text[])";
const EXTRA_APPOINTMENTS: &str = "DELETE FROM clinicwire.appointment \
     WHERE tenant = $1 AND location = $2 AND appointment = ANY ($3::text[])";
const SET_VIEW: &str = "UPDATE clinicwire.view SET step_from = $4, version = $4, at = $5 \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3";
const ADD_VIEW: &str = "INSERT INTO clinicwire.view \
       (tenant, aggregate, view, topic, partition, epoch, step_from, version, at) \
     VALUES ($1, $2, $3, $6, $7, $8, $4, $4, $5)";
const DROP_VIEW: &str = "DELETE FROM clinicwire.view \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3";
const DROP_ENTRIES: &str = "DELETE FROM clinicwire.view_entry \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3";
const ADD_ENTRIES: &str = "INSERT INTO clinicwire.view_entry (tenant, aggregate, view, key, body) \
     SELECT $1, $2, $3, key, body FROM unnest($4::text[], $5::text[]) AS s (key, body)";

/// The result of a rebuild.
pub struct RebuiltLocation {
    /// What was found before it.
    pub compared: ComparedAggregate,
    /// The position after it. `None` when the location was only looked at.
    pub position: Option<Position>,
}

/// Why a location was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// PostgreSQL failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// No processor of the group has claimed the partition of the location.
    #[error("the group has no checkpoint of the partition")]
    UnknownGroup,
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        PostgresError::from(error).into()
    }
}

impl PostgresVerifier {
    /// Rebuilds a location for the processors of this group, from its snapshot if it has one, and
    /// the journal since. Only compares it when `is_dry`, or when versions are missing in the
    /// journal. `None` when there is no such location.
    ///
    /// # Errors
    /// [`RebuildError`]. Nothing is changed then.
    pub async fn rebuild(
        &mut self,
        aggregate: &Aggregate,
        snapshot: Option<AggregateSnapshot>,
        group: &str,
        at: Millis,
        is_dry: bool,
    ) -> Result<Option<RebuiltLocation>, RebuildError> {
        let compared = self.compare_and_keep(aggregate, snapshot, |_| {}).await?;
        let Some((compared, mut fold)) = compared else { return Ok(None) };
        if is_dry || !fold.journal_differences().is_empty() {
            return Ok(Some(RebuiltLocation { compared, position: None }));
        }
        fold.mark();
        let (client, journal) = self.parts();
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .start()
            .await?;
        let swap = Swap::lock(&transaction, aggregate, group).await?;
        continue_fold(&transaction, journal, aggregate, &mut fold).await?;
        let mut changed = fold.mark();
        add_differences(&mut changed, &compared);
        let position = swap.write(&fold, &changed, at).await?;
        transaction.commit().await?;
        Ok(Some(RebuiltLocation { compared, position: Some(position) }))
    }
}

/// Adds the parts that differed, by their ids.
fn add_differences(changed: &mut TouchedParts, compared: &ComparedAggregate) {
    for difference in &compared.differences {
        match difference.what {
            Compared::Ticket => changed.tickets.extend(TicketId::new(difference.id.clone()).ok()),
            Compared::Appointment => {
                changed.appointments.extend(AppointmentId::new(difference.id.clone()).ok());
            }
            Compared::View => drop(changed.views.insert(difference.id.clone())),
            Compared::Journal | Compared::Aggregate | Compared::RedisView | Compared::RedisLine => {
            }
        }
    }
}

/// The transaction that swaps, with the lock of the checkpoint.
struct Swap<'a> {
    transaction: &'a Transaction<'a>,
    aggregate: &'a Aggregate,
    consumer: Consumer,
    claim: PartitionClaim,
    /// The epoch before.
    epoch: u64,
}

impl<'a> Swap<'a> {
    async fn lock(
        transaction: &'a Transaction<'a>,
        aggregate: &'a Aggregate,
        group: &str,
    ) -> Result<Self, RebuildError> {
        let (tenant, id) = parts(aggregate);
        let place = transaction.query_one(PLACE, &[&tenant, &id]).await?;
        let consumer = Consumer { name: group.to_owned(), topic: place.get(0) };
        let partition: i32 = place.get(1);
        let named: [&(dyn ToSql + Sync); 3] = [&consumer.name, &consumer.topic, &partition];
        let row = transaction.query_opt(LOCK, &named).await?.ok_or(RebuildError::UnknownGroup)?;
        let claim = PartitionClaim {
            partition: PartitionId(partition.cast_unsigned()),
            owner_epoch: OwnerEpoch(row.get(0)),
            next_offset: LogOffset(row.get(1)),
        };
        let epoch = transaction.query_one(POSITION, &[&tenant, &id]).await?;
        let epoch = unsigned(&epoch, 0);
        Ok(Self { transaction, aggregate, consumer, claim, epoch })
    }

    /// Writes what changed, and the new epoch.
    async fn write(
        &self,
        fold: &FoldedAggregate,
        changed: &TouchedParts,
        at: Millis,
    ) -> Result<Position, PostgresError> {
        let version = fold.state().position().version;
        self.write_state(fold, changed, version).await?;
        for name in &changed.views {
            self.write_view(fold, name).await?;
        }
        let row = self.transaction.query_one(NEXT_EPOCH, &[]).await?;
        let position = Position { epoch: unsigned(&row, 0), version };
        self.begin_epoch(position, at).await?;
        Ok(position)
    }

    /// Writes state, tickets and appointments as a batch does, and deletes those that the journal
    /// does not have.
    async fn write_state(
        &self,
        fold: &FoldedAggregate,
        changed: &TouchedParts,
        version: u64,
    ) -> Result<(), PostgresError> {
        let (tenant, id) = parts(self.aggregate);
        let state = fold.state();
        let location = state.location();
        let aggregate = self.aggregate.clone();
        let row = AggregateRow {
            aggregate: aggregate.clone(),
            epoch: self.epoch,
            from: version,
            to: version,
            header: state.header(),
            due: state.due(),
        };
        let ticket = |id: &TicketId| location.and_then(|location| location.ticket(id)).cloned();
        let appointment =
            |id: &AppointmentId| location.and_then(|location| location.appointment(id)).cloned();
        let batch = Batch {
            aggregates: vec![row],
            tickets: changed
                .tickets
                .iter()
                .filter_map(ticket)
                .map(|ticket| TicketRow { aggregate: aggregate.clone(), ticket })
                .collect(),
            appointments: changed
                .appointments
                .iter()
                .filter_map(appointment)
                .map(|appointment| AppointmentRow { aggregate: aggregate.clone(), appointment })
                .collect(),
            ..Batch::without_rows(self.claim, self.claim.next_offset)
        };
        self.transaction.execute(SET_VERSION, &[&tenant, &id, &long(version)]).await?;
        for write in writes(&[&batch], &self.consumer) {
            self.transaction.execute(write.sql, &write.parameters()).await?;
        }
        let extra: Vec<&str> = (changed.tickets.iter())
            .filter(|id| ticket(id).is_none())
            .map(TicketId::as_str)
            .collect();
        self.transaction.execute(EXTRA_TICKETS, &[&tenant, &id, &extra]).await?;
        let extra: Vec<&str> = (changed.appointments.iter())
            .filter(|id| appointment(id).is_none())
            .map(AppointmentId::as_str)
            .collect();
        self.transaction.execute(EXTRA_APPOINTMENTS, &[&tenant, &id, &extra]).await?;
        Ok(())
    }

    /// Writes one view. A view that expires is not made again after it was deleted.
    async fn write_view(&self, fold: &FoldedAggregate, name: &str) -> Result<(), PostgresError> {
        let (tenant, id) = parts(self.aggregate);
        let named: [&(dyn ToSql + Sync); 3] = [&tenant, &id, &name];
        self.transaction.execute(DROP_ENTRIES, &named).await?;
        let Some(folded) = fold.views().get(name) else {
            self.transaction.execute(DROP_VIEW, &named).await?;
            return Ok(());
        };
        let View { position, at, entries } = &folded.view;
        let version = long(position.version);
        let set = self.transaction.execute(SET_VIEW, &[&tenant, &id, &name, &version, at]).await?;
        if set == 0 && folded.expires {
            return Ok(());
        }
        if set == 0 {
            let (partition, epoch) = (number(self.claim.partition.0), long(self.epoch));
            let topic = &self.consumer.topic;
            let parameters: [&(dyn ToSql + Sync); 8] =
                [&tenant, &id, &name, &version, at, topic, &partition, &epoch];
            self.transaction.execute(ADD_VIEW, &parameters).await?;
        }
        let (keys, bodies): (Vec<&str>, Vec<&str>) =
            entries.iter().map(|(key, body)| (key.as_str(), body.get())).unzip();
        self.transaction.execute(ADD_ENTRIES, &[&tenant, &id, &name, &keys, &bodies]).await?;
        Ok(())
    }

    /// Begins the epoch, announces it, and fences the owner.
    async fn begin_epoch(&self, position: Position, at: Millis) -> Result<(), PostgresError> {
        let (tenant, id) = parts(self.aggregate);
        let (tenants, ids, epoch) = ([tenant], [id], long(position.epoch));
        let parameters: [&(dyn ToSql + Sync); 3] = [&epoch, &&tenants[..], &&ids[..]];
        self.transaction.execute(RENEW, &parameters).await?;
        self.transaction.execute(RENEW_VIEWS, &parameters).await?;
        let record = announcement(position, at).to_wire(self.aggregate);
        let Consumer { name, topic } = &self.consumer;
        let partition = number(self.claim.partition.0);
        let (keys, headers) = (vec![record.key.as_str()], vec![to_json(&record.headers)]);
        let values: Vec<&[u8]> = vec![&*record.value];
        self.transaction
            .execute(ANNOUNCE, &[topic, &partition, &VIEWS_TOPIC, &keys, &headers, &values])
            .await?;
        self.transaction.execute(FENCE_OWNER, &[name, topic, &partition]).await?;
        Ok(())
    }
}
