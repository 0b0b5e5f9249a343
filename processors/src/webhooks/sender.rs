//! The sender: gives new events to the queues of webhooks, takes due deliveries under leases, and
//! brings them to receivers. A receiver that is down holds a bounded number of places of its own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use schemas::{record::RUNS_TOPIC, webhook::WebhookKey};
use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    Attempt, AttemptResult, DueDelivery, Finished, NextStep, UnderWay, WebhookCounters,
    WebhookName, WebhookStore, WebhookStoreError,
    book::disable,
    client::{Answer, WebhookClient},
    schedule::{GIVE_UP, KEEP, LONGEST_ASKED, MAX_QUEUE, pause_after, rest_after},
};
use crate::{clock::Clock, log::Log, tenants::Tenants};

/// Deliveries under way at once, over all webhooks, and most of them to one. A round of the sender
/// takes up to 30 ms, so that a receiver gets 2,000 events a second. Sixteen receivers that hang at
/// the same moment take all places, for a minute at most: each is then probed with one delivery at
/// a time.
const AT_ONCE: usize = 1_024;
const AT_ONE_WEBHOOK: u32 = 64;
/// How long a sender has a delivery. Longer than a request may take, so that no other sender takes
/// it meanwhile.
const LEASE: Duration = Duration::from_secs(30);
/// Events that one statement gives to queues, and deliveries that one statement replays: some
/// milliseconds.
const SLICE: u32 = 500;
/// How often a sender looks for events of other nodes' batches, and for deliveries to try again.
/// Batches of this process wake it at once.
const POLL: Duration = Duration::from_secs(1);
/// How long a sender waits after a commit for further ones, while it has nothing to send: a look at
/// the store after each commit would cost as much as the commit.
const GATHER: Duration = Duration::from_millis(20);
/// How often the store is counted and swept.
const UPKEEP: Duration = Duration::from_secs(15);
/// How long a sender that is asked to stop waits for its requests. Leases return the others.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// How long ends of attempts that could not be stored wait. Past it their leases are over, and the
/// deliveries are sent again.
const KEEP_ENDS: Duration = LEASE;

/// The settings of a sender.
pub struct WebhookSenderSettings {
    /// The key of the installation.
    pub key: WebhookKey,
    /// Networks that receivers may be in, beside the public internet.
    pub networks: Vec<IpNet>,
    /// The counters of the sender.
    pub counters: Arc<WebhookCounters>,
    /// The clock that signatures and lists of attempts show.
    pub clock: Clock,
    /// The tenants. Webhooks of a suspended one rest.
    pub tenants: Arc<Tenants>,
}

/// Sends until `stop` resolves. `signal` is notified after commits of this process. Webhooks whose
/// receivers are gone are disabled through `log`.
///
/// # Errors
/// When no HTTP client can be made, such as on a machine without root certificates.
pub async fn run(
    store: Arc<dyn WebhookStore>,
    log: Arc<dyn Log>,
    settings: WebhookSenderSettings,
    signal: Arc<Notify>,
    stop: impl Future<Output = ()>,
) -> Result<(), reqwest::Error> {
    let WebhookSenderSettings { key, networks, counters, clock, tenants } = settings;
    let client = WebhookClient::new(key, &networks)?;
    let sender = Arc::new(Sender { store, log, client, counters, clock, tenants });
    let mut work = SenderWork::default();
    tokio::select! {
        () = stop => {}
        () = sender.send(&mut work, &signal) => {}
        () = sender.upkeep() => {}
    }
    let last = async {
        while let Some(ended) = work.requests.join_next_with_id().await {
            work.end(ended);
        }
    };
    let _ = tokio::time::timeout(LAST_REQUESTS, last).await;
    sender.store_ends(&mut work).await;
    Ok(())
}

struct Sender {
    store: Arc<dyn WebhookStore>,
    log: Arc<dyn Log>,
    client: WebhookClient,
    counters: Arc<WebhookCounters>,
    clock: Clock,
    tenants: Arc<Tenants>,
}

/// The requests under way, and the ends of attempts that are not stored yet.
#[derive(Default)]
struct SenderWork {
    requests: JoinSet<Finished>,
    /// The webhook of each request.
    webhooks: HashMap<Id, WebhookName>,
    under_way: UnderWay,
    ends: Vec<Finished>,
    /// When the first of the ends came.
    ends_since: Option<Instant>,
}

impl SenderWork {
    fn begin(&mut self, of: WebhookName, request: impl Future<Output = Finished> + Send + 'static) {
        *self.under_way.entry(of.clone()).or_default() += 1;
        let id = self.requests.spawn(request).id();
        self.webhooks.insert(id, of);
    }

    fn end(&mut self, ended: Result<(Id, Finished), JoinError>) {
        let id = match ended {
            Ok((id, finished)) => {
                self.ends_since.get_or_insert_with(Instant::now);
                self.ends.push(finished);
                id
            }
            // A sender takes the delivery again once its lease is over.
            Err(error) => {
                tracing::error!("a request to a receiver panicked");
                error.id()
            }
        };
        let Some(of) = self.webhooks.remove(&id) else { return };
        if let Some(count) = self.under_way.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&of);
            }
        }
    }

    fn room(&self) -> u32 {
        u32::try_from(AT_ONCE.saturating_sub(self.requests.len())).unwrap_or_default()
    }
}

