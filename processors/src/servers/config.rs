//! Settings by flag and environment variable, a file for each command; `--help` documents them.

mod alerts;
mod audit;
mod bridge;
mod parked;
mod prepare;
mod rebuild;
mod run;
#[cfg(test)]
mod tests;
mod topics;
mod verify;
mod webhooks;
mod work;

use clap::{Parser, Subcommand};

use servers::{args::PostgresArgs, config_check::Faults, logging::LogArgs};

pub use alerts::{AlertArgs, PushKeyArgs};
pub use audit::{AuditCommand, VerifyArgs};
pub use bridge::BridgeArgs;
pub use parked::{
    DropArgs, ListParkedArgs, ParkedCommand, ParkedSelection, ReleaseArgs, ShowParkedArgs,
};
pub use prepare::PrepareArgs;
pub use rebuild::RebuildArgs;
pub use run::RunArgs;
pub use topics::{AcceptArgs, AcceptFrom, PartitionSelection, TopicArgs, TopicCommand};
pub use verify::{CompareArgs, ReadArchiveArgs};
pub use webhooks::{WebhookArgs, WebhookKeyFileArgs};
pub use work::{CheckArgs, NO_WORKERS, WorkArgs};

use super::postgres::{ConnectionSettings, Role};

/// Decides commands and applies them: reads `clinicwire.care.v1` from Kafka, keeps journal and read
/// models in PostgreSQL and live views in Redis, and publishes every change to
/// `clinicwire.views.v1`.
///
/// Run `prepare` once, and again after each upgrade. Then start any number of `run` processes, up
/// to one per partition. Any of them may be killed at any time: the next owner of its partitions
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
    Run(Box<RunArgs>),
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
    /// Check the stored audit
    #[command(subcommand)]
    Audit(AuditCommand),
    /// List, show, release or drop records that were set aside, because they could not be read or
    /// stored
    ///
    /// `list` names each by topic, partition and offset. `release` appends a record again, as a new
    /// record of the same command: use it when the cause is repaired, such as a program of an older
    /// version. A command past its `valid_until` is then refused as expired, and a report that is
    /// older than what is known is ignored.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Compare the journal, the read models and Redis, changing nothing
    ///
    /// Folds the journal of each location, run, rule book and appointment key, and compares the
    /// result with what PostgreSQL keeps of it at the same moment, and each view with Redis at the
    /// same position. Prints a line for each, and below it what differs, by ids alone. It is safe
    /// beside live traffic. The exit code is 0 when all are equal, 1 when something differs, and 2
    /// when they could not be compared.
    Verify(CompareArgs),
    /// Make the read models of a location anew from its journal, beside live traffic
    ///
    /// Folds the journal, prints what differs from what PostgreSQL keeps, and swaps the result in
    /// by one transaction under a new epoch: clients get it as a whole state. Nothing is decided
    /// again. Commits of the partition wait during the transaction. The exit code is 4 when there
    /// is no such location.
    Rebuild(RebuildArgs),
    /// Check the topics that are read, or accept one that was truncated or created again
    ///
    /// A partition whose topic does not continue where the processors stopped is not read until an
    /// operator brings the topic back or accepts it as it is.
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Make the keys of alerts to phones: writes the private key to a new file, and prints the
    /// public one, which gateways get
    PushKey(PushKeyArgs),
    /// Make the key from which the secrets of webhooks are derived: writes it to a new file
    WebhookKey(WebhookKeyFileArgs),
}

/// The name of these programs in Kafka.
const CLIENT_ID: &str = "clinicwire-processors";

impl ServiceCommand {
    /// Finds every fault that can be found without connecting to a server.
    pub fn validate(&self, faults: &mut Faults) {
        match self {
            ServiceCommand::Prepare(prepare) => prepare.validate(faults),
            ServiceCommand::Run(run) => run.validate(faults),
            ServiceCommand::Work(work) => work.validate(faults),
            ServiceCommand::Bridge(bridge) => bridge.validate(faults),
            ServiceCommand::Audit(AuditCommand::Verify(verify)) => {
                verify.postgres.validate(faults);
            }
            ServiceCommand::Parked(parked) => parked.validate(faults),
            ServiceCommand::Rebuild(rebuild) => rebuild.validate(faults),
            ServiceCommand::Verify(verify) => verify.validate(faults),
            ServiceCommand::Topic(topic) => topic.settings().validate(faults),
            ServiceCommand::PushKey(_) | ServiceCommand::WebhookKey(_) => {}
        }
    }
}

fn processor_connection(postgres: &PostgresArgs) -> ConnectionSettings {
    ConnectionSettings { url: postgres.postgres.clone(), role: Some(Role::Processor) }
}
