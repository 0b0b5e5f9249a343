//! A day of check-ins in its shape: quiet hours, a peak, and quiet hours again. Everybody who
//! checks in is called and served. The defaults shorten the day; a whole one of a million people is
//! `--seconds 78600 --peak-seconds 600`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use schemas::{line::QUEUE_KEY, view::View};
use tokio::time::Instant;

use crate::{
    breach::Breach,
    crowd::{CrowdArgs, settings},
    desk::{QueueDesk, at_rate},
    report::{Report, Span, say},
    target::Target,
};

#[derive(Args)]
pub struct DayArgs {
    /// Seconds of the day.
    #[arg(long, default_value_t = 90.0)]
    seconds: f64,
    /// Seconds of the peak, in the middle of the day.
    #[arg(long, default_value_t = 30.0)]
    peak_seconds: f64,
    /// People per second in quiet hours.
    #[arg(long, default_value_t = 12.0)]
    rate: f64,
    /// People per second in the peak.
    #[arg(long, default_value_t = 120.0)]
    peak_rate: f64,
    /// Stations that call.
    #[arg(long, default_value_t = 40)]
    stations: usize,
}

/// One person of the day.
struct Person {
    ticket: String,
    served: String,
    versions: [u64; 4],
    check_in_ms: f64,
    visit_ms: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    day: DayArgs,
) -> Result<Report> {
    ensure!(day.peak_seconds <= day.seconds, "the peak is a part of the day");
    let mut report = Report::new("day", settings(&target, args, day.stations)?);
    let deadline = Duration::from_secs(args.command_deadline);
    let desk = Arc::new(QueueDesk::open(target, deadline, day.stations).await?);
    let quiet = (day.seconds - day.peak_seconds) / 2.0;
    let phases = [
        ("morning", quiet, day.rate),
        ("peak", day.peak_seconds, day.peak_rate),
        ("evening", quiet, day.rate),
    ];
    let mut people = Vec::new();
    for (phase, seconds, rate) in phases {
        let count = (seconds * rate).round() as usize;
        say(&format!("{phase}: {count} people at {rate} a second …"));
        let span = Span::start(pids);
        let visits = at_rate(count, rate, |turn| {
            let desk = desk.clone();
            async move { visit(&desk, turn).await }
        })
        .await;
        span.report(&mut report, phase, 4 * count as u64);
        let served = keep(visits, &mut report);
        report.quantiles(
            &format!("{phase}_check_in"),
            served.iter().map(|person| person.check_in_ms).collect(),
        );
        report.quantiles(
            &format!("{phase}_visit"),
            served.iter().map(|person| person.visit_ms).collect(),
        );
        people.extend(served);
    }
    judge(&desk, &people, &mut report).await?;
    report.figure("people", people.len() as f64, "");
    Ok(report)
}

fn keep(visits: Vec<Result<Person>>, report: &mut Report) -> Vec<Person> {
    let mut people = Vec::with_capacity(visits.len());
    for visit in visits {
        match visit {
            Ok(person) => people.push(person),
            Err(error) => {
                report.breaches.note(Breach::CommandFailed, || format!("a visit: {error:#}"));
            }
        }
    }
    people
}

/// Checks somebody in, and serves whoever is first in line.
async fn visit(desk: &QueueDesk, turn: usize) -> Result<Person> {
    let began = Instant::now();
    let issued = desk.issue().await.context("check in")?;
    let check_in_ms = began.elapsed().as_secs_f64() * 1e3;
    let _station = desk.free_station(turn).await;
    let called = desk.call(turn).await?;
    let started = desk.start(&called.ticket).await?;
    let completed = desk.complete(&called.ticket).await?;
    Ok(Person {
        ticket: issued.ticket,
        served: called.ticket,
        versions: [issued.version, called.version, started.version, completed.version],
        check_in_ms,
        visit_ms: began.elapsed().as_secs_f64() * 1e3,
    })
}

/// Every person has a ticket of their own, everybody was served once, each command was a step of
/// its own, and nobody is left in line.
async fn judge(desk: &QueueDesk, people: &[Person], report: &mut Report) -> Result<()> {
    let issued: BTreeSet<&str> = people.iter().map(|person| person.ticket.as_str()).collect();
    let served: BTreeSet<&str> = people.iter().map(|person| person.served.as_str()).collect();
    let versions: BTreeSet<u64> = people.iter().flat_map(|person| person.versions).collect();
    let is_whole = issued.len() == people.len() && served == issued;
    if !is_whole {
        let (issued, served) = (issued.len(), served.len());
        report.breaches.note(Breach::WrongCall, || format!("{issued} issued, {served} served"));
    }
    if versions.len() != 4 * people.len() {
        report.breaches.note(Breach::VersionMismatch, || "two commands share a step".to_owned());
    }
    let path = format!("/v1/queues/{}", desk.queue);
    let line: View = desk.api.read(&desk.target.node(0), &desk.target.reception, &path).await?;
    let left = line.entries.keys().filter(|key| key.as_str() != QUEUE_KEY).count();
    if left > 0 {
        report.breaches.note(Breach::WrongLastState, || format!("{left} people are in line"));
    }
    Ok(())
}
