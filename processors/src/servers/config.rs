//! Settings, by flag and environment: `--help` is their documentation.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    kafka::{KafkaSettings, NewTopics, Topics},
    postgres::{ConnectionSettings, Consumer, PoolSettings, Role},
};

/// Decides and applies what clinics ask for: reads `clinicwire.care.v1` from Kafka, keeps journal and read models in
/// Postgres and live views in Redis, and publishes every change to `clinicwire.views.v1`.
///
/// Run `prepare` once, and again after each upgrade; then start as many `run` as you like, up to one per partition.
/// Any of them may be killed at any time: the next owner of its partitions goes on where it stood.
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
    /// Process records until SIGTERM or Ctrl-C
    Run(Run),
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
    /// The topic of views
    #[arg(long, env = "CLINICWIRE_VIEWS_TOPIC", default_value = schemas::record::VIEWS_TOPIC)]
    pub views_topic: String,
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
    #[arg(long, env = "CLINICWIRE_REDIS", hide_env_values = true, default_value = "redis://127.0.0.1:6379")]
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
    /// Tickets kept in memory at most; past it the locations not used for longest are loaded again when needed
    #[arg(long, env = "CLINICWIRE_CACHED_TICKETS", default_value_t = 200_000)]
    pub cached_tickets: usize,
    /// Write a line of JSON with the address of the metrics to this file once processing has begun
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

impl Kafka {
    pub fn topics(&self) -> Topics {
        Topics { care: self.care_topic.clone(), views: self.views_topic.clone() }
    }
}

impl Prepare {
    pub fn kafka(&self) -> KafkaSettings {
        let group = String::new(); // nothing is read
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
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
            views_hours: self.views_hours,
        }
    }
}

impl Run {
    pub fn kafka(&self) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka.kafka.clone(),
            topics: self.kafka.topics(),
            group: self.group.clone(),
            instance: self.instance.clone(),
        }
    }

    pub fn pool(&self) -> PoolSettings {
        PoolSettings {
            connection: ConnectionSettings {
                url: self.postgres.postgres.clone(),
                role: Some(Role::Processor),
            },
            size: self.postgres_connections as usize,
        }
    }

    pub fn consumer(&self) -> Consumer {
        Consumer { name: self.group.clone(), topic: self.kafka.care_topic.clone() }
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
                Command::Run(_) => unreachable!("prepare was asked for"),
            }
        };
        assert_eq!(prepare(&["--replication-factor", "3"]).min_insync_replicas, 2);
        assert_eq!(prepare(&[]).min_insync_replicas, 1);
        assert_eq!(
            prepare(&["--replication-factor", "3", "--min-insync-replicas", "3"]).min_insync_replicas,
            3
        );
    }
}
