//! A suspended tenant, on two nodes and real servers: its clients are closed, and what other
//! systems say of it waits.

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, Producer},
};
use schemas::log::PartitionId;
use serde_json::{Value, json};
use testing::{
    follower::ChannelFollower,
    http::ApiRequest,
    patience::{PATIENCE, eventually, patiently},
};

use crate::{
    installation::Installation,
    real_servers::{TURN, append, record_of},
    stream::{self, Stream},
    world::{Site, World},
};

const REASON: &str = "The contract of this clinic has ended";

/// Clients of one token at one node, on each transport.
struct Clients {
    socket: ChannelFollower,
    stream: Stream,
    session: Session,
}

/// A Socket.IO session, by long-polling.
struct Session {
    node: String,
    path: String,
}

impl Session {
    async fn open(world: &World, node: &str, token: &str) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling";
        let open = world.api.call(node, ApiRequest::get(path)).await.text;
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let path = format!("{path}&sid={}", open["sid"].as_str().unwrap());
        let connect = format!("40{}", json!({"token": token}));
        let request = ApiRequest::post(&path).header("content-type", "text/plain").text(&connect);
        assert_eq!(world.api.call(node, request).await.text, "ok");
        let session = Self { node: node.to_owned(), path };
        // A ping or nothing may come first.
        while !session.poll(world).await.unwrap().contains("40{") {}
        session
    }

    /// The next packets, or the status of an answer without any.
    async fn poll(&self, world: &World) -> Result<String, u16> {
        let answer = world.api.call(&self.node, ApiRequest::get(&self.path)).await;
        if answer.status == 200 { Ok(answer.text) } else { Err(answer.status) }
    }

    /// Polls until the session is over. Returns the packets.
    async fn until_closed(self, world: &World) -> String {
        let mut all = String::new();
        loop {
            match self.poll(world).await {
                Ok(packets) if packets.split('\x1e').any(|packet| matches!(packet, "1" | "41")) => {
                    return all + &packets;
                }
                Ok(packets) => all += &packets,
                Err(_) => return all,
            }
        }
    }
}

impl Clients {
    async fn open(world: &World, node: &str, token: &str, board: &str) -> Self {
        let path = stream::path_for(world, token, &[board]).await;
        let mut stream = Stream::open(node, &path, None).await;
        stream.expect("snapshot").await;
        let socket = ChannelFollower::start(node, token, board).await;
        Self { socket, stream, session: Session::open(world, node, token).await }
    }

    async fn until_closed(mut self, world: &World) {
        let close = async {
            loop {
                if let Err(code) = self.socket.next().await {
                    break code;
                }
            }
        };
        assert_eq!(patiently("a close", close).await, 3507);
        let told = loop {
            let event = self.stream.event().await.expect("the stream says why");
            if event.name == "problem" {
                break event.data;
            }
        };
        assert_eq!((&told["code"], &told["retry"]), (&json!("tenant_suspended"), &json!(false)));
        let packets = patiently("the end", self.session.until_closed(world)).await;
        assert!(packets.contains(r#""code":3507"#), "{packets}");
    }
}

/// Appends a fact as a bridge does.
fn tell(installation: &Installation, site: &Site, bits: u128) -> String {
    let partitions: u32 = installation.setting("CLINICWIRE_PARTITIONS").parse().unwrap();
    let brokers = installation.setting("CLINICWIRE_KAFKA");
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let record = record_of(site, bits);
    let wire = record.to_wire();
    let home = PartitionId::for_key(&wire.key, partitions);
    append(&producer, installation.setting("CLINICWIRE_CARE_TOPIC"), &wire, home);
    producer.flush(PATIENCE).unwrap();
    record.command.ticket().unwrap().to_string()
}

async fn until_parked(installation: &Installation, count: usize) {
    eventually("the facts are parked", || async {
        let codes = installation.query("SELECT code FROM clinicwire.parked").await;
        assert!(codes.iter().all(|code| code == "tenant_suspended"), "{codes:?}");
        (codes.len() == count).then_some(())
    })
    .await;
}

async fn change(world: &World, boss: &str, verb: &str) {
    let request = ApiRequest::post(&format!("/v1/tenants/demo/{verb}")).token(boss);
    let answer = world.api.call(world.there(), request.header("clinicwire-reason", REASON)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspension_holds_on_all_nodes_and_over_a_restart() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let site = installation.world.site().await;
    let boss = installation.world.token("super_admin", json!({"tenant": "north", "sub": "boss"}));
    let board = format!("board:{}", site.location);
    let mut clients = Vec::new();
    for node in &installation.world.nodes {
        clients.push(Clients::open(&installation.world, node, &site.display, &board).await);
    }
    change(&installation.world, &boss, "suspend").await;
    for clients in clients {
        clients.until_closed(&installation.world).await;
    }
    let first = tell(&installation, &site, 1);
    until_parked(&installation, 1).await;

    installation.kill_processors();
    installation.start_processors();
    let second = tell(&installation, &site, 2);
    until_parked(&installation, 2).await;
    let (node, gateway) = installation.start_gateway(&[]).await;
    let path = format!("/v1/boards/{}", site.location);
    let request = ApiRequest::get(&path).token(&site.display);
    let refused = installation.world.api.call(&node, request).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("tenant_suspended")));
    gateway.terminate().await;

    change(&installation.world, &boss, "resume").await;
    let world = &installation.world;
    eventually("the tenant is served", || async {
        let request = ApiRequest::get(&path).token(&site.display);
        (world.api.call(world.here(), request).await.status == 200).then_some(())
    })
    .await;
    let queue = format!("queue:{}", site.general);
    let mut desk = ChannelFollower::start(world.here(), &site.reception, &queue).await;
    desk.until("both facts", |desk| {
        [&first, &second].iter().all(|ticket| desk.view.entries.contains_key(ticket.as_str()))
    })
    .await;
    until_parked(&installation, 0).await;
    installation.stop().await;
}
