//! Alerts on PostgreSQL: the rows of a batch, and the store that senders take from.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemas::{
    ids::{TenantId, TicketId},
    push::{DeviceId, PushDevice, PushKeys},
};
use tokio_postgres::{Row, types::ToSql};

use super::{
    OPERATION_TIMEOUT, PoolSettings, PostgresError,
    columns::{Parameter, column},
    pool::LeasePool,
    writes::{BatchWrites, RequiredRows},
};
use crate::{
    alerts::{
        Alert, AlertChange, AlertFuture, AlertName, AlertRow, AlertStore, AlertStoreError,
        DueAlert, service_origin,
    },
    ledger::Batch,
};

const SUBSCRIBE: &str = "INSERT INTO clinicwire.alert_device AS d \
       (tenant, ticket, device, endpoint, p256dh, auth, origin) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::text[]) \
     ON CONFLICT (tenant, ticket, device) DO UPDATE \
     SET p256dh = excluded.p256dh, auth = excluded.auth";

const UNSUBSCRIBE: &str = "WITH gone AS ( \
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS s (tenant, ticket, device)), \
     silent AS (DELETE FROM clinicwire.alert a USING gone \
       WHERE a.tenant = gone.tenant AND a.ticket = gone.ticket AND a.device = gone.device) \
     DELETE FROM clinicwire.alert_device d USING gone \
     WHERE d.tenant = gone.tenant AND d.ticket = gone.ticket AND d.device = gone.device";

const WITHDRAW: &str = "DELETE FROM clinicwire.alert a \
     USING unnest($1::text[], $2::text[]) AS s (tenant, ticket) \
     WHERE a.tenant = s.tenant AND a.ticket = s.ticket";

const SEND: &str = "INSERT INTO clinicwire.alert \
       (tenant, ticket, device, origin, kind, label, room, at, endpoint, p256dh, auth) \
     SELECT d.tenant, d.ticket, d.device, d.origin, s.kind, s.label, s.room, s.at, d.endpoint, \
       d.p256dh, d.auth \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) \
       AS s (tenant, ticket, kind, label, room, at) \
     JOIN clinicwire.alert_device d ON d.tenant = s.tenant AND d.ticket = s.ticket \
     ON CONFLICT (tenant, ticket, device) DO UPDATE \
     SET number = excluded.number, kind = excluded.kind, label = excluded.label, \
       room = excluded.room, at = excluded.at, endpoint = excluded.endpoint, \
       p256dh = excluded.p256dh, auth = excluded.auth, tries = 0, not_before = clock_timestamp()";

const FORGET: &str = "DELETE FROM clinicwire.alert_device d \
     USING unnest($1::text[], $2::text[]) AS s (tenant, ticket) \
     WHERE d.tenant = s.tenant AND d.ticket = s.ticket";

const TAKE: &str = "UPDATE clinicwire.alert a SET tries = tries + 1, \
       not_before = clock_timestamp() + make_interval(secs => $2) \
     FROM (SELECT tenant, ticket, device FROM clinicwire.alert \
       WHERE not_before <= clock_timestamp() AND origin <> ALL ($3::text[]) \
         AND tenant <> ALL ($4::text[]) \
       ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED) due \
     WHERE a.tenant = due.tenant AND a.ticket = due.ticket AND a.device = due.device \
     RETURNING a.tenant, a.ticket, a.device, a.number, a.kind, a.label, a.room, a.at, a.endpoint, \
       a.p256dh, a.auth, a.tries";

const END: &str = "DELETE FROM clinicwire.alert \
     WHERE tenant = $1 AND ticket = $2 AND device = $3 AND number = $4";

const RETRY: &str = "UPDATE clinicwire.alert \
     SET not_before = clock_timestamp() + make_interval(secs => $5) \
     WHERE tenant = $1 AND ticket = $2 AND device = $3 AND number = $4";

const REMOVE_DEVICE: &str = "WITH silent AS (DELETE FROM clinicwire.alert \
       WHERE tenant = $1 AND ticket = $2 AND device = $3) \
     DELETE FROM clinicwire.alert_device WHERE tenant = $1 AND ticket = $2 AND device = $3";

const DEVICES: &str =
    "SELECT count(*) FROM clinicwire.alert_device WHERE tenant = $1 AND ticket = $2";

const SWEEP: &str = "DELETE FROM clinicwire.alert_device \
     WHERE subscribed_at < clock_timestamp() - make_interval(secs => $1)";

