//! Patients' phones follow their own tickets while a line is called: does each see its position
//! fall, in order, to the right end, and how soon?

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use tokio::time::sleep;

use crate::{
    breach::Breach,
    crowd::{Crowd, CrowdArgs, clients, report_commands, settings},
    desk::{Called, Desk, Issued, at_rate},
    floor::{Plan, measure},
    follower::Transport,
    outage::OutageArgs,
    report::{Report, Span, say},
    target::Target,
    watch::{Kind, Watch},
};
use schemas::ticket::TicketState;

#[derive(Args)]
pub struct PhonesArgs {
    /// Tickets in the line, each followed by one phone.
    #[arg(long, default_value_t = 500)]
    phones: usize,
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    /// How often to call the next in line.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Calls in a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Start and complete the service of each ticket that was called.
    #[arg(long)]
    complete: bool,
    #[arg(long, default_value_t = 4)]
    stations: usize,
    /// Measure the bare cost of a send afterwards, for comparison.
    #[arg(long)]
    floor: bool,
    #[command(flatten)]
    outage: OutageArgs,
}

/// For how long nothing may change after everything arrived: a late repeat or a step back would
/// show.
pub const QUIET: Duration = Duration::from_secs(1);
/// Bytes of a ticket's frame as the floor sends it.
const FRAME_BYTES: usize = 200;

/// What a phone has to show in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    state: TicketState,
    position: Option<u32>,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured; broken promises are in the report.
pub async fn run(
    target: Arc<Target>,
    crowd: &CrowdArgs,
    pids: &[u32],
    args: PhonesArgs,
) -> Result<Report> {
    let mut report = Report::new("phones", settings(&target, crowd, args.phones)?);
    let deadline = Duration::from_secs(crowd.command_deadline);
    let desk = Arc::new(Desk::open(target.clone(), deadline, args.stations.max(1)).await?);
    let line = desk.fill(args.phones).await?;

    let arriving = Span::start(pids);
    let channels = line.iter().map(|issued| format!("ticket:{}", issued.ticket));
    let phones = clients(args.transport, Kind::Ticket { own_line: true }, channels);
    let phones = Crowd::connect(&target, crowd, phones).await?;
    arriving.report(&mut report, "connecting", 0);
    let first = expected(line.len(), 0, TicketState::Called);
    phones.demand(Breach::WrongFirstState, "the first state", |watch, phone| {
        shows(watch, first[phone])
    });

    say(&format!("calling {} at {} a second …", args.calls, args.rate));
    let span = Span::start(pids);
    let calls = call(&desk, &args, &mut report).await;
    check_calls(&line, &calls, args.calls, &mut report);
    let end = if args.complete { TicketState::Completed } else { TicketState::Called };
    let last = expected(line.len(), calls.len(), end);
    let left = phones.until(|follower, phone| shows(&follower.watch(), last[phone])).await;
    let cost = span.report(&mut report, "calling", phones.deliveries());
    report.figure("phones_not_at_their_last_state", left as f64, "");
    sleep(QUIET).await;
    phones
        .demand(Breach::WrongLastState, "the last state", |watch, phone| shows(watch, last[phone]));

    report_commands(&desk.api, &mut report);
    report.quantiles(
        "call_to_answer",
        calls.iter().map(|call| call.took.as_secs_f64() * 1e3).collect(),
    );
    report.figure("position_changes_at_most", steps(line.len(), calls.len()) as f64, "");
    let seen = phones.finish(&mut report).await;
    report.figure("publications_with_same_position", seen.same_position as f64, "");
    report.delays(&seen.samples);
    if args.floor {
        floors(&mut report, args.phones, args.rate, cost)?;
    }
    Ok(report)
}

