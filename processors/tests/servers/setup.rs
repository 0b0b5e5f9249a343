//! Databases, topics and names of one test alone, so that tests run side by side and leave nothing behind.

use std::{
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use processors::servers::{
    kafka::{KafkaSettings, NewTopics, Topics, prepare},
    migrations,
    postgres::{ConnectionSettings, Consumer, PoolSettings, PostgresLedger, Role, login},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

/// How long anything may take that is waited for: a group that forms on a busy machine takes seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `make test`, or `deploy/dev/servers run -- cargo test …`"
        )
    })
}

/// A slug nobody has used before.
pub fn fresh() -> String {
    format!("t-{:016x}", RandomState::new().build_hasher().finish())
}

pub async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happening)
        .await
        .unwrap_or_else(|_| panic!("{what}: did not happen in time"))
}

/// Runs to its end on a thread of its own: for `drop`, which cannot wait in a runtime.
pub fn aside(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work);
    });
    let _ = thread.join();
}

/// An empty database of this test, dropped with it.
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
        let client =
            login(&ConnectionSettings { url: given, role: None }).await.expect("postgres answers");
        client
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

    /// As the login itself, which owns the schema.
    pub async fn owner(&self) -> tokio_postgres::Client {
        login(&ConnectionSettings { url: self.url.clone(), role: None })
            .await
            .expect("postgres answers")
    }

    pub async fn role(&self, role: Role) -> tokio_postgres::Client {
        let settings = ConnectionSettings { url: self.url.clone(), role: Some(role) };
        login(&settings).await.expect("postgres answers")
    }

    pub fn ledger(&self, size: usize) -> PostgresLedger {
        let connection = ConnectionSettings { url: self.url.clone(), role: Some(Role::Processor) };
        let consumer = Consumer { name: "test".into(), topic: "care".into() };
        PostgresLedger::new(&PoolSettings { connection, size }, consumer).expect("a pool")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, name) = (server("CLINICWIRE_POSTGRES"), self.name.clone());
        aside(async move {
            if let Ok(client) = login(&ConnectionSettings { url, role: None }).await {
                let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        });
    }
}

/// Topics of this test, deleted with it.
pub struct Cluster {
    pub topics: Topics,
}

impl Cluster {
    /// Names only.
    pub fn named() -> Self {
        let name = fresh();
        let [care, runs, views, audit] =
            ["care", "runs", "views", "audit"].map(|topic| format!("{name}.{topic}"));
        Self { topics: Topics { care, runs, views, audit } }
    }

    pub async fn with_topics(partitions: u32) -> Self {
        let cluster = Self::named();
        let made = prepare(&cluster.settings("nobody"), &new_topics(partitions))
            .await
            .expect("topics can be made");
        assert_eq!(made.len(), 4);
        cluster
    }

    pub fn settings(&self, group: &str) -> KafkaSettings {
        KafkaSettings {
            brokers: server("CLINICWIRE_KAFKA"),
            topics: self.topics.clone(),
            reads: schemas::record::CARE_TOPIC,
            group: format!("{}.{group}", self.topics.care),
            instance: None,
        }
    }
}

pub fn admin() -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server("CLINICWIRE_KAFKA"));
    config.create().expect("an admin client")
}

pub fn new_topics(partitions: u32) -> NewTopics {
    NewTopics {
        partitions,
        replication_factor: 1,
        min_insync_replicas: 1,
        care_hours: 1,
        runs_hours: 1,
        views_hours: 1,
        audit_hours: 1,
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let topics = self.topics.clone();
        aside(async move {
            let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            let _ = admin()
                .delete_topics(
                    &[&topics.care, &topics.runs, &topics.views, &topics.audit],
                    &options,
                )
                .await;
        });
    }
}
