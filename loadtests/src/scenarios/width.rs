//! Dashboards over Socket.IO and patients over every other transport follow one location at once
//! while tickets are served. Each must see every change, in order; the delays are measured.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::phones::{self, QUIET, expected, shows};
use crate::{
    breach::Breach,
    client::Transport,
    crowd::{ClientPlan, Crowd, CrowdArgs, FOLDING, report_commands, settings},
    desk::{AppliedCall, Audience, IssuedTicket, QueueDesk, at_rate},
    report::{Report, Span, say},
    target::Target,
    watch::{ChannelKind, LiveStep},
};
use schemas::ticket::TicketState;

#[derive(Args)]
pub struct WidthArgs {
    /// Followers of the location's load.
    #[arg(long, default_value_t = 200)]
    dashboards: usize,
    #[arg(long, value_enum, default_value = "socketio")]
    dashboards_over: Transport,
    /// Followers of separate tickets in one line.
    #[arg(long, default_value_t = 2000)]
    patients: usize,
    /// Transports of the patients' phones, in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ws,ws-protobuf,sse")]
    patients_over: Vec<Transport>,
    /// Changes per second: a ticket is issued, the next one is called, its service starts and ends.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// Seconds for which changes are made.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

/// Changes of one visit.
const CHANGES: usize = 4;
/// Stations that call in turn: more than there are concurrent visits.
const STATIONS: usize = 4;
/// Snapshots read concurrently.
const READING: usize = 32;

/// A change that was applied.
#[derive(Clone, Copy)]
struct Change {
    version: u64,
    at: i64,
    /// Calls are published at once. Other changes of a load may wait until one second after the
    /// last frame.
    call: bool,
}

/// The result of one visit.
struct Visit {
    called: AppliedCall,
    changes: [Change; CHANGES],
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    width: WidthArgs,
) -> Result<Report> {
    let visits_asked = (width.rate * width.seconds / CHANGES as f64).round() as usize;
    ensure!(
        width.patients > visits_asked,
        "{visits_asked} visits need a line of more than {} patients",
        width.patients
    );
    let clients = width.dashboards + width.patients;
    let mut report = Report::new("width", settings(&target, args, clients)?);
    let deadline = Duration::from_secs(args.command_deadline);
    let desk = Arc::new(QueueDesk::open(target.clone(), deadline, STATIONS).await?);
    let line = desk.fill(width.patients).await?;
    let crowd = connect(&target, args, &width, &line).await?;
    let first = expected(line.len(), 0, TicketState::Called);
    demand(&crowd, &width, Breach::WrongFirstState, &first);

    say(&format!("making {} changes at {} a second …", visits_asked * CHANGES, width.rate));
    let span = Span::start(pids);
    let visits = work(&desk, &width, visits_asked, &mut report).await;
    let calls: Vec<AppliedCall> = visits.iter().map(|visit| visit.called.clone()).collect();
    phones::check_calls(&line, &calls, visits_asked, &mut report);
    let last = expected(line.len(), calls.len(), TicketState::Completed);
    let end = visits
        .iter()
        .flat_map(|visit| visit.changes)
        .map(|change| change.version)
        .max()
        .unwrap_or(0);
    crowd
        .until(|follower, client| match client.checked_sub(width.dashboards) {
            Some(patient) => shows(&follower.watch(), last[patient]),
            None => follower.watch().offset() >= end,
        })
        .await;
    span.report(&mut report, "changing", crowd.deliveries());
    sleep(QUIET).await;
    demand(&crowd, &width, Breach::WrongLastState, &last);
    crowd.demand(Breach::NeverArrived, "below the last change", |watch, client| {
        client >= width.dashboards || watch.offset() >= end
    });
    if let Some(path) = desk.view_path(Audience::Load).filter(|_| width.dashboards > 0) {
        crowd.check_view(&target, &path, &mut report).await?;
    }
    check_tickets(&desk, &crowd, &line, &width, &mut report).await?;
    conclude(crowd, &desk, &width, &visits, report).await
}

/// Connects the dashboards, then the patients in the order of the line.
async fn connect(
    target: &Target,
    args: &CrowdArgs,
    width: &WidthArgs,
    line: &[IssuedTicket],
) -> Result<Crowd> {
    let dashboard = |client: usize| ClientPlan {
        channel: format!("load:{}", target.location),
        transport: width.dashboards_over,
        kind: ChannelKind::Keyed,
        folds: client < FOLDING,
        keeps_steps: true,
    };
    let transports = width.patients_over.iter().cycle();
    let patients = line.iter().zip(transports).map(|(issued, transport)| ClientPlan {
        channel: format!("ticket:{}", issued.ticket),
        transport: *transport,
        kind: ChannelKind::Ticket { own_line: true },
        folds: false,
        keeps_steps: false,
    });
    Crowd::connect(target, args, (0..width.dashboards).map(dashboard).chain(patients)).await
}

fn demand(crowd: &Crowd, width: &WidthArgs, breach: Breach, expected: &[phones::ExpectedState]) {
    let detail =
        if breach == Breach::WrongFirstState { "the first state" } else { "the last state" };
    crowd.demand(breach, detail, |watch, client| {
        client.checked_sub(width.dashboards).is_none_or(|patient| shows(watch, expected[patient]))
    });
}

/// Starts visits at a quarter of the rate, and returns the applied ones in the order of their
/// calls.
async fn work(
    desk: &Arc<QueueDesk>,
    width: &WidthArgs,
    count: usize,
    report: &mut Report,
) -> Vec<Visit> {
    let pause = Duration::from_secs_f64(1.0 / width.rate.max(0.001));
    let results = at_rate(count, width.rate / CHANGES as f64, |turn| {
        let desk = desk.clone();
        async move { visit(&desk, turn, pause).await }
    })
    .await;
    let mut visits = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(visit) => visits.push(visit),
            Err(error) => {
                report.breaches.note(Breach::CommandFailed, || format!("a change: {error:#}"))
            }
        }
    }
    visits.sort_by_key(|visit| visit.called.version);
    visits
}

