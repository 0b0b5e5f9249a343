//! A location of one round: light traffic through every gateway, a client at every gateway, and
//! the times at which each of them works again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};
use testing::{
    centrifugal::client::JsonClient,
    http::{ApiClient, ApiRequest},
    site,
    tokens::DevelopmentIssuer,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::installation::{Installation, WORDS, is_ready};

/// A command without an answer by then counts as failed: the gateway gives up after five seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(7);
/// Pause of each gateway's traffic between two commands.
const TRAFFIC_PAUSE: Duration = Duration::from_millis(500);
/// Pause between two looks at health, and before a closed socket is opened again.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The first sign that one client works again after the stall, in the order of [`Round::KINDS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Recovery {
    /// A command through this gateway was appended.
    Appended,
    /// The outcome of a command that was sent after the stall has a version.
    Published,
    /// A client of this gateway heard of that version or a later one.
    Heard,
    GatewayReady,
    ProcessorReady,
}

pub struct Clinic {
    nodes: Vec<String>,
    processors: Vec<String>,
    api: ApiClient,
    token: String,
    queue: String,
    /// The end of the stall.
    ended: Mutex<Option<Instant>>,
    /// The version of the first command that was sent after the stall, or 0.
    version: AtomicU64,
    /// When each client recovered, by its kind and number.
    back: Mutex<BTreeMap<(Recovery, usize), Duration>>,
    /// The version that each gateway's client has.
    heard: Vec<AtomicU64>,
}

/// The tasks of a round. They end when this is dropped.
pub struct WatchTasks(JoinSet<()>);

impl WatchTasks {
    pub fn stop(self) {
        drop(self.0);
    }
}

