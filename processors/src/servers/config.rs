//! Settings, by flag and environment: `--help` is their documentation.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use claims::tables::Tables;
use clap::{Args, Parser, Subcommand, ValueEnum};
use schemas::{
    ids::{SourceId, TenantId},
    record::{CARE_TOPIC, RUNS_TOPIC},
};

use super::{
    kafka::{KafkaSettings, NewTopics, Topics},
    postgres::{ConnectionSettings, Consumer, PoolSettings, Role},
};
use crate::{bridge, worker};

/// Decides and applies what clinics ask for: reads `clinicwire.care.v1` from Kafka, keeps journal and read models in
/// Postgres and live views in Redis, and publishes every change to `clinicwire.views.v1`.
///
/// Run `prepare` once, and again after each upgrade; then start as many `run` as you like, up to one per partition.
/// Any of them may be killed at any time: the next owner of its partitions goes on where it stood. Each also checks claims
/// files; start `work` where more hands are needed for that.
#[derive(Parser)]
#[command(name = "clinicwire-processors", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub logging: Logging,
}

#[derive(Subcommand)]
pub enum Command {
    /// Apply the database's migrations and make the topics that are missing; safe to repeat
    Prepare(Prepare),
    /// Process records and check claims files until SIGTERM or Ctrl-C
    Run(Run),
    /// Only check claims files: any number of these share the runs with those of `run`
    Work(Work),
    /// Pass on what a source tells of appointments in a topic of its own
    ///
    /// Each record's value is a report as `POST /v1/appointments` takes it (JSON: location, key, version or updated_at,
    /// status, start, end, doctor, queue, …; see openapi.json). It is told in the name of --tenant and --source, whatever
    /// it says itself. Its id is the header `ce_id`, or else its place in the topic: the same id is applied once. What cannot
    /// be read is not lost: it is set aside in the table `parked`, and the next record is passed on.
    ///
    /// The topic is read from its beginning at first, then from where the group stood. Start as many as the topic has
    /// partitions; any may be killed at any time. The order of records within a partition is kept.
    Bridge(Bridge),
}

#[derive(Args)]
pub struct Logging {
    /// What is logged: a level, or levels by module (`info,processors=debug`)
    #[arg(long, global = true, env = "CLINICWIRE_LOG", default_value = "info")]
    pub log: String,
    /// How it is logged, to standard error
    #[arg(long, global = true, env = "CLINICWIRE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Args)]
pub struct Kafka {
    /// Kafka's brokers, `host:port`, several separated by commas
    #[arg(long, env = "CLINICWIRE_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// The topic of commands
    #[arg(long, env = "CLINICWIRE_CARE_TOPIC", default_value = schemas::record::CARE_TOPIC)]
    pub care_topic: String,
    /// The topic of runs
    #[arg(long, env = "CLINICWIRE_RUNS_TOPIC", default_value = schemas::record::RUNS_TOPIC)]
    pub runs_topic: String,
    /// The topic of views
    #[arg(long, env = "CLINICWIRE_VIEWS_TOPIC", default_value = schemas::record::VIEWS_TOPIC)]
    pub views_topic: String,
    /// The topic of the audit
    #[arg(long, env = "CLINICWIRE_AUDIT_TOPIC", default_value = schemas::record::AUDIT_TOPIC)]
    pub audit_topic: String,
}

#[derive(Args)]
pub struct Postgres {
    /// Postgres, `postgres://user:password@host:port/database`; the login `run` uses needs the role clinicwire_processor,
    /// the one `prepare` uses owns the schema
    #[arg(
        long,
        env = "CLINICWIRE_POSTGRES",
        hide_env_values = true,
        default_value = "postgres://127.0.0.1:5432/clinicwire"
    )]
    pub postgres: String,
}

