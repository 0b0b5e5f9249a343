//! The sender: takes due alerts under leases and brings them to push services. Nothing waits for
//! it: a slow or failing push service holds a bounded number of places of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use schemas::{
    Millis,
    command::Command,
    ids::Aggregate,
    push::PushServices,
    record::{CARE_TOPIC, CommandRecord, WireRecord},
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    AlertCounters, AlertResult, AlertStore, AlertStoreError, DueAlert, VapidKey,
    client::{PushAnswer, PushClient},
};
use crate::{
    clock::Clock,
    log::{AppendError, Log},
    tenants::Tenants,
};

/// Alerts under way at once, over all push services, and most of them at one. A healthy service
/// answers within 100 ms, so that this is about 80 alerts a second for each.
const AT_ONCE: usize = 64;
const AT_ONE_SERVICE: usize = 8;
/// How long a sender has an alert. Longer than a request may take, so that no other sender takes
/// the alert meanwhile.
const LEASE: Duration = Duration::from_secs(30);
/// How often a sender looks for alerts of other nodes' batches, and for those to try again. Batches
/// of this process wake it at once.
const POLL: Duration = Duration::from_secs(1);
/// How long an alert is of use. After that, the call is over or was repeated, and the patient would
/// come to a room where nobody expects them.
const MAX_AGE: Duration = Duration::from_secs(180);
/// The longest that a push service may make us wait: no alert is of use after that.
const MAX_WAIT: Duration = MAX_AGE;
/// Attempts with one alert. With the pauses between them they fill its age.
const MAX_TRIES: u32 = 8;
/// How long a sender that is asked to stop waits for its requests. Leases return the others.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// Devices are deleted this long after they were subscribed, whatever the state of their tickets:
/// no visit lasts longer.
const KEEP_DEVICES: Duration = Duration::from_hours(72);
/// How often such devices are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// The settings of a sender.
pub struct SenderSettings {
    /// The key of the installation.
    pub key: VapidKey,
    /// The contact for push services: a `mailto:` or `https:` address.
    pub contact: String,
    /// The accepted push services.
    pub services: PushServices,
    /// The counters of the sender.
    pub counters: Arc<AlertCounters>,
    /// The clock that says how old an alert is.
    pub clock: Clock,
    /// The tenants. Alerts of a suspended one rest.
    pub tenants: Arc<Tenants>,
}

/// Sends until `stop` resolves. `signal` is notified after commits of this process. Locations learn
/// through `log` which devices are gone.
///
/// # Errors
/// When no HTTP client can be made, such as on a machine without root certificates.
pub async fn run(
    store: Arc<dyn AlertStore>,
    log: Arc<dyn Log>,
    settings: SenderSettings,
    signal: Arc<Notify>,
    stop: impl Future<Output = ()>,
) -> Result<(), reqwest::Error> {
    let SenderSettings { key, contact, services, counters, clock, tenants } = settings;
    let client = PushClient::new(&key, contact, services)?;
    let sender = Arc::new(Sender { store, log, client, counters, clock, tenants });
    let (mut requests, mut load) = (JoinSet::new(), ServiceLoad::default());
    tokio::select! {
        () = stop => {}
        () = sender.take(&mut requests, &mut load, &signal) => {}
        () = sender.sweep() => {}
    }
    let last = async { while requests.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_REQUESTS, last).await;
    Ok(())
}

struct Sender {
    store: Arc<dyn AlertStore>,
    log: Arc<dyn Log>,
    client: PushClient,
    counters: Arc<AlertCounters>,
    clock: Clock,
    tenants: Arc<Tenants>,
}

/// The requests under way by the origin of their push service, and until when a service made us
/// wait.
#[derive(Default)]
struct ServiceLoad {
    under_way: BTreeMap<String, usize>,
    waits: BTreeMap<String, Instant>,
}

impl ServiceLoad {
    fn busy(&mut self) -> BTreeSet<String> {
        let now = Instant::now();
        self.waits.retain(|_, until| *until > now);
        let full = self.under_way.iter().filter(|(_, count)| **count >= AT_ONE_SERVICE);
        full.map(|(origin, _)| origin).chain(self.waits.keys()).cloned().collect()
    }

    fn begin(&mut self, origin: &str) {
        *self.under_way.entry(origin.to_owned()).or_default() += 1;
    }

    fn end(&mut self, Served { origin, wait }: Served) {
        if let Some(count) = self.under_way.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&origin);
            }
        }
        if let Some(wait) = wait {
            self.waits.insert(origin, Instant::now() + wait);
        }
    }
}

/// A request that has ended.
struct Served {
    origin: String,
    /// How long the push service wants to be left alone.
    wait: Option<Duration>,
}

