//! Settings by flag and environment variable; `--help` documents them.

mod parked;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};
use schemas::{
    ids::{SourceId, TenantId},
    record::{AUDIT_TOPIC, CARE_TOPIC},
};
use servers::{
    args::{
        FileStoreArgs, KafkaArgs, PostgresArgs, PushServiceArgs, RedisArgs, TableArgs,
        validate_topic,
    },
    config_check::Faults,
    kafka::{KafkaCluster, NewTopics},
    logging::LogArgs,
};

pub use parked::{
    DropArgs, ListParkedArgs, ParkedCommand, ParkedSelection, ReleaseArgs, ShowParkedArgs,
};

use super::{
    kafka::ReaderSettings,
    postgres::{ConnectionSettings, Consumer, PoolSettings, Role},
};
use crate::{
    alerts::{AlertCounters, SenderSettings, VapidKey},
    bridge,
    clock::wall_clock,
    worker,
};

/// Decides commands and applies them: reads `clinicwire.care.v1` from Kafka, keeps journal and read
/// models in PostgreSQL and live views in Redis, and publishes every change to
/// `clinicwire.views.v1`.
///
/// Run `prepare` once, and again after each upgrade. Then start as many `run` as you like, up to
/// one per partition. Any of them may be killed at any time: the next owner of its partitions
/// continues where it stopped. Each `run` also checks claims files; start `work` for more capacity
/// there.
#[derive(Parser)]
#[command(name = "clinicwire-processors", version, max_term_width = 110)]
pub struct ProcessorsCli {
    /// The command of the program.
    #[command(subcommand)]
    pub command: ProcessorsCommand,
    /// The format and level of the log.
    #[command(flatten)]
    pub logging: LogArgs,
}

/// The commands of the program.
#[derive(Subcommand)]
pub enum ProcessorsCommand {
    /// A command that needs servers.
    #[command(flatten)]
    Service(ServiceCommand),
    /// Check all settings of another command, and with --connect what they allow at the servers
    ///
    /// Reports every fault with its flag. The exit code is 0 when all settings are valid, and 2
    /// otherwise.
    CheckConfig {
        /// Also log in to the servers, and try what the command needs and must not have
        ///
        /// Prints a line for each attempt. No attempt changes anything, whatever its outcome.
        #[arg(long)]
        connect: bool,
        /// The command whose settings are checked.
        #[command(subcommand)]
        command: ServiceCommand,
    },
}

/// The commands that need servers.
#[derive(Subcommand)]
pub enum ServiceCommand {
    /// Apply the database's migrations and create missing topics; safe to repeat
    Prepare(PrepareArgs),
    /// Process records and check claims files until SIGTERM or Ctrl-C
    Run(RunArgs),
    /// Only check claims files: any number of these share the runs with those of `run`
    Work(WorkArgs),
    /// Pass on reports of appointments from a source's own topic
    ///
    /// Each record's value is a report as `POST /v1/appointments` takes it (JSON: location, key,
    /// version or updated_at, status, start, end, doctor, queue and others; see /openapi.json of a
    /// gateway). Tenant and source are those of --tenant and --source, whatever the record says.
    /// The id of a report is the header `ce_id`, or else its topic, partition and offset: the same
    /// id is applied once. A record that cannot be read is kept in the table `parked`, and the next
    /// record is passed on.
    ///
    /// The topic is first read from its beginning, then from the offsets of the group. Start as
    /// many bridges as the topic has partitions; any may be killed at any time. The order of
    /// records within a partition is kept.
    Bridge(BridgeArgs),
    /// Look after the stored audit
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look after records that were set aside, because they could not be read or stored
    ///
    /// `list` names each by topic, partition and offset. `release` appends a record again, as a new
    /// record of the same command: use it when the cause is mended, such as a program of an older
    /// version. A command past its `valid_until` is then refused as expired, and a report that is
    /// older than what is known is ignored.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Make the keys of alerts to phones: writes the private key to a new file, and prints the
    /// public one, which gateways get
    PushKey(PushKeyArgs),
}

/// The commands of the stored audit.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Hash every stored entry again and report the first that was changed, removed or inserted
    ///
    /// Prints a line for each tenant: the entries checked, the number and the hash of the last one,
    /// and where the chain is broken. Keep its output elsewhere: somebody who owns
    /// the database can write a whole chain anew, and then the entry of a kept number has another
    /// hash. The exit code is 0 when all chains hold, 3 when one is broken, 4 when nothing of the
    /// tenant is stored, and 1 when the database does not answer.
    Verify(VerifyArgs),
}

