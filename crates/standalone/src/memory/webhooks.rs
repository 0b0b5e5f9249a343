//! Webhooks in memory: events of tenants that have webhooks, and the queue of each webhook. The
//! batches of the ledgers add to both, and a sender takes deliveries.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

use gateway::backends::queries::{DeliveriesQuery, DeliveryPlace, ListedDelivery, WebhookQueue};
use processors::{
    ledger::Batch,
    webhooks::{
        Attempt, DeliveryName, DeliveryState, DueDelivery, Finished, NextStep, OutwardRow,
        PROBE_FROM, UnderWay, WebhookChange, WebhookFuture, WebhookName, WebhookRow, WebhookStore,
        WebhookTotals,
    },
};
use schemas::{
    Millis,
    ids::TenantId,
    webhook::{Replay, Webhook, WebhookState},
};
use serde_json::value::to_raw_value;

use super::{Clock, lock};

/// Most events that are kept, with their deliveries. Past it the oldest is dropped.
const EVENTS: usize = 100_000;

/// The webhooks, events and queues of one installation.
pub struct MemoryWebhooks {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    webhooks: BTreeMap<WebhookName, Endpoint>,
    events: BTreeMap<i64, OutwardRow>,
    /// Events that no queue has yet.
    new: VecDeque<i64>,
    deliveries: BTreeMap<(WebhookName, i64), Delivery>,
    tasks: VecDeque<Task>,
    /// The number of the last event.
    count: i64,
}

struct Endpoint {
    webhook: Webhook,
    failures: u32,
    rests_until: Millis,
}

struct Delivery {
    state: DeliveryState,
    tries: u32,
    leased: bool,
    not_before: Millis,
    queued_at: Millis,
    attempts: Vec<Attempt>,
}

impl Delivery {
    fn new(now: Millis) -> Self {
        let state = DeliveryState::Pending;
        Self {
            state,
            tries: 0,
            leased: false,
            not_before: now,
            queued_at: now,
            attempts: Vec::new(),
        }
    }

    /// Sends it again, with its attempts for the list.
    fn revive(&mut self, now: Millis) {
        let attempts = std::mem::take(&mut self.attempts);
        *self = Self { attempts, ..Self::new(now) };
    }
}

enum Task {
    Replay(WebhookName, Replay),
    Delete(WebhookName),
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

impl MemoryWebhooks {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Applies a batch of a ledger.
    pub fn committed(&self, batch: &Batch) {
        let mut state = lock(&self.state);
        batch.outward.iter().for_each(|row| state.add(row));
        batch.webhooks.iter().for_each(|row| state.apply(row));
    }

    /// The queues of a tenant's webhooks, as a gateway reads them.
    pub fn queues(&self, tenant: &TenantId) -> Vec<WebhookQueue> {
        let state = lock(&self.state);
        let of_tenant = state.webhooks.iter().filter(|(of, _)| of.tenant == *tenant);
        let queue = |(of, endpoint): (&WebhookName, &Endpoint)| WebhookQueue {
            webhook: of.webhook.clone(),
            pending: state.pending(of),
            failures: endpoint.failures,
        };
        of_tenant.map(queue).collect()
    }

    /// Deliveries of a webhook, as a gateway lists them.
    pub fn deliveries(&self, tenant: &TenantId, asked: &DeliveriesQuery) -> Vec<ListedDelivery> {
        let state = lock(&self.state);
        let of = WebhookName { tenant: tenant.clone(), webhook: asked.webhook.clone() };
        let before = asked.after.map_or(i64::MAX, |DeliveryPlace(seq)| seq);
        let all = state.deliveries.range((of.clone(), i64::MIN)..(of, before)).rev();
        let listed = all.filter_map(|((_, seq), delivery)| {
            let event = state.events.get(seq)?;
            let is_pending = delivery.state == DeliveryState::Pending;
            Some(ListedDelivery {
                place: DeliveryPlace(*seq),
                event: event.event.clone(),
                kind: event.kind.to_owned(),
                at: event.at,
                state: delivery.state.as_str().to_owned(),
                next_at: is_pending.then_some(delivery.not_before),
                attempts: to_raw_value(&delivery.attempts).expect("attempts have a JSON form"),
            })
        });
        let listed = listed.filter(|row| asked.state.is_none_or(|state| row.state == state));
        listed.take(asked.limit as usize).collect()
    }