/// The changes of a batch, of which only the last one counts for each ticket and device. The
/// statements of these sets follow in the order of the fields.
#[derive(Default)]
struct AlertRows<'a> {
    subscribed: BTreeMap<(&'a TenantId, &'a TicketId, DeviceId), &'a PushDevice>,
    unsubscribed: BTreeSet<(&'a TenantId, &'a TicketId, DeviceId)>,
    withdrawn: BTreeSet<(&'a TenantId, &'a TicketId)>,
    sent: BTreeMap<(&'a TenantId, &'a TicketId), &'a Alert>,
    forgotten: BTreeSet<(&'a TenantId, &'a TicketId)>,
}

impl<'a> AlertRows<'a> {
    fn new(rows: impl IntoIterator<Item = &'a AlertRow>) -> Self {
        let mut sets = Self::default();
        for AlertRow { tenant, change } in rows {
            match change {
                AlertChange::Subscribe { ticket, device } => {
                    let name = (tenant, ticket, device.id());
                    sets.unsubscribed.remove(&name);
                    sets.forgotten.remove(&(tenant, ticket));
                    sets.subscribed.insert(name, device);
                }
                AlertChange::Unsubscribe { ticket, device } => {
                    sets.subscribed.remove(&(tenant, ticket, *device));
                    sets.unsubscribed.insert((tenant, ticket, *device));
                }
                AlertChange::Withdraw { ticket } => {
                    sets.sent.remove(&(tenant, ticket));
                    sets.withdrawn.insert((tenant, ticket));
                }
                AlertChange::Send(alert) => {
                    sets.sent.insert((tenant, &alert.ticket), alert);
                }
                AlertChange::Forget { ticket } => {
                    sets.forgotten.insert((tenant, ticket));
                }
            }
        }
        sets
    }
}

/// Tenants and tickets as two columns.
fn tickets<'a>(names: &BTreeSet<(&'a TenantId, &'a TicketId)>) -> (usize, Vec<Parameter<'a>>) {
    let names: Vec<_> = names.iter().collect();
    let columns = vec![
        column(&names, |(tenant, _)| tenant.as_str()),
        column(&names, |(_, ticket)| ticket.as_str()),
    ];
    (names.len(), columns)
}

impl<'a> BatchWrites<'a> {
    /// Adds the changes of devices and due alerts.
    pub(super) fn add_alerts(&mut self, batches: &[&'a Batch]) {
        let rows = batches.iter().flat_map(|batch| &batch.alerts);
        let AlertRows { subscribed, unsubscribed, withdrawn, sent, forgotten } =
            AlertRows::new(rows);
        let names: Vec<_> = subscribed.into_iter().collect();
        let parameters = vec![
            column(&names, |((tenant, ..), _)| tenant.as_str()),
            column(&names, |((_, ticket, _), _)| ticket.as_str()),
            column(&names, |((.., device), _)| device.to_string()),
            column(&names, |(_, device)| device.endpoint.as_str()),
            column(&names, |(_, device)| device.keys.p256dh.as_str()),
            column(&names, |(_, device)| device.keys.auth.as_str()),
            column(&names, |(_, device)| service_origin(device)),
        ];
        self.add(SUBSCRIBE, names.len(), RequiredRows::Any, parameters);
        let names: Vec<_> = unsubscribed.into_iter().collect();
        let parameters = vec![
            column(&names, |(tenant, ..)| tenant.as_str()),
            column(&names, |(_, ticket, _)| ticket.as_str()),
            column(&names, |(.., device)| device.to_string()),
        ];
        self.add(UNSUBSCRIBE, names.len(), RequiredRows::Any, parameters);
        let (count, parameters) = tickets(&withdrawn);
        self.add(WITHDRAW, count, RequiredRows::Any, parameters);
        let alerts: Vec<_> = sent.into_iter().collect();
        let parameters = vec![
            column(&alerts, |((tenant, _), _)| tenant.as_str()),
            column(&alerts, |((_, ticket), _)| ticket.as_str()),
            column(&alerts, |(_, alert)| alert.kind.as_str()),
            column(&alerts, |(_, alert)| alert.label.as_str()),
            column(&alerts, |(_, alert)| alert.room.as_deref()),
            column(&alerts, |(_, alert)| alert.at),
        ];
        self.add(SEND, alerts.len(), RequiredRows::Any, parameters);
        let (count, parameters) = tickets(&forgotten);
        self.add(FORGET, count, RequiredRows::Any, parameters);
    }
}

/// The alert store in one database.
pub struct PostgresAlerts {
    pool: LeasePool,
}

impl From<PostgresError> for AlertStoreError {
    fn from(failure: PostgresError) -> Self {
        Self(Box::new(failure))
    }
}

/// Limits an operation, for connections that died without notice.
async fn bounded<T>(
    operation: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, AlertStoreError> {
    match tokio::time::timeout(OPERATION_TIMEOUT, operation).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(PostgresError::TimedOut.into()),
    }
}

impl PostgresAlerts {
    /// Connects when the first connection is needed. Two are enough: every statement finds a few
    /// rows by key.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        Ok(Self { pool: LeasePool::new(settings)? })
    }

