//! A Redis Cluster of three real servers: the keys of each of our scripts are in one slot, so every
//! script runs there. What a cluster lacks is in docs/runbooks/capacity.md; programs refuse its
//! address.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[allow(dead_code, reason = "shared with another test")]
#[path = "old_redis/server.rs"]
mod server;

use std::{collections::BTreeSet, process::Command, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{Config, ServerConfig},
    },
};
use gateway::{
    backends::{quota::Quota, short_keys::ShortKeys, snapshots::Snapshots},
    servers::redis::{RedisKeys, RedisSnapshots, connect},
};
use processors::{
    fixtures::{Clinic, issue},
    ledger::Ledger,
    servers::redis::RedisViews,
    views::{StoreOutcome, ViewStore},
};
use schemas::{
    ids::Aggregate,
    record::VIEWS_TOPIC,
    redis_keys::{generation, line, view as view_key},
};
use server::RedisServer;
use standalone::memory::{Memory, system_clock};

const QUEUE: &str = "queue:riverside.general";
/// So many that each of three nodes has some of them, except once in 10^5 runs.
const CLINICS: usize = 32;

struct Cluster([RedisServer; 3]);

impl Cluster {
    fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes = [(); 3].map(|()| RedisServer::start(&options));
        let addresses = nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.port));
        let create = Command::new("redis-cli")
            .args(["--cluster", "create", "--cluster-yes"])
            .args(&addresses)
            .output()
            .unwrap();
        assert!(create.status.success(), "{}", String::from_utf8_lossy(&create.stdout));
        for node in &nodes {
            node.until("the cluster agrees", |node| {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
        }
        Self(nodes)
    }

    async fn client(&self) -> Client {
        let nodes = self.0.iter().map(|node| ("127.0.0.1", node.port)).collect();
        let config = Config { server: ServerConfig::new_clustered(nodes), ..Config::default() };
        let client = Builder::from_config(config).build().unwrap();
        client.init().await.unwrap();
        client
    }

    fn slot(&self, key: &str) -> String {
        self.0[0].cli(&["CLUSTER", "KEYSLOT", key])
    }
}

/// Clinics with people in line, and their ledger.
async fn clinics() -> (Memory, Vec<Clinic>) {
    let memory = Memory::new(system_clock());
    let mut clinics = Vec::new();
    for _ in 0..CLINICS {
        let mut clinic = Clinic::new(&*memory.ledger).await;
        clinic.open(&*memory.ledger, 3).await;
        clinics.push(clinic);
    }
    (memory, clinics)
}

fn keys(aggregate: &Aggregate) -> [String; 3] {
    let line = line(aggregate, "riverside.general");
    [generation(aggregate), view_key(aggregate, QUEUE), line]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_script_runs_in_a_cluster_of_three() {
    let cluster = Cluster::start();
    let client = cluster.client().await;
    let (memory, mut clinics) = clinics().await;
    let views = RedisViews::new(client.clone(), VIEWS_TOPIC);

    let mut slots = BTreeSet::new();
    for clinic in &mut clinics {
        let aggregate = clinic.aggregate.clone();
        let [generation, view, line] = keys(&aggregate).map(|key| cluster.slot(&key));
        assert_eq!((&generation, &generation), (&view, &line), "one slot for {aggregate}");
        slots.insert(generation);
        let name = (aggregate, QUEUE.to_owned());
        let (stored, keep_s) = memory.ledger.view(&name).await.unwrap().unwrap();
        views.replace(&name.0, QUEUE, &stored, keep_s).await.expect("the script `replace` runs");
        let mut steps = clinic.steps(vec![issue(9)]);
        steps.retain(|step| step.step.view == QUEUE);
        let outcomes = views.store(&steps).await.expect("the script `store` runs");
        assert_eq!(outcomes, [StoreOutcome::Current]);
    }
    assert!(slots.len() > CLINICS / 2, "{slots:?}");

    let short = RedisKeys::new(client);
    for number in 0..CLINICS {
        let key = format!("key-{number}");
        assert_eq!(short.claim(&key, "one", Duration::from_mins(1)).await.unwrap(), None);
        let held = short.claim(&key, "other", Duration::from_mins(1)).await.unwrap();
        assert_eq!(held.as_deref(), Some("one"), "the script `claim` runs");
        let quota = Quota::new(1, 60).unwrap();
        short.spend(&key, quota).await.expect("the script `spend` runs");
    }

    for node in &cluster.0 {
        let size: u32 = node.cli(&["DBSIZE"]).trim().parse().unwrap();
        assert!(size > 3, "each node has its share: {size}");
    }
    let [one, other] = [&clinics[0], &clinics[1]].map(|clinic| generation(&clinic.aggregate));
    let refused = cluster.0[0].cli(&["EVAL", "return 1", "2", &one, &other]);
    assert!(refused.contains("CROSSSLOT"), "no script may have two aggregates: {refused}");

    // The reader of gateways names its keys as arguments, so the client must know the node.
    let mut readers = Vec::new();
    for node in &cluster.0 {
        readers.push(RedisSnapshots::new(connect(&node.url()).await.unwrap()));
    }
    for clinic in &clinics {
        let mut answers = 0;
        for reader in &readers {
            answers += usize::from(reader.load(&clinic.aggregate, QUEUE).await.is_ok());
        }
        assert_eq!(answers, 1, "only the node of the slot answers");
    }
}
