//! Reads over HTTP: snapshots of a line at a rate, and the places of single tickets as the line
//! grows.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::{
    breach::Breach,
    crowd::{CrowdArgs, settings},
    desk::{QueueDesk, at_rate},
    report::{Report, Span, say},
    target::Target,
};

#[derive(Args)]
pub struct ReadsArgs {
    /// Snapshots read per second.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Seconds for which snapshots are read.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Lengths of the line at which single tickets are read. Snapshots are read at the first one.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    lines: Vec<usize>,
    /// Tickets read at each length.
    #[arg(long, default_value_t = 1000)]
    tickets: usize,
    /// Tickets read per second: few, so that the figures are those of a node without load.
    #[arg(long, default_value_t = 200.0)]
    ticket_rate: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    reads: ReadsArgs,
) -> Result<Report> {
    ensure!(reads.lines.is_sorted() && !reads.lines.is_empty(), "--lines grow, such as 10,100");
    let mut report = Report::new("reads", settings(&target, args, 1)?);
    let deadline = Duration::from_secs(args.command_deadline);
    let desk = Arc::new(QueueDesk::open(target, deadline, 1).await?);
    let mut line = desk.fill(reads.lines[0]).await?;
    read_snapshots(&desk, pids, &reads, &mut report).await;
    for &length in &reads.lines {
        line.extend(desk.fill(length - line.len()).await?);
        say(&format!("reading {} tickets of {length} in line …", reads.tickets));
        let paths = (0..reads.tickets).map(|_| &line[fastrand::usize(..line.len())].ticket);
        let paths = paths.map(|ticket| format!("/v1/tickets/{ticket}")).collect();
        read_all(&desk, paths, reads.ticket_rate, &format!("ticket_of_{length}"), &mut report)
            .await;
    }
    Ok(report)
}

async fn read_snapshots(
    desk: &Arc<QueueDesk>,
    pids: &[u32],
    reads: &ReadsArgs,
    report: &mut Report,
) {
    let count = (reads.rate * reads.seconds).round() as usize;
    say(&format!("reading {count} snapshots at {} a second …", reads.rate));
    let path = format!("/v1/queues/{}", desk.queue);
    let span = Span::start(pids);
    read_all(desk, vec![path; count], reads.rate, "snapshot", report).await;
    span.report(report, "snapshots", count as u64);
}

/// Reads all paths at a rate, whatever the answers take, and reports the times.
async fn read_all(
    desk: &Arc<QueueDesk>,
    paths: Vec<String>,
    rate: f64,
    name: &str,
    report: &mut Report,
) {
    let paths = Arc::new(paths);
    let answers = at_rate(paths.len(), rate, |turn| {
        let (desk, paths) = (desk.clone(), paths.clone());
        async move {
            let (node, began) = (desk.target.node(turn), Instant::now());
            let token = &desk.target.reception;
            let read = desk.api.read::<IgnoredAny>(&node, token, &paths[turn]).await;
            read.map(|_| began.elapsed().as_secs_f64() * 1e3)
        }
    })
    .await;
    let mut times = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(ms) => times.push(ms),
            Err(error) => report.breaches.note(Breach::TurnedAway, || format!("{error:#}")),
        }
    }
    report.quantiles(name, times);
}
