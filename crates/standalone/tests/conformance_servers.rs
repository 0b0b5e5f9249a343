//! Kafka, Redis and Postgres keep every promise of the backends they stand behind: the suites that memory passes.

use std::sync::Arc;

use fred::interfaces::KeysInterface;
use processors::servers::{
    kafka::{self, NewTopics, Topics},
    migrations,
    postgres::{
        ConnectionSettings, Consumer, PoolSettings, PostgresLedger, PostgresWork, Role, login,
    },
    redis::RedisViews,
};
use schemas::{
    ids::Aggregate,
    record::{CARE_TOPIC, RUNS_TOPIC},
    redis_keys,
};
use standalone::conformance::{self, log::Sides, views::Store};
use tokio::sync::OnceCell;

/// The address of a server. Without it the test fails: a suite that is skipped promises nothing.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make test`, or these tests under `deploy/dev/servers run -- …`")
    })
}

/// A ledger over migrated tables, under a consumer of its own.
async fn ledger() -> PostgresLedger {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let url = server("CLINICWIRE_POSTGRES");
    MIGRATED
        .get_or_init(async || {
            migrations::apply(&url).await.expect("the migrations apply");
        })
        .await;
    let connection = ConnectionSettings { url, role: Some(Role::Processor) };
    let consumer = Consumer { name: conformance::fresh(), topic: CARE_TOPIC.to_owned() };
    PostgresLedger::new(&PoolSettings { connection, size: 4 }, consumer)
        .expect("the settings make a pool")
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_ledger_conforms() {
    conformance::ledger::suite(&ledger().await).await;
}

/// Whoever takes a run takes any that waits, so that the work has a database to itself, dropped in the end.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_work_conforms() {
    let server = server("CLINICWIRE_POSTGRES");
    let name = conformance::fresh().replace('-', "_");
    let (address, _) = server.rsplit_once('/').expect("a URL with a database");
    let url = format!("{address}/{name}");
    let owner = login(&ConnectionSettings { url: server.clone(), role: None })
        .await
        .expect("postgres answers");
    owner.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
    migrations::apply(&url).await.expect("the migrations apply");
    let suite = tokio::spawn(async move {
        let settings = |size| {
            let connection = ConnectionSettings { url: url.clone(), role: Some(Role::Processor) };
            PoolSettings { connection, size }
        };
        let work = PostgresWork::new(&settings(3)).expect("the settings make a pool");
        let consumer = Consumer { name: conformance::fresh(), topic: RUNS_TOPIC.to_owned() };
        let ledger = PostgresLedger::new(&settings(2), consumer).expect("the settings make a pool");
        let queries = gateway::servers::postgres::PostgresQueries::new(&url, 2)
            .expect("the settings make a pool");
        let sides = conformance::work::Sides { work: &work, ledger: &ledger, queries: &queries };
        conformance::work::suite(sides).await;
    });
    let kept = suite.await;
    owner
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("it can be dropped");
    kept.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_queries_conform() {
    let ledger = ledger().await;
    let url = server("CLINICWIRE_POSTGRES");
    let queries = gateway::servers::postgres::PostgresQueries::new(&url, 2)
        .expect("the settings make a pool");
    conformance::queries::suite(&ledger, &queries).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_views_conform() {
    let url = server("CLINICWIRE_REDIS");
    let views = RedisViews::connect(&url).await.expect("redis answers");
    let client = gateway::servers::redis::connect(&url).await.expect("redis answers");
    let snapshots = gateway::servers::redis::RedisSnapshots::new(client.clone());
    let lose = async |aggregate: &Aggregate| {
        let lost: i64 = client.del(redis_keys::generation(aggregate)).await.expect("redis answers");
        assert_eq!(lost, 1, "there was a generation");
    };
    let ledger = ledger().await;
    conformance::views::suite(&Store { views: &views, snapshots: &snapshots, lose }, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_short_keys_conform() {
    let url = server("CLINICWIRE_REDIS");
    let client = gateway::servers::redis::connect(&url).await.expect("redis answers");
    conformance::keys::suite(Arc::new(gateway::servers::redis::RedisKeys::new(client))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_log_conforms() {
    let brokers = server("CLINICWIRE_KAFKA");
    let name = conformance::fresh();
    let [care, runs, views, audit] =
        ["care", "runs", "views", "audit"].map(|topic| format!("{name}.{topic}"));
    let topics = Topics { care, runs, views, audit };
    let settings = |group: String| kafka::KafkaSettings {
        brokers: brokers.clone(),
        topics: topics.clone(),
        reads: CARE_TOPIC,
        group,
        instance: None,
    };
    let new = NewTopics {
        partitions: 3,
        replication_factor: 1,
        min_insync_replicas: 1,
        care_hours: 1,
        runs_hours: 1,
        views_hours: 1,
        audit_hours: 1,
    };
    kafka::prepare(&settings(String::new()), &new).await.expect("the topics are made");
    conformance::log::suite(async || {
        let settings = settings(conformance::fresh());
        let gateway = gateway::servers::kafka::KafkaSettings {
            brokers: brokers.clone(),
            care_topic: topics.care.clone(),
            runs_topic: topics.runs.clone(),
            audit_topic: topics.audit.clone(),
            views_topic: topics.views.clone(),
        };
        Sides {
            processors: Arc::new(
                kafka::KafkaLog::new(settings, 3).expect("the settings make a producer"),
            ),
            gateway: Arc::new(
                gateway::servers::kafka::KafkaLog::new(gateway)
                    .expect("the settings make a producer"),
            ),
        }
    })
    .await;
}