    async fn execute(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        let lease = self.pool.lease().await?;
        let statement = lease.prepare_cached(sql).await?;
        let rows = lease.execute(&statement, parameters).await?;
        lease.give_back();
        Ok(rows)
    }

    async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let lease = self.pool.lease().await?;
        let statement = lease.prepare_cached(sql).await?;
        let rows = lease.query(&statement, parameters).await?;
        lease.give_back();
        Ok(rows)
    }

    /// A statement about one alert or one device.
    fn about<'a>(
        &'a self,
        sql: &'static str,
        name: &'a AlertName,
        pause: Option<Duration>,
    ) -> AlertFuture<'a, ()> {
        Box::pin(bounded(async move {
            let device = name.device.to_string();
            let (tenant, ticket) = (name.tenant.as_str(), name.ticket.as_str());
            let seconds = pause.map(|pause| pause.as_secs_f64());
            let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&tenant, &ticket, &device];
            if sql != REMOVE_DEVICE {
                parameters.push(&name.number);
            }
            if let Some(seconds) = &seconds {
                parameters.push(seconds);
            }
            self.execute(sql, &parameters).await.map(drop)
        }))
    }
}

impl AlertStore for PostgresAlerts {
    fn take<'a>(
        &'a self,
        limit: u32,
        lease: Duration,
        busy: &'a BTreeSet<String>,
        resting: &'a BTreeSet<TenantId>,
    ) -> AlertFuture<'a, Vec<DueAlert>> {
        Box::pin(bounded(async move {
            let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
            let (limit, seconds) = (i64::from(limit), lease.as_secs_f64());
            let resting: Vec<&str> = resting.iter().map(TenantId::as_str).collect();
            let rows = self.query(TAKE, &[&limit, &seconds, &busy, &resting]).await?;
            rows.iter().map(due_alert).collect()
        }))
    }

    fn end<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()> {
        self.about(END, name, None)
    }

    fn retry<'a>(&'a self, name: &'a AlertName, pause: Duration) -> AlertFuture<'a, ()> {
        self.about(RETRY, name, Some(pause))
    }

    fn remove_device<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()> {
        self.about(REMOVE_DEVICE, name, None)
    }

    fn devices<'a>(&'a self, tenant: &'a TenantId, ticket: &'a TicketId) -> AlertFuture<'a, usize> {
        Box::pin(bounded(async move {
            let rows = self.query(DEVICES, &[&tenant.as_str(), &ticket.as_str()]).await?;
            let count: i64 = rows.first().map_or(0, |row| row.get(0));
            Ok(usize::try_from(count).unwrap_or_default())
        }))
    }

    fn sweep(&self, age: Duration) -> AlertFuture<'_, u64> {
        Box::pin(bounded(async move { self.execute(SWEEP, &[&age.as_secs_f64()]).await }))
    }
}

fn due_alert(row: &Row) -> Result<DueAlert, PostgresError> {
    let unreadable = || PostgresError::Unreadable("an alert");
    let text = |index: usize| row.get::<_, String>(index);
    let ticket = TicketId::new(text(1)).map_err(|_| unreadable())?;
    Ok(DueAlert {
        name: AlertName {
            tenant: TenantId::new(text(0)).map_err(|_| unreadable())?,
            ticket: ticket.clone(),
            device: text(2).parse().map_err(|_| unreadable())?,
            number: row.get(3),
        },
        alert: Alert {
            ticket,
            kind: text(4).parse().map_err(|()| unreadable())?,
            label: text(5),
            room: row.get(6),
            at: row.get(7),
        },
        device: PushDevice {
            endpoint: text(8),
            keys: PushKeys { p256dh: text(9), auth: text(10) },
        },
        tries: u32::try_from(row.get::<_, i32>(11)).unwrap_or_default(),
    })
}
