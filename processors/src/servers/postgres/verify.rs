//! Reads everything of one aggregate at one moment, and compares it with the fold of its journal.

use std::{collections::HashSet, pin::pin};

use futures_util::TryStreamExt;
use schemas::{
    ids::{Aggregate, AggregateKind, LocationId, TenantId},
    view::{Position, View},
};
use tokio_postgres::{Client, IsolationLevel, Row, Statement, Transaction};

use super::{
    ConnectionSettings, PostgresError,
    columns::parts,
    ledger::stored_view,
    long, pool,
    rows::{appointment, json, key, ticket},
    statements::{ENTRIES, VIEW},
    unsigned,
};
use crate::{
    aggregate::AggregateHeader,
    verify::{
        AggregateSnapshot, Compared, Difference, FoldedAggregate, How, JournalStep, RetiredBefore,
    },
};

/// Aggregates listed at once.
const PAGE: i64 = 500;
/// Rows of the journal that are fetched at once: some hundred kilobytes.
const JOURNAL_ROWS: i32 = 500;

const AGGREGATES: &str = "SELECT tenant, aggregate FROM clinicwire.aggregate \
     WHERE (tenant, aggregate) > ($1, $2) AND ($3::text IS NULL OR tenant = $3) \
       AND ($4::text IS NULL OR aggregate = $4) ORDER BY tenant, aggregate LIMIT $5";
const AGGREGATE: &str = "SELECT epoch, version, header::text FROM clinicwire.aggregate \
     WHERE tenant = $1 AND aggregate = $2";
// A key of an appointment that was deleted after its retention begins anew with a fact that comes
// later: only its last life is folded.
const JOURNAL: &str = "SELECT epoch, version, at, events::text FROM clinicwire.journal \
     WHERE tenant = $1 AND aggregate = $2 AND version > $3 AND epoch >= coalesce( \
       (SELECT max(epoch) FROM clinicwire.journal \
         WHERE tenant = $1 AND aggregate = $2 AND version = 1), 0) \
     ORDER BY epoch, version";
const IS_IN_ARCHIVE: &str = "SELECT NOT EXISTS (SELECT FROM clinicwire.journal \
         WHERE tenant = $1 AND aggregate = $2 AND version = 1) \
     AND EXISTS (SELECT FROM clinicwire.snapshot WHERE tenant = $1 AND aggregate = $2)";
// Rows are deleted by this clock. It is read after the first read of the transaction, so that every
// deletion that the transaction sees was due before.
const RETIRED_BEFORE: &str = "SELECT max(before) FILTER (WHERE name = 'ticket'), \
       max(before) FILTER (WHERE name = 'appointment') \
     FROM (SELECT name, greatest(retired_before, \
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
         - days * 86400000::bigint) AS before FROM clinicwire.retention) retention";
const TICKETS: &str = "SELECT body::text FROM clinicwire.ticket \
     WHERE tenant = $1 AND location = $2 ORDER BY ticket";
const APPOINTMENTS: &str = "SELECT body::text FROM clinicwire.appointment \
     WHERE tenant = $1 AND location = $2 ORDER BY appointment";
const VIEWS: &str = "SELECT view FROM clinicwire.view WHERE tenant = $1 AND aggregate = $2 \
       AND (keep_until IS NULL OR keep_until > now()) ORDER BY view";
const MARKS: &str = "SELECT dirty OR suspect FROM clinicwire.view \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3";

/// Which aggregates are verified.
#[derive(Debug, Clone, Default)]
pub struct VerifiedScope {
    /// Only this tenant.
    pub tenant: Option<TenantId>,
    /// Only this location.
    pub location: Option<LocationId>,
}

/// The result for one aggregate.
pub struct ComparedAggregate {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// Its stored position.
    pub position: Position,
    /// Versions in the journal.
    pub versions: u64,
    /// Stored tickets.
    pub tickets: u64,
    /// Stored appointments.
    pub appointments: u64,
    /// The names of the stored views.
    pub views: Vec<String>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// Verifies the read models of a database. Every read is in a transaction that writes nothing.
pub struct PostgresVerifier {
    client: Client,
    /// Prepared once: planning them over all partitions of the journal takes longer than most
    /// aggregates.
    journal: Statement,
    is_in_archive: Statement,
}

impl PostgresVerifier {
    /// Connects with the role of a processor.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn connect(settings: &ConnectionSettings) -> Result<Self, PostgresError> {
        let client = pool::login(settings).await?;
        let journal = client.prepare(JOURNAL).await?;
        let is_in_archive = client.prepare(IS_IN_ARCHIVE).await?;
        Ok(Self { client, journal, is_in_archive })
    }

