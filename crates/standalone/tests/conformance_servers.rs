//! Kafka, Redis and PostgreSQL pass the conformance suites: one test for each promise.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
};

use fred::{
    clients::Client,
    interfaces::{HashesInterface, KeysInterface},
};
use futures_util::FutureExt;
use gateway::{
    readiness::Readiness,
    servers::{kafka::KafkaGatewayLog, postgres::PostgresQueries},
};
use processors::servers::{
    kafka::{KafkaProcessorLog, ReaderSettings},
    migrations,
    postgres::{
        ConnectionSettings, Consumer, PoolSettings, PostgresLedger, PostgresWork, Role, login,
    },
};
use schemas::{
    ids::Aggregate,
    record::{CARE_TOPIC, RUNS_TOPIC},
    redis_keys,
};
use servers::{
    kafka::{KafkaCluster, KafkaSecurity, NewTopics, Topics, prepare_topics},
    postgres::LoginPolicy,
};
use standalone::conformance::{
    self,
    log::Sides,
    views::Loss,
    work::{Desk, Sides as WorkSides},
};
use tokio::sync::OnceCell;

/// The address of a server. Without it the test fails, because a skipped suite would prove nothing.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `make test`, or these tests under `deploy/dev/servers \
             run -- …`"
        )
    })
}

/// The reads of a gateway. The login of the tests owns the tables.
fn queries(url: &str) -> PostgresQueries {
    PostgresQueries::new(url, 2, LoginPolicy::Any).expect("the settings make a pool")
}

/// A ledger over migrated tables, with a consumer name of its own.
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

fn pool(url: &str, size: usize) -> PoolSettings {
    let connection = ConnectionSettings { url: url.to_owned(), role: Some(Role::Processor) };
    PoolSettings { connection, size }
}

macro_rules! ledger {
    ($($promise:ident,)*) => {
        mod ledger {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                standalone::conformance::ledger::$promise(&super::ledger().await).await;
            })*
        }
    };
}
standalone::ledger_promises!(ledger);

/// Runs `promise` with the URL of a database of its own, since a worker takes any waiting run. The
/// database is copied from a migrated template and dropped afterwards.
async fn on_own_database(promise: impl AsyncFnOnce(&str)) {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let server = server("CLINICWIRE_POSTGRES");
    let (address, _) = server.rsplit_once('/').expect("a URL with a database");
    let owner = login(&ConnectionSettings { url: server.clone(), role: None })
        .await
        .expect("postgres answers");
    // A busy disk takes longer than a statement of the product may.
    owner.batch_execute("SET statement_timeout = 0").await.expect("a setting can be set");
    let create = async |name: &str, template: &str| {
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
        owner.batch_execute(&statement).await.expect("a database can be made");
    };
    let fresh_name = || conformance::fresh().replace('-', "_");
    let template = TEMPLATE
        .get_or_init(async || {
            let name = fresh_name();
            create(&name, "template0").await;
            migrations::apply(&format!("{address}/{name}")).await.expect("the migrations apply");
            name
        })
        .await;
    let name = fresh_name();
    create(&name, template).await;
    let url = format!("{address}/{name}");
    let kept = AssertUnwindSafe(promise(&url)).catch_unwind().await;
    owner
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("the database can be dropped");
    if let Err(panic) = kept {
        resume_unwind(panic);
    }
}

fn ledger_of(url: &str, topic: &str) -> PostgresLedger {
    let consumer = Consumer { name: conformance::fresh(), topic: topic.to_owned() };
    PostgresLedger::new(&pool(url, 2), consumer).expect("the settings make a pool")
}

macro_rules! alerts {
    ($($promise:ident,)*) => {
        mod alerts {
            use processors::servers::postgres::PostgresAlerts;
            use schemas::record::CARE_TOPIC;
            use standalone::conformance::alerts::{self, Desk, Sides};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::on_own_database(async |url: &str| {
                    let pool = super::pool(url, 2);
                    let store = PostgresAlerts::new(&pool).expect("the settings make a pool");
                    let ledger = super::ledger_of(url, CARE_TOPIC);
                    let sides = Sides { store: &store, ledger: &ledger };
                    alerts::$promise(&mut Desk::open(sides).await).await;
                })
                .await;
            })*
        }
    };
}
standalone::alert_promises!(alerts);

macro_rules! webhooks {
    ($($promise:ident,)*) => {
        mod webhooks {
            use processors::servers::postgres::PostgresWebhooks;
            use schemas::record::CARE_TOPIC;
            use standalone::conformance::webhooks::{self, Desk, Sides};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::on_own_database(async |url: &str| {
                    let pool = super::pool(url, 2);
                    let store = PostgresWebhooks::new(&pool).expect("the settings make a pool");
                    let ledger = super::ledger_of(url, CARE_TOPIC);
                    let queries = super::queries(url);
                    let sides = Sides { store: &store, ledger: &ledger, queries: &queries };
                    webhooks::$promise(&mut Desk::open(sides).await).await;
                })
                .await;
            })*
        }
    };
}
standalone::webhook_promises!(webhooks);

/// Runs a promise of the work backend on a database of its own.
async fn with_desk(promise: impl AsyncFnOnce(&mut Desk<'_>)) {
    on_own_database(async |url: &str| {
        let work = PostgresWork::new(&pool(url, 3)).expect("the settings make a pool");
        let ledger = ledger_of(url, RUNS_TOPIC);
        let queries = queries(url);
        let sides = WorkSides { work: &work, ledger: &ledger, queries: &queries };
        promise(&mut Desk::open(sides).await).await;
    })
    .await;
}

macro_rules! work {
    ($($promise:ident,)*) => {
        mod work {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::with_desk(standalone::conformance::work::$promise).await;
            })*
        }
    };
}
standalone::work_promises!(work);

macro_rules! queries {
    ($($promise:ident,)*) => {
        mod queries {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let ledger = super::ledger().await;
                let url = super::server("CLINICWIRE_POSTGRES");
                let queries = super::queries(&url);
                standalone::conformance::queries::$promise(&ledger, &queries).await;
            })*
        }
    };
}
standalone::query_promises!(queries);

macro_rules! history {
    ($($promise:ident,)*) => {
        mod history {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let ledger = super::ledger().await;
                let url = super::server("CLINICWIRE_POSTGRES");
                let queries = super::queries(&url);
                standalone::conformance::history::$promise(&ledger, &queries).await;
            })*
        }
    };
}
standalone::history_promises!(history);

macro_rules! audit {
    ($($promise:ident,)*) => {
        mod audit {
            use processors::{
                audit::Day,
                servers::postgres::{Consumer, PostgresAudit},
            };
            use schemas::record::AUDIT_TOPIC;
            use standalone::conformance::audit::{self, Sides};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::ledger().await; // the migrations are applied
                let url = super::server("CLINICWIRE_POSTGRES");
                let name = standalone::conformance::fresh();
                let consumer = Consumer { name, topic: AUDIT_TOPIC.to_owned() };
                let store = PostgresAudit::new(&super::pool(&url, 2), consumer)
                    .expect("the settings make a pool");
                let today = Day::of(gateway::clock::now());
                store.maintain(today).await.expect("postgres answers");
                let queries = super::queries(&url);
                audit::$promise(Sides { store: &store, queries: &queries }).await;
            })*
        }
    };
}
standalone::audit_promises!(audit);

/// Takes from Redis what `loss` says of an aggregate.
async fn lose(redis: &Client, aggregate: &Aggregate, loss: Loss) -> Result<(), fred::error::Error> {
    let generation = redis_keys::generation(aggregate);
    let earlier = "00000000000000ff";
    let Loss::Identity(views) = loss else {
        let lost: i64 = redis.del(&generation).await?;
        assert_eq!(lost, 1, "there was a generation");
        return Ok(());
    };
    redis.set::<(), _, _>(&generation, earlier, None, None, false).await?;
    for view in views {
        let key = redis_keys::view(aggregate, view);
        let position: String = redis.hget(&key, redis_keys::POSITION).await?;
        let (before, _) = position.rsplit_once(' ').expect("epoch, version, time and identity");
        redis.hset::<(), _, _>(&key, (redis_keys::POSITION, format!("{before} {earlier}"))).await?;
    }
    Ok(())
}

macro_rules! views {
    ($($promise:ident,)*) => {
        mod views {
            use gateway::servers::redis::{RedisSnapshots, connect};
            use processors::servers::redis::RedisViews;
            use schemas::ids::Aggregate;
            use standalone::conformance::views::{self, Store};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let url = super::server("CLINICWIRE_REDIS");
                let topic = standalone::conformance::fresh(); // no other test has its heads
                let views = RedisViews::connect(&url, &topic).await.expect("redis answers");
                let client = connect(&url).await.expect("redis answers");
                let snapshots = RedisSnapshots::new(client.clone());
                let lose = async |aggregate: &Aggregate, loss| {
                    super::lose(&client, aggregate, loss).await.expect("redis answers");
                };
                let store = Store { views: &views, snapshots: &snapshots, lose };
                views::$promise(&store, &super::ledger().await).await;
            })*
        }
    };
}
standalone::view_store_promises!(views);

macro_rules! short_keys {
    ($($promise:ident,)*) => {
        mod short_keys {
            use std::sync::Arc;

            use gateway::servers::redis::{RedisKeys, connect};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let url = super::server("CLINICWIRE_REDIS");
                let keys = RedisKeys::new(connect(&url).await.expect("redis answers"));
                standalone::conformance::keys::$promise(Arc::new(keys)).await;
            })*
        }
    };
}
standalone::short_key_promises!(short_keys);

/// The clients of one log, over topics that all promises share; the reader is in a new group.
async fn log_sides() -> Sides {
    static TOPICS: OnceCell<Topics> = OnceCell::const_new();
    let brokers = server("CLINICWIRE_KAFKA");
    let cluster = |topics: &Topics| KafkaCluster {
        brokers: brokers.clone(),
        client_id: "clinicwire-tests",
        topics: topics.clone(),
        security: KafkaSecurity::default(),
    };
    let topics = TOPICS
        .get_or_init(async || {
            let name = conformance::fresh();
            let [care, runs, views, audit, events, access] =
                ["care", "runs", "views", "audit", "events", "access"]
                    .map(|topic| format!("{name}.{topic}"));
            let topics = Topics { care, runs, views, audit, events, access };
            let new = NewTopics {
                partition_count: 3,
                replication_factor: 1,
                min_insync_replicas: 1,
                care_hours: 1,
                runs_hours: 1,
                views_hours: 1,
                audit_hours: 1,
                events_hours: 1,
            };
            prepare_topics(&cluster(&topics), &new).await.expect("the topics are created");
            topics
        })
        .await;
    let reader = ReaderSettings { topic: CARE_TOPIC, group: conformance::fresh(), instance: None };
    let (processors, gateway) = (cluster(topics), cluster(topics));
    Sides {
        processors: Arc::new(
            KafkaProcessorLog::new(processors, reader, 3).expect("the settings are valid"),
        ),
        gateway: Arc::new(
            KafkaGatewayLog::new(gateway, Readiness::default()).expect("the settings are valid"),
        ),
    }
}

macro_rules! log {
    ($($promise:ident,)*) => {
        mod log {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                standalone::conformance::log::$promise(super::log_sides().await).await;
            })*
        }
    };
}
standalone::log_promises!(log);