/// Issues a ticket, then calls, starts and completes the first in line, with a `pause` between
/// changes.
async fn visit(desk: &QueueDesk, turn: usize, pause: Duration) -> Result<Visit> {
    let began = Instant::now();
    let issued = desk.issue().await?;
    sleep_until(began + pause).await;
    let _station = desk.free_station(turn).await;
    let called = desk.call(turn).await?;
    sleep_until(began + 2 * pause).await;
    let started = desk.start(&called.ticket).await?;
    sleep_until(began + 3 * pause).await;
    let completed = desk.complete(&called.ticket).await?;
    let change = |version, at, call| Change { version, at, call };
    let changes = [
        change(issued.version, issued.at, false),
        change(called.version, called.at, true),
        change(started.version, started.at, false),
        change(completed.version, completed.at, false),
    ];
    Ok(Visit { called, changes })
}

/// Checks that each phone shows what the server's snapshot of its ticket has.
async fn check_tickets(
    desk: &QueueDesk,
    crowd: &Crowd,
    line: &[IssuedTicket],
    width: &WidthArgs,
    report: &mut Report,
) -> Result<()> {
    #[derive(Deserialize)]
    struct Snapshot {
        state: TicketState,
        position: Option<u32>,
    }
    let read = |(patient, issued): (usize, &IssuedTicket)| {
        let path = format!("/v1/tickets/{}", issued.ticket);
        let node = desk.target.node(patient);
        async move { desk.api.read::<Snapshot>(&node, &desk.target.reception, &path).await }
    };
    let snapshots = stream::iter(line.iter().enumerate().map(read)).buffered(READING);
    let snapshots: Vec<Snapshot> = snapshots.try_collect().await.context("read the tickets")?;
    let phones = &crowd.followers[width.dashboards..];
    let differ = |(snapshot, phone): &(&Snapshot, &Arc<crate::client::SwarmClient>)| {
        let watch = phone.watch();
        watch.state != Some(snapshot.state) || watch.position != snapshot.position
    };
    let wrong = snapshots.iter().zip(phones).filter(differ).count();
    if wrong > 0 {
        let detail = || format!("{wrong} phones show something else than their ticket's snapshot");
        report.breaches.note(Breach::WrongView, detail);
    }
    Ok(())
}

