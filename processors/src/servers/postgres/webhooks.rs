//! Webhooks on PostgreSQL: the rows of a batch, and the store that senders take from.

mod statements;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemas::{
    Millis,
    ids::{EventId, TenantId, WebhookId},
    view::Position,
    webhook::{PreviousSecret, Replay, Webhook},
};
use tokio_postgres::{Row, types::ToSql};

use self::statements::{
    COUNT, DELETE, DELETE_QUEUE, END_TASK, EVENTS, FAIL, FINISH, FORGET_DELIVERIES, FORGET_EVENTS,
    GIVE_UP, MOVE_TASK, QUEUE, REPLAY, REPLAY_EVENT, REPLAY_EVENTS, REVIVE_DEAD, STORE, TAKE, TASK,
    WORK,
};
use super::{
    OPERATION_TIMEOUT, PoolSettings, PostgresError,
    columns::{Parameter, column, to_json},
    long,
    pool::{Lease, LeasePool},
    writes::{BatchWrites, RequiredRows},
};
use crate::{
    ledger::Batch,
    webhooks::{
        DeliveryName, DueDelivery, Finished, NextStep, OutwardRow, PROBE_FROM, UnderWay,
        WebhookChange, WebhookFuture, WebhookName, WebhookStore, WebhookStoreError, WebhookTotals,
    },
};

type Key<'a> = (&'a TenantId, &'a WebhookId);

impl<'a> BatchWrites<'a> {
    /// Adds outward events and the changes of webhooks. Of changes of one webhook in one
    /// transaction, the last one counts.
    pub(super) fn add_webhooks(&mut self, batches: &[&'a Batch]) {
        let events: Vec<&OutwardRow> = batches.iter().flat_map(|batch| &batch.outward).collect();
        let parameters = vec![
            column(&events, |row| row.tenant.as_str()),
            column(&events, |row| row.event.as_str()),
            column(&events, |row| row.location.as_ref().map(|location| location.as_str())),
            column(&events, |row| row.kind),
            column(&events, |row| row.webhook.as_ref().map(WebhookId::as_str)),
            column(&events, |row| row.at),
            column(&events, |row| String::from_utf8_lossy(&row.body).into_owned()),
        ];
        self.add(EVENTS, events.len(), RequiredRows::Any, parameters);
        let (mut stored, mut gone) = (BTreeMap::new(), Vec::new());
        let mut replays: Vec<(Key<'a>, &'a Replay)> = Vec::new();
        for row in batches.iter().flat_map(|batch| &batch.webhooks) {
            match &row.change {
                WebhookChange::Store(webhook) => {
                    stored.insert((&row.tenant, &webhook.webhook), webhook);
                }
                WebhookChange::Delete(webhook) => {
                    stored.remove(&(&row.tenant, webhook));
                    gone.push((&row.tenant, webhook));
                }
                WebhookChange::Replay(webhook, replay) => {
                    replays.push(((&row.tenant, webhook), replay));
                }
            }
        }
        let rows: Vec<(Key<'_>, &Webhook)> = stored.into_iter().collect();
        self.add(STORE, rows.len(), RequiredRows::Any, stored_columns(&rows));
        let parameters = vec![
            column(&gone, |(tenant, _)| tenant.as_str()),
            column(&gone, |(_, webhook)| webhook.as_str()),
        ];
        self.add(DELETE, gone.len(), RequiredRows::Any, parameters);
        let parameters = vec![
            column(&replays, |((tenant, _), _)| tenant.as_str()),
            column(&replays, |((_, webhook), _)| webhook.as_str()),
            column(&replays, |(_, replay)| match replay {
                Replay::Event { .. } => "event",
                Replay::Dead {} => "dead",
                Replay::Time { .. } => "time",
            }),
            column(&replays, |(_, replay)| match replay {
                Replay::Event { event } => Some(event.as_str()),
                _ => None,
            }),
            column(&replays, |(_, replay)| match replay {
                Replay::Time { from, .. } => Some(*from),
                _ => None,
            }),
            column(&replays, |(_, replay)| match replay {
                Replay::Time { until, .. } => Some(*until),
                _ => None,
            }),
        ];
        self.add(REPLAY, replays.len(), RequiredRows::Any, parameters);
    }
}

fn stored_columns<'a>(rows: &[(Key<'a>, &'a Webhook)]) -> Vec<Parameter<'a>> {
    let previous = |read: fn(&PreviousSecret) -> i64| {
        column(rows, move |(_, webhook)| webhook.previous.as_ref().map(read))
    };
    vec![
        column(rows, |((tenant, _), _)| tenant.as_str()),
        column(rows, |((_, webhook), _)| webhook.as_str()),
        column(rows, |(_, webhook)| webhook.settings.url.as_str()),
        column(rows, |(_, webhook)| to_json(&webhook.settings.events)),
        column(rows, |(_, webhook)| to_json(&webhook.settings.locations)),
        column(rows, |(_, webhook)| webhook.state.as_str()),
        column(rows, |(_, webhook)| long(webhook.secret.epoch)),
        column(rows, |(_, webhook)| long(webhook.secret.version)),
        previous(|previous| long(previous.secret.epoch)),
        previous(|previous| long(previous.secret.version)),
        previous(|previous| previous.until),
    ]
}

/// The store of webhooks in one database.
pub struct PostgresWebhooks {
    pool: LeasePool,
}

impl From<PostgresError> for WebhookStoreError {
    fn from(failure: PostgresError) -> Self {
        Self(Box::new(failure))
    }
}

/// Limits an operation, for connections that died without notice.
async fn bounded<T>(
    operation: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, WebhookStoreError> {
    match tokio::time::timeout(OPERATION_TIMEOUT, operation).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(PostgresError::TimedOut.into()),
    }
}

impl Lease {
    async fn rows(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.query(&statement, parameters).await?)
    }

    async fn count(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.execute(&statement, parameters).await?)
    }
}

