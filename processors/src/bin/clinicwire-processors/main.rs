//! The stream processors on Kafka, PostgreSQL and Redis.

mod alerts;
mod bridge;
mod process;
mod run;
mod verify;
mod work;

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use processors::servers::{
    access,
    config::{
        AuditCommand, CompareArgs, PrepareArgs, ProcessorsCli, ProcessorsCommand, ServiceCommand,
    },
    migrations, parked,
    postgres::{Adoption, adopt_strays, set_audit_retention, set_row_retention},
    topics, verify as compare_all,
};
use servers::{config_check, kafka::prepare_topics};

servers::guard_kafka_metadata!();

#[global_allocator]
static ALLOCATOR: servers::Allocator = servers::Allocator;

/// The exit code of `parked` when a named record is not parked.
const UNKNOWN_RECORD: u8 = 4;

/// The exit codes of `verify` when something differs, and when that is not known.
const DIFFERENT: u8 = 1;
const NOT_COMPARED: u8 = 2;
/// The exit code of `topic` when a topic does not continue at its checkpoint.
const WRONG_TOPIC: u8 = 3;

const POSTGRES_REFUSED: &str = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES";
const KAFKA_REFUSED: &str = "kafka's client refuses the settings";

fn main() -> anyhow::Result<ExitCode> {
    let checked = config_check::answer(std::env::args_os(), |cli: &ProcessorsCli, faults| {
        cli.logging.validate(faults);
        if let ProcessorsCommand::CheckConfig { command, .. } = &cli.command {
            command.validate(faults);
        }
    });
    if let Some(are_valid) = checked
        && !(are_valid && config_check::asks_to_connect(std::env::args_os()))
    {
        return Ok(config_check::exit_code(are_valid));
    }
    let cli = ProcessorsCli::parse();
    cli.logging.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            ProcessorsCommand::Service(command) => serve_command(command).await,
            ProcessorsCommand::CheckConfig { command, .. } => {
                let report = access::check_access(&command).await;
                write!(std::io::stdout(), "{report}")?;
                Ok(config_check::exit_code(report.is_good()))
            }
        }
    });
    // A thread of a client library that does not end must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn serve_command(command: ServiceCommand) -> anyhow::Result<ExitCode> {
    let done = match command {
        ServiceCommand::Prepare(settings) => prepare(&settings).await,
        ServiceCommand::Run(settings) => run::run(Arc::from(settings)).await,
        ServiceCommand::Work(settings) => work::work(settings).await,
        ServiceCommand::Bridge(settings) => bridge::run_bridge(settings).await,
        ServiceCommand::Audit(AuditCommand::Verify(settings)) => {
            return verify::verify(settings).await;
        }
        ServiceCommand::Parked(command) => {
            let all_found = parked::run(command).await?;
            return Ok(if all_found { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN_RECORD) });
        }
        ServiceCommand::Rebuild(settings) => {
            let is_there = compare_all::rebuild(settings).await?;
            return Ok(if is_there { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN_RECORD) });
        }
        ServiceCommand::Verify(settings) => return Ok(compare(settings).await),
        ServiceCommand::Topic(command) => {
            let all_good = topics::run(command).await?;
            return Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::from(WRONG_TOPIC) });
        }
        ServiceCommand::PushKey(settings) => alerts::make_push_key(&settings),
        ServiceCommand::WebhookKey(settings) => alerts::make_webhook_key(&settings),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Compares journal, read models and Redis. An error is a third result beside equal and different.
async fn compare(settings: CompareArgs) -> ExitCode {
    match compare_all::run(settings).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DIFFERENT),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "nothing can be said: the comparison did not end");
            ExitCode::from(NOT_COMPARED)
        }
    }
}

/// Sets for how long rows are kept, and gives each row a partition.
async fn retain(settings: &PrepareArgs) -> anyhow::Result<()> {
    let url = &settings.postgres.postgres;
    if let Some(days) = settings.audit_days {
        let set = set_audit_retention(url, days).await;
        set.context("the retention of the audit could not be set")?;
    }
    let kept = set_row_retention(url, &settings.retention.days())
        .await
        .context("the retention of rows could not be set")?;
    for (table, days) in kept {
        tracing::info!(table, days, "rows are kept this long");
    }
    let adopted = adopt_strays(url).await.context("rows without a partition could not be moved")?;
    for adoption in adopted {
        match adoption {
            Adoption::Adopted(partition) => {
                tracing::warn!(
                    partition,
                    "rows had no partition in time; they are in this one now"
                );
            }
            Adoption::Busy(table) => tracing::warn!(
                table,
                "rows have no partition, and another session reads the table: run `prepare` again"
            ),
        }
    }
    Ok(())
}

async fn prepare(settings: &PrepareArgs) -> anyhow::Result<()> {
    let applied = migrations::apply(&settings.postgres.postgres)
        .await
        .context("the database could not be prepared: check --postgres or CLINICWIRE_POSTGRES")?;
    retain(settings).await?;
    tracing::info!(applied, newest = migrations::newest(), "the database is ready");
    let created = prepare_topics(&settings.cluster(), &settings.new_topics()).await?;
    tracing::info!(?created, "the topics are ready");
    Ok(())
}