async fn conclude(
    crowd: Crowd,
    desk: &QueueDesk,
    width: &WidthArgs,
    visits: &[Visit],
    mut report: Report,
) -> Result<Report> {
    report_commands(&desk.api, &mut report);
    let answers = visits.iter().map(|visit| visit.called.took.as_secs_f64() * 1e3);
    report.quantiles("call_to_answer", answers.collect());
    report.figure("changes_applied", (visits.len() * CHANGES) as f64, "");
    for transport in distinct(&width.patients_over) {
        let phones =
            crowd.followers[width.dashboards..].iter().filter(|it| it.transport == transport);
        let mut delays = Vec::new();
        for phone in phones {
            delays.extend(phone.watch().samples.iter().map(|it| f64::from(it.delay_us) / 1e3));
        }
        let name = format!("ticket_{}", transport.name());
        report.figure(&format!("{name}_deliveries"), delays.len() as f64, "");
        report.quantiles(&name, delays);
    }
    dashboards(&crowd, 0..width.dashboards, width, visits, &mut report);
    crowd.finish(&mut report).await;
    Ok(report)
}

/// Reports the delays from each change's record to the frame on a dashboard. Calls and paced
/// changes are separate.
fn dashboards(
    crowd: &Crowd,
    which: Range<usize>,
    width: &WidthArgs,
    visits: &[Visit],
    report: &mut Report,
) {
    let changes: BTreeMap<u64, Change> = visits
        .iter()
        .flat_map(|visit| visit.changes)
        .map(|change| (change.version, change))
        .collect();
    let (mut calls, mut others, mut frames) = (Vec::new(), Vec::new(), 0);
    for dashboard in &crowd.followers[which] {
        let taken = dashboard.watch().taken.take().unwrap_or_default();
        frames += taken.len();
        for step in taken {
            for change in seen_by(&changes, step) {
                let ms = (step.received_us - change.at * 1000).max(0) as f64 / 1e3;
                if change.call { calls.push(ms) } else { others.push(ms) }
            }
        }
    }
    let name = format!("load_{}", width.dashboards_over.name());
    report.figure(&format!("{name}_frames"), frames as f64, "");
    report.quantiles(&format!("{name}_call"), calls);
    report.quantiles(&format!("{name}_other"), others);
}

/// The changes that a step contains: above the version held before, up to its own version.
fn seen_by(changes: &BTreeMap<u64, Change>, step: LiveStep) -> impl Iterator<Item = Change> {
    let shown = step.from.min(step.to)..step.to;
    changes.range(shown.start + 1..=shown.end).map(|(_, change)| *change)
}

fn distinct(transports: &[Transport]) -> Vec<Transport> {
    let mut distinct: Vec<Transport> = Vec::new();
    for transport in transports {
        if !distinct.contains(transport) {
            distinct.push(*transport);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_contains_changes_above_held_version() {
        let change = |version| (version, Change { version, at: 0, call: false });
        let changes = BTreeMap::from([change(3), change(5), change(6), change(9)]);
        let versions = |from, to| {
            let step = LiveStep { from, to, received_us: 0 };
            seen_by(&changes, step).map(|change| change.version).collect::<Vec<_>>()
        };
        assert_eq!(versions(3, 6), [5, 6]);
        assert_eq!(versions(0, 3), [3]);
        assert_eq!(versions(6, 8), [0_u64; 0]);
    }
}