impl PostgresWebhooks {
    /// Connects when the first connection is needed.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        Ok(Self { pool: LeasePool::new(settings)? })
    }

    async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let lease = self.pool.lease().await?;
        let rows = lease.rows(sql, parameters).await?;
        lease.give_back();
        Ok(rows)
    }

    /// Stores the ends of attempts in one transaction.
    async fn store_ends(&self, finished: &[Finished]) -> Result<(), PostgresError> {
        let lease = self.pool.lease().await?;
        lease.batch_execute("BEGIN").await?;
        let all: Vec<&Finished> = finished.iter().collect();
        let ends = [
            column(&all, |end| end.name.of.tenant.as_str()),
            column(&all, |end| end.name.of.webhook.as_str()),
            column(&all, |end| end.name.seq),
            column(&all, |end| i32::try_from(end.name.tries).unwrap_or(i32::MAX)),
            column(&all, |end| match end.next {
                NextStep::Sent => "sent",
                NextStep::Retry { .. } => "pending",
                NextStep::Dead { .. } => "dead",
            }),
            column(&all, |end| match end.next {
                NextStep::Retry { pause, .. } => pause.as_secs_f64(),
                _ => 0.0,
            }),
            column(&all, |end| to_json(&end.attempt)),
        ];
        let (fails, works) = notes(finished);
        let fail = [
            column(&fails, |(of, _)| of.tenant.as_str()),
            column(&fails, |(of, _)| of.webhook.as_str()),
            column(&fails, |(_, (failures, _))| *failures),
            column(&fails, |(_, (_, rest))| rest.as_secs_f64()),
        ];
        let work =
            [column(&works, |of| of.tenant.as_str()), column(&works, |of| of.webhook.as_str())];
        lease.count(FINISH, &references(&ends)).await?;
        lease.count(FAIL, &references(&fail)).await?;
        lease.count(WORK, &references(&work)).await?;
        lease.batch_execute("COMMIT").await?;
        lease.give_back();
        Ok(())
    }

    /// A part of the first task.
    async fn step(&self, limit: u32) -> Result<bool, PostgresError> {
        let lease = self.pool.lease().await?;
        lease.batch_execute("BEGIN").await?;
        let tasks = lease.rows(TASK, &[]).await?;
        if let Some(task) = tasks.first() {
            carry_out(&lease, task, i64::from(limit)).await?;
        }
        lease.batch_execute("COMMIT").await?;
        lease.give_back();
        Ok(!tasks.is_empty())
    }
}

