//! Many clients at once: starts them, waits for a condition on all of them, cuts and releases them.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    breach::{Breach, Breaches},
    client::{SharedState, SwarmClient, Transport, follow::follow},
    http::Api,
    payloads::Entries,
    report::{Report, say},
    target::{Node, Target},
    watch::{ChannelKind, ClientWatch, DeliverySample},
};

/// Settings that every scenario shares.
#[derive(Args, Clone)]
pub struct CrowdArgs {
    /// Number of loopback source addresses (127.0.0.2 and up), each with about 28,000 ports.
    #[arg(long, default_value_t = 4, global = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=200))]
    pub sources: u8,
    /// Maximum number of clients that connect at the same time.
    #[arg(long, default_value_t = 256, global = true)]
    pub connecting: usize,
    /// Seconds to wait until the clients are connected, and for the last deliveries.
    #[arg(long, default_value_t = 60, global = true)]
    pub patience: u64,
    /// Time limit of a command in seconds, including a restart of the processor.
    #[arg(long, default_value_t = 60, global = true)]
    pub command_deadline: u64,
}

impl CrowdArgs {
    /// The source address of this client. For a remote node the system chooses.
    #[must_use]
    pub fn source(&self, node: &Node, client: usize) -> Option<Ipv4Addr> {
        let turn = u8::try_from(client % usize::from(self.sources)).unwrap_or(0);
        node.addr.ip().is_loopback().then(|| Ipv4Addr::new(127, 0, 0, 2 + turn))
    }
}

/// File descriptors reserved for commands, files and the runtime.
const SPARE_DESCRIPTORS: u64 = 200;
/// Linux has 28,232 ephemeral ports by default, and some are in use or in TIME_WAIT.
const PORTS_PER_SOURCE: usize = 28_000;
/// The interval at which a condition on all clients is checked. Clients record their own times, so
/// this bounds no figure.
const LOOK: Duration = Duration::from_millis(20);
/// The number of clients that fold their view and compare it with the server's snapshot.
pub const FOLDING: usize = 8;

/// The settings of one client.
pub struct ClientPlan {
    pub channel: String,
    pub transport: Transport,
    pub kind: ChannelKind,
    /// Whether it folds its view and compares it with the server's snapshot.
    pub folds: bool,
    /// Whether it records its live steps.
    pub keeps_steps: bool,
}

/// One client for each channel. The first few clients of keyed channels fold their view.
pub fn clients(
    transport: Transport,
    kind: ChannelKind,
    channels: impl IntoIterator<Item = String>,
) -> impl Iterator<Item = ClientPlan> {
    channels.into_iter().enumerate().map(move |(index, channel)| {
        let folds = kind == ChannelKind::Keyed && index < FOLDING;
        ClientPlan { channel, transport, kind, folds, keeps_steps: false }
    })
}

/// Running clients.
pub struct Crowd {
    pub hub: Arc<SharedState>,
    pub followers: Vec<Arc<SwarmClient>>,
    patience: Duration,
    tasks: JoinSet<()>,
}

/// The totals of all clients.
pub struct CrowdFigures {
    pub samples: Vec<DeliverySample>,
    pub frames: u64,
    pub duplicates: u64,
    pub same_position: u64,
    pub losses: u64,
}

impl Crowd {
    /// Connects the clients, spread over the nodes and sources in turn, and waits until all are
    /// subscribed.
    ///
    /// # Errors
    /// When some clients are not subscribed in time.
    pub async fn connect(
        target: &Target,
        args: &CrowdArgs,
        clients: impl IntoIterator<Item = ClientPlan>,
    ) -> Result<Self> {
        let hub = Arc::new(SharedState {
            api: Api::new(Duration::from_secs(args.command_deadline)),
            token: target.reception.clone(),
            gate: Arc::new(Semaphore::new(args.connecting)),
            go: watch::Sender::new(true),
        });
        let patience = Duration::from_secs(args.patience);
        let mut crowd = Self { hub, followers: Vec::new(), patience, tasks: JoinSet::new() };
        for (index, client) in clients.into_iter().enumerate() {
            let node = target.node(index);
            let source = args.source(&node, index);
            let mut watch = ClientWatch::new(index, client.kind);
            watch.entries = client.folds.then(Entries::new);
            watch.taken = client.keeps_steps.then(Vec::new);
            let follower =
                Arc::new(SwarmClient::new(node, source, client.channel, client.transport, watch));
            crowd.followers.push(follower.clone());
            crowd.tasks.spawn(follow(follower, crowd.hub.clone()));
        }
        say(&format!("connecting {} clients …", crowd.followers.len()));
        crowd.settled().await?;
        Ok(crowd)
    }

    async fn settled(&self) -> Result<()> {
        let left = self.until(|follower, _| follower.is_live()).await;
        if left > 0 {
            let mut breaches = Breaches::default();
            self.followers
                .iter()
                .for_each(|f| breaches.merge(std::mem::take(&mut f.watch().breaches)));
            bail!(
                "{left} of {} clients are not subscribed: {:?}",
                self.followers.len(),
                breaches.examples
            );
        }
        Ok(())
    }