#[derive(Args)]
pub struct Prepare {
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub postgres: Postgres,
    /// Partitions of a new topic, fixed for its life: the most processors that can ever share the work
    #[arg(long, env = "CLINICWIRE_PARTITIONS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub partitions: u32,
    /// Copies of a new topic; 3 in production
    #[arg(long, env = "CLINICWIRE_REPLICATION_FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub replication_factor: u32,
    /// Copies that must have a record before it counts as written; unless given, one less than there are
    #[arg(long, env = "CLINICWIRE_MIN_INSYNC_REPLICAS", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub min_insync_replicas: Option<u32>,
    /// Hours a new topic of commands keeps them; processors that stand still for longer lose commands
    #[arg(long, env = "CLINICWIRE_CARE_HOURS", default_value_t = 30 * 24, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub care_hours: u64,
    /// Hours a new topic of runs keeps them
    #[arg(long, env = "CLINICWIRE_RUNS_HOURS", default_value_t = 7 * 24, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub runs_hours: u64,
    /// Hours a new topic of the audit keeps it; whoever stores the audit must have read it by then
    #[arg(long, env = "CLINICWIRE_AUDIT_HOURS", default_value_t = 90 * 24, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub audit_hours: u64,
    /// Hours a new topic of views keeps them; gateways read a minute back
    #[arg(long, env = "CLINICWIRE_VIEWS_HOURS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub views_hours: u64,
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub postgres: Postgres,
    /// Redis, `redis://user:password@host:port`
    #[arg(
        long,
        env = "CLINICWIRE_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    pub redis: String,
    /// Where /metrics, /health/live and /health/ready are served
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9101")]
    pub listen: SocketAddr,
    /// The consumers' group; its processors share the partitions, and a database belongs to one group
    #[arg(long, env = "CLINICWIRE_GROUP", default_value = "clinicwire-processors")]
    pub group: String,
    /// A name this instance keeps over restarts and no other has: it then gets its partitions back at once
    #[arg(long, env = "CLINICWIRE_INSTANCE")]
    pub instance: Option<String>,
    /// Connections to Postgres at most
    #[arg(long, env = "CLINICWIRE_POSTGRES_CONNECTIONS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub postgres_connections: u32,
    /// Records in one transaction at most
    #[arg(long, env = "CLINICWIRE_BATCH", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub batch: u32,
    /// Tickets and appointments kept in memory at most; past it the locations not used for longest are loaded again when needed
    #[arg(long, env = "CLINICWIRE_CACHED_TICKETS", default_value_t = 200_000)]
    pub cached_tickets: usize,
    /// Write a line of JSON with the address of the metrics to this file once processing has begun
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub checks: Checks,
}

#[derive(Args)]
pub struct Work {
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub postgres: Postgres,
    /// Where /metrics, /health/live and /health/ready are served
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9102")]
    pub listen: SocketAddr,
    /// Write a line of JSON with the address of the metrics to this file once work is taken
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub checks: Checks,
}

#[derive(Args)]
pub struct Bridge {
    #[command(flatten)]
    pub kafka: Kafka,
    /// The source's topic
    #[arg(long, env = "CLINICWIRE_SOURCE_TOPIC", value_name = "TOPIC")]
    pub source_topic: String,
    /// The tenant whose appointments they are
    #[arg(long, env = "CLINICWIRE_TENANT")]
    pub tenant: TenantId,
    /// What the source is called: it has a say over the appointments it told of, and over no other's
    #[arg(long, env = "CLINICWIRE_SOURCE", value_name = "NAME")]
    pub source: SourceId,
    /// The consumers' group that remembers how far the topic was read; unless given, clinicwire-bridge.<tenant>.<source>
    #[arg(long, env = "CLINICWIRE_BRIDGE_GROUP")]
    pub group: Option<String>,
    /// Where /metrics, /health/live and /health/ready are served
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9103")]
    pub listen: SocketAddr,
    /// Write a line of JSON with the address of the metrics to this file once records are passed on
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Of checks of claims files.
#[derive(Args)]
pub struct Checks {
    /// Claims files checked at once; with 0 `run` leaves them to others
    #[arg(long, env = "CLINICWIRE_RUN_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub run_workers: u32,
    /// Where uploaded files lie until they are checked, the same for gateways and workers: `file:///directory`, or
    /// `s3://bucket/prefix` with the usual AWS_* variables
    #[arg(long, env = "CLINICWIRE_FILES", default_value = "file:///var/lib/clinicwire/files")]
    pub files: String,
    /// Hours an uploaded file is kept that no run needs: none was asked for, or it was called off in line
    #[arg(long, env = "CLINICWIRE_FILE_HOURS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub file_hours: u64,
    /// The table of codes that rules look into: CSV
    #[arg(long, env = "CLINICWIRE_CODES", value_name = "FILE")]
    pub codes: Option<PathBuf>,
    /// The table of establishments, likewise
    #[arg(long, env = "CLINICWIRE_ESTABLISHMENTS", value_name = "FILE")]
    pub establishments: Option<PathBuf>,
}

impl Kafka {
    pub fn topics(&self) -> Topics {
        Topics {
            care: self.care_topic.clone(),
            runs: self.runs_topic.clone(),
            views: self.views_topic.clone(),
            audit: self.audit_topic.clone(),
        }
    }
}

impl Prepare {
    pub fn kafka(&self) -> KafkaSettings {
        let group = String::new(); // nothing is read
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
            reads: CARE_TOPIC,
            group,
            instance: None,
        }
    }