/// Settings of `audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Only this tenant
    #[arg(long)]
    pub tenant: Option<TenantId>,
}

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
    /// Days that the stored audit is kept. Six years by default, as long as HIPAA has such
    /// documentation kept (45 CFR 164.316); a later `prepare` may change it
    #[arg(long, env = "CLINICWIRE_AUDIT_DAYS", default_value_t = 2_192)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub audit_days: u32,
    /// Hours that a new topic of views keeps records; gateways read a minute back
    #[arg(long, env = "CLINICWIRE_VIEWS_HOURS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub views_hours: u64,
}

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
    /// Unreadable records in a row after which a partition stops, since they mean that programs of
    /// wrong versions run; a restart goes on. With 0, all of them are set aside
    #[arg(long, env = "CLINICWIRE_PARKED_LIMIT", default_value_t = 1_000)]
    pub parked_limit: u64,
    /// File to create when processing has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// The worker that checks claims files.
    #[command(flatten)]
    pub checks: CheckArgs,
    /// Alerts to phones.
    #[command(flatten)]
    pub alerts: AlertArgs,
}

/// Settings of alerts to phones.
#[derive(Args)]
pub struct AlertArgs {
    /// File with the private key of the alerts to phones (VAPID), as `push-key` writes it, the same
    /// on all processors. Without it, no alerts are sent
    #[arg(long, env = "CLINICWIRE_PUSH_KEY_FILE", value_name = "FILE", requires = "push_contact")]
    pub push_key_file: Option<PathBuf>,
    /// Whom a push service may contact about our alerts: `mailto:…` or `https://…`
    #[arg(long, env = "CLINICWIRE_PUSH_CONTACT", value_name = "URL", requires = "push_key_file")]
    #[arg(value_parser = contact)]
    pub push_contact: Option<String>,
    /// The push services.
    #[command(flatten)]
    pub services: PushServiceArgs,
}

/// Settings of `push-key`.
#[derive(Args)]
pub struct PushKeyArgs {
    /// File to create for the private key
    #[arg(long, env = "CLINICWIRE_PUSH_KEY_FILE", value_name = "FILE")]
    pub push_key_file: PathBuf,
}

/// A contact of RFC 8292, section 2.1.
fn contact(text: &str) -> Result<String, String> {
    let is_contact = text.starts_with("mailto:") || text.starts_with("https://");
    is_contact.then(|| text.to_owned()).ok_or_else(|| "not mailto:… or https://…".to_owned())
}

impl AlertArgs {
    fn key(&self) -> anyhow::Result<Option<VapidKey>> {
        let read = |path: &PathBuf| anyhow::Ok(std::fs::read_to_string(path)?.parse()?);
        self.push_key_file.as_ref().map(read).transpose()
    }

    /// The settings of the sender, if alerts are sent.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn sender(&self, counters: Arc<AlertCounters>) -> anyhow::Result<Option<SenderSettings>> {
        let Some((key, contact)) = self.key()?.zip(self.push_contact.clone()) else {
            return Ok(None);
        };
        Ok(Some(SenderSettings {
            key,
            contact,
            services: self.services.services(),
            counters,
            clock: wall_clock(),
        }))
    }
}

/// Settings of `work`.
#[derive(Args)]
pub struct WorkArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Address of /metrics, /health/live and /health/ready
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9102")]
    pub listen: SocketAddr,
    /// File to create when work has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// The worker that checks claims files.
    #[command(flatten)]
    pub checks: CheckArgs,
}

/// Settings of `bridge`.
#[derive(Args)]
pub struct BridgeArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Topic of the source
    #[arg(long, env = "CLINICWIRE_SOURCE_TOPIC", value_name = "TOPIC")]
    pub source_topic: String,
    /// Tenant of the appointments
    #[arg(long, env = "CLINICWIRE_TENANT")]
    pub tenant: TenantId,
    /// Name of the source: small letters, digits and hyphens, and not `clinicwire…`. It may change
    /// the appointments that it reported, and no others
    #[arg(long, env = "CLINICWIRE_SOURCE", value_name = "NAME", value_parser = source_name)]
    pub source: SourceId,
    /// Consumer group that stores the offsets; by default `clinicwire-bridge.<tenant>.<source>`
    #[arg(long, env = "CLINICWIRE_BRIDGE_GROUP")]
    pub group: Option<String>,
    /// Address of /metrics, /health/live and /health/ready
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9103")]
    pub listen: SocketAddr,
    /// File to create when the bridge has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Reads the name of a source, which becomes a part of the source of its records.