/// Makes the calls, with the outage among them, and gives those that were applied in the order of
/// the log.
async fn call(desk: &Arc<Desk>, args: &PhonesArgs, report: &mut Report) -> Vec<Called> {
    let outage = args.outage.clone().outage().map(Arc::new);
    let mut restarted = outage.is_none();
    let complete = args.complete;
    let results = at_rate(args.calls, args.rate, |turn| {
        let (desk, outage) = (desk.clone(), outage.clone().filter(|outage| outage.after == turn));
        async move {
            let pid = match outage {
                Some(outage) => Some(outage.strike().await?),
                None => None,
            };
            let called = desk.call(turn).await?;
            if complete {
                desk.start(&called.ticket).await?;
                desk.complete(&called.ticket).await?;
            }
            anyhow::Ok((called, pid))
        }
    })
    .await;
    let mut calls = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok((called, pid)) => {
                calls.push(called);
                if let Some(pid) = pid {
                    restarted = true;
                    report.figure("restarted_pid", f64::from(pid), "");
                }
            }
            Err(error) => {
                report.breaches.note(Breach::CommandFailed, || format!("a call: {error:#}"))
            }
        }
    }
    if !restarted {
        report.breaches.note(Breach::CommandFailed, || {
            "the processor was not killed and started again".to_owned()
        });
    }
    calls.sort_by_key(|called| called.version);
    calls
}

/// The n-th call in the log has to call the n-th in line.
pub fn check_calls(line: &[Issued], calls: &[Called], asked: usize, report: &mut Report) {
    report.figure("calls_applied", calls.len() as f64, "");
    if calls.len() != asked {
        let applied = calls.len();
        report
            .breaches
            .note(Breach::CommandFailed, || format!("{applied} of {asked} calls were applied"));
    }
    for (turn, (called, first)) in calls.iter().zip(line).enumerate() {
        if called.ticket != first.ticket {
            report.breaches.note(Breach::WrongCall, || {
                format!("call {} did not call the first in line", turn + 1)
            });
        }
    }
}

/// The naive model: a list of people, and each call takes the first one out of it.
#[must_use]
pub fn expected(people: usize, calls: usize, end: TicketState) -> Vec<Expected> {
    let mut waiting: Vec<usize> = (0..people).collect();
    let mut all = vec![Expected { state: TicketState::Waiting, position: None }; people];
    for _ in 0..calls.min(people) {
        all[waiting.remove(0)].state = end;
    }
    for (ahead, person) in waiting.into_iter().enumerate() {
        all[person].position = u32::try_from(ahead + 1).ok();
    }
    all
}

/// How often a position or state changes when every call is shown to everybody it concerns.
fn steps(people: usize, calls: usize) -> usize {
    (0..calls.min(people)).map(|called| people - called).sum()
}

/// Whether that is what the client shows.
#[must_use]
pub fn shows(watch: &Watch, expected: Expected) -> bool {
    watch.state == Some(expected.state) && watch.position == expected.position
}

/// Measures the floor flat out, and at the pace of this run; reports what a delivery cost beside
/// them.
///
/// # Errors
/// When its sockets cannot be had.
pub fn floors(report: &mut Report, sockets: usize, rate: f64, cost: Option<f64>) -> Result<()> {
    say("measuring the bare cost of a send …");
    let flat_out = Plan { sockets, bytes: FRAME_BYTES, seconds: 3.0, rounds_per_second: None };
    report.floor("floor_flat_out", &measure(flat_out)?, cost);
    let paced = Plan { rounds_per_second: Some(rate), ..flat_out };
    report.floor("floor_at_this_pace", &measure(paced)?, cost);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_calls_from_the_front_and_the_others_move_up() {
        let shown = expected(4, 2, TicketState::Called);
        let positions: Vec<_> = shown.iter().map(|phone| phone.position).collect();
        assert_eq!(positions, [None, None, Some(1), Some(2)]);
        assert_eq!(shown[1].state, TicketState::Called);
        assert_eq!(shown[2].state, TicketState::Waiting);
    }

    #[test]
    fn each_call_concerns_the_one_called_and_everybody_behind() {
        assert_eq!(steps(4, 2), 4 + 3);
        assert_eq!(steps(2, 9), 2 + 1);
    }
}
