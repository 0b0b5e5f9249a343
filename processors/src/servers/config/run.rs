//! Settings of `run`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC};
use servers::{
    args::{KafkaArgs, PostgresArgs, RedisArgs},
    config_check::Faults,
    file_store::FileStoreUrl,
    kafka::KafkaCluster,
    traces::TraceArgs,
};

use super::{
    CLIENT_ID, alerts::AlertArgs, processor_connection, webhooks::WebhookArgs, work::CheckArgs,
};
use crate::servers::{
    kafka::ReaderSettings,
    postgres::{Consumer, PoolSettings},
};

/// Settings of `run`.
#[derive(Args)]
pub struct RunArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// How to reach Redis.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// Address of /metrics, /health/live and /health/ready
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9101")]
    pub listen: SocketAddr,
    /// Consumer group. Its processors share the partitions, and a database belongs to one group
    #[arg(long, env = "CLINICWIRE_GROUP", default_value = "clinicwire-processors")]
    pub group: String,
    /// Unique name that this instance keeps over restarts, to get its partitions back at once
    #[arg(long, env = "CLINICWIRE_INSTANCE")]
    pub instance: Option<String>,
    /// Most connections to PostgreSQL for each topic
    #[arg(long, env = "CLINICWIRE_POSTGRES_CONNECTIONS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub postgres_connections: u32,
    /// Most records in one transaction
    #[arg(long, env = "CLINICWIRE_BATCH", default_value_t = 500)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub batch: u32,
    /// Most tickets and appointments in memory; past it the locations not used for longest are
    /// dropped, and restored from PostgreSQL when needed
    #[arg(long, env = "CLINICWIRE_CACHED_TICKETS", default_value_t = 200_000)]
    pub cached_tickets: usize,
    /// Hours that the key of a command (`Idempotency-Key`, or the id of a source's record) is kept:
    /// a repeat within this time gets the first outcome, and a later one is a new command
    #[arg(long, env = "CLINICWIRE_KEY_HOURS", default_value_t = 48)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub key_hours: u64,
    /// Unreadable records after which a partition stops, since they mean that programs of wrong
    /// versions run; ten others make up for one, and a restart goes on. With 0, all are set aside
    #[arg(long, env = "CLINICWIRE_PARKED_LIMIT", default_value_t = 1_000)]
    pub parked_limit: u64,
    /// File to create when processing has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Store of the archived journal: `file:///directory`, or `s3://bucket/prefix` with the usual
    /// AWS_* variables. Without it, the whole journal stays in PostgreSQL
    #[arg(long, env = "CLINICWIRE_ARCHIVE", value_name = "URL")]
    pub archive: Option<String>,
    /// The worker that checks claims files.
    #[command(flatten)]
    pub checks: CheckArgs,
    /// Alerts to phones.
    #[command(flatten)]
    pub alerts: AlertArgs,
    /// Webhooks.
    #[command(flatten)]
    pub webhooks: WebhookArgs,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceArgs,
}

impl RunArgs {
    pub(super) fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        self.postgres.validate(faults);
        self.redis.validate(faults);
        if let Some(url) = &self.archive {
            faults.check("--archive", FileStoreUrl::parse(url));
        }
        faults.check("--push-key-file", self.alerts.key());
        faults.check("--webhook-key-file", self.webhooks.key.key());
        self.traces.validate(faults);
        if self.checks.run_workers > 0 {
            self.checks.validate(faults);
        }
    }

    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The connections of the sender of alerts: each statement finds a few rows by key.
    pub fn alert_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 2 }
    }

    /// The connections of the sender of webhooks: one for deliveries, and one for upkeep.
    pub fn webhook_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 2 }
    }

    /// The connections of the maintenance, which does one thing at a time.
    pub fn maintenance_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 1 }
    }

    /// The connections of the archive: one reads a partition for minutes, and the other finds out
    /// what is due.
    pub fn archive_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 2 }
    }

    /// How a topic, given by its standard name, is read.
    pub fn reader(&self, topic: &'static str) -> ReaderSettings {
        ReaderSettings {
            topic,
            group: group_for(&self.group, topic),
            instance: self.instance.clone(),
        }
    }

    /// The connections of the runner of one topic.
    pub fn pool(&self) -> PoolSettings {
        PoolSettings {
            connection: processor_connection(&self.postgres),
            size: self.postgres_connections as usize,
        }
    }

    /// The connections of the sink of the audit: a batch of one partition at a time takes
    /// milliseconds, and maintenance and claims take another.
    pub fn audit_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 4 }
    }

    /// The checkpoint rows of the runner of this topic.
    pub fn consumer(&self, topic: &'static str) -> Consumer {
        let kafka_topic = self.cluster().topics.name(topic).to_owned();
        Consumer { name: group_for(&self.group, topic), topic: kafka_topic }
    }
}

/// Each topic has a group of its own, whose name is also the consumer's in the database: that of
/// `--group` for locations, and one derived from it for runs and for the audit.
pub(super) fn group_for(group: &str, topic: &str) -> String {
    match topic {
        CARE_TOPIC => group.to_owned(),
        AUDIT_TOPIC => format!("{group}.audit"),
        _ => format!("{group}.runs"),
    }
}