fn source_name(text: &str) -> Result<SourceId, &'static str> {
    SourceId::new(text).map_err(|_| {
        "a source has a name of 1 to 40 small letters, digits and hyphens that does not begin with \
         `clinicwire`"
    })
}

/// Settings of a worker that checks claims files.
#[derive(Args)]
pub struct CheckArgs {
    /// Claims files that are checked at once; with 0, `run` leaves them to other processes
    #[arg(long, env = "CLINICWIRE_RUN_WORKERS", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=64))]
    pub run_workers: u32,
    /// The store of uploaded files.
    #[command(flatten)]
    pub store: FileStoreArgs,
    /// Hours that an uploaded file is kept when no run needs it: none was requested, or it was
    /// cancelled before its check
    #[arg(long, env = "CLINICWIRE_FILE_HOURS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub file_hours: u64,
    /// The reference tables of the checks.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// The name of these programs in Kafka.
const CLIENT_ID: &str = "clinicwire-processors";

impl ServiceCommand {
    /// Finds every fault that can be found without connecting to a server.
    pub fn validate(&self, faults: &mut Faults) {
        match self {
            ServiceCommand::Prepare(prepare) => {
                prepare.kafka.validate(faults);
                prepare.postgres.validate(faults);
                let (replicas, required) =
                    (prepare.replication_factor, prepare.min_insync_replicas);
                if required.is_some_and(|required| required > replicas) {
                    let problem = format!("a topic of {replicas} replicas could not be written");
                    faults.add("--min-insync-replicas", problem);
                }
            }
            ServiceCommand::Run(run) => {
                run.kafka.validate(faults);
                run.postgres.validate(faults);
                run.redis.validate(faults);
                faults.check("--push-key-file", run.alerts.key());
                if run.checks.run_workers > 0 {
                    run.checks.validate(faults);
                }
            }
            ServiceCommand::Work(work) => {
                work.kafka.validate(faults);
                work.postgres.validate(faults);
                if work.checks.run_workers == 0 {
                    faults.add("--run-workers", NO_WORKERS);
                }
                work.checks.validate(faults);
            }
            ServiceCommand::Bridge(bridge) => {
                bridge.kafka.validate(faults);
                validate_topic("--source-topic", &bridge.source_topic, faults);
            }
            ServiceCommand::Audit(AuditCommand::Verify(verify)) => {
                verify.postgres.validate(faults);
            }
            ServiceCommand::Parked(parked) => parked.validate(faults),
            ServiceCommand::PushKey(_) => {}
        }
    }
}

/// Why `work` does not start without a worker.
pub const NO_WORKERS: &str = "there is nothing to do with --run-workers 0";

impl PrepareArgs {
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
        }
    }
}

impl WorkArgs {
    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }
}

impl BridgeArgs {
    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The consumer group that reads the source's topic.
    pub fn group(&self) -> String {
        let default = || format!("clinicwire-bridge.{}.{}", self.tenant, self.source);
        self.group.clone().unwrap_or_else(default)
    }

    /// The bridge, which stamps its tenant and source on each report.
    pub fn bridge(&self) -> bridge::Bridge {
        bridge::Bridge {
            tenant: self.tenant.clone(),
            source: self.source.clone(),
            topic: self.source_topic.clone(),
        }
    }
}

impl CheckArgs {
    /// Finds the faults of the file store and the tables.
    pub fn validate(&self, faults: &mut Faults) {
        self.store.validate(faults);
        self.tables.validate(faults);
    }

    /// The worker's connections: one for each run, whose findings are stored in a transaction of
    /// their own, and three for everything else.
    pub fn pool(&self, postgres: &PostgresArgs) -> PoolSettings {
        PoolSettings {
            connection: processor_connection(postgres),
            size: self.run_workers as usize + 3,
        }
    }

