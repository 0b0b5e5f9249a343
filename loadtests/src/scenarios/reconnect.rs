//! All clients reconnect at once: every client is cut, misses some changes, and resumes from its
//! position.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    breach::Breach,
    client::{Transport, now_us},
    crowd::{Crowd, CrowdArgs, clients, report_commands, settings},
    desk::{Audience, QueueDesk},
    report::{Report, Span, say},
    target::Target,
    watch::Resumption,
};

#[derive(Args)]
pub struct ReconnectArgs {
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    #[arg(long, value_enum, default_value = "queue")]
    channel: Audience,
    /// Calls made while the clients are disconnected.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    missed: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    plan: ReconnectArgs,
) -> Result<Report> {
    let mut report = Report::new("reconnect", settings(&target, args, plan.clients)?);
    let desk =
        QueueDesk::open(target.clone(), Duration::from_secs(args.command_deadline), 4).await?;
    let missed = usize::try_from(plan.missed).context("count the missed changes")?;
    // These tickets are before those of the clients, so no client is called and each misses every
    // change.
    desk.fill(plan.rounds * missed).await?;
    let (kind, channels) = desk.channels(plan.channel, plan.clients).await?;
    let crowd = Crowd::connect(&target, args, clients(plan.transport, kind, channels)).await?;

    let mut resumptions = Resumptions::default();
    for round in 1..=plan.rounds {
        crowd.cut().await?;
        let mut last = 0;
        for turn in 0..missed {
            last = desk.call(turn).await.context("make a change that is missed")?.version;
        }
        say(&format!("round {round}: {} clients come back …", plan.clients));
        let span = Span::start(pids);
        let released_us = now_us();
        crowd.release();
        let left =
            crowd.until(|client, _| client.is_live() && client.watch().offset() >= last).await;
        span.report(&mut report, &format!("round_{round}"), 0);
        report.figure(&format!("round_{round}_not_resumed"), left as f64, "");
        crowd.demand(Breach::NeverArrived, "not resumed", |watch, _| watch.offset() >= last);
        resumptions.add(&crowd, released_us);
    }
    if let Some(path) = desk.view_path(plan.channel) {
        crowd.check_view(&target, &path, &mut report).await?;
    }
    resumptions.report(&mut report);
    report_commands(&desk.api, &mut report);
    crowd.finish(&mut report).await;
    Ok(report)
}

/// The ways and times of resuming in all rounds.
#[derive(Default)]
struct Resumptions {
    by_delta: u32,
    by_snapshot: u32,
    /// From the release to the subscription of each client, in milliseconds.
    after_ms: Vec<f64>,
}

impl Resumptions {
    fn add(&mut self, crowd: &Crowd, released_us: i64) {
        for client in &crowd.followers {
            let watch = client.watch();
            match watch.resumed {
                Resumption::ByDelta => self.by_delta += 1,
                Resumption::BySnapshot => self.by_snapshot += 1,
                Resumption::Fresh => continue,
            }
            self.after_ms.push((watch.live_at_us - released_us) as f64 / 1e3);
        }
    }

    fn report(self, report: &mut Report) {
        report.figure("resumed_by_delta", f64::from(self.by_delta), "");
        report.figure("resumed_by_snapshot", f64::from(self.by_snapshot), "");
        report.quantiles("cut_to_resumed", self.after_ms);
    }
}
