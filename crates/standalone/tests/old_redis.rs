//! Redis that comes back old: from a snapshot, from an old append-only file, and as a replica that
//! was stopped while its primary moved on. Real servers, the real runner, and the reader of a
//! gateway; the log and the authority are in memory.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "old_redis/server.rs"]
mod server;

use std::{process::Command, sync::Arc};

use gateway::{
    metrics::Metrics,
    readiness::{Condition, Readiness},
    servers::redis::{RedisSnapshots, connect},
    views::reader::{FetchGoal, ViewReader},
};
use processors::{
    ledger::Ledger,
    log::PartitionId,
    runner::{self, RunnerBackends, RunnerSettings},
    servers::redis::RedisViews,
    views::{Coverage, ViewStore},
};
use schemas::{
    ids::Aggregate,
    record::{CARE_TOPIC, VIEWS_TOPIC},
    redis_keys,
    view::View,
};
use server::{Front, RedisServer, free_port};
use standalone::memory::{Memory, system_clock};
use testing::{patience::eventually, records::riverside};
use tokio::task::JoinHandle;

const QUEUE: &str = "queue:riverside.general";
/// The partition of a log in memory.
const PARTITION: PartitionId = PartitionId(0);

/// One clinic with its processor, over a Redis at `url`.
struct Clinic {
    memory: Memory,
    url: String,
    views: Arc<RedisViews>,
    runner: JoinHandle<()>,
    tickets: u128,
}

impl Clinic {
    async fn new(url: String) -> Self {
        let clinic = Self::without_store(url).await;
        clinic.quiet().await;
        clinic
    }

    /// A clinic with ten people in line, whose Redis need not answer.
    async fn without_store(url: String) -> Self {
        let memory = Memory::new(system_clock());
        let views = Arc::new(RedisViews::connect(&url, VIEWS_TOPIC).await.expect("a Redis URL"));
        let runner = run(&memory, views.clone());
        let clinic = Self { memory, url, views, runner, tickets: 10 };
        for command in riverside::opening() {
            clinic.send(command).await;
        }
        for number in 1..=clinic.tickets {
            clinic.send(riverside::issue("general", number)).await;
        }
        eventually("all is committed", async || {
            let checkpoint = clinic.memory.ledger.checkpoint(PARTITION).await.unwrap();
            (checkpoint.next_offset == clinic.memory.log.end()).then_some(())
        })
        .await;
        clinic
    }

    async fn send(&self, command: schemas::command::Command) {
        let id = format!("c-{:016x}", fastrand::u64(..));
        let record = riverside::record(&id, command).to_wire();
        gateway::backends::log::Log::append(&*self.memory.log, CARE_TOPIC, record).await.unwrap();
    }

    /// Puts `count` people in line, and waits until their views are stored.
    async fn issue(&mut self, count: u128) {
        self.issue_unstored(count).await;
        self.quiet().await;
    }

    /// Puts `count` people in line, and waits until the authority has them.
    async fn issue_unstored(&mut self, count: u128) {
        for _ in 0..count {
            self.tickets += 1;
            self.send(riverside::issue("general", self.tickets)).await;
        }
        eventually("all is committed and published", async || {
            let ledger = &self.memory.ledger;
            let is_done = ledger.checkpoint(PARTITION).await.unwrap().next_offset
                == self.memory.log.end()
                && ledger.outbox(PARTITION, 1).await.unwrap().is_empty();
            is_done.then_some(())
        })
        .await;
    }

    /// Waits until every record is committed and every view is repaired.
    async fn quiet(&self) {
        eventually("all is quiet", async || {
            let ledger = &self.memory.ledger;
            let is_quiet = ledger.checkpoint(PARTITION).await.unwrap().next_offset
                == self.memory.log.end()
                && ledger.outbox(PARTITION, 1).await.unwrap().is_empty()
                && ledger.dirty(PARTITION, 1, 1).await.unwrap().is_empty()
                && matches!(
                    self.views.coverage(CARE_TOPIC, PARTITION).await,
                    Ok(Coverage::Covered)
                );
            is_quiet.then_some(())
        })
        .await;
    }

    /// Stops the processor, so that nothing is repaired.
    fn stop(&self) {
        self.runner.abort();
    }

    fn start_again(&mut self) {
        self.runner = run(&self.memory, self.views.clone());
    }

    async fn authority(&self, view: &str) -> View {
        let name = (riverside::aggregate(), view.to_owned());
        self.memory.ledger.view(&name).await.unwrap().expect("the view is there").0
    }

    /// The queue and each ticket in it.
    fn names(&self) -> Vec<String> {
        let ticket = |number| format!("ticket:{}", riverside::ticket(number));
        (1..=self.tickets).map(ticket).chain([QUEUE.to_owned(), "board:riverside".into()]).collect()
    }