    /// The worker's settings, with the reference tables read from their files.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn worker(
        &self,
        counters: Arc<worker::WorkerCounters>,
    ) -> anyhow::Result<worker::WorkerSettings> {
        // Two processes get the same name once in 2^64 times.
        let name = format!("worker-{:016x}", fastrand::u64(..));
        Ok(worker::WorkerSettings {
            at_once: self.run_workers as usize,
            keep_files: Duration::from_secs(self.file_hours * 3600),
            counters,
            ..worker::WorkerSettings::new(name, Arc::new(self.tables.tables()?))
        })
    }
}

impl VerifyArgs {
    /// The connections of the verification, which reads one page at a time.
    pub fn pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 1 }
    }
}

fn processor_connection(postgres: &PostgresArgs) -> ConnectionSettings {
    ConnectionSettings { url: postgres.postgres.clone(), role: Some(Role::Processor) }
}

impl RunArgs {
    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The connections of the sender of alerts: each statement finds a few rows by key.
    pub fn alert_pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 2 }
    }

    /// How a topic, given by its standard name, is read.
    pub fn reader(&self, topic: &'static str) -> ReaderSettings {
        ReaderSettings { topic, group: self.group_for(topic), instance: self.instance.clone() }
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

    /// Each topic has a group of its own, whose name is also the consumer's in the database: that
    /// of `--group` for locations, and one derived from it for runs and for the audit.
    fn group_for(&self, topic: &str) -> String {
        match topic {
            CARE_TOPIC => self.group.clone(),
            AUDIT_TOPIC => format!("{}.audit", self.group),
            _ => format!("{}.runs", self.group),
        }
    }

    /// The checkpoint rows of the runner of this topic.
    pub fn consumer(&self, topic: &'static str) -> Consumer {
        let kafka_topic = self.cluster().topics.name(topic).to_owned();
        Consumer { name: self.group_for(topic), topic: kafka_topic }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn flags_are_consistent() {
        ProcessorsCli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        for command in ProcessorsCli::command().get_subcommands() {
            // `--connect` asks for something and is no setting.
            let settings = command
                .get_arguments()
                .filter(|argument| argument.get_id() != "help" && argument.get_id() != "connect");
            for argument in settings {
                assert!(argument.get_env().is_some(), "{}", argument.get_id());
            }
        }
    }

    fn parse(flags: &[&str]) -> ServiceCommand {
        let arguments = ["clinicwire-processors"].iter().chain(flags);
        match ProcessorsCli::parse_from(arguments).command {
            ProcessorsCommand::Service(command)
            | ProcessorsCommand::CheckConfig { command, .. } => command,
        }
    }

    #[test]
    fn bridge_refuses_the_name_of_a_program() {
        for name in ["clinicwire-processors", "clinicwire-processors/follow-up", "His"] {
            let flags = ["x", "bridge", "--source-topic=t", "--tenant=demo", "--source", name];
            let error = ProcessorsCli::try_parse_from(flags).err().expect("an invalid name");
            assert!(error.to_string().contains("does not begin with `clinicwire`"), "{error}");
        }
    }

    #[test]
    fn all_replicas_but_one_must_have_a_record() {
        let required = |flags: &[&str]| match parse(&[&["prepare"], flags].concat()) {
            ServiceCommand::Prepare(prepare) => prepare.new_topics().min_insync_replicas,
            _ => unreachable!("prepare was asked for"),
        };
        assert_eq!(required(&["--replication-factor", "3"]), 2);
        assert_eq!(required(&[]), 1);
        assert_eq!(required(&["--replication-factor", "3", "--min-insync-replicas", "3"]), 3);
    }

    #[test]
    fn validation_names_every_faulty_flag() {
        for (flags, expected) in [
            (&["run"][..], &[][..]),
            (
                &["run", "--kafka=localhost", "--redis=x", "--postgres=x", "--files=/tmp"],
                &["--kafka", "--postgres", "--redis", "--files"],
            ),
            (&["work", "--run-workers=0", "--codes=/no/file"], &["--run-workers", "--codes"]),
            (&["prepare", "--min-insync-replicas=2"], &["--min-insync-replicas"]),
            (
                &["prepare", "--care-topic=one", "--runs-topic=one", "--audit-topic=a/b"],
                &["--runs-topic", "--audit-topic"],
            ),
            (
                &["bridge", "--source-topic=a b", "--tenant=demo", "--source=his"],
                &["--source-topic"],
            ),
        ] {
            let mut faults = Faults::default();
            parse(&[&["check-config"], flags].concat()).validate(&mut faults);
            let text = faults.to_string();
            let found: Vec<_> = text.lines().filter_map(|line| line.split(':').next()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
