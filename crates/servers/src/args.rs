//! Flags that several programs share. Each flag can also be given by its environment variable.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use claims::tables::Tables;
use clap::Args;
use schemas::record::{ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, VIEWS_TOPIC};

use crate::{
    config_check::Faults,
    file_store::FileStoreUrl,
    kafka::{KafkaCluster, Topics},
    postgres, redis,
};

/// The flags of a Kafka cluster and its topics.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// Kafka's brokers as `host:port`, separated by commas
    #[arg(long, env = "CLINICWIRE_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// Topic of commands for locations
    #[arg(long, env = "CLINICWIRE_CARE_TOPIC", default_value = CARE_TOPIC)]
    pub care_topic: String,
    /// Topic of commands for runs and rule books
    #[arg(long, env = "CLINICWIRE_RUNS_TOPIC", default_value = RUNS_TOPIC)]
    pub runs_topic: String,
    /// Topic of view changes and command outcomes
    #[arg(long, env = "CLINICWIRE_VIEWS_TOPIC", default_value = VIEWS_TOPIC)]
    pub views_topic: String,
    /// Topic of the audit: who read or changed what
    #[arg(long, env = "CLINICWIRE_AUDIT_TOPIC", default_value = AUDIT_TOPIC)]
    pub audit_topic: String,
    /// Topic of revocations
    #[arg(long, env = "CLINICWIRE_ACCESS_TOPIC", default_value = ACCESS_TOPIC)]
    pub access_topic: String,
}

/// Longest topic name that Kafka accepts.
const LONGEST_TOPIC_NAME: usize = 249;

impl KafkaArgs {
    /// The cluster that a program uses under this name.
    pub fn cluster(&self, client_id: &'static str) -> KafkaCluster {
        let topics = Topics {
            care: self.care_topic.clone(),
            runs: self.runs_topic.clone(),
            views: self.views_topic.clone(),
            audit: self.audit_topic.clone(),
            access: self.access_topic.clone(),
        };
        KafkaCluster { brokers: self.kafka.clone(), client_id, topics }
    }

    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        for broker in self.kafka.split(',') {
            let is_address = broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !is_address {
                faults.add("--kafka", format!("`{broker}` is not host:port"));
            }
        }
        let topics = [
            ("--care-topic", &self.care_topic),
            ("--runs-topic", &self.runs_topic),
            ("--views-topic", &self.views_topic),
            ("--audit-topic", &self.audit_topic),
            ("--access-topic", &self.access_topic),
        ];
        for (index, (flag, name)) in topics.into_iter().enumerate() {
            validate_topic(flag, name, faults);
            if let Some((other, _)) = topics[..index].iter().find(|(_, other)| *other == name) {
                faults.add(flag, format!("the topic `{name}` is also given by {other}"));
            }
        }
    }
}

/// Checks that Kafka accepts `name` as the name of a topic.
pub fn validate_topic(flag: &str, name: &str, faults: &mut Faults) {
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let is_name = !name.is_empty() && name != "." && name != ".." && name.chars().all(is_legal);
    if !is_name || name.len() > LONGEST_TOPIC_NAME {
        faults.add(flag, format!("`{name}` is not the name of a topic"));
    }
}

/// The flag of Redis.
#[derive(Debug, Args)]
pub struct RedisArgs {
    /// Redis, as `redis://user:password@host:port`
    #[arg(
        long,
        env = "CLINICWIRE_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    pub redis: String,
}

impl RedisArgs {
    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--redis", redis::check_url(&self.redis));
    }
}

/// The flag of PostgreSQL.
#[derive(Debug, Args)]
pub struct PostgresArgs {
    /// PostgreSQL, as `postgres://user:password@host:port/database`
    ///
    /// The login of a gateway needs the role clinicwire_gateway, the login of a processor or worker
    /// the role clinicwire_processor. `prepare` logs in as the owner of the schema.
    #[arg(
        long,
        env = "CLINICWIRE_POSTGRES",
        hide_env_values = true,
        default_value = "postgres://127.0.0.1:5432/clinicwire"
    )]
    pub postgres: String,
}

impl PostgresArgs {
    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--postgres", postgres::parse_url(&self.postgres));
    }
}

/// The flag of the file store.
#[derive(Debug, Args)]
pub struct FileStoreArgs {
    /// Where uploaded claims files are kept until they are checked: `file:///directory`, or
    /// `s3://bucket/prefix` with the usual AWS_* variables. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_FILES", default_value = "file:///var/lib/clinicwire/files")]
    pub files: String,
}

impl FileStoreArgs {
    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--files", FileStoreUrl::parse(&self.files));
    }
}

/// The flags of the tables that rules use.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Table of billing codes that rules use, as CSV. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_CODES", value_name = "FILE")]
    pub codes: Option<PathBuf>,
    /// Table of establishments that rules use, as CSV. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_ESTABLISHMENTS", value_name = "FILE")]
    pub establishments: Option<PathBuf>,
}

impl TableArgs {
    /// Reads the tables. A table that is not given is empty.
    ///
    /// # Errors
    /// When a file cannot be read or is not such a table.
    pub fn tables(&self) -> anyhow::Result<Tables> {
        let open = |file: Option<&Path>| -> anyhow::Result<Box<dyn Read>> {
            let Some(file) = file else { return Ok(Box::new(io::empty())) };
            let opened =
                fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Box::new(opened))
        };
        let codes = open(self.codes.as_deref())?;
        let establishments = open(self.establishments.as_deref())?;
        Tables::read(codes, establishments).context("check --codes and --establishments")
    }

    /// Reads the tables one by one, so that each fault names its flag.
    pub fn validate(&self, faults: &mut Faults) {
        let Self { codes, establishments } = self;
        let alone = [
            ("--codes", Self { codes: codes.clone(), establishments: None }),
            ("--establishments", Self { codes: None, establishments: establishments.clone() }),
        ];
        for (flag, table) in alone {
            faults.check(flag, table.tables());
        }
    }
}
