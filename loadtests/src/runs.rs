//! Clerks of several tenants have claims files checked: how long does each wait, is what they are
//! shown on the way true, and is what they find in the end what their files hold?

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
    report::{Report, Span, say},
    target::Tenants,
};

pub mod clerks;
pub mod figures;
pub mod office;
pub mod readback;
pub mod story;
pub mod verdict;
pub mod viewers;

use office::{Errand, Office, Run};
use readback::read_back;
use viewers::Viewers;

#[derive(Args)]
pub struct RunsArgs {
    /// Rows of each file.
    #[arg(long, default_value_t = 10_000)]
    rows: u64,
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Tenants that ask for the same number of runs each; one asks for all of its own before the
    /// next one does.
    #[arg(long, default_value_t = 10)]
    tenants: usize,
    /// Runs that are asked for and not over, at most; all of them unless given.
    #[arg(long)]
    at_once: Option<usize>,
    /// Followers of one run, the last: viewers of its tenant, beside the clerk who started it.
    #[arg(long, default_value_t = 0)]
    viewers: usize,
    /// Different files, used in turn.
    #[arg(long, default_value_t = 4)]
    files: usize,
    /// The same seed makes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Planted cases for each row. There are about 170 cases: all are planted when rows times rate
    /// is above that.
    #[arg(long, default_value_t = 0.02)]
    violations: f64,
    /// Have passes listed too.
    #[arg(long)]
    list_passes: bool,
    /// Store the rules that files are generated for with each tenant first. The workers must have
    /// the generator's tables.
    #[arg(long)]
    store_rules: bool,
    /// Seconds a run may take from its 202 to its end, the wait in line included.
    #[arg(long, default_value_t = 600)]
    within: u64,
}

impl RunsArgs {
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.tenants
    }
}

/// Files on their way at one time; a node takes 16.
const UPLOADING: usize = 8;
/// For how long nothing may change after every end was seen: a second end would show.
const QUIET: Duration = Duration::from_secs(1);

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured; broken promises are in the report.
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
        "rows": args.rows, "runs": args.runs, "tenants": args.tenants, "at_once": at_once, "viewers": args.viewers,
        "nodes": office.nodes(), "machine": machine(),
    });
    let mut report = Report::new("runs", settings);
    let contents = contents(args).await?;
    let books = rule_books(&office, args, &mut report).await?;

    say(&format!("uploading {} files …", args.runs));
    let errands = upload(&office, args, &contents, &mut report).await?;
    say("asking for the runs …");
    let span = Span::start(pids);
    let (runs, viewers) = go(&office, args, errands, &mut report).await;
    span.report(&mut report, "going", 0);
    sleep(QUIET).await;

    let viewers = match viewers {
        Some(viewers) => {
            Some(viewers.finish(&runs, Duration::from_secs(crowd.patience), &mut report).await)
        }
        None => None,
    };
    runs.iter().for_each(Run::let_go);
    say("reading what was found …");
    for run in &runs {
        let tenant = run.errand.tenant;
        let content = &contents[run.errand.content];
        read_back(&office, run, content, &books[tenant], args.rows, &mut report).await;
    }
    report_commands(&office.api, &mut report);
    figures::report(&runs, args.rows, &office.clerks, viewers.as_ref(), &mut report);
    Ok(report)
}

/// The generated files.
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

/// What each tenant's files are checked by.
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
) -> Result<Vec<Errand>> {
    let one = |index: usize| {
        // As many for each tenant, the first ones having one more where they do not come out even.
        let (tenant, content) = (index * args.tenants / args.runs, index % contents.len());
        async move {
            let (file, took) =
                office.upload(index, tenant, contents[content].bytes.clone()).await?;
            anyhow::Ok((
                Errand { index, tenant, content, file, list_passes: args.list_passes },
                took,
            ))
        }
    };
    let uploads: Vec<_> =
        stream::iter(0..args.runs).map(one).buffered(UPLOADING).try_collect().await?;
    let (errands, took): (Vec<_>, Vec<_>) = uploads.into_iter().unzip();
    report.quantiles("upload", took);
    Ok(errands)
}

/// Asks for all runs in their order, and gives those that were accepted when each is over, or
/// should be.
async fn go(
    office: &Arc<Office>,
    args: &RunsArgs,
    errands: Vec<Errand>,
    report: &mut Report,
) -> (Vec<Run>, Option<Viewers>) {
    let room = Arc::new(Semaphore::new(args.at_once.unwrap_or(args.runs)));
    let within = Duration::from_secs(args.within);
    let last = errands.len().saturating_sub(1);
    let tenant_of_last = errands.last().map_or(0, |errand| errand.tenant);
    let (tell, mut told) = oneshot::channel::<String>();
    let mut tell = Some(tell);
    let mut going: Vec<JoinHandle<_>> = Vec::new();
    for errand in errands {
        let place = room.clone().acquire_owned().await;
        let (office, tell) =
            (office.clone(), if errand.index == last { tell.take() } else { None });
        going.push(tokio::spawn(async move {
            let _place = place;
            let accepted = |run: &str| drop(tell.map(|tell| tell.send(run.to_owned())));
            office.run(errand, within, accepted).await
        }));
    }
    let viewers = match args.viewers {
        0 => None,
        count => {
            (&mut told).await.ok().map(|run| Viewers::open(office, tenant_of_last, &run, count))
        }
    };
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
    (runs, viewers)
}