    /// Answers from the current state. The lock is never held over an await.
    fn answer<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut State, Millis) -> T + Send + 'a,
    ) -> WebhookFuture<'a, T> {
        Box::pin(async move { Ok(ask(&mut lock(&self.state), (self.clock)())) })
    }
}

impl State {
    fn add(&mut self, row: &OutwardRow) {
        let is_kept = |(of, endpoint): (&WebhookName, &Endpoint)| {
            of.tenant == row.tenant && endpoint.webhook.state != WebhookState::Disabled
        };
        if !self.webhooks.iter().any(is_kept) {
            return;
        }
        self.count += 1;
        self.events.insert(self.count, row.clone());
        self.new.push_back(self.count);
        if self.events.len() > EVENTS
            && let Some((oldest, _)) = self.events.pop_first()
        {
            self.deliveries.retain(|(_, seq), _| *seq != oldest);
        }
    }

    fn apply(&mut self, WebhookRow { tenant, change }: &WebhookRow) {
        let name = |webhook: &schemas::ids::WebhookId| WebhookName {
            tenant: tenant.clone(),
            webhook: webhook.clone(),
        };
        match change {
            WebhookChange::Store(webhook) => {
                let endpoint = self.webhooks.entry(name(&webhook.webhook)).or_insert(Endpoint {
                    webhook: webhook.clone(),
                    failures: 0,
                    rests_until: 0,
                });
                let held = &endpoint.webhook;
                if held.settings.url != webhook.settings.url || held.state != webhook.state {
                    (endpoint.failures, endpoint.rests_until) = (0, 0);
                }
                endpoint.webhook = webhook.clone();
            }
            WebhookChange::Delete(webhook) => {
                self.webhooks.remove(&name(webhook));
                self.tasks.push_back(Task::Delete(name(webhook)));
            }
            WebhookChange::Replay(webhook, replay) => {
                self.tasks.push_back(Task::Replay(name(webhook), replay.clone()));
            }
        }
    }

    fn pending(&self, of: &WebhookName) -> u64 {
        let is_pending = |(_, delivery): &(&(WebhookName, i64), &Delivery)| {
            delivery.state == DeliveryState::Pending
        };
        let all = self.deliveries.range((of.clone(), i64::MIN)..=(of.clone(), i64::MAX));
        all.filter(is_pending).count() as u64
    }

    /// The webhooks that get the event.
    fn receivers(&self, row: &OutwardRow) -> Vec<WebhookName> {
        let is_receiver = |(of, endpoint): &(&WebhookName, &Endpoint)| {
            let Webhook { state, settings, .. } = &endpoint.webhook;
            of.tenant == row.tenant
                && *state != WebhookState::Disabled
                && match &row.webhook {
                    Some(webhook) => *webhook == of.webhook,
                    None => settings.accepts(row.kind, row.location.as_ref()),
                }
        };
        self.webhooks.iter().filter(is_receiver).map(|(of, _)| of.clone()).collect()
    }

    fn queue(&mut self, seq: i64, full: u32, now: Millis) {
        let Some(row) = self.events.get(&seq) else { return };
        for of in self.receivers(row) {
            let is_full = self.pending(&of) >= u64::from(full);
            let mut delivery = Delivery::new(now);
            if is_full {
                delivery.state = DeliveryState::Dead;
            }
            self.deliveries.entry((of, seq)).or_insert(delivery);
        }
    }