impl Clinic {
    /// Creates a location with an open queue.
    ///
    /// # Errors
    /// When a command is refused or has no outcome.
    pub async fn open(installation: &Installation) -> Result<Self> {
        let location = format!("stall-{:012x}", fastrand::u64(..1 << 48));
        let issuer = DevelopmentIssuer::from_words(WORDS, 24 * 60 * 60);
        let admin = issuer.sign("admin", &json!({}));
        let api = ApiClient::new(ANSWER_TIMEOUT);
        let (node, deadline) = (&installation.gateways[0], Instant::now() + SETTLE_TIMEOUT);
        let queue = site::open(&api, node, &admin, &location, deadline).await?;
        Ok(Self {
            nodes: installation.gateways.clone(),
            processors: installation.processors.clone(),
            api,
            token: issuer.sign("reception", &json!({"locations": [location]})),
            queue,
            ended: Mutex::default(),
            version: AtomicU64::new(0),
            back: Mutex::default(),
            heard: installation.gateways.iter().map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Starts traffic, clients and looks.
    pub fn watch(self: Arc<Self>) -> WatchTasks {
        let mut tasks = JoinSet::new();
        for node in 0..self.nodes.len() {
            let clinic = Arc::clone(&self);
            tasks.spawn(async move { clinic.send_commands(node).await });
            let clinic = Arc::clone(&self);
            tasks.spawn(async move { clinic.follow(node).await });
            let clinic = Arc::clone(&self);
            tasks.spawn(async move { clinic.look(Recovery::GatewayReady, node).await });
        }
        for processor in 0..self.processors.len() {
            let clinic = Arc::clone(&self);
            tasks.spawn(async move { clinic.look(Recovery::ProcessorReady, processor).await });
        }
        WatchTasks(tasks)
    }

    fn ended(&self) -> Option<Instant> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a client is back, if the stall has ended by `since`.
    fn note(&self, kind: Recovery, number: usize, since: Instant) {
        if let Some(ended) = self.ended().filter(|ended| since >= *ended) {
            let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
            back.entry((kind, number)).or_insert_with(|| ended.elapsed());
        }
    }

    async fn send_commands(&self, node: usize) {
        loop {
            let sent = Instant::now();
            let path = format!("/v1/queues/{}/tickets", self.queue);
            let key = format!("{:032x}", fastrand::u128(..));
            let command = ApiRequest::post(&path).token(&self.token).key(&key).json(json!({}));
            if let Ok(answer) = self.api.send(&self.nodes[node], command).await {
                if matches!(answer.status, 200 | 202) {
                    self.note(Recovery::Appended, node, sent);
                }
                if let Some(version) = answer.body["version"].as_u64()
                    && self.ended().is_some_and(|ended| sent >= ended)
                {
                    self.note(Recovery::Published, 0, sent);
                    let _ = self.version.compare_exchange(0, version, Relaxed, Relaxed);
                }
            }
            sleep(TRAFFIC_PAUSE).await;
        }
    }

    /// Follows the queue at one gateway, and connects again when the socket is closed.
    async fn follow(self: &Arc<Self>, node: usize) {
        loop {
            // A task of its own, since the client panics when a node does not answer.
            let clinic = Arc::clone(self);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { clinic.follow_once(node).await });
            drop(tasks.join_next().await);
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn follow_once(&self, node: usize) {
        let mut client = JsonClient::connect(&self.nodes[node], &self.token).await;
        let channel = format!("queue:{}", self.queue);
        let Ok(_) = client.subscribe(&channel).await else { return };
        // The client waits 30 s for a push, and then panics.
        while let Ok(push) = client.push().await {
            self.hear(node, &push);
        }
    }

    fn hear(&self, node: usize, push: &Value) {
        let version = push["pub"]["offset"].as_u64().unwrap_or_default();
        self.heard[node].fetch_max(version, Relaxed);
    }

    async fn look(&self, kind: Recovery, number: usize) {
        let nodes = if kind == Recovery::GatewayReady { &self.nodes } else { &self.processors };
        loop {
            let since = Instant::now();
            if is_ready(&self.api, &nodes[number]).await {
                self.note(kind, number, since);
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Waits from the end of the stall until everything is back, or patience ends.
    pub async fn until_back(&self, patience: Duration) -> Round {
        let ended = Instant::now();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        let nodes = self.nodes.len();
        let expected = 3 * nodes + 1 + self.processors.len();
        while ended.elapsed() < patience {
            let version = self.version.load(Relaxed);
            for (node, heard) in self.heard.iter().enumerate() {
                if version > 0 && heard.load(Relaxed) >= version {
                    self.note(Recovery::Heard, node, ended);
                }
            }
            if self.back.lock().unwrap_or_else(PoisonError::into_inner).len() == expected {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let counts = [nodes, 1, nodes, nodes, self.processors.len()];
        Round::new(&self.back.lock().unwrap_or_else(PoisonError::into_inner), counts)
    }
}

/// When each client of a round was back. A client that was not is `None`.
pub struct Round([Vec<Option<Duration>>; 5]);

impl Round {
    const KINDS: [(Recovery, &str); 5] = [
        (Recovery::Appended, "appended"),
        (Recovery::Published, "published"),
        (Recovery::Heard, "heard"),
        (Recovery::GatewayReady, "gateways ready"),
        (Recovery::ProcessorReady, "processors ready"),
    ];

    fn new(back: &BTreeMap<(Recovery, usize), Duration>, counts: [usize; 5]) -> Self {
        let mut kinds = Self::KINDS.into_iter().zip(counts);
        Self(std::array::from_fn(|_| {
            let ((kind, _), count) = kinds.next().expect("as many kinds as counts");
            (0..count).map(|number| back.get(&(kind, number)).copied()).collect()
        }))
    }

    pub fn is_within(&self, limit: Duration) -> bool {
        self.0.iter().flatten().all(|back| back.is_some_and(|back| back <= limit))
    }

    /// The time until the last client of each kind was back, in the columns of the table.
    pub fn line(&self) -> String {
        let widths = [17, 9, 5, 14, 16];
        let cell = |(times, width): (&Vec<Option<Duration>>, usize)| {
            let absent = times.iter().filter(|time| time.is_none()).count();
            let text = match times.iter().flatten().max() {
                _ if absent > 0 => format!("{absent} not"),
                Some(last) => format!("{:.1}", last.as_secs_f64()),
                None => String::new(),
            };
            format!("{text:>width$}")
        };
        self.0.iter().zip(widths).map(cell).collect::<Vec<_>>().join("  ")
    }

    /// The times of all rounds, by kind.
    pub fn merge(rounds: &[Self]) -> Vec<(&'static str, Vec<Option<Duration>>)> {
        let names = Self::KINDS.iter().enumerate();
        let all = |kind: usize| rounds.iter().flat_map(|round| round.0[kind].clone()).collect();
        names.map(|(kind, (_, name))| (*name, all(kind))).collect()
    }
}

/// Least, median and most, and how many were not back.
pub fn summary(times: Vec<Option<Duration>>) -> String {
    let absent = times.iter().filter(|time| time.is_none()).count();
    let mut seconds: Vec<f64> = times.iter().flatten().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (seconds.first(), seconds.last()) else {
        return format!("none of {absent} was back");
    };
    let median = seconds[seconds.len() / 2];
    format!("{least:.1}  {median:.1}  {most:.1} s, {absent} of {} not back", times.len())
}