fn references<'a>(parameters: &'a [Parameter<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect()
}

/// The webhooks whose last attempts failed, with the waves that have failed in a row and the
/// longest rest, and those where one succeeded.
type Notes<'a> = (Vec<(&'a WebhookName, (i32, Duration))>, Vec<&'a WebhookName>);

fn notes(finished: &[Finished]) -> Notes<'_> {
    let (mut fails, mut works) = (BTreeMap::<_, (i32, Duration)>::new(), BTreeMap::new());
    for end in finished {
        let of = &end.name.of;
        match end.next {
            NextStep::Sent => {
                works.insert(of, ());
            }
            NextStep::Retry { rest, .. } | NextStep::Dead { rest } => {
                let waves = i32::try_from(end.failures.saturating_add(1)).unwrap_or(i32::MAX);
                let (failures, longest) = fails.entry(of).or_default();
                (*failures, *longest) = ((*failures).max(waves), (*longest).max(rest));
            }
        }
    }
    // A success beside failures shows that the receiver works.
    fails.retain(|of, _| !works.contains_key(of));
    (fails.into_iter().collect(), works.into_keys().collect())
}

async fn carry_out(lease: &Lease, task: &Row, limit: i64) -> Result<(), PostgresError> {
    let number: i64 = task.get(0);
    let (tenant, webhook): (&str, &str) = (task.get(1), task.get(2));
    let is_done = match task.get::<_, &str>(3) {
        "delete" => {
            let gone = lease.count(DELETE_QUEUE, &[&tenant, &webhook, &limit]).await?;
            i64::try_from(gone).unwrap_or(i64::MAX) < limit
        }
        "dead" => {
            let again = lease.count(REVIVE_DEAD, &[&tenant, &webhook, &limit, &number]).await?;
            i64::try_from(again).unwrap_or(i64::MAX) < limit
        }
        "event" => {
            let event: Option<&str> = task.get(4);
            lease.count(REPLAY_EVENT, &[&tenant, &webhook, &event]).await?;
            true
        }
        _ => {
            let (since, until): (Option<Millis>, Option<Millis>) = (task.get(5), task.get(6));
            let (since, until, after) =
                (since.unwrap_or_default(), until.unwrap_or_default(), task.get::<_, i64>(7));
            let parameters: [&(dyn ToSql + Sync); 6] =
                [&tenant, &webhook, &since, &after, &until, &limit];
            match lease.rows(REPLAY_EVENTS, &parameters).await?.first() {
                Some(last) => {
                    let (at, seq): (Millis, i64) = (last.get(0), last.get(1));
                    lease.count(MOVE_TASK, &[&number, &at, &seq]).await?;
                    false
                }
                None => true,
            }
        }
    };
    if is_done {
        lease.count(END_TASK, &[&number]).await?;
    }
    Ok(())
}

