//! Settings of `topic`.

use clap::{Args, Subcommand, ValueEnum};
use schemas::record::{CARE_TOPIC, RUNS_TOPIC};
use servers::{
    args::{KafkaArgs, PostgresArgs},
    config_check::Faults,
    kafka::KafkaCluster,
};

use super::{CLIENT_ID, processor_connection, run::group_for};
use crate::servers::{
    postgres::{ConnectionSettings, Consumer},
    topics::PartitionPlace,
};

/// The commands about the topics that are read.
#[derive(Subcommand)]
pub enum TopicCommand {
    /// Compare each partition of `care` and `runs` with its checkpoint, changing nothing
    ///
    /// Prints a line for each partition. The exit code is 3 when a topic was truncated or created
    /// again, or lost records before they were read.
    Check(Box<TopicArgs>),
    /// Go on with partitions whose topic was truncated or created again, as it is now
    ///
    /// Only partitions that `check` reports are changed. Records that the old topic had and that
    /// were not processed are lost. What is decided stays, and every client keeps its view. The
    /// exit code is 3 when a named partition is left as it was.
    Accept(Box<AcceptArgs>),
}

/// Settings of `topic check`.
#[derive(Args)]
pub struct TopicArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// The consumer group of the processors
    #[arg(long, env = "CLINICWIRE_GROUP", default_value = "clinicwire-processors")]
    pub group: String,
}

/// Settings of `topic accept`.
#[derive(Args)]
pub struct AcceptArgs {
    /// The servers and the group.
    #[command(flatten)]
    pub topic: TopicArgs,
    /// Which partitions.
    #[command(flatten)]
    pub selection: PartitionSelection,
    /// Where to go on in the topic as it is now
    #[arg(long, value_enum, default_value = "start")]
    pub from: AcceptFrom,
}

/// The partitions that a command takes.
#[derive(Args)]
#[group(id = "partitions_or_all", required = true, multiple = false)]
pub struct PartitionSelection {
    /// The partitions, as `check` names them
    #[arg(value_name = "TOPIC/PARTITION")]
    pub partitions: Vec<PartitionPlace>,
    /// All partitions that `check` reports
    #[arg(long)]
    pub all: bool,
}

/// Where an accepted topic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcceptFrom {
    /// At its first record: nothing in it is missed, and a command that was decided is not repeated
    Start,
    /// At the next record that is appended
    End,
}

impl TopicCommand {
    /// The servers and the group.
    pub fn settings(&self) -> &TopicArgs {
        match self {
            TopicCommand::Check(check) => check,
            TopicCommand::Accept(accept) => &accept.topic,
        }
    }
}

impl TopicArgs {
    /// Adds what is wrong with the settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        self.postgres.validate(faults);
    }

    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The connection to PostgreSQL.
    pub fn connection(&self) -> ConnectionSettings {
        processor_connection(&self.postgres)
    }

    /// The checkpoint rows of each topic that runners read.
    pub fn consumers(&self) -> [Consumer; 2] {
        let topics = self.cluster().topics;
        [CARE_TOPIC, RUNS_TOPIC].map(|topic| Consumer {
            name: group_for(&self.group, topic),
            topic: topics.name(topic).to_owned(),
        })
    }
}
