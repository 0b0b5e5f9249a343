//! The scenarios on Kafka, Redis and PostgreSQL, and tests that need several processes: one is
//! killed, one stops, unreadable records arrive. The environment names the servers; without them
//! these tests fail.

use std::{collections::BTreeSet, process, sync::Arc};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use schemas::{
    command::Command,
    ids::{Aggregate, CommandId, QueueId, TenantId, TicketId},
    log::PartitionId,
    record::{CommandRecord, WireRecord},
    ticket::Priority,
};
use serde_json::json;
use testing::claims_files::planted;
use testing::{
    follower::ChannelFollower,
    http::ApiRequest,
    patience::{PATIENCE, eventually},
};
use tokio::sync::Mutex;

use crate::{
    clerk::{Clerk, export, is_over},
    installation::Installation,
    scenarios::{self, for_each_scenario},
    world::{Site, World, issued},
};

/// Allows one installation at a time: each is three processes, and a machine may have two cores.
pub static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_passes_on_two_nodes() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let mut broken = Vec::new();
    macro_rules! run {
        ($($name:ident,)*) => {$(
            let world_of_it = world.clone();
            // A task per scenario, so that one failure does not hide the others.
            let scenario = tokio::spawn(async move { scenarios::$name(&world_of_it).await });
            if scenario.await.is_err() {
                broken.push(stringify!($name));
            }
        )*};
    }
    for_each_scenario!(run);
    assert!(broken.is_empty(), "on two nodes these do not hold: {broken:?}");
    installation.stop().await;
}

const TICKETS: usize = 150;
const WRITERS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processor_loses_and_repeats_nothing() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let site = Arc::new(world.site().await);
    let channel = format!("queue:{}", site.general);
    let mut desk = ChannelFollower::start(world.here(), &site.reception, &channel).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(world.clone(), site.clone(), writer)))
        .collect();
    for kill_at in [TICKETS / 4, TICKETS / 2] {
        desk.until("some tickets", |desk| desk.view.entries.len() > kill_at).await;
        installation.kill_processors();
        installation.start_processors();
    }
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.extend(writer.await.unwrap());
    }
    let labels: BTreeSet<String> =
        outcomes.iter().map(|(_, outcome)| issued(outcome).label).collect();
    let expected: BTreeSet<String> = (1..=TICKETS).map(|number| format!("A-{number:03}")).collect();
    assert_eq!(labels, expected, "each ticket exactly once");
    let versions: BTreeSet<u64> =
        outcomes.iter().filter_map(|(_, outcome)| outcome["version"].as_u64()).collect();
    let (first, last) = (*versions.first().unwrap(), *versions.last().unwrap());
    assert_eq!(
        (versions.len(), last - first),
        (TICKETS, TICKETS as u64 - 1),
        "one version per ticket, none left out"
    );

    desk.until("all tickets", |desk| desk.held.version >= last).await;
    assert_eq!(
        world.read(&site.reception, format!("/v1/queues/{}", site.general)).await,
        desk.as_snapshot()
    );
    assert_eq!(desk.view.entries.len(), TICKETS + 1);
    for (key, outcome) in outcomes.iter().step_by(7) {
        let again = world.api.settle(world.here(), issue(&site, key)).await;
        assert_eq!(&again.body, outcome, "the first outcome, for ever");
    }
    installation.stop().await;
}

fn issue(site: &Site, key: &str) -> ApiRequest {
    ApiRequest::post(&format!("/v1/queues/{}/tickets", site.general))
        .token(&site.reception)
        .key(key)
        .json(json!({}))
}

