//! Settings of `prepare`.

use clap::Args;
use servers::{
    args::{KafkaArgs, PostgresArgs},
    config_check::Faults,
    kafka::{KafkaCluster, NewTopics},
};

use super::CLIENT_ID;
use crate::servers::postgres::RetentionDays;

/// Settings of `prepare`.
#[derive(Args)]
pub struct PrepareArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Partition count of a new topic, fixed for its life: at most this many processors share the
    /// work
    #[arg(long, env = "CLINICWIRE_PARTITIONS", value_name = "COUNT", default_value_t = 12)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub partitions: u32,
    /// Replicas of a new topic; 3 in production
    #[arg(long, env = "CLINICWIRE_REPLICATION_FACTOR", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=9))]
    pub replication_factor: u32,
    /// Replicas that must have a record before it counts as written [default: all but one]
    #[arg(long, env = "CLINICWIRE_MIN_INSYNC_REPLICAS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=9))]
    pub min_insync_replicas: Option<u32>,
    /// Hours that a new topic of commands keeps records; processors that are stopped for longer
    /// lose commands
    #[arg(long, env = "CLINICWIRE_CARE_HOURS", default_value_t = 30 * 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub care_hours: u64,
    /// Hours that a new topic of runs keeps records
    #[arg(long, env = "CLINICWIRE_RUNS_HOURS", default_value_t = 7 * 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub runs_hours: u64,
    /// Hours that a new topic of the audit keeps records; processors that are stopped for longer
    /// lose entries
    #[arg(long, env = "CLINICWIRE_AUDIT_HOURS", default_value_t = 90 * 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub audit_hours: u64,
    /// Hours that a new topic of outward events keeps records; other systems that are stopped for
    /// longer lose events
    #[arg(long, env = "CLINICWIRE_EVENTS_HOURS", default_value_t = 7 * 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub events_hours: u64,
    /// Days that the stored audit is kept [default: as before; at first 2192, which are the six
    /// years that HIPAA has such documentation kept (45 CFR 164.316)]
    #[arg(long, env = "CLINICWIRE_AUDIT_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub audit_days: Option<u32>,
    /// For how long rows are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// Hours that a new topic of views keeps records; gateways read a minute back
    #[arg(long, env = "CLINICWIRE_VIEWS_HOURS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub views_hours: u64,
}

/// For how long rows are kept. What is not given stays as it is, so that a `prepare` without these
/// settings deletes nothing.
#[derive(Args)]
pub struct RetentionArgs {
    /// Days that the journal stays in the database. Only days that the archive has are dropped, so
    /// without an archive all of it stays [default: as before; at first 400]
    // Less than two days would drop days that are not over everywhere.
    #[arg(long, env = "CLINICWIRE_JOURNAL_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=36_500))]
    pub journal_days: Option<u32>,
    /// Days that the history of tickets is kept; it is dropped by the week. Figures are kept for
    /// three years [default: as before; at first 400]
    #[arg(long, env = "CLINICWIRE_HISTORY_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub history_days: Option<u32>,
    /// Days that records are kept that were set aside and not released; they are dropped by the
    /// month [default: as before; at first 400]
    #[arg(long, env = "CLINICWIRE_PARKED_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub parked_days: Option<u32>,
    /// Days after its end that a ticket is known, and its end can be undone. Its history and the
    /// journal stay [default: as before; at first 35]
    // A service day and the day after it: an end is undone on the same day.
    #[arg(long, env = "CLINICWIRE_TICKET_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=3_650))]
    pub ticket_days: Option<u32>,
    /// Days after its time that an appointment which has ended is known. A later report of its
    /// source books it anew [default: as before; at first 100]
    // Sources correct yesterday's appointments.
    #[arg(long, env = "CLINICWIRE_APPOINTMENT_DAYS", value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(7..=3_650))]
    pub appointment_days: Option<u32>,
}

impl RetentionArgs {
    /// The days by table.
    pub fn days(&self) -> RetentionDays {
        RetentionDays {
            journal: self.journal_days,
            history: self.history_days,
            parked: self.parked_days,
            tickets: self.ticket_days,
            appointments: self.appointment_days,
        }
    }
}

impl PrepareArgs {
    pub(super) fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        self.postgres.validate(faults);
        let (replicas, required) = (self.replication_factor, self.min_insync_replicas);
        if required.is_some_and(|required| required > replicas) {
            let problem = format!("a topic of {replicas} replicas could not be written");
            faults.add("--min-insync-replicas", problem);
        }
    }

    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The settings of topics that do not exist yet.
    pub fn new_topics(&self) -> NewTopics {
        let all_but_one = (self.replication_factor - 1).max(1);
        NewTopics {
            partition_count: self.partitions,
            replication_factor: self.replication_factor,
            min_insync_replicas: self.min_insync_replicas.unwrap_or(all_but_one),
            care_hours: self.care_hours,
            runs_hours: self.runs_hours,
            views_hours: self.views_hours,
            audit_hours: self.audit_hours,
            events_hours: self.events_hours,
        }
    }
}
