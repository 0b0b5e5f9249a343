//! The cost of a record to a location, for lines of different lengths:
//! `cargo bench -p clinicwire-processors --no-default-features --bench location`.
//! The bench prints figures and judges nothing.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the bench prints figures, and stops on the first failure"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use processors::{
    effect::{RecordEffect, RecordTime},
    location::Location,
};
use schemas::{
    Millis,
    command::{Command, Verdict},
    ids::{Aggregate, CommandId, LocationId, QueueId, StationId, TenantId, TicketId},
    record::{Actor, CommandRecord, ViewsRecord},
    ticket::Priority,
    timers::Timers,
};

/// Tickets that wait during the measurement.
const LINES: [u128; 5] = [10, 100, 1_000, 5_000, 10_000];
/// Visits for each line: enough for a measurement of seconds, and for the longest line to advance
/// by its own length.
const VISITS: u128 = 5_000;
/// Visits between two commits, after which ended tickets leave memory. A batch of the runner has at
/// most 500 records.
const BATCH: u128 = 100;
const STATIONS: usize = 4;
/// 2026-03-02 08:00 in Paris.
const MORNING: Millis = 1_772_434_800_000;
/// The time between two records. All records fall into one morning, in which only the timers of a
/// busy line are due.
const PACE_MS: Millis = 100;
/// The records of one visit.
const KINDS: [&str; 4] = ["call", "start", "complete", "issue"];
/// 2026-03-03 00:00 in Paris, when the day of [`MORNING`] ends.
const MIDNIGHT: Millis = MORNING + 16 * 60 * 60 * 1000;

/// The cost of the records of one kind.
#[derive(Clone, Copy, Default)]
struct Cost {
    records: u32,
    time: Duration,
    /// Bytes of the deltas of all views as JSON.
    bytes: usize,
}

struct Clinic {
    location: Location,
    id: LocationId,
    now: Millis,
    records: u64,
}

impl Clinic {
    fn open() -> Self {
        let id = LocationId::new("riverside").expect("an id");
        let mut clinic = Self { location: Location::new(1), id, now: MORNING, records: 0 };
        let (queue, stations) =
            (clinic.queue(), (0..STATIONS).map(|number| clinic.station(number)));
        let stations: Vec<StationId> = stations.collect();
        clinic.apply(Command::ConfigureLocation {
            name: "Riverside".into(),
            time_zone: "Europe/Paris".into(),
            languages: vec!["fr".into()],
            timers: Timers::default(),
            bands: None,
            call_order: Default::default(),
            address: None,
            edition: None,
        });
        let (name, prefix) = ("General".to_owned(), "A".to_owned());
        clinic.apply(Command::ConfigureQueue {
            queue: queue.clone(),
            name,
            prefix,
            service_s: None,
            max_tickets: None,
            edition: None,
        });
        clinic.apply(Command::OpenQueue { queue });
        for station in stations {
            clinic.apply(Command::ConfigureStation {
                station,
                name: "Room".into(),
                queues: None,
                edition: None,
            });
        }
        clinic
    }

    fn queue(&self) -> QueueId {
        QueueId::new(format!("{}.general", self.id)).expect("an id")
    }

    fn station(&self, number: usize) -> StationId {
        StationId::new(format!("{}.room-{number}", self.id)).expect("an id")
    }

    fn issue(&self, number: u128) -> Command {
        let ticket = TicketId::from_random(&self.id, number);
        Command::IssueTicket { queue: self.queue(), ticket, priority: Priority::default() }
    }

    fn record(&mut self, command: Command) -> CommandRecord {
        self.records += 1;
        CommandRecord {
            aggregate: Aggregate::location(&TenantId::new("demo").expect("an id"), &self.id),
            id: CommandId::new(format!("c-{}", self.records)).expect("an id"),
            source: "clinicwire-gateway".into(),
            fingerprint: None,
            valid_until: None,
            actor: Some(Actor { subject: "nurse-7".into(), role: "reception".into() }),
            command,
        }
    }

    fn apply(&mut self, command: Command) -> (RecordEffect, Duration) {
        let record = self.record(command);
        self.now += PACE_MS;
        let began = Instant::now();
        let effect =
            black_box(self.location.handle(black_box(&record), RecordTime::at_once(self.now)));
        let time = began.elapsed();
        assert!(
            matches!(effect.verdict, Verdict::Applied { .. }),
            "a {} was refused",
            record.command.kind()
        );
        (effect, time)
    }

