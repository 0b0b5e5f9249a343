//! Databases, topics and names of one test, so that tests run in parallel and leave nothing behind.

use std::{future::Future, sync::Arc, time::Duration};

use processors::servers::{
    kafka::{KafkaProcessorLog, ReaderSettings},
    migrations,
    postgres::{ConnectionSettings, Consumer, PoolSettings, PostgresLedger, Role, login},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use servers::kafka::{KafkaCluster, KafkaSecurity, NewTopics, Topics, prepare_topics};

pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `make test`, or `deploy/dev/servers run -- cargo test …`"
        )
    })
}

/// A new name.
pub fn fresh() -> String {
    format!("t-{:016x}", fastrand::u64(..))
}

/// Runs a future to its end on another thread: for `drop`, which cannot await.
pub fn run_on_thread(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work);
    });
    let _ = thread.join();
}

/// A session that makes and drops databases.
pub async fn administrator() -> tokio_postgres::Client {
    let settings = ConnectionSettings { url: server("CLINICWIRE_POSTGRES"), role: None };
    let client = login(&settings).await.expect("postgres answers");
    // A busy disk takes longer than a statement of the product may.
    client.batch_execute("SET statement_timeout = 0").await.unwrap();
    client
}

/// A database of one test. Dropping the value drops it.
pub struct Database {
    pub url: String,
    name: String,
}

impl Database {
    pub async fn empty() -> Self {
        let given = server("CLINICWIRE_POSTGRES");
        let name = fresh().replace('-', "_");
        let (address, _) = given.rsplit_once('/').expect("a URL with a database");
        let url = format!("{address}/{name}");
        administrator()
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .expect("a database can be made");
        Self { url, name }
    }

    pub async fn migrated() -> Self {
        let database = Self::empty().await;
        migrations::apply(&database.url).await.expect("the migrations apply");
        database
    }

    /// Settings for the login itself, which owns the schema.
    pub async fn owner(&self) -> tokio_postgres::Client {
        login(&ConnectionSettings { url: self.url.clone(), role: None })
            .await
            .expect("postgres answers")
    }

    pub async fn role(&self, role: Role) -> tokio_postgres::Client {
        let settings = ConnectionSettings { url: self.url.clone(), role: Some(role) };
        login(&settings).await.expect("postgres answers")
    }

    /// Settings of connections as a processor.
    pub fn pool(&self, size: usize) -> PoolSettings {
        let connection = ConnectionSettings { url: self.url.clone(), role: Some(Role::Processor) };
        PoolSettings { connection, size }
    }

    pub fn ledger(&self, size: usize) -> PostgresLedger {
        let consumer = Consumer { name: "test".into(), topic: "care".into() };
        PostgresLedger::new(&self.pool(size), consumer).expect("a pool")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, name) = (server("CLINICWIRE_POSTGRES"), self.name.clone());
        run_on_thread(async move {
            if let Ok(client) = login(&ConnectionSettings { url, role: None }).await {
                let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        });
    }
}

/// Topics of one test. Dropping the value deletes them.
pub struct TestTopics {
    pub names: Topics,
}

impl TestTopics {
    /// Names without topics.
    pub fn named() -> Self {
        let name = fresh();
        let [care, runs, views, audit, events, access] =
            ["care", "runs", "views", "audit", "events", "access"]
                .map(|topic| format!("{name}.{topic}"));
        Self { names: Topics { care, runs, views, audit, events, access } }
    }

    pub async fn created(partition_count: u32) -> Self {
        let topics = Self::named();
        let created = prepare_topics(&topics.cluster(), &new_topics(partition_count)).await;
        assert_eq!(created.expect("topics can be created").len(), 6);
        topics
    }

    pub fn cluster(&self) -> KafkaCluster {
        let (brokers, topics) = (server("CLINICWIRE_KAFKA"), self.names.clone());
        let security = KafkaSecurity::default();
        KafkaCluster { brokers, client_id: "clinicwire-tests", topics, security }
    }

    /// Settings of a group member that reads the topic of locations.
    pub fn reader(&self, group: &str) -> ReaderSettings {
        ReaderSettings {
            topic: schemas::record::CARE_TOPIC,
            group: format!("{}.{group}", self.names.care),
            instance: None,
        }
    }

    pub fn log(&self, reader: ReaderSettings, partition_count: u32) -> Arc<KafkaProcessorLog> {
        let log = KafkaProcessorLog::new(self.cluster(), reader, partition_count);
        Arc::new(log.expect("the settings are valid"))
    }

    /// A log that only appends.
    pub fn writer(&self) -> Arc<KafkaProcessorLog> {
        let log = KafkaProcessorLog::new_writer(self.cluster());
        Arc::new(log.expect("the settings are valid"))
    }
}

pub fn admin() -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server("CLINICWIRE_KAFKA"));
    config.create().expect("an admin client")
}

pub fn new_topics(partition_count: u32) -> NewTopics {
    NewTopics {
        partition_count,
        replication_factor: 1,
        min_insync_replicas: 1,
        care_hours: 1,
        runs_hours: 1,
        views_hours: 1,
        audit_hours: 1,
        events_hours: 1,
    }
}

impl Drop for TestTopics {
    fn drop(&mut self) {
        let topics = self.names.clone();
        run_on_thread(async move {
            let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            let _ = admin()
                .delete_topics(
                    &[
                        &topics.care,
                        &topics.runs,
                        &topics.views,
                        &topics.audit,
                        &topics.events,
                        &topics.access,
                    ],
                    &options,
                )
                .await;
        });
    }
}