    /// The aggregates in scope after `after`, in the order of their keys, one page.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn aggregates(
        &self,
        scope: &VerifiedScope,
        after: Option<&Aggregate>,
    ) -> Result<Vec<Aggregate>, PostgresError> {
        let (tenant, id) = after.map_or(("", ""), parts);
        let tenant_only = scope.tenant.as_ref().map(TenantId::as_str);
        let location = scope.location.as_ref().map(LocationId::as_str);
        let rows =
            self.client.query(AGGREGATES, &[&tenant, &id, &tenant_only, &location, &PAGE]).await?;
        rows.iter().map(key).collect()
    }

    /// Whether the archive alone has the first steps of an aggregate, so that a fold must begin
    /// with its snapshot.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn begins_in_archive(&self, aggregate: &Aggregate) -> Result<bool, PostgresError> {
        let (tenant, id) = parts(aggregate);
        Ok(self.client.query_one(&self.is_in_archive, &[&tenant, &id]).await?.get(0))
    }

    /// Folds the journal of an aggregate since its snapshot, or from its begin, and compares
    /// everything stored of it, at one moment. `None` when the aggregate does not exist any more.
    /// `progress` hears of versions read.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn compare(
        &mut self,
        aggregate: &Aggregate,
        snapshot: Option<AggregateSnapshot>,
        progress: impl Fn(u64),
    ) -> Result<Option<ComparedAggregate>, PostgresError> {
        let compared = self.compare_and_keep(aggregate, snapshot, progress).await?;
        Ok(compared.map(|(compared, _)| compared))
    }

    /// The connection, and the statement that reads the journal of an aggregate.
    pub(super) fn parts(&mut self) -> (&mut Client, &Statement) {
        (&mut self.client, &self.journal)
    }

    /// The same, and the fold.
    pub(super) async fn compare_and_keep(
        &mut self,
        aggregate: &Aggregate,
        snapshot: Option<AggregateSnapshot>,
        progress: impl Fn(u64),
    ) -> Result<Option<(ComparedAggregate, FoldedAggregate)>, PostgresError> {
        let transaction = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let (tenant, id) = parts(aggregate);
        let Some(row) = transaction.query_opt(AGGREGATE, &[&tenant, &id]).await? else {
            return Ok(None);
        };
        let position = Position { epoch: unsigned(&row, 0), version: unsigned(&row, 1) };
        let mut fold = match snapshot {
            Some(snapshot) => {
                FoldedAggregate::from_snapshot(aggregate.clone(), snapshot, position.epoch)
            }
            None => FoldedAggregate::new(aggregate.clone(), position.epoch),
        };
        fold_rows(&transaction, &self.journal, aggregate, &mut fold, progress).await?;
        let mut compared = ComparedAggregate {
            aggregate: aggregate.clone(),
            position,
            versions: fold.steps(),
            tickets: 0,
            appointments: 0,
            views: Vec::new(),
            differences: fold.journal_differences().to_vec(),
        };
        if compared.differences.is_empty() {
            compared.differences = compare_header(&fold, position, row.get(2));
            if aggregate.kind() == AggregateKind::Location {
                compare_parts(&transaction, &fold, &mut compared).await?;
            }
            compare_views(&transaction, &fold, &mut compared).await?;
        }
        transaction.commit().await?;
        Ok(Some((compared, fold)))
    }

    /// A stored view as of now. `None` when it does not exist or is no longer kept.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn view(
        &mut self,
        aggregate: &Aggregate,
        name: &str,
    ) -> Result<Option<View>, PostgresError> {
        let transaction = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        read_view(&transaction, aggregate, name).await
    }

    /// Whether the view is marked for repair.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn is_marked(
        &self,
        aggregate: &Aggregate,
        name: &str,
    ) -> Result<bool, PostgresError> {
        let (tenant, id) = parts(aggregate);
        let row = self.client.query_opt(MARKS, &[&tenant, &id, &name]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }
}