impl Sender {
    async fn take(
        self: &Arc<Self>,
        requests: &mut JoinSet<Served>,
        load: &mut ServiceLoad,
        signal: &Notify,
    ) {
        loop {
            let room = AT_ONCE.saturating_sub(requests.len()).min(AT_ONE_SERVICE);
            let limit = u32::try_from(room).unwrap_or_default();
            let due = match limit {
                0 => Vec::new(),
                _ => {
                    let (busy, tenants) = (load.busy(), self.tenants.now());
                    let taken = self.store.take(limit, LEASE, &busy, tenants.suspended());
                    taken.await.unwrap_or_else(failed)
                }
            };
            let is_more = !due.is_empty();
            for alert in due {
                load.begin(&alert.origin());
                let sender = Arc::clone(self);
                requests.spawn(async move { sender.serve(alert).await });
            }
            tokio::select! {
                Some(ended) = requests.join_next() => match ended {
                    Ok(served) => load.end(served),
                    Err(_) => tracing::error!("a request to a push service panicked"),
                },
                () = std::future::ready(()), if is_more => {}
                () = signal.notified(), if room > 0 => {}
                () = tokio::time::sleep(POLL), if room > 0 => {}
            }
        }
    }

    async fn serve(&self, due: DueAlert) -> Served {
        let now = (self.clock)();
        let left = left(&due, now);
        let (result, wait) = match left {
            None => (AlertResult::Expired, None),
            Some(left) => self.send(&due, now, left).await,
        };
        self.counters.count(result, (self.clock)() - due.alert.at);
        let stored = match (result, wait) {
            (AlertResult::Retried, wait) => {
                let pause = wait.unwrap_or_else(|| pause_after(due.tries));
                self.store.retry(&due.name, pause).await
            }
            (AlertResult::Gone, _) => match self.log.append(&[unsubscribe(&due)]).await {
                Ok(()) => self.store.remove_device(&due.name).await,
                Err(error) => {
                    not_told(&error);
                    // The push service says once more that the device is gone.
                    self.store.retry(&due.name, pause_after(due.tries)).await
                }
            },
            _ => self.store.end(&due.name).await,
        };
        stored.unwrap_or_else(failed);
        Served { origin: due.origin(), wait }
    }

    /// Sends an alert that is of use for the time `left`.
    async fn send(
        &self,
        due: &DueAlert,
        now: Millis,
        left: Duration,
    ) -> (AlertResult, Option<Duration>) {
        let is_last = due.tries >= MAX_TRIES;
        match self.client.send(due, now, left).await {
            PushAnswer::Taken => (AlertResult::Sent, None),
            PushAnswer::Gone => (AlertResult::Gone, None),
            PushAnswer::Refused => (AlertResult::Failed, None),
            PushAnswer::Wait(_) | PushAnswer::Failed if is_last => (AlertResult::Failed, None),
            PushAnswer::Wait(wait) => {
                let wait = wait.unwrap_or_else(|| pause_after(due.tries)).min(MAX_WAIT);
                (AlertResult::Retried, Some(wait))
            }
            PushAnswer::Failed => (AlertResult::Retried, None),
        }
    }

    async fn sweep(&self) {
        loop {
            self.store.sweep(KEEP_DEVICES).await.map(drop).unwrap_or_else(failed);
            tokio::time::sleep(SWEEP).await;
        }
    }
}

/// The command that ends the subscription of a device, so that it counts no longer among those of
/// its ticket.
fn unsubscribe(due: &DueAlert) -> (&'static str, WireRecord) {
    let (name, endpoint) = (&due.name, due.device.endpoint.clone());
    let location = Aggregate::location(&name.tenant, &name.ticket.location());
    let (device, number) = (name.device.to_string(), name.number.to_string());
    let parts = ["gone", name.tenant.as_str(), name.ticket.as_str(), &device, &number];
    let command = Command::UnsubscribeAlerts { ticket: name.ticket.clone(), endpoint };
    (CARE_TOPIC, CommandRecord::by_installation(&parts, location, command).to_wire())
}

/// For how long an alert is still of use. `None` when it is too old.
fn left(due: &DueAlert, now: Millis) -> Option<Duration> {
    let age = u64::try_from(now - due.alert.at).unwrap_or_default();
    MAX_AGE.checked_sub(Duration::from_millis(age)).filter(|left| !left.is_zero())
}

/// The pause after this many attempts: one second, then twice as long each time, at most 30.
fn pause_after(tries: u32) -> Duration {
    let longest = Duration::from_secs(30);
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times();
    pauses.build().nth(tries.saturating_sub(1) as usize).unwrap_or(longest)
}

fn not_told(error: &AppendError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "a location could not be told of a device that is gone");
}

fn failed<T: Default>(error: AlertStoreError) -> T {
    tracing::warn!(error = &error as &dyn std::error::Error, "alerts could not be read or moved");
    T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let seconds = |tries| pause_after(tries).as_secs();
        assert!((1..=2).contains(&seconds(1)), "{}", seconds(1));
        assert!((4..=8).contains(&seconds(3)), "{}", seconds(3));
        assert!((30..=60).contains(&seconds(40)), "{}", seconds(40));
    }

    #[test]
    fn full_and_waiting_services_are_busy() {
        let mut load = ServiceLoad::default();
        for _ in 0..AT_ONE_SERVICE {
            load.begin("https://full.example");
        }
        load.begin("https://free.example");
        let wait = Some(Duration::from_secs(60));
        load.end(Served { origin: "https://asked.example".to_owned(), wait });
        let busy = ["https://asked.example", "https://full.example"].map(str::to_owned);
        assert_eq!(load.busy(), BTreeSet::from(busy));
        load.end(Served { origin: "https://full.example".to_owned(), wait: None });
        assert_eq!(load.busy().len(), 1);
    }
}
