//! Alerts in memory: devices by ticket, and the alerts that are due. The batches of the ledger
//! change both, and a sender takes alerts. At most one alert is due for each device.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use processors::{
    alerts::{
        Alert, AlertChange, AlertFuture, AlertName, AlertRow, AlertStore, DueAlert, service_origin,
    },
    ledger::Batch,
};
use schemas::{
    Millis,
    ids::{TenantId, TicketId},
    push::{DeviceId, PushDevice},
};

use super::{Clock, lock};

type Key = (TenantId, TicketId, DeviceId);

/// The devices and due alerts of one ledger.
pub struct MemoryAlerts {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    devices: BTreeMap<Key, (PushDevice, Millis)>,
    due: BTreeMap<Key, Row>,
    /// The number of the last alert.
    count: i64,
}

struct Row {
    number: i64,
    alert: Alert,
    device: PushDevice,
    tries: u32,
    not_before: Millis,
}

impl MemoryAlerts {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Applies a batch of the ledger.
    pub fn committed(&self, batch: &Batch) {
        let now = (self.clock)();
        let mut state = lock(&self.state);
        batch.alerts.iter().for_each(|row| state.apply(row, now));
    }

    /// Answers from the current state. The lock is never held over an await.
    fn answer<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut State, Millis) -> T + Send + 'a,
    ) -> AlertFuture<'a, T> {
        Box::pin(async move { Ok(ask(&mut lock(&self.state), (self.clock)())) })
    }
}

impl State {
    fn apply(&mut self, AlertRow { tenant, change }: &AlertRow, now: Millis) {
        let is_of = |(of, held, _): &Key, ticket: &TicketId| of == tenant && held == ticket;
        match change {
            AlertChange::Subscribe { ticket, device } => {
                let key = (tenant.clone(), ticket.clone(), device.id());
                self.devices.insert(key, (device.clone(), now));
            }
            AlertChange::Unsubscribe { ticket, device } => {
                let key = (tenant.clone(), ticket.clone(), *device);
                self.devices.remove(&key);
                self.due.remove(&key);
            }
            AlertChange::Send(alert) => self.send(tenant, alert, now),
            AlertChange::Withdraw { ticket } => self.due.retain(|key, _| !is_of(key, ticket)),
            AlertChange::Forget { ticket } => self.devices.retain(|key, _| !is_of(key, ticket)),
        }
    }

    fn send(&mut self, tenant: &TenantId, alert: &Alert, now: Millis) {
        let Self { devices, due, count } = self;
        for (key, (device, _)) in devices.iter() {
            if (&key.0, &key.1) == (tenant, &alert.ticket) {
                *count += 1;
                let (alert, device) = (alert.clone(), device.clone());
                let row = Row { number: *count, alert, device, tries: 0, not_before: now };
                due.insert(key.clone(), row);
            }
        }
    }

    fn row(&mut self, name: &AlertName) -> Option<(Key, &mut Row)> {
        let key = (name.tenant.clone(), name.ticket.clone(), name.device);
        let row = self.due.get_mut(&key).filter(|row| row.number == name.number)?;
        Some((key, row))
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

impl AlertStore for MemoryAlerts {
    fn take<'a>(
        &'a self,
        limit: u32,
        lease: Duration,
        busy: &'a BTreeSet<String>,
        resting: &'a BTreeSet<TenantId>,
    ) -> AlertFuture<'a, Vec<DueAlert>> {
        self.answer(move |state, now| {
            let is_free = |row: &Row| !busy.contains(&service_origin(&row.device));
            let mut due: Vec<(&Key, &mut Row)> = state
                .due
                .iter_mut()
                .filter(|((tenant, ..), row)| {
                    row.not_before <= now && is_free(row) && !resting.contains(tenant)
                })
                .collect();
            due.sort_by_key(|(_, row)| (row.not_before, row.number));
            let take = |((tenant, ticket, device), row): (&Key, &mut Row)| {
                row.tries += 1;
                row.not_before = now.saturating_add(millis(lease));
                DueAlert {
                    name: AlertName {
                        tenant: tenant.clone(),
                        ticket: ticket.clone(),
                        device: *device,
                        number: row.number,
                    },
                    alert: row.alert.clone(),
                    device: row.device.clone(),
                    tries: row.tries,
                }
            };
            due.into_iter().take(limit as usize).map(take).collect()
        })
    }

    fn end<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()> {
        self.answer(move |state, _| {
            if let Some((key, _)) = state.row(name) {
                state.due.remove(&key);
            }
        })
    }

    fn retry<'a>(&'a self, name: &'a AlertName, pause: Duration) -> AlertFuture<'a, ()> {
        self.answer(move |state, now| {
            if let Some((_, row)) = state.row(name) {
                row.not_before = now.saturating_add(millis(pause));
            }
        })
    }

    fn remove_device<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()> {
        self.answer(move |state, _| {
            let key = (name.tenant.clone(), name.ticket.clone(), name.device);
            state.devices.remove(&key);
            state.due.remove(&key);
        })
    }

    fn devices<'a>(&'a self, tenant: &'a TenantId, ticket: &'a TicketId) -> AlertFuture<'a, usize> {
        self.answer(move |state, _| {
            state.devices.keys().filter(|(of, held, _)| of == tenant && held == ticket).count()
        })
    }

    fn sweep(&self, age: Duration) -> AlertFuture<'_, u64> {
        self.answer(move |state, now| {
            let before = state.devices.len();
            let oldest = now.saturating_sub(millis(age));
            state.devices.retain(|_, (_, at)| *at >= oldest);
            (before - state.devices.len()) as u64
        })
    }
}
