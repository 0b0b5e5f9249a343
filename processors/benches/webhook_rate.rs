//! The rate and delay of webhooks on PostgreSQL: events go to ten receivers, of which one is down
//! and then comes back. Needs a server; `--fsync` makes commits wait for the disk:
//! `deploy/dev/servers run --fsync -- cargo bench -p clinicwire-processors --bench webhook_rate`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/servers/setup.rs"]
mod setup;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant, UNIX_EPOCH},
};

use bytes::Bytes;
use processors::{
    clock::wall_clock,
    ledger::{Batch, Ledger, PartitionClaim},
    log::PartitionId,
    servers::postgres::{ConnectionSettings, PoolSettings, PostgresLedger, PostgresWebhooks, Role},
    tenants::Tenants,
    webhooks::{self, OutwardRow, WebhookChange, WebhookRow, WebhookSenderSettings, WebhookStore},
};
use schemas::{
    Millis,
    ids::{EventId, LocationId, TenantId, WebhookId},
    view::Position,
    webhook::{Webhook, WebhookKey, WebhookSettings, WebhookState},
};
use testing::receiver::Receiver;
use tokio::{sync::Notify, time::interval};

use crate::setup::{Database, TestTopics};

const RECEIVERS: usize = 10;
/// Events of one batch, and batches of a second.
const EVENTS: u64 = 10;
const BATCHES: u32 = 100;
const SECONDS: u64 = 20;

/// The processor's name and the number of cores, since figures are only comparable on one machine.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores, {}", model.trim_start_matches(['\t', ' ', ':']).trim())
}

struct Desk {
    ledger: PostgresLedger,
    claim: PartitionClaim,
    tenant: TenantId,
    signal: Arc<Notify>,
    events: u64,
}

impl Desk {
    async fn commit(&mut self, outward: Vec<OutwardRow>, changes: Vec<WebhookChange>) {
        let row = |change| WebhookRow { tenant: self.tenant.clone(), change };
        let (claim, to) = (self.claim, self.claim.next_offset.next());
        let batch = Batch {
            outward,
            webhooks: changes.into_iter().map(row).collect(),
            ..Batch::without_rows(claim, to)
        };
        self.ledger.commit(&batch).await.unwrap();
        self.claim.next_offset = to;
        self.signal.notify_one();
    }

    /// A batch of events. Each body has the moment of its decision, and the length of a call.
    async fn happen(&mut self, at: Millis) {
        let location = LocationId::new("riverside").unwrap();
        let rows = (0..EVENTS).map(|_| {
            self.events += 1;
            OutwardRow {
                tenant: self.tenant.clone(),
                event: EventId::from_random(self.events.into()),
                location: Some(location.clone()),
                kind: "ticket.called",
                webhook: None,
                at,
                body: Bytes::from(format!(r#"{{"at":{at},"more":"{}"}}"#, "x".repeat(400))),
            }
        });
        let rows = rows.collect();
        self.commit(rows, Vec::new()).await;
    }
}

fn webhook(number: usize, receiver: &Receiver) -> Webhook {
    Webhook {
        webhook: WebhookId::from_random(number as u128),
        settings: WebhookSettings {
            url: format!("{}/{number}", receiver.origin),
            description: None,
            events: BTreeSet::new(),
            locations: BTreeSet::new(),
        },
        state: WebhookState::Active,
        created_at: 0,
        edition: 1,
        secret: Position { epoch: 1, version: 1 },
        previous: None,
    }
}

/// Milliseconds from the decision of each event to its receipt, sorted.
fn delays(receivers: &[Arc<Receiver>]) -> Vec<i64> {
    let delay = |request: &testing::receiver::ReceivedRequest| {
        let at = request.body.split([':', ',']).nth(1)?.parse::<i64>().ok()?;
        let received = request.received_at.duration_since(UNIX_EPOCH).ok()?.as_millis();
        Some(i64::try_from(received).ok()? - at)
    };
    let taken = receivers.iter().flat_map(|receiver| receiver.taken());
    let mut delays: Vec<i64> = taken.filter_map(|request| delay(&request)).collect();
    delays.sort_unstable();
    delays
}

#[tokio::main]
async fn main() {
    if std::env::var_os("CLINICWIRE_POSTGRES").is_none() {
        println!("webhook_rate: CLINICWIRE_POSTGRES names no server, nothing is measured");
        return;
    }
    println!("machine: {}", machine());
    for (name, down) in [("refuses by 503", 503), ("does not answer", 0)] {
        measure(name, down).await;
    }
}

async fn measure(name: &str, down: u16) {
    let database = Database::migrated().await;
    let ledger = database.ledger(2);
    let claim = ledger.claim(PartitionId(0)).await.unwrap();
    let (tenant, signal) = (TenantId::new("demo").unwrap(), Arc::new(Notify::new()));
    let mut desk = Desk { ledger, claim, tenant, signal: Arc::clone(&signal), events: 0 };
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        receivers.push(Receiver::serve().await);
    }
    receivers[0].status.store(down, SeqCst);
    let stored = receivers.iter().enumerate().map(|(at, it)| WebhookChange::Store(webhook(at, it)));
    let stored = stored.collect();
    desk.commit(Vec::new(), stored).await;
    let connection = ConnectionSettings { url: database.url.clone(), role: Some(Role::Processor) };
    let store = PostgresWebhooks::new(&PoolSettings { connection, size: 2 }).unwrap();
    let store = Arc::new(store);
    let settings = WebhookSenderSettings {
        key: WebhookKey::from_bytes([1; 32]),
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        counters: Arc::default(),
        clock: wall_clock(),
        tenants: Tenants::none(),
    };
    let topics = TestTopics::named();
    let log = topics.writer();
    let sending = tokio::spawn(webhooks::run(
        store.clone(),
        log,
        settings,
        signal,
        std::future::pending::<()>(),
    ));
    let mut pace = interval(Duration::from_secs(1) / BATCHES);
    let (clock, begun) = (wall_clock(), Instant::now());
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        pace.tick().await;
        desk.happen(clock()).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let all = usize::try_from(desk.events).unwrap();
    let others = &receivers[1..];
    until(|| others.iter().all(|receiver| receiver.count() >= all)).await;
    let caught_up = begun.elapsed().as_secs_f64() - took;
    let delays = delays(others);
    let percentile = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!(
        "one receiver {name}: {:.0} events/s to {RECEIVERS} receivers for {took:.0} s",
        all as f64 / took,
    );
    println!(
        "  the other nine: {} of {} received, delay p50 {} ms, p99 {} ms, max {} ms; all had \
         theirs {caught_up:.1} s after the last event",
        delays.len(),
        all * 9,
        percentile(0.5),
        percentile(0.99),
        percentile(1.0),
    );
    receivers[0].status.store(204, SeqCst);
    let back = Instant::now();
    until(|| receivers[0].count() >= all).await;
    let totals = store.count().await.unwrap();
    println!(
        "  the one that was down: {} of {all} within {:.1} s of its return; {} pending, {} dead",
        receivers[0].count(),
        back.elapsed().as_secs_f64(),
        totals.pending,
        totals.dead,
    );
    sending.abort();
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