/// Folds the steps that came since.
pub(super) async fn continue_fold(
    transaction: &Transaction<'_>,
    journal: &Statement,
    aggregate: &Aggregate,
    fold: &mut FoldedAggregate,
) -> Result<(), PostgresError> {
    fold_rows(transaction, journal, aggregate, fold, |_| {}).await
}

async fn fold_rows(
    transaction: &Transaction<'_>,
    journal: &Statement,
    aggregate: &Aggregate,
    fold: &mut FoldedAggregate,
    progress: impl Fn(u64),
) -> Result<(), PostgresError> {
    let (tenant, id) = parts(aggregate);
    let after = long(fold.state().position().version);
    let journal = transaction.bind(journal, &[&tenant, &id, &after]).await?;
    loop {
        let rows = transaction.query_portal(&journal, JOURNAL_ROWS).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            fold.apply(&step(row)?);
        }
        progress(rows.len() as u64);
    }
}

fn step(row: &Row) -> Result<JournalStep, PostgresError> {
    Ok(JournalStep {
        position: Position { epoch: unsigned(row, 0), version: unsigned(row, 1) },
        at: row.get(2),
        events: json(row.get(3), "events of the journal")?,
    })
}

fn compare_header(fold: &FoldedAggregate, stored: Position, header: &str) -> Vec<Difference> {
    let aggregate = fold.aggregate();
    match AggregateHeader::from_json(aggregate.kind(), header) {
        Ok(header) => fold.compare_aggregate(stored, &header),
        Err(_) => {
            vec![Difference::new(Compared::Aggregate, How::Unreadable, aggregate.as_str())]
        }
    }
}

/// Compares tickets and appointments, as they arrive.
async fn compare_parts(
    transaction: &Transaction<'_>,
    fold: &FoldedAggregate,
    compared: &mut ComparedAggregate,
) -> Result<(), PostgresError> {
    let (tenant, id) = parts(&compared.aggregate);
    let mut tickets = HashSet::new();
    let mut rows = pin!(transaction.query_raw(TICKETS, [tenant, id]).await?);
    while let Some(row) = rows.try_next().await? {
        let stored = ticket(&row)?;
        compared.differences.extend(fold.compare_ticket(&stored));
        tickets.insert(stored.id);
    }
    let mut appointments = HashSet::new();
    let mut rows = pin!(transaction.query_raw(APPOINTMENTS, [tenant, id]).await?);
    while let Some(row) = rows.try_next().await? {
        let stored = appointment(&row)?;
        compared.differences.extend(fold.compare_appointment(&stored));
        appointments.insert(stored.id);
    }
    (compared.tickets, compared.appointments) = (tickets.len() as u64, appointments.len() as u64);
    let row = transaction.query_one(RETIRED_BEFORE, &[]).await?;
    let retired = RetiredBefore { tickets: row.get(0), appointments: row.get(1) };
    let (has_ticket, has_appointment) =
        (|id: &_| tickets.contains(id), |id: &_| appointments.contains(id));
    compared.differences.extend(fold.missing_parts(&retired, has_ticket, has_appointment));
    Ok(())
}

/// Compares the views that are kept, one at a time.
async fn compare_views(
    transaction: &Transaction<'_>,
    fold: &FoldedAggregate,
    compared: &mut ComparedAggregate,
) -> Result<(), PostgresError> {
    let (tenant, id) = parts(&compared.aggregate);
    let rows = transaction.query(VIEWS, &[&tenant, &id]).await?;
    compared.views = rows.iter().map(|row| row.get(0)).collect();
    for name in &compared.views {
        if let Some(stored) = read_view(transaction, &compared.aggregate, name).await? {
            compared.differences.extend(fold.compare_view(name, &stored));
        }
    }
    let stored: HashSet<&str> = compared.views.iter().map(String::as_str).collect();
    compared.differences.extend(fold.missing_views(|name| stored.contains(name)));
    Ok(())
}

async fn read_view(
    transaction: &Transaction<'_>,
    aggregate: &Aggregate,
    name: &str,
) -> Result<Option<View>, PostgresError> {
    let (tenant, id) = parts(aggregate);
    let Some(row) = transaction.query_opt(VIEW, &[&tenant, &id, &name]).await? else {
        return Ok(None);
    };
    let entries = transaction.query(ENTRIES, &[&tenant, &id, &name]).await?;
    stored_view(&row, entries).map(Some)
}