impl WebhookStore for PostgresWebhooks {
    fn queue(&self, limit: u32, full: u32) -> WebhookFuture<'_, u64> {
        Box::pin(bounded(async move {
            let (limit, full) = (i64::from(limit), i64::from(full));
            let rows = self.query(QUEUE, &[&limit, &full]).await?;
            Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
        }))
    }

    fn carry_out(&self, limit: u32) -> WebhookFuture<'_, bool> {
        Box::pin(bounded(self.step(limit)))
    }

    fn take<'a>(
        &'a self,
        limit: u32,
        places: u32,
        lease: Duration,
        under_way: &'a UnderWay,
        resting: &'a BTreeSet<TenantId>,
    ) -> WebhookFuture<'a, Vec<DueDelivery>> {
        Box::pin(bounded(async move {
            let busy: Vec<_> = under_way.iter().collect();
            let tenants: Vec<&str> = busy.iter().map(|(of, _)| of.tenant.as_str()).collect();
            let webhooks: Vec<&str> = busy.iter().map(|(of, _)| of.webhook.as_str()).collect();
            let counts: Vec<i64> = busy.iter().map(|(_, count)| i64::from(**count)).collect();
            let (limit, places) = (i64::from(limit), i64::from(places));
            let (seconds, probe) = (lease.as_secs_f64(), i32::try_from(PROBE_FROM).unwrap_or(1));
            let resting: Vec<&str> = resting.iter().map(TenantId::as_str).collect();
            let parameters: [&(dyn ToSql + Sync); 8] =
                [&limit, &places, &seconds, &probe, &tenants, &webhooks, &counts, &resting];
            let rows = self.query(TAKE, &parameters).await?;
            let mut due: Vec<DueDelivery> = rows.iter().map(delivery).collect::<Result<_, _>>()?;
            due.sort_by_key(|due| due.name.seq);
            Ok(due)
        }))
    }

    fn finish<'a>(&'a self, finished: &'a [Finished]) -> WebhookFuture<'a, ()> {
        Box::pin(bounded(self.store_ends(finished)))
    }

    fn count(&self) -> WebhookFuture<'_, WebhookTotals> {
        Box::pin(bounded(async move {
            let rows = self.query(COUNT, &[]).await?;
            let number = |index: usize| {
                rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(index)).unwrap_or(0))
            };
            let (pending, oldest_ms) = (number(0), number(1));
            Ok(WebhookTotals { pending, oldest_ms, dead: number(2), failing: number(3) })
        }))
    }

    fn sweep(
        &self,
        give_up: Duration,
        keep: Duration,
        limit: u32,
    ) -> WebhookFuture<'_, (u64, bool)> {
        Box::pin(bounded(async move {
            let lease = self.pool.lease().await?;
            let rows = lease.rows("SELECT (extract(epoch FROM now()) * 1000)::bigint", &[]).await?;
            let now: Millis = rows.first().map_or(0, |row| row.get(0));
            let oldest = now - Millis::try_from(keep.as_millis()).unwrap_or(Millis::MAX / 2);
            let limit = i64::from(limit);
            let dead = lease.count(GIVE_UP, &[&give_up.as_secs_f64(), &limit]).await?;
            let deliveries = lease.count(FORGET_DELIVERIES, &[&oldest, &limit]).await?;
            let events = lease.count(FORGET_EVENTS, &[&oldest, &limit]).await?;
            lease.give_back();
            let full = u64::try_from(limit).unwrap_or(u64::MAX);
            Ok((dead, dead.max(deliveries).max(events) >= full))
        }))
    }
}

fn delivery(row: &Row) -> Result<DueDelivery, PostgresError> {
    let unreadable = || PostgresError::Unreadable("a delivery");
    let number = |index: usize| u64::try_from(row.get::<_, i64>(index)).unwrap_or_default();
    let optional = |index: usize| row.get::<_, Option<i64>>(index);
    let previous = match (optional(10), optional(11), optional(12)) {
        (Some(epoch), Some(version), Some(until)) => Some(PreviousSecret {
            secret: Position {
                epoch: u64::try_from(epoch).map_err(|_| unreadable())?,
                version: u64::try_from(version).map_err(|_| unreadable())?,
            },
            until,
        }),
        _ => None,
    };
    Ok(DueDelivery {
        name: DeliveryName {
            of: WebhookName {
                tenant: TenantId::new(row.get::<_, &str>(0)).map_err(|_| unreadable())?,
                webhook: WebhookId::new(row.get::<_, &str>(1)).map_err(|_| unreadable())?,
            },
            seq: row.get(2),
            tries: u32::try_from(row.get::<_, i32>(3)).unwrap_or_default(),
        },
        event: EventId::new(row.get::<_, &str>(4)).map_err(|_| unreadable())?,
        at: row.get(5),
        body: row.get(6),
        url: row.get(7),
        secret: Position { epoch: number(8), version: number(9) },
        previous,
        failures: u32::try_from(row.get::<_, i32>(13)).unwrap_or_default(),
    })
}
