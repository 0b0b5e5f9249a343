//! Phones of patients follow their own tickets while a line is called. Every position must fall in
//! order and end in the right state; the delays are measured.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use tokio::time::sleep;

use crate::{
    breach::Breach,
    client::Transport,
    crowd::{Crowd, CrowdArgs, clients, report_commands, settings},
    desk::{AppliedCall, IssuedTicket, QueueDesk, at_rate},
    floor::{FloorPlan, measure},
    outage::OutageArgs,
    report::{Report, Span, say},
    target::Target,
    watch::{ChannelKind, ClientWatch},
};
use schemas::ticket::TicketState;

#[derive(Args)]
pub struct PhonesArgs {
    /// Tickets in the line, each with one phone.
    #[arg(long, default_value_t = 500)]
    phones: usize,
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    /// Number of calls.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Calls per second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Also start and complete the service of each called ticket.
    #[arg(long)]
    complete: bool,
    #[arg(long, default_value_t = 4)]
    stations: usize,
    /// Afterwards measure the bare cost of a send, for comparison.
    #[arg(long)]
    floor: bool,
    #[command(flatten)]
    outage: OutageArgs,
}

/// The time without changes after the last delivery, in which a late repetition or step back would
/// appear.
pub const QUIET: Duration = Duration::from_secs(1);
/// The size of a ticket's frame in bytes, used for the floor.
const FRAME_BYTES: usize = 200;

/// The state that a phone must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedState {
    state: TicketState,
    position: Option<u32>,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    crowd: &CrowdArgs,
    pids: &[u32],
    args: PhonesArgs,
) -> Result<Report> {
    let mut report = Report::new("phones", settings(&target, crowd, args.phones)?);
    let deadline = Duration::from_secs(crowd.command_deadline);
    let desk = Arc::new(QueueDesk::open(target.clone(), deadline, args.stations.max(1)).await?);
    let line = desk.fill(args.phones).await?;

    let arriving = Span::start(pids);
    let channels = line.iter().map(|issued| format!("ticket:{}", issued.ticket));
    let phones = clients(args.transport, ChannelKind::Ticket { own_line: true }, channels);
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
    let mut last = expected(line.len(), calls.len(), end);
    if !args.complete {
        mark_absent(&mut last, &calls);
    }
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

/// Makes the calls and the outage, and returns the applied calls in the order of the log.
async fn call(desk: &Arc<QueueDesk>, args: &PhonesArgs, report: &mut Report) -> Vec<AppliedCall> {
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
            let station = if complete { Some(desk.free_station(turn).await) } else { None };
            let called = desk.call(turn).await?;
            if complete {
                desk.start(&called.ticket).await?;
                desk.complete(&called.ticket).await?;
            }
            drop(station);
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
        report
            .breaches
            .note(Breach::CommandFailed, || "the processor was not restarted".to_owned());
    }
    calls.sort_by_key(|called| called.version);
    calls
}

/// Checks that the n-th call of the log called the n-th ticket in line.
pub fn check_calls(
    line: &[IssuedTicket],
    calls: &[AppliedCall],
    asked: usize,
    report: &mut Report,
) {
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

/// The expected states by a naive model: each call removes the first of a list.
#[must_use]
pub fn expected(people: usize, calls: usize, end: TicketState) -> Vec<ExpectedState> {
    let mut waiting: Vec<usize> = (0..people).collect();
    let mut all = vec![ExpectedState { state: TicketState::Waiting, position: None }; people];
    for _ in 0..calls.min(people) {
        all[waiting.remove(0)].state = end;
    }
    for (ahead, person) in waiting.into_iter().enumerate() {
        all[person].position = u32::try_from(ahead + 1).ok();
    }
    all
}

/// Marks as absent each patient who was called to a station before another one was. The calls are
/// in the order of the log.
fn mark_absent(states: &mut [ExpectedState], calls: &[AppliedCall]) {
    for (turn, call) in calls.iter().enumerate() {
        let later = &calls[turn + 1..];
        let is_over = later.iter().any(|later| later.station == call.station);
        if let Some(state) = states.get_mut(turn).filter(|_| is_over) {
            state.state = TicketState::Absent;
        }
    }
}

/// The number of changes of positions and states, when each call changes the called ticket and all
/// behind it.
fn steps(people: usize, calls: usize) -> usize {
    (0..calls.min(people)).map(|called| people - called).sum()
}

/// Whether the client shows this state.
#[must_use]
pub fn shows(watch: &ClientWatch, expected: ExpectedState) -> bool {
    watch.state == Some(expected.state) && watch.position == expected.position
}

/// Measures the floor at full speed and at the pace of this run, and reports the ratio of a
/// delivery to them.
///
/// # Errors
/// When the sockets cannot be created.
pub fn floors(report: &mut Report, sockets: usize, rate: f64, cost: Option<f64>) -> Result<()> {
    say("measuring the bare cost of a send …");
    let flat_out = FloorPlan { sockets, bytes: FRAME_BYTES, seconds: 3.0, rounds_per_second: None };
    report.floor("floor_flat_out", &measure(flat_out)?, cost);
    let paced = FloorPlan { rounds_per_second: Some(rate), ..flat_out };
    report.floor("floor_at_this_pace", &measure(paced)?, cost);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn called_front_moves_others_up() {
        let shown = expected(4, 2, TicketState::Called);
        let positions: Vec<_> = shown.iter().map(|phone| phone.position).collect();
        assert_eq!(positions, [None, None, Some(1), Some(2)]);
        assert_eq!(shown[1].state, TicketState::Called);
        assert_eq!(shown[2].state, TicketState::Waiting);
    }

    #[test]
    fn call_changes_called_ticket_and_all_behind() {
        assert_eq!(steps(4, 2), 4 + 3);
        assert_eq!(steps(2, 9), 2 + 1);
    }
}
