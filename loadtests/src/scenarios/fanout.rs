//! One board or queue with many listeners: deliveries per second, their delay, and the server's CPU
//! for each.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;

use super::phones::floors;
use crate::{
    breach::Breach,
    client::Transport,
    crowd::{Crowd, CrowdArgs, clients, report_commands, settings},
    desk::{Audience, QueueDesk, at_rate},
    http::CommandFailure,
    report::{Report, Span, say},
    target::Target,
};

#[derive(Args)]
pub struct FanoutArgs {
    #[arg(long, default_value_t = 1000)]
    listeners: usize,
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    #[arg(long, value_enum, default_value = "queue")]
    channel: Audience,
    /// Number of changes: tickets are issued and called in turn.
    #[arg(long, default_value_t = 400)]
    changes: usize,
    /// Changes per second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Afterwards measure the bare cost of a send, for comparison.
    #[arg(long)]
    floor: bool,
}

/// Tickets in line at the start, so that a call finds somebody.
const HEAD_START: usize = 32;

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    fanout: FanoutArgs,
) -> Result<Report> {
    ensure!(fanout.channel != Audience::Tickets, "for tickets use the scenario `phones`");
    let mut report = Report::new("fanout", settings(&target, args, fanout.listeners)?);
    let desk = Arc::new(
        QueueDesk::open(target.clone(), Duration::from_secs(args.command_deadline), 4).await?,
    );
    desk.fill(HEAD_START).await?;
    let (kind, channels) = desk.channels(fanout.channel, fanout.listeners).await?;
    let crowd = Crowd::connect(&target, args, clients(fanout.transport, kind, channels)).await?;

    say(&format!("making {} changes at {} a second …", fanout.changes, fanout.rate));
    let span = Span::start(pids);
    let began = std::time::Instant::now();
    let last = change(&desk, &fanout, &mut report).await;
    crowd.until(|follower, _| follower.watch().offset() >= last).await;
    let deliveries = crowd.deliveries();
    let seconds = began.elapsed().as_secs_f64();
    let cost = span.report(&mut report, "changing", deliveries);
    report.figure("deliveries_per_second", deliveries as f64 / seconds, "/s");
    crowd.demand(Breach::NeverArrived, "below the last change", |watch, _| watch.offset() >= last);
    if let Some(path) = desk.view_path(fanout.channel) {
        crowd.check_view(&target, &path, &mut report).await?;
    }

    report_commands(&desk.api, &mut report);
    let seen = crowd.finish(&mut report).await;
    if let Some(cost) = cost.filter(|_| seen.frames > 0) {
        report.figure("cpu_per_frame_us", cost * deliveries as f64 / seen.frames as f64, "µs");
    }
    report.delays(&seen.samples);
    if fanout.floor {
        floors(&mut report, fanout.listeners, fanout.rate, cost)?;
    }
    Ok(report)
}

fn nobody_waits(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref();
    matches!(failure, Some(CommandFailure::Refused(_, code)) if code == "queue_empty")
}

/// Makes the changes, and returns the version of the last one.
async fn change(desk: &Arc<QueueDesk>, fanout: &FanoutArgs, report: &mut Report) -> u64 {
    let results = at_rate(fanout.changes, fanout.rate, |turn| {
        let desk = desk.clone();
        async move {
            if !turn.is_multiple_of(2) {
                match desk.call(turn).await {
                    // After an outage, calls may come before the tickets that they are for.
                    Err(error) if nobody_waits(&error) => {}
                    called => return called.map(|called| called.version),
                }
            }
            desk.issue().await.map(|issued| issued.version)
        }
    })
    .await;
    let mut last = 0;
    for result in results {
        match result {
            Ok(version) => last = last.max(version),
            Err(error) => {
                report.breaches.note(Breach::CommandFailed, || format!("a change: {error:#}"))
            }
        }
    }
    last
}