    /// Has a new gateway read every view, and compares each with the authority. Returns how many
    /// views came from Redis.
    async fn read_by_new_gateway(&self) -> u64 {
        let gateway = Gateway::start(self).await;
        for name in self.names() {
            let (shown, right) = (gateway.read(&name).await, self.authority(&name).await);
            assert_eq!(shown.position, right.position, "{name}");
            let texts = |view: &View| serde_json::to_string(&view.entries).unwrap();
            assert_eq!(texts(&shown), texts(&right), "{name}");
        }
        gateway.metrics.view_fetches.store.get()
    }
}

fn run(memory: &Memory, views: Arc<RedisViews>) -> JoinHandle<()> {
    let backends = RunnerBackends { views, ..memory.processors() };
    let running = runner::run(backends, RunnerSettings::new(CARE_TOPIC), std::future::pending());
    tokio::spawn(async move { drop(running.await) })
}

/// The reading side of a gateway.
struct Gateway {
    reader: Arc<ViewReader>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl Gateway {
    async fn start(clinic: &Clinic) -> Self {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::default());
        let snapshots = RedisSnapshots::new(connect(&clinic.url).await.expect("a Redis URL"));
        let (snapshots, queries) = (Arc::new(snapshots), clinic.memory.queries());
        let reader = ViewReader::new(snapshots, queries, metrics.clone(), &readiness);
        Self { reader: Arc::new(reader), metrics, readiness }
    }

    async fn read(&self, view: &str) -> View {
        let aggregate = riverside::aggregate();
        let read = self.reader.fetch(&aggregate, view, FetchGoal::default()).await;
        read.expect("it is read").unwrap_or_else(|| panic!("{view} exists"))
    }
}

/// The version of the queue that the server holds, trusted or not.
fn raw_version(server: &RedisServer) -> u64 {
    let aggregate: Aggregate = riverside::aggregate();
    let text = server.cli(&["HGET", &redis_keys::view(&aggregate, QUEUE), redis_keys::POSITION]);
    text.split(' ').nth(1).expect("epoch, version, time and identity").parse().unwrap()
}

/// The server came back with its data from before the last calls. No reader is shown these data,
/// neither before the processor repairs them nor after.
async fn nothing_old_is_shown(clinic: &mut Clinic, server: &RedisServer) {
    let right = clinic.authority(QUEUE).await.position.version;
    assert!(raw_version(server) < right, "the server is old");
    assert_eq!(clinic.read_by_new_gateway().await, 0, "Redis is not trusted");
    clinic.start_again();
    clinic.quiet().await;
    assert_eq!(raw_version(server), right, "a queue that nobody changes is repaired");
    assert_eq!(clinic.read_by_new_gateway().await, clinic.names().len() as u64, "all from Redis");
    clinic.issue(1).await;
    assert_eq!(clinic.read_by_new_gateway().await, clinic.names().len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_of_redis_is_not_shown() {
    let mut server = RedisServer::start(&[]);
    let mut clinic = Clinic::new(server.url()).await;
    assert_eq!(clinic.read_by_new_gateway().await, clinic.names().len() as u64);
    assert_eq!(server.cli(&["SAVE"]).trim(), "OK");
    clinic.issue(3).await;
    clinic.stop();
    server.kill();
    server.restart();
    nothing_old_is_shown(&mut clinic, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_append_only_file_is_not_shown() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut clinic = Clinic::new(server.url()).await;
    let (files, copy) = (server.directory().join("appendonlydir"), server.directory().join("old"));
    let move_files = |from: &std::path::Path, to: &std::path::Path| {
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    move_files(&files, &copy);
    clinic.issue(3).await;
    clinic.stop();
    server.kill();
    std::fs::remove_dir_all(&files).unwrap();
    move_files(&copy, &files);
    server.restart();
    nothing_old_is_shown(&mut clinic, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_had_stopped_is_not_trusted() {
    let mut primary = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
    let front = Front::new(primary.port).await;
    let link = Front::new(primary.port).await;
    let follow = replica.cli(&["REPLICAOF", "127.0.0.1", &link.port.to_string()]);
    assert_eq!(follow.trim(), "OK");
    let synced = |server: &RedisServer| {
        server.cli(&["INFO", "replication"]).contains("master_link_status:up")
    };
    replica.until("the replica has the data", synced);
    let mut clinic = Clinic::new(front.url()).await;
    let version = raw_version(&primary);
    replica.until("the replica follows", |server| raw_version(server) == version);
    drop(link); // nothing reaches the replica any more
    clinic.issue(3).await;
    clinic.stop();
    primary.kill();
    front.lead_to(replica.port);
    assert_eq!(clinic.read_by_new_gateway().await, 0, "a replica is not trusted");
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]).trim(), "OK");
    nothing_old_is_shown(&mut clinic, &replica).await;
}

/// A Redis that takes no writes answers reads all the same, with what it had. The gateway is new,
/// so that no record tells it what it lacks.
#[tokio::test(flavor = "multi_thread")]
async fn full_redis_is_not_trusted() {
    let server = RedisServer::start(&[]);
    let mut clinic = Clinic::new(server.url()).await;
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "1"]).trim(), "OK");
    clinic.issue_unstored(3).await;
    let right = clinic.authority(QUEUE).await.position;
    assert!(raw_version(&server) < right.version, "the server is full");

    let gateway = Gateway::start(&clinic).await;
    let watching = gateway.reader.clone();
    let watched = tokio::spawn(async move { watching.watch().await });
    let reads_from_store = async || {
        let before = gateway.metrics.view_fetches.store.get();
        gateway.read(QUEUE).await;
        gateway.metrics.view_fetches.store.get() > before
    };
    eventually("the gateway has asked the authority", async || {
        (gateway.read(QUEUE).await.position == right).then_some(())
    })
    .await;
    for name in clinic.names() {
        let (shown, right) = (gateway.read(&name).await, clinic.authority(&name).await);
        assert_eq!(shown.position, right.position, "{name}");
    }
    assert!(!reads_from_store().await);

    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "0"]).trim(), "OK");
    clinic.quiet().await;
    eventually("it reads from Redis", async || reads_from_store().await.then_some(())).await;
    assert_eq!(gateway.read(QUEUE).await.position, right);
    watched.abort();
}