    pub fn new_topics(&self) -> NewTopics {
        let all_but_one = (self.replication_factor - 1).max(1);
        NewTopics {
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            min_insync_replicas: self.min_insync_replicas.unwrap_or(all_but_one),
            care_hours: self.care_hours,
            runs_hours: self.runs_hours,
            views_hours: self.views_hours,
            audit_hours: self.audit_hours,
        }
    }
}

impl Work {
    /// How the log of runs is written to; nothing is read.
    pub fn kafka(&self) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
            reads: RUNS_TOPIC,
            group: String::new(),
            instance: None,
        }
    }
}

impl Bridge {
    /// How the source's topic is read, and `care` is written to.
    pub fn kafka(&self) -> KafkaSettings {
        let group = || format!("clinicwire-bridge.{}.{}", self.tenant, self.source);
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
            reads: CARE_TOPIC,
            group: self.group.clone().unwrap_or_else(group),
            instance: None,
        }
    }

    pub fn bridge(&self) -> bridge::Bridge {
        bridge::Bridge {
            tenant: self.tenant.clone(),
            source: self.source.clone(),
            topic: self.source_topic.clone(),
        }
    }
}

impl Checks {
    /// The worker's connections: one for each run, as its findings flow into a transaction of their own, and a few for all else.
    pub fn pool(&self, postgres: &Postgres) -> PoolSettings {
        PoolSettings { connection: postgres.processor(), size: self.run_workers as usize + 3 }
    }

    /// The worker's settings, with the reference tables read from their files.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn worker(
        &self,
        counters: Arc<worker::WorkerCounters>,
    ) -> anyhow::Result<worker::WorkerSettings> {
        // Two processes draw one name once in 2^64 times.
        let name = format!("worker-{:016x}", RandomState::new().build_hasher().finish());
        Ok(worker::WorkerSettings {
            at_once: self.run_workers as usize,
            keep_files: Duration::from_secs(self.file_hours * 3600),
            counters,
            ..worker::WorkerSettings::new(name, Arc::new(self.tables()?))
        })
    }

    /// A table that is not given is empty.
    fn tables(&self) -> anyhow::Result<Tables> {
        let open = |file: Option<&Path>| -> anyhow::Result<Box<dyn Read>> {
            let Some(file) = file else { return Ok(Box::new(io::empty())) };
            let opened =
                fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Box::new(opened))
        };
        let (codes, establishments) =
            (open(self.codes.as_deref())?, open(self.establishments.as_deref())?);
        Tables::read(codes, establishments).context("check --codes and --establishments")
    }
}

impl Postgres {
    fn processor(&self) -> ConnectionSettings {
        ConnectionSettings { url: self.postgres.clone(), role: Some(Role::Processor) }
    }
}

impl Run {
    /// How `reads`, a topic by our name for it, is read. Each topic has a group of its own, whose name is also its
    /// consumer's in the database: `group` for what it always was, and derived for what came later.
    pub fn kafka(&self, reads: &'static str) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
            reads,
            group: self.group_of(reads),
            instance: self.instance.clone(),
        }
    }

    pub fn pool(&self) -> PoolSettings {
        PoolSettings {
            connection: self.postgres.processor(),
            size: self.postgres_connections as usize,
        }
    }

    fn group_of(&self, reads: &str) -> String {
        match reads {
            CARE_TOPIC => self.group.clone(),
            _ => format!("{}.runs", self.group),
        }
    }

    pub fn consumer(&self, reads: &'static str) -> Consumer {
        Consumer { name: self.group_of(reads), topic: self.kafka.topics().named(reads).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_can_be_given_by_environment() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_env().is_some(), "{}", argument.get_id());
            }
        }
    }

    #[test]
    fn a_topic_of_three_copies_needs_two_to_be_written() {
        let prepare = |flags: &[&str]| {
            let given = ["clinicwire-processors", "prepare"].iter().chain(flags);
            match Cli::parse_from(given).command {
                Command::Prepare(prepare) => prepare.new_topics(),
                Command::Run(_) | Command::Work(_) | Command::Bridge(_) => {
                    unreachable!("prepare was asked for")
                }
            }
        };
        assert_eq!(prepare(&["--replication-factor", "3"]).min_insync_replicas, 2);
        assert_eq!(prepare(&[]).min_insync_replicas, 1);
        assert_eq!(
            prepare(&["--replication-factor", "3", "--min-insync-replicas", "3"])
                .min_insync_replicas,
            3
        );
    }
}