impl Sender {
    async fn send(self: &Arc<Self>, work: &mut SenderWork, signal: &Notify) {
        let mut polled = Instant::now();
        let mut is_polling = true;
        loop {
            let has_ended = !work.ends.is_empty();
            self.store_ends(work).await;
            let queued = self.store.queue(SLICE, MAX_QUEUE).await.unwrap_or_else(failed);
            let asked = is_polling && self.store.carry_out(SLICE).await.unwrap_or_else(failed);
            let is_due = has_ended || queued > 0 || is_polling;
            let due = match work.room() {
                room if is_due && room > 0 => {
                    let (places, tenants) = (AT_ONE_WEBHOOK, self.tenants.now());
                    let resting = tenants.suspended();
                    let taken = self.store.take(room, places, LEASE, &work.under_way, resting);
                    taken.await.unwrap_or_else(failed)
                }
                _ => Vec::new(),
            };
            let is_more = asked || queued == u64::from(SLICE) || !due.is_empty();
            for delivery in due {
                let sender = Arc::clone(self);
                let of = delivery.name.of.clone();
                work.begin(of, async move { sender.serve(delivery).await });
            }
            tokio::select! {
                Some(ended) = work.requests.join_next_with_id() => work.end(ended),
                () = std::future::ready(()), if is_more => {}
                () = signal.notified() => sleep(GATHER).await,
                () = sleep(POLL) => {}
            }
            is_polling = asked || polled.elapsed() >= POLL;
            if is_polling {
                polled = Instant::now();
            }
            while let Some(ended) = work.requests.try_join_next_with_id() {
                work.end(ended);
            }
        }
    }

    /// Stores the ends of attempts. While the store does not answer, they wait for as long as their
    /// leases.
    async fn store_ends(&self, work: &mut SenderWork) {
        if work.ends.is_empty() {
            return;
        }
        match self.store.finish(&work.ends).await {
            Ok(()) => {}
            Err(error) => {
                failed::<()>(error);
                if work.ends_since.is_some_and(|since| since.elapsed() < KEEP_ENDS) {
                    return;
                }
            }
        }
        work.ends.clear();
        work.ends_since = None;
    }

    async fn serve(&self, due: DueDelivery) -> Finished {
        let at = (self.clock)();
        let answer = self.client.send(&due, at).await;
        let now = (self.clock)();
        self.counters.count(answer.result, now - due.at);
        let next = next_step(&due, &answer);
        if matches!(next, NextStep::Dead { .. }) {
            self.counters.count_dead(1);
        }
        if answer.result == AttemptResult::Gone {
            self.disable(&due).await;
        }
        let attempt = Attempt {
            at,
            result: answer.result.as_str().to_owned(),
            status: answer.status,
            took_ms: u64::try_from(now - at).unwrap_or_default(),
        };
        Finished { name: due.name, attempt, next, failures: due.failures }
    }

    async fn disable(&self, due: &DueDelivery) {
        let of = &due.name.of;
        let tries = due.name.tries.to_string();
        let parts = ["gone", of.tenant.as_str(), of.webhook.as_str(), due.event.as_str(), &tries];
        let record = disable(&of.tenant, &of.webhook, &parts);
        if let Err(error) = self.log.append(&[(RUNS_TOPIC, record)]).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a webhook could not be disabled");
        }
    }

    async fn upkeep(&self) {
        let mut often = interval(UPKEEP);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            often.tick().await;
            loop {
                let swept = self.store.sweep(GIVE_UP, KEEP, SLICE).await;
                let (dead, is_more) = swept.unwrap_or_else(failed);
                self.counters.count_dead(dead);
                if !is_more {
                    break;
                }
            }
            if let Some(totals) = self.store.count().await.map(Some).unwrap_or_else(failed) {
                self.counters.set_totals(totals);
            }
        }
    }
}

/// The next step of a delivery after this answer.
fn next_step(due: &DueDelivery, answer: &Answer) -> NextStep {
    let chance = fastrand::f64();
    let asked = answer.pause.map(|pause| pause.min(LONGEST_ASKED)).unwrap_or_default();
    let rest = rest_after(due.failures.saturating_add(1), chance).max(asked);
    match answer.result {
        AttemptResult::Sent => NextStep::Sent,
        // The webhook is disabled: its other deliveries wait until an admin resumes it.
        AttemptResult::Gone => NextStep::Dead { rest },
        _ => match pause_after(due.name.tries, chance) {
            Some(pause) => NextStep::Retry { pause: pause.max(asked), rest },
            None => NextStep::Dead { rest },
        },
    }
}

fn failed<T: Default>(error: WebhookStoreError) -> T {
    let error = &error as &dyn std::error::Error;
    tracing::warn!(error, "webhooks could not be read or moved");
    T::default()
}

#[cfg(test)]
mod tests;