    /// The commands of visit `number`: the first in line, who joined `line` visits earlier, is
    /// served, and one patient joins the line, which is as long as before then.
    fn visit(&self, number: u128, line: u128) -> [Command; 4] {
        let ticket = TicketId::from_random(&self.id, number - line);
        let room = usize::try_from(number % STATIONS as u128).unwrap_or(0);
        [
            Command::CallNext { queue: self.queue(), station: self.station(room), force: false },
            Command::StartService { ticket: ticket.clone() },
            Command::CompleteTicket { ticket },
            self.issue(number),
        ]
    }
}

fn measure(line: u128) -> [Cost; 4] {
    let mut clinic = Clinic::open();
    for number in 0..line {
        clinic.apply(clinic.issue(number));
    }
    let mut costs = [Cost::default(); 4];
    for number in line..line + VISITS {
        for (command, cost) in clinic.visit(number, line).into_iter().zip(&mut costs) {
            let (effect, time) = clinic.apply(command);
            cost.records += 1;
            cost.time += time;
            cost.bytes += effect.deltas.iter().map(bytes).sum::<usize>();
        }
        if number % BATCH == 0 {
            clinic.location.forget_ended();
        }
    }
    costs
}

/// How long it takes to restore a location with `line` waiting tickets from its stored state, as
/// after a restart, without reading the rows.
fn restore(line: u128) -> Duration {
    let mut clinic = Clinic::open();
    for number in 0..line {
        clinic.apply(clinic.issue(number));
    }
    let id = |number| TicketId::from_random(&clinic.id, number);
    let tickets = (0..line).filter_map(|number| clinic.location.ticket(&id(number)).cloned());
    let (tickets, header) = (tickets.collect(), clinic.location.header().clone());
    let position = clinic.location.position();
    let began = Instant::now();
    black_box(Location::restore(position, black_box(header), black_box(tickets), Vec::new()));
    began.elapsed()
}

/// The end of the day of `line` waiting tickets, which end in slices.
struct EndOfDay {
    steps: u32,
    /// The time of the longest step.
    longest: Duration,
    time: Duration,
    /// Bytes of the largest record of views.
    largest: usize,
}

fn end_day(line: u128) -> EndOfDay {
    let mut clinic = Clinic::open();
    // Late enough that no ticket is forgotten before midnight.
    clinic.now = MIDNIGHT - 4 * 60 * 60 * 1000;
    for number in 0..line {
        clinic.apply(clinic.issue(number));
    }
    clinic.now = MIDNIGHT;
    let mut end = EndOfDay { steps: 0, longest: Duration::ZERO, time: Duration::ZERO, largest: 0 };
    while clinic.location.due().is_some_and(|due| due <= clinic.now) {
        let (effect, time) = clinic.apply(Command::Tick {});
        end.steps += 1;
        end.longest = end.longest.max(time);
        end.time += time;
        let RecordEffect { position, at, deltas, .. } = effect;
        let record = ViewsRecord { position, at, deltas, reload: false, outcome: None };
        let aggregate = Aggregate::location(&TenantId::new("demo").expect("an id"), &clinic.id);
        end.largest = end.largest.max(record.to_wire(&aggregate).size());
        clinic.location.forget_ended();
    }
    end
}

fn bytes(delta: &schemas::record::ViewDelta) -> usize {
    serde_json::to_vec(delta).map_or(0, |json| json.len())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores of {}", model.trim_start_matches([' ', '\t', ':']))
}

fn main() {
    println!("{}", machine());
    let kinds = KINDS.map(|kind| format!("{kind:>10}")).concat();
    println!("{:>8}{kinds}{:>10}{:>16}{:>12}", "waiting", "all", "bytes of deltas", "restore");
    for line in LINES {
        let costs = measure(line);
        let ns = |time: Duration, records: u32| time.as_nanos() / u128::from(records.max(1));
        let each = costs.map(|cost| format!("{:>10}", ns(cost.time, cost.records))).concat();
        let records: u32 = costs.iter().map(|cost| cost.records).sum();
        let all = ns(costs.iter().map(|cost| cost.time).sum(), records);
        let bytes = costs.iter().map(|cost| cost.bytes).sum::<usize>() / records.max(1) as usize;
        let restored = restore(line).as_micros();
        println!("{line:>8}{each}{all:>10}{bytes:>16}{restored:>12}");
    }
    println!("nanoseconds per record, bytes of the deltas of all views as JSON per record, and");
    println!("microseconds to restore the location from its rows");
    println!();
    println!(
        "{:>8}{:>8}{:>14}{:>14}{:>16}",
        "waiting", "steps", "all (ms)", "longest (ms)", "bytes"
    );
    for line in LINES {
        let EndOfDay { steps, longest, time, largest } = end_day(line);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("{line:>8}{steps:>8}{:>14.2}{:>14.2}{largest:>16}", ms(time), ms(longest));
    }
    println!("the end of the day: its steps, their time, and the bytes of the largest record");
}