/// A connection that outlives the change of the data behind it: the identity is read with the view,
/// so no event of the client is needed.
#[tokio::test(flavor = "multi_thread")]
async fn open_connection_notices_change_of_identity() {
    let server = RedisServer::start(&["--enable-debug-command", "yes"]);
    let clinic = Clinic::new(server.url()).await;
    let gateway = Gateway::start(&clinic).await;
    gateway.read(QUEUE).await;
    assert_eq!(gateway.metrics.view_fetches.store.get(), 1);
    clinic.stop();
    assert_eq!(server.cli(&["DEBUG", "CHANGE-REPL-ID"]).trim(), "OK");
    gateway.read(QUEUE).await;
    assert_eq!(gateway.metrics.view_fetches.store.get(), 1, "it is read from the authority");
    assert_eq!(gateway.metrics.view_fetches.authority.get(), 1);
}

/// The node starts while nothing listens there, and uses Redis when it comes.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_starts_while_redis_is_down() {
    let port = free_port();
    let clinic = Clinic::without_store(format!("redis://127.0.0.1:{port}")).await;
    let gateway = Gateway::start(&clinic).await;
    let watched = gateway.reader.clone();
    let watch = tokio::spawn(async move { watched.watch().await });
    assert_eq!(gateway.read(QUEUE).await.position, clinic.authority(QUEUE).await.position);
    eventually("the loss is noticed", async || {
        gateway.readiness.holds(Condition::StoreDown).then_some(())
    })
    .await;
    assert!(!gateway.readiness.holds(Condition::AuthorityDown));
    let _server = RedisServer::start_at(port, &[]);
    eventually("redis is used again", async || {
        (!gateway.readiness.holds(Condition::StoreDown)).then_some(())
    })
    .await;
    clinic.quiet().await;
    eventually("the gateway reads what the processor has filled", async || {
        gateway.read(QUEUE).await;
        (gateway.metrics.view_fetches.store.get() > 0).then_some(())
    })
    .await;
    watch.abort();
}

/// A stopped Redis accepts connections and does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn hung_redis_is_left_alone_until_it_answers() {
    let server = RedisServer::start(&[]);
    let clinic = Clinic::new(server.url()).await;
    let gateway = Gateway::start(&clinic).await;
    let watched = gateway.reader.clone();
    let watch = tokio::spawn(async move { watched.watch().await });
    gateway.read(QUEUE).await;
    server.signal("-STOP");
    eventually("the breaker opens", async || {
        gateway.read(QUEUE).await;
        gateway.readiness.holds(Condition::StoreDown).then_some(())
    })
    .await;
    let held = clinic.authority(QUEUE).await.position;
    let before = gateway.metrics.view_fetches.authority.get();
    for _ in 0..20 {
        assert_eq!(gateway.read(QUEUE).await.position, held);
    }
    assert_eq!(gateway.metrics.view_fetches.authority.get(), before + 20, "Redis is not asked");
    server.signal("-CONT");
    eventually("redis is used again", async || {
        (!gateway.readiness.holds(Condition::StoreDown)).then_some(())
    })
    .await;
    watch.abort();
}