/// Issues this writer's share of tickets, each under its own key, until every one has an outcome.
async fn write(
    world: Arc<World>,
    site: Arc<Site>,
    writer: usize,
) -> Vec<(String, serde_json::Value)> {
    let mut outcomes = Vec::new();
    for number in 0..TICKETS / WRITERS {
        let key = format!("writer-{writer}-{number}");
        let node = &world.nodes[(writer + number) % world.nodes.len()];
        let answer = world.api.settle(node, issue(&site, &key)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        outcomes.push((key, answer.body));
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_in_any_phase_is_replaced() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let clerk = Clerk::with_all_rules(&world).await;
    let export = export(30_000, 11);
    let planted: Vec<_> = export
        .planted
        .iter()
        .filter(|one| !one.outcome.as_str().contains("pass"))
        .cloned()
        .collect();
    for phase in ["reading", "concluding", "storing"] {
        let run = clerk.check(&export.bytes).await;
        let mut shown =
            ChannelFollower::start(world.here(), &clerk.editor, &format!("run:{run}")).await;
        let there = |shown: &ChannelFollower| {
            shown.entry("progress")["phase"] == phase || is_over(&shown.entry("run"))
        };
        shown.until(phase, there).await;
        // A late phase may end before the kill. The run still has one end and all its findings.
        installation.kill_processors();
        installation.start_processors();
        shown.until("the end", |shown| is_over(&shown.entry("run"))).await;
        let head = shown.entry("run");
        assert_eq!(head["state"], "completed", "{phase}: {head}");
        let attempts = if phase == "reading" { 2..=2 } else { 1..=2 };
        assert!(attempts.contains(&head["attempt"].as_u64().unwrap()), "{phase}: {head}");
        let findings = clerk.findings(&run, "").await;
        let difference = planted::compare(&planted, &findings);
        assert!(difference.is_empty(), "{phase}: {}", difference.describe());
    }
    let left = "SELECT count(*)::text FROM clinicwire.run_work";
    assert_eq!(installation.query(left).await, ["0"], "no work is left behind");
    // The tenant's directory stays; its files are gone.
    let uploads = installation.files().join(&clerk.tenant);
    eventually("the files are removed", || async {
        uploads.read_dir().unwrap().next().is_none().then_some(())
    })
    .await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_node_hands_clients_over_without_gap() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let site = Arc::new(world.site().await);
    let mine = world.issue(&site, &site.general).await;
    let patient = world.patient(&[&mine]);
    let mut desk =
        ChannelFollower::start(world.here(), &site.reception, &format!("queue:{}", site.general))
            .await;
    let mut phone =
        ChannelFollower::start(world.here(), &patient, &format!("ticket:{}", mine.ticket)).await;
    let writing = tokio::spawn({
        let (world, site) = (world.clone(), site.clone());
        async move {
            for _ in 0..40 {
                world.issue(&site, &site.general).await;
            }
        }
    });
    desk.until("some tickets", |desk| desk.view.entries.len() > 10).await;
    installation.gateways[0].signal("-TERM");
    for follower in [&mut desk, &mut phone] {
        let code = loop {
            if let Err(code) = follower.next().await {
                break code;
            }
        };
        assert_eq!(code, 3001, "shutdown: come back elsewhere");
    }
    assert!(installation.gateways[0].wait().await.success());
    writing.await.unwrap();
    let last = world.call_next(&site, &site.general, &site.room_1).await;
    assert_eq!(last, mine);

    let desk = desk.resume(world.there(), &site.reception).await;
    assert!(desk.recovered && desk.missed <= 1, "the other node's tail knows the position");
    let mut desk = desk.follower;
    let called = |desk: &ChannelFollower| desk.entry(&mine.ticket)["state"] == "called";
    desk.until("the call", called).await;
    let path = format!("/v1/queues/{}", site.general);
    let answer = world.api.call(world.there(), ApiRequest::get(&path).token(&site.reception)).await;
    assert_eq!(answer.body, desk.as_snapshot());
    let mut phone = phone.resume(world.there(), &patient).await.follower;
    phone.until("the call", |phone| phone.state()["state"] == "called").await;
    installation.gateways.remove(0);
    installation.stop().await;
}

/// Kafka, stopped until the value is dropped.
struct StalledKafka;

impl StalledKafka {
    fn begin() -> Self {
        signal_kafka("-STOP");
        Self
    }
}

impl Drop for StalledKafka {
    fn drop(&mut self) {
        signal_kafka("-CONT");
    }
}

fn signal_kafka(signal: &str) {
    let servers = std::env::var("CLINICWIRE_SERVERS")
        .expect("CLINICWIRE_SERVERS is set by `deploy/dev/servers run`, which starts the servers");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/dev/servers");
    let sent = process::Command::new(script).args(["kill", &servers, "kafka", signal]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{signal}");
}

/// `loadtests` has the program `stall`, which measures longer stalls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_come_back_after_a_stall_of_kafka() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = std::mem::replace(&mut installation.world, World::new(Vec::new(), ""));
    let site = world.site().await;
    let channel = format!("queue:{}", site.general);
    let mut desks = Vec::new();
    for node in &world.nodes {
        desks.push(ChannelFollower::start(node, &site.reception, &channel).await);
    }
    let stalled = StalledKafka::begin();
    for node in &world.nodes {
        eventually("the node is not ready", || async {
            let ready = ApiRequest::get("/health/ready");
            let answer = world.api.try_call(node, ready).await.expect("the node answers");
            answer.text.contains("the topic of views makes no progress").then(|| {
                assert_eq!(answer.status, 503);
            })
        })
        .await;
    }
    drop(stalled);
    let ticket = world.issue(&site, &site.general).await.ticket;
    for desk in &mut desks {
        desk.until("the ticket", |desk| desk.view.entries.contains_key(ticket.as_str())).await;
    }
    world.ready().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_records_are_parked_and_others_applied() {
    let _turn = TURN.lock().await;
    let installation = Installation::start().await;
    let site = installation.world.site().await;
    let good = |bits: u128| record_of(&site, bits);
    let partitions: u32 = installation.setting("CLINICWIRE_PARTITIONS").parse().unwrap();
    let home = |wire: &WireRecord| PartitionId::for_key(&wire.key, partitions);
    let after = |home: PartitionId, shift| PartitionId((home.0 + shift) % partitions);
    let with = |name: &str, value: &str| {
        let mut wire = good(1).to_wire();
        wire.headers.retain(|(header, _)| header != name);
        wire.headers.push((name.to_owned(), value.to_owned()));
        wire
    };
    let foreign = WireRecord { key: "demo/elsewhere".into(), ..good(2).to_wire() };
    let nowhere = WireRecord { key: "no aggregate".into(), ..good(3).to_wire() };
    let bad = [
        (with("ce_type", "clinicwire.ticket.teleport.v1"), None, "record_unknown_type"),
        (with("ce_type", "clinicwire.ticket.issue.v9"), None, "record_unknown_version"),
        (
            WireRecord { value: bytes::Bytes::from_static(b"{\"type\":"), ..good(4).to_wire() },
            None,
            "record_malformed",
        ),
        (nowhere, None, "record_bad_key"),
        (foreign, None, "record_foreign_id"),
        (good(5).to_wire(), Some(1), "record_wrong_partition"),
    ];
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", installation.setting("CLINICWIRE_KAFKA"))
        .create()
        .unwrap();
    for (wire, shift, _) in &bad {
        append(
            &producer,
            installation.setting("CLINICWIRE_CARE_TOPIC"),
            wire,
            after(home(wire), shift.unwrap_or(0)),
        );
    }
    // One valid record among them, as a bridge would write it.
    let bridged = good(6);
    append(
        &producer,
        installation.setting("CLINICWIRE_CARE_TOPIC"),
        &bridged.to_wire(),
        home(&bridged.to_wire()),
    );
    producer.flush(PATIENCE).unwrap();

    let ticket = bridged.command.ticket().unwrap().to_string();
    let mut desk = ChannelFollower::start(
        installation.world.here(),
        &site.reception,
        &format!("queue:{}", site.general),
    )
    .await;
    desk.until("the good record", |desk| desk.view.entries.contains_key(ticket.as_str())).await;
    assert_eq!(installation.world.issue(&site, &site.general).await.label, "A-002");
    let expected: BTreeSet<String> = bad.iter().map(|(.., code)| (*code).to_owned()).collect();
    let parked = eventually("all are parked", || async {
        let codes = installation.query("SELECT code FROM clinicwire.parked").await;
        (codes.len() >= bad.len()).then_some(codes)
    })
    .await;
    assert_eq!(parked.len(), bad.len());
    assert_eq!(parked.into_iter().collect::<BTreeSet<_>>(), expected);
    installation.stop().await;
}

pub fn record_of(site: &Site, bits: u128) -> CommandRecord {
    let queue = QueueId::new(site.general.as_str()).unwrap();
    let location = queue.location();
    CommandRecord {
        aggregate: Aggregate::location(&TenantId::new("demo").unwrap(), &location),
        id: CommandId::from_random(bits),
        source: "a-bridge".into(),
        fingerprint: None,
        valid_until: None,
        actor: None,
        command: Command::IssueTicket {
            ticket: TicketId::from_random(&location, bits),
            queue,
            priority: Priority::default(),
        },
    }
}

pub fn append(producer: &BaseProducer, topic: &str, wire: &WireRecord, partition: PartitionId) {
    let mut headers = OwnedHeaders::new();
    for (name, value) in &wire.headers {
        headers = headers.insert(Header { key: name, value: Some(value) });
    }
    let record = BaseRecord::to(topic)
        .partition(partition.to_kafka())
        .key(&wire.key)
        .payload(wire.value.as_ref())
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}
