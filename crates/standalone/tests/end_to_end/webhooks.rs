//! Webhooks and the topic of events on real servers: a receiver that is down while processors are
//! killed, and a reader of the topic.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use hyper::Method;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use schemas::{
    ids::{TenantId, WebhookId},
    outward::{OutwardData, OutwardEvent},
    view::Position,
    webhook::WebhookKey,
};
use serde_json::json;
use testing::{
    patience::{PATIENCE, eventually},
    process::program,
    receiver::Receiver,
};

use crate::{installation::Installation, real_servers::TURN, world::World};

/// An installation that sends webhooks to this machine, and the key of their secrets.
async fn installation() -> (Installation, WebhookKey) {
    let name = format!("webhook-key-{:012x}", fastrand::u64(..1 << 48));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
    let made = program("clinicwire-processors")
        .args(["webhook-key", "--webhook-key-file", &file])
        .status()
        .unwrap();
    assert!(made.success());
    let key = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let more = vec![
        ("CLINICWIRE_WEBHOOK_KEY_FILE", file),
        ("CLINICWIRE_WEBHOOK_NETWORK", "127.0.0.0/8".to_owned()),
    ];
    (Installation::start_with(more).await, key)
}

/// The events of the topic, at least so many, by partition and offset. A record that a fault
/// repeated counts once.
fn read_topic(installation: &Installation, count: usize) -> Vec<OutwardEvent> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", installation.setting("CLINICWIRE_KAFKA"))
        .set("group.id", "a-reader-of-events")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let topic = installation.setting("CLINICWIRE_EVENTS_TOPIC");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..6 {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let (mut events, mut ids, begun) = (Vec::new(), BTreeSet::new(), Instant::now());
    while ids.len() < count && begun.elapsed() < Duration::from_secs(30) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let event: OutwardEvent = serde_json::from_slice(message.payload().unwrap()).unwrap();
        ids.insert(event.id.to_string());
        events.push((message.partition(), message.offset(), event));
    }
    events.sort_by_key(|(partition, offset, _)| (*partition, *offset));
    ids.clear();
    events.retain(|(.., event)| ids.insert(event.id.to_string()));
    events.into_iter().map(|(.., event)| event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_receiver_and_topic_over_a_restart() {
    let _turn = TURN.lock().await;
    let (mut installation, key) = installation().await;
    let world = std::mem::replace(&mut installation.world, World::new(Vec::new(), ""));
    let receiver = Receiver::serve().await;
    receiver.status.store(503, SeqCst);
    let admin = world.token("admin", json!({}));
    let body = json!({ "url": format!("{}/clinicwire", receiver.origin) });
    let created = world.apply(&admin, Method::POST, "/v1/webhooks".to_owned(), body).await;
    let webhook = WebhookId::new(created["webhook"].as_str().unwrap()).unwrap();
    let made = Position {
        epoch: created["epoch"].as_str().unwrap().parse().unwrap(),
        version: created["version"].as_u64().unwrap(),
    };
    let secret = key.secret(&TenantId::new("demo").unwrap(), &webhook, made);
    assert_eq!(created["secret"], secret.text());

    let site = world.site().await;
    let mine = world.issue(&site, &site.general).await;
    world.call_next(&site, &site.general, &site.room_1).await;
    eventually("the receiver was asked", async || (receiver.refused() > 0).then_some(())).await;
    installation.kill_processors();
    // Before a second attempt fails: the third would come five minutes later.
    receiver.status.store(204, SeqCst);
    installation.start_processors();
    world.ticket(&site, &mine, "start").await;
    world.ticket(&site, &mine, "complete").await;

    let expected = ["issued", "called", "started", "ended"].map(|end| format!("ticket.{end}"));
    let mut expected = BTreeSet::from(expected);
    expected.extend(["turn.near".to_owned(), "visit.completed".to_owned()]);
    let kinds = |events: &[OutwardEvent]| -> BTreeSet<String> {
        events.iter().map(|event| event.data.kind().to_owned()).collect()
    };
    let taken = || -> Vec<OutwardEvent> {
        let taken = receiver.taken();
        taken.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect()
    };
    // The killed sender has leases of 30 s on what it was about to send.
    let every = async {
        while !expected.is_subset(&kinds(&taken())) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, every).await.expect("the receiver gets every event");
    for request in receiver.taken() {
        let timestamp = request.header("webhook-timestamp").parse().unwrap();
        let signature = secret.sign(request.header("webhook-id"), timestamp, &request.body);
        assert_eq!(request.header("webhook-signature"), signature);
    }
    assert!(taken().iter().any(|event| match &event.data {
        OutwardData::VisitCompleted { ticket, .. } => ticket.as_str() == mine.ticket,
        _ => false,
    }));

    let ids = |events: &[OutwardEvent]| -> BTreeSet<String> {
        events.iter().map(|event| event.id.to_string()).collect()
    };
    let sent = taken();
    let topic = read_topic(&installation, ids(&sent).len());
    assert_eq!(ids(&topic), ids(&sent), "the topic has the same events");
    let of_site: Vec<_> =
        topic.iter().filter(|event| event.location.is_some()).map(|it| it.position).collect();
    assert!(of_site.is_sorted(), "in the order of their location");
    installation.stop().await;
}
