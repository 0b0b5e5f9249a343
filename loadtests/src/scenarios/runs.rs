//! Clerks of several tenants have claims files checked. Waiting times are measured, every step of a
//! run is checked, and the findings are compared with the content of the files.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use testing::claims_files::ClaimsFile;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    breach::Breach,
    claims_cost::machine,
    crowd::{CrowdArgs, check_room, report_commands},
    http::CommandFailure,
    report::{Report, Span, say},
    target::Tenants,
};

pub mod figures;
pub mod office;
pub mod readback;
pub mod verdict;
pub mod viewers;

use office::{Office, Run, RunRequest};
use readback::read_back;
use viewers::Viewers;

#[derive(Args)]
pub struct RunsArgs {
    /// Rows of each file.
    #[arg(long, default_value_t = 10_000)]
    rows: u64,
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Tenants with the same number of runs each. A tenant requests all its runs before the next
    /// one.
    #[arg(long, default_value_t = 10)]
    tenants: usize,
    /// Maximum number of open runs. Without it, all runs are requested at once.
    #[arg(long)]
    at_once: Option<usize>,
    /// Viewers of the last run, beside the clerk who requested it.
    #[arg(long, default_value_t = 0)]
    viewers: usize,
    /// Number of different files, used in turn.
    #[arg(long, default_value_t = 4)]
    files: usize,
    /// Seed of the files. The same seed gives the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Planted cases for each row. There are about 180 cases: all are planted when rows times rate
    /// is above that.
    #[arg(long, default_value_t = 0.02)]
    violations: f64,
    /// Request runs that also list passes.
    #[arg(long)]
    list_passes: bool,
    /// First store the rules that files are generated for with each tenant. The workers need the
    /// generator's tables.
    #[arg(long)]
    store_rules: bool,
    /// Time limit of a run in seconds, from its 202 to its end, including the wait in line.
    #[arg(long, default_value_t = 600)]
    within: u64,
}

impl RunsArgs {
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.tenants
    }
}

/// Concurrent uploads. A node accepts 16.
const UPLOADING: usize = 8;
/// The time without changes after the last end, in which a second end would appear.
const QUIET: Duration = Duration::from_secs(1);

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    tenants: Tenants,
    crowd: &CrowdArgs,
    pids: &[u32],
    args: &RunsArgs,
) -> Result<Report> {
    ensure!(args.runs > 0 && args.files > 0 && args.at_once != Some(0), "there is nothing to do");
    check_room(args.runs + args.viewers, crowd.sources)?;
    let office = Arc::new(Office::new(tenants, crowd));
    let at_once = args.at_once.unwrap_or(args.runs);
    let settings = json!({
        "rows": args.rows, "runs": args.runs, "tenants": args.tenants,
        "at_once": at_once, "viewers": args.viewers,
        "nodes": office.nodes(), "machine": machine(),
    });
    let mut report = Report::new("runs", settings);
    let contents = contents(args).await?;
    let books = rule_books(&office, args, &mut report).await?;

    say(&format!("uploading {} files …", args.runs));
    let requests = upload(&office, args, &contents, &mut report).await?;
    say("asking for the runs …");
    let span = Span::start(pids);
    let (runs, viewers) = go(&office, args, requests, &mut report).await;
    span.report(&mut report, "going", 0);
    sleep(QUIET).await;

    let viewers = match viewers {
        Some(viewers) => {
            Some(viewers.finish(&runs, Duration::from_secs(crowd.patience), &mut report).await)
        }
        None => None,
    };
    runs.iter().for_each(Run::stop_following);
    say("reading what was found …");
    for run in &runs {
        let tenant = run.request.tenant;
        let content = &contents[run.request.content];
        read_back(&office, run, content, &books[tenant], args.rows, &mut report).await;
    }
    report_commands(&office.api, &mut report);
    figures::report(&runs, args.rows, &office.clerks, viewers.as_ref(), &mut report);
    Ok(report)
}

