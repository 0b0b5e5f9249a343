//! Runs thousands of clients against running nodes. Exits with 0 when every promise held, 1 on a
//! breach, and 2 when the run failed.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use clinicwire_loadtests::{
    crowd::CrowdArgs,
    report::say,
    scenarios::{
        commands, commands::CommandsArgs, day, day::DayArgs, fanout, fanout::FanoutArgs, idle,
        idle::IdleArgs, phones, phones::PhonesArgs, reads, reads::ReadsArgs, reconnect,
        reconnect::ReconnectArgs, revocations, revocations::RevocationsArgs, runs, runs::RunsArgs,
        width, width::WidthArgs,
    },
    target::TargetArgs,
};

/// Runs thousands of phones, boards and dashboards, and checks every message that they receive.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    crowd: CrowdArgs,
    /// Process of the server whose CPU and memory are reported. Repeat it for each process.
    #[arg(long, global = true)]
    pid: Vec<u32>,
    /// Also write all figures to this file, as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Threads of the swarm. Use few when it shares cores with the server.
    #[arg(long, default_value_t = 2, global = true)]
    threads: usize,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Phones follow their own tickets while the line is called.
    Phones(PhonesArgs),
    /// Idle connections: memory and CPU of each.
    Idle(IdleArgs),
    /// One queue or board with many listeners.
    Fanout(FanoutArgs),
    /// Dashboards and patients of one location, over every transport at once.
    Width(WidthArgs),
    /// All clients are cut and reconnect at once.
    Reconnect(ReconnectArgs),
    /// Commands of many callers at once, also while the day of a long line ends.
    Commands(CommandsArgs),
    /// Runs of claims files of several tenants, each followed from its 202 to its end.
    Runs(RunsArgs),
    /// Snapshots at a rate, and the places of single tickets as their line grows.
    Reads(ReadsArgs),
    /// A day of check-ins in its shape, shortened by default.
    Day(DayArgs),
    /// Subjects are revoked while they follow a board at every node over every transport.
    Revocations(RevocationsArgs),
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("swarm: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: Options) -> Result<bool> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(options.threads.max(1)).enable_all().build();
    runtime.context("start the runtime")?.block_on(async {
        let Options { target, crowd, pid, json, scenario, .. } = options;
        let (crowd, pid) = (&crowd, &pid[..]);
        let clinic = async { anyhow::Ok(Arc::new(target.target().await?)) };
        let report = match scenario {
            Scenario::Phones(args) => phones::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Idle(args) => idle::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Fanout(args) => fanout::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Width(args) => width::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Reconnect(args) => reconnect::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Reads(args) => reads::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Day(args) => day::run(clinic.await?, crowd, pid, args).await?,
            Scenario::Commands(args) => {
                let (nodes, words) = target.development().await?;
                commands::run(nodes, words, crowd, pid, args).await?
            }
            Scenario::Revocations(args) => {
                let (nodes, words) = target.development().await?;
                revocations::run(nodes, words, args).await?
            }
            Scenario::Runs(args) => {
                runs::run(target.tenants(args.tenants()).await?, crowd, pid, &args).await?
            }
        };
        report.conclude(json.as_deref())
    })
}