    fn carry_out(&mut self, task: Task, now: Millis) {
        match task {
            Task::Delete(of) => self.deliveries.retain(|(held, _), _| *held != of),
            Task::Replay(of, Replay::Dead {}) => {
                for ((held, _), delivery) in &mut self.deliveries {
                    if *held == of && delivery.state == DeliveryState::Dead {
                        delivery.revive(now);
                    }
                }
            }
            Task::Replay(of, Replay::Event { event }) => {
                let is_it = |row: &&OutwardRow| row.tenant == of.tenant && row.event == event;
                let seqs: Vec<i64> = self.numbers(|row| is_it(&row));
                seqs.into_iter().for_each(|seq| self.again(&of, seq, now));
            }
            Task::Replay(of, Replay::Time { from, until }) => {
                let seqs: Vec<i64> = self.numbers(|row| (from..until).contains(&row.at));
                for seq in seqs {
                    let row = &self.events[&seq];
                    if row.webhook.is_none() && self.receivers(row).contains(&of) {
                        self.again(&of, seq, now);
                    }
                }
            }
        }
    }

    fn numbers(&self, asked: impl Fn(&OutwardRow) -> bool) -> Vec<i64> {
        self.events.iter().filter(|(_, row)| asked(row)).map(|(seq, _)| *seq).collect()
    }

    /// Queues an event again, unless it waits.
    fn again(&mut self, of: &WebhookName, seq: i64, now: Millis) {
        let delivery =
            self.deliveries.entry((of.clone(), seq)).or_insert_with(|| Delivery::new(now));
        if delivery.state != DeliveryState::Pending {
            delivery.revive(now);
        }
    }

    fn take_one(&mut self, of: &WebhookName, seq: i64, until: Millis) -> Option<DueDelivery> {
        let (endpoint, row) = (self.webhooks.get(of)?, self.events.get(&seq)?);
        let delivery = self.deliveries.get_mut(&(of.clone(), seq))?;
        delivery.tries += 1;
        (delivery.leased, delivery.not_before) = (true, until);
        let Webhook { settings, secret, previous, .. } = &endpoint.webhook;
        Some(DueDelivery {
            name: DeliveryName { of: of.clone(), seq, tries: delivery.tries },
            event: row.event.clone(),
            at: row.at,
            body: String::from_utf8_lossy(&row.body).into_owned(),
            url: settings.url.clone(),
            secret: *secret,
            previous: *previous,
            failures: endpoint.failures,
        })
    }

    fn finish(&mut self, end: &Finished, now: Millis) {
        let DeliveryName { of, seq, tries } = &end.name;
        let Some(delivery) = self.deliveries.get_mut(&(of.clone(), *seq)) else { return };
        if delivery.tries == *tries && delivery.state == DeliveryState::Pending {
            delivery.leased = false;
            delivery.attempts.push(end.attempt.clone());
            match end.next {
                NextStep::Sent => delivery.state = DeliveryState::Sent,
                NextStep::Dead { .. } => delivery.state = DeliveryState::Dead,
                NextStep::Retry { pause, .. } => {
                    delivery.not_before = now.saturating_add(millis(pause));
                }
            }
        }
        let Some(endpoint) = self.webhooks.get_mut(of) else { return };
        match end.next {
            NextStep::Sent if endpoint.failures > 0 => {
                (endpoint.failures, endpoint.rests_until) = (0, 0);
                for ((held, _), delivery) in &mut self.deliveries {
                    let waits = delivery.state == DeliveryState::Pending && !delivery.leased;
                    if held == of && waits {
                        delivery.not_before = delivery.queued_at;
                    }
                }
            }
            NextStep::Sent => {}
            NextStep::Retry { rest, .. } | NextStep::Dead { rest } => {
                endpoint.failures = endpoint.failures.max(end.failures + 1);
                let until = now.saturating_add(millis(rest));
                endpoint.rests_until = endpoint.rests_until.max(until);
            }
        }
    }
}