    /// Waits until `done` holds for every client or patience ends. Returns the number of clients
    /// for which it does not hold.
    pub async fn until(&self, done: impl Fn(&SwarmClient, usize) -> bool) -> usize {
        let end = Instant::now() + self.patience;
        loop {
            let all = self.followers.iter().enumerate();
            let left = all.filter(|(index, follower)| !done(follower, *index)).count();
            if left == 0 || Instant::now() > end {
                return left;
            }
            sleep(LOOK).await;
        }
    }

    /// Closes every connection from the client's side. Clients reconnect only when they are
    /// released.
    pub async fn cut(&self) -> Result<()> {
        self.hub.go.send_replace(false);
        self.followers.iter().for_each(|follower| follower.cut.notify_one());
        let left = self.until(|follower, _| !follower.is_live()).await;
        ensure!(left == 0, "{left} clients did not let go of their connections");
        Ok(())
    }

    /// Lets all cut clients reconnect at once.
    pub fn release(&self) {
        self.hub.gate.add_permits(self.followers.len());
        self.hub.go.send_replace(true);
    }

    /// The number of deliveries so far.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.followers.iter().map(|follower| follower.watch().samples.len() as u64).sum()
    }

    /// Records one breach for each client that is not `done`.
    pub fn demand(&self, breach: Breach, detail: &str, done: impl Fn(&ClientWatch, usize) -> bool) {
        for (index, follower) in self.followers.iter().enumerate() {
            let mut watch = follower.watch();
            if !done(&watch, index) {
                watch.note(breach, detail);
            }
        }
    }

    /// Compares the folded views with the snapshot at `path`, until they agree or patience ends.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn check_view(&self, target: &Target, path: &str, report: &mut Report) -> Result<()> {
        #[derive(Deserialize)]
        struct Snapshot {
            entries: Entries,
        }
        let end = Instant::now() + self.patience;
        loop {
            let snapshot: Snapshot =
                self.hub.api.read(&target.node(0), &self.hub.token, path).await?;
            let differ = |follower: &&Arc<SwarmClient>| {
                follower
                    .watch()
                    .entries
                    .as_ref()
                    .is_some_and(|entries| *entries != snapshot.entries)
            };
            let left = self.followers.iter().filter(differ).count();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                let detail = || format!("{left} clients' folded view is not the server's snapshot");
                report.breaches.note(Breach::WrongView, detail);
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Stops all clients, adds up their figures, and moves their breaches into the report.
    pub async fn finish(mut self, report: &mut Report) -> CrowdFigures {
        self.tasks.shutdown().await;
        let mut seen = CrowdFigures {
            samples: Vec::new(),
            frames: 0,
            duplicates: 0,
            same_position: 0,
            losses: 0,
        };
        let (mut by_delta, mut by_snapshot, mut took_ms) = (0, 0, Vec::new());
        for follower in &self.followers {
            let mut watch = follower.watch();
            by_delta += watch.returns.by_delta;
            by_snapshot += watch.returns.by_snapshot;
            took_ms.append(&mut watch.returns.took_ms);
            seen.samples.append(&mut watch.samples);
            seen.frames += watch.frames;
            seen.duplicates += watch.duplicates;
            seen.same_position += watch.same_position;
            seen.losses += watch.losses;
            report.breaches.merge(std::mem::take(&mut watch.breaches));
        }
        report.figure("deliveries", seen.samples.len() as f64, "");
        report.figure("frames", seen.frames as f64, "");
        report.figure("duplicates", seen.duplicates as f64, "");
        report.figure("connections_lost", seen.losses as f64, "");
        if seen.losses > 0 {
            report.figure("returned_by_delta", by_delta as f64, "");
            report.figure("returned_by_snapshot", by_snapshot as f64, "");
            report.quantiles("lost_to_returned", took_ms);
        }
        seen
    }
}

/// Reports late and repeated commands.
pub fn report_commands(api: &Api, report: &mut Report) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    report.figure("commands_answered_202", count(api.late()), "");
    report.figure("commands_sent_again", count(api.repeats()), "");
}

/// Checks that the clients fit into this process, as far as its limits can be raised.
///
/// # Errors
/// When it does not.
pub fn check_room(clients: usize, sources: u8) -> Result<()> {
    ensure!(clients > 0, "a crowd needs at least one client");
    let ports = PORTS_PER_SOURCE * usize::from(sources);
    ensure!(
        clients <= ports,
        "{clients} clients need more than {sources} sources of {PORTS_PER_SOURCE} ports each"
    );
    let room = raise_descriptors().saturating_sub(SPARE_DESCRIPTORS);
    ensure!(
        clients as u64 <= room,
        "{clients} clients need more than the {room} free file descriptors: run several swarms"
    );
    Ok(())
}

/// Raises the limit of file descriptors as far as allowed, and returns it.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // When this fails, the limit stays as it is.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Checks that the clients fit into this process, and returns the settings for the report.
///
/// # Errors
/// When they do not fit.
pub fn settings(target: &Target, args: &CrowdArgs, clients: usize) -> Result<serde_json::Value> {
    check_room(clients, args.sources)?;
    Ok(json!({"clients": clients, "nodes": target.nodes.len(), "sources": args.sources}))
}