/// Generates the files.
async fn contents(args: &RunsArgs) -> Result<Vec<ClaimsFile>> {
    let (rows, seed, rate, files) =
        (args.rows, args.seed, args.violations, args.files.min(args.runs));
    say(&format!("generating {files} files of {rows} rows …"));
    let make = move || {
        (0..files as u64)
            .map(|n| ClaimsFile::with_violations(rows, seed.wrapping_add(n), rate))
            .collect()
    };
    tokio::task::spawn_blocking(make).await.context("generate files")?
}

/// Reads the rules of each tenant.
async fn rule_books(
    office: &Office,
    args: &RunsArgs,
    report: &mut Report,
) -> Result<Vec<verdict::RuleBook>> {
    let mut books = Vec::new();
    for tenant in 0..args.tenants {
        if args.store_rules {
            office.store_rules(tenant).await?;
        }
        books.push(office.rules(tenant).await?);
    }
    let unknown: usize = books.iter().map(verdict::RuleBook::not_planted_for).sum();
    report.figure("rules_not_planted_for", unknown as f64, "");
    Ok(books)
}

/// Uploads every run's file, tenant by tenant.
async fn upload(
    office: &Office,
    args: &RunsArgs,
    contents: &[ClaimsFile],
    report: &mut Report,
) -> Result<Vec<RunRequest>> {
    let one = |index: usize| {
        // The runs are divided evenly. The first tenants have one more when they do not divide.
        let (tenant, content) = (index * args.tenants / args.runs, index % contents.len());
        async move {
            let (file, took) =
                office.upload(index, tenant, contents[content].bytes.clone()).await?;
            anyhow::Ok((
                RunRequest { index, tenant, content, file, list_passes: args.list_passes },
                took,
            ))
        }
    };
    let uploads: Vec<_> =
        stream::iter(0..args.runs).map(one).buffered(UPLOADING).try_collect().await?;
    let (requests, took): (Vec<_>, Vec<_>) = uploads.into_iter().unzip();
    report.quantiles("upload", took);
    Ok(requests)
}

/// Requests all runs in order, and returns the accepted runs after each has ended or timed out.
async fn go(
    office: &Arc<Office>,
    args: &RunsArgs,
    requests: Vec<RunRequest>,
    report: &mut Report,
) -> (Vec<Run>, Option<Viewers>) {
    let room = Arc::new(Semaphore::new(args.at_once.unwrap_or(args.runs)));
    let within = Duration::from_secs(args.within);
    let last = requests.len().saturating_sub(1);
    let tenant_of_last = requests.last().map_or(0, |request| request.tenant);
    let (announce, mut announced) = oneshot::channel::<String>();
    let mut announce = Some(announce);
    let mut going: Vec<JoinHandle<_>> = Vec::new();
    for request in requests {
        let place = room.clone().acquire_owned().await;
        let (office, announce) =
            (office.clone(), if request.index == last { announce.take() } else { None });
        going.push(tokio::spawn(async move {
            let _place = place;
            let accepted = |run: &str| drop(announce.map(|announce| announce.send(run.to_owned())));
            office.run(request, within, accepted).await
        }));
    }
    let viewers = match args.viewers {
        0 => None,
        count => (&mut announced)
            .await
            .ok()
            .map(|run| Viewers::open(office, tenant_of_last, &run, count)),
    };
    (ended(going, report).await, viewers)
}

/// Waits for all runs, and returns the accepted ones.
async fn ended(
    going: Vec<JoinHandle<Result<Run, CommandFailure>>>,
    report: &mut Report,
) -> Vec<Run> {
    let mut runs = Vec::new();
    for (index, run) in going.into_iter().enumerate() {
        match run.await {
            Ok(Ok(run)) => runs.push(run),
            Ok(Err(error)) => {
                report.breaches.note(Breach::CommandFailed, || {
                    format!("run {index} was not accepted: {error}")
                });
            }
            Err(error) => {
                report.breaches.note(Breach::CommandFailed, || format!("run {index}: {error}"))
            }
        }
    }
    runs
}