impl WebhookStore for MemoryWebhooks {
    fn queue(&self, limit: u32, full: u32) -> WebhookFuture<'_, u64> {
        self.answer(move |state, now| {
            let count = state.new.len().min(limit as usize);
            let new: Vec<i64> = state.new.drain(..count).collect();
            new.into_iter().for_each(|seq| state.queue(seq, full, now));
            count as u64
        })
    }

    fn carry_out(&self, _: u32) -> WebhookFuture<'_, bool> {
        self.answer(move |state, now| match state.tasks.pop_front() {
            Some(task) => {
                state.carry_out(task, now);
                true
            }
            None => false,
        })
    }

    fn take<'a>(
        &'a self,
        limit: u32,
        places: u32,
        lease: Duration,
        under_way: &'a UnderWay,
        resting: &'a BTreeSet<TenantId>,
    ) -> WebhookFuture<'a, Vec<DueDelivery>> {
        self.answer(move |state, now| {
            let mut taken = Vec::new();
            for (of, endpoint) in &state.webhooks {
                let is_ready =
                    endpoint.webhook.state == WebhookState::Active && endpoint.rests_until <= now;
                let is_ready = is_ready && !resting.contains(&of.tenant);
                let places = if endpoint.failures >= PROBE_FROM { 1 } else { places };
                let room = places.saturating_sub(under_way.get(of).copied().unwrap_or_default());
                if !is_ready || room == 0 {
                    continue;
                }
                let all = state.deliveries.range((of.clone(), i64::MIN)..=(of.clone(), i64::MAX));
                let is_due = |delivery: &Delivery| {
                    delivery.state == DeliveryState::Pending && delivery.not_before <= now
                };
                let mut due: Vec<_> = all
                    .filter(|(_, delivery)| is_due(delivery))
                    .map(|((_, seq), delivery)| (delivery.not_before, *seq))
                    .collect();
                due.sort_unstable();
                taken.extend(due.into_iter().take(room as usize).map(|(_, seq)| (of.clone(), seq)));
            }
            taken.truncate(limit as usize);
            let until = now.saturating_add(millis(lease));
            let take = |(of, seq): (WebhookName, i64)| state.take_one(&of, seq, until);
            taken.into_iter().filter_map(take).collect()
        })
    }

    fn finish<'a>(&'a self, finished: &'a [Finished]) -> WebhookFuture<'a, ()> {
        self.answer(move |state, now| finished.iter().for_each(|end| state.finish(end, now)))
    }

    fn count(&self) -> WebhookFuture<'_, WebhookTotals> {
        self.answer(move |state, now| {
            let is_active = |of: &WebhookName| {
                let endpoint = state.webhooks.get(of);
                endpoint.is_some_and(|endpoint| endpoint.webhook.state == WebhookState::Active)
            };
            let mut totals = WebhookTotals::default();
            for ((of, _), delivery) in &state.deliveries {
                match delivery.state {
                    DeliveryState::Pending => {
                        totals.pending += 1;
                        let age = u64::try_from(now - delivery.queued_at).unwrap_or_default();
                        if is_active(of) {
                            totals.oldest_ms = totals.oldest_ms.max(age);
                        }
                    }
                    DeliveryState::Dead => totals.dead += 1,
                    DeliveryState::Sent => {}
                }
            }
            let endpoints = state.webhooks.iter();
            totals.failing = endpoints
                .filter(|(of, endpoint)| endpoint.failures > 0 && is_active(of))
                .count() as u64;
            totals
        })
    }

    fn sweep(&self, give_up: Duration, keep: Duration, _: u32) -> WebhookFuture<'_, (u64, bool)> {
        self.answer(move |state, now| {
            let (latest, oldest) =
                (now.saturating_sub(millis(give_up)), now.saturating_sub(millis(keep)));
            let mut dead = 0;
            for delivery in state.deliveries.values_mut() {
                let waits = delivery.state == DeliveryState::Pending && !delivery.leased;
                if waits && delivery.queued_at < latest {
                    delivery.state = DeliveryState::Dead;
                    dead += 1;
                }
            }
            state.events.retain(|_, row| row.at >= oldest);
            let events = &state.events;
            state.deliveries.retain(|(_, seq), _| events.contains_key(seq));
            (dead, false)
        })
    }
}
