//! Settings of `parked`.

use clap::{Args, Subcommand};
use servers::{
    args::{KafkaArgs, PostgresArgs},
    config_check::Faults,
    kafka::KafkaCluster,
};

use super::{CLIENT_ID, processor_connection};
use crate::servers::postgres::{ConnectionSettings, RecordPlace};

/// The commands about parked records.
#[derive(Subcommand)]
pub enum ParkedCommand {
    /// Print a line for each record: place, time, code, type, key and size, but no content
    List(ListParkedArgs),
    /// Print a whole record. It may contain the names of patients: do not send it to anybody
    ///
    /// The exit code is 4 when no such record is parked.
    Show(ShowParkedArgs),
    /// Append records again, in their old order, and take them from the table
    ///
    /// A record that still cannot be read is parked again, under a new offset. The exit code is 4
    /// when a named record is not parked.
    Release(Box<ReleaseArgs>),
    /// Delete records for good, content included
    ///
    /// The journal keeps that a record was parked, with its place and code. The exit code is 4 when
    /// a named record is not parked.
    Drop(DropArgs),
}

/// Settings of `parked list`.
#[derive(Args)]
pub struct ListParkedArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Only records that were parked with this code
    #[arg(long)]
    pub code: Option<String>,
    /// Most lines
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Settings of `parked show`.
#[derive(Args)]
pub struct ShowParkedArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// The record, as `list` names it
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub record: RecordPlace,
}

/// Settings of `parked release`.
#[derive(Args)]
pub struct ReleaseArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Which records.
    #[command(flatten)]
    pub selection: ParkedSelection,
}

/// Settings of `parked drop`.
#[derive(Args)]
pub struct DropArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Which records.
    #[command(flatten)]
    pub selection: ParkedSelection,
}

/// The records that a command takes.
#[derive(Args)]
#[group(id = "records_or_code", required = true, multiple = false)]
pub struct ParkedSelection {
    /// The records, as `list` names them
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub records: Vec<RecordPlace>,
    /// All records that were parked with this code, at most 10,000
    #[arg(long)]
    pub code: Option<String>,
}

impl ParkedCommand {
    /// Adds what is wrong with the settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        if let ParkedCommand::Release(release) = self {
            release.kafka.validate(faults);
        }
        self.postgres().validate(faults);
    }

    /// How to reach PostgreSQL.
    pub fn postgres(&self) -> &PostgresArgs {
        match self {
            ParkedCommand::List(list) => &list.postgres,
            ParkedCommand::Show(show) => &show.postgres,
            ParkedCommand::Release(release) => &release.postgres,
            ParkedCommand::Drop(delete) => &delete.postgres,
        }
    }

    /// The connection of the command.
    pub fn connection(&self) -> ConnectionSettings {
        processor_connection(self.postgres())
    }
}

impl ReleaseArgs {
    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }
}
