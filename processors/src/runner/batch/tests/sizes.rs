//! The largest records that a location can publish: the longest ids and texts, in the largest line.
//! Each fits into [`MAX_RECORD_BYTES`]. The ordinary work of the system fits whole; only settings
//! of an extreme size lose entries of views.

use schemas::{
    appointment::{AppointmentFact, AppointmentStatus, Doctor},
    attempt::AttemptNumber,
    bounds::MAX_TEXT,
    command::MAX_REORDER,
    finding::{Finding, FindingOutcome, Param},
    ids::{
        AppointmentId, DoctorId, LocationId, MAX_SLUG, MAX_VISITS, QueueId, RuleId, SourceKey,
        TenantId, TicketId,
    },
    load::LoadBands,
    record::{MAX_RECORD_BYTES, RUNS_TOPIC},
    rule::{MAX_RULES, Severity},
    run::{FindingCounts, RuleTally, RunPhase, RunProgress, RunReport, SHOWN_FINDINGS},
    settings::CallOrder,
    timers::Timers,
};
use testing::records::{MINUTE, MORNING, SampleLocation, runs};

use super::*;
use crate::location::{MAX_DOCTORS, MAX_QUEUES, MAX_STATIONS, MAX_TICKETS};

/// Midnight in Paris, when the day of [`MORNING`] ends.
const MIDNIGHT: Millis = MORNING + 16 * 60 * MINUTE;
/// Waits that no timer but the end of the day interrupts.
const WEEK_S: u32 = 7 * 24 * 60 * 60;

/// The longest text in bytes: each character takes four.
fn text() -> String {
    "𝕏".repeat(MAX_TEXT)
}

fn slug(number: usize) -> String {
    format!("{number:0>MAX_SLUG$}")
}

/// A location with the longest ids, whose records are measured.
struct Hospital {
    place: SampleLocation,
    state: BatchState,
    now: Millis,
    offset: LogOffset,
    /// The largest record since the last reset.
    largest: usize,
    /// Steps of views without their entries.
    omitted: u64,
}

impl Hospital {
    fn open(queues: usize, stations: usize) -> Self {
        let (tenant, location) = ("t".repeat(MAX_SLUG), "l".repeat(MAX_SLUG));
        let place = SampleLocation {
            tenant: TenantId::new(tenant).unwrap(),
            id: LocationId::new(location).unwrap(),
        };
        let mut state = BatchState::default();
        let location = AggregateState::new(AggregateKind::Location, u64::MAX >> 1);
        state.aggregates.insert(place.aggregate(), location);
        let now = MIDNIGHT - 60 * MINUTE;
        let mut hospital =
            Self { place, state, now, offset: LogOffset::START, largest: 0, omitted: 0 };
        hospital.configure("Europe/Paris", [u32::MAX - 1, u32::MAX]);
        for number in 0..queues {
            hospital.apply(Command::ConfigureQueue {
                queue: hospital.place.queue(&slug(number)),
                name: text(),
                prefix: format!("{number:0>4}"),
                service_s: None,
                max_tickets: None,
                edition: None,
            });
            hospital.apply(hospital.place.open_queue(&slug(number)));
        }
        for number in 0..stations {
            hospital.apply(Command::ConfigureStation {
                station: hospital.place.station(&slug(number)),
                name: text(),
                queues: None,
                edition: None,
            });
        }
        hospital
    }

    fn configure(&mut self, time_zone: &str, waiting: [u32; 2]) {
        let timers = Timers {
            absent_grace_s: WEEK_S,
            stale_s: WEEK_S,
            check_in_early_s: WEEK_S,
            handover_s: 600,
            ..Timers::default()
        };
        self.apply(Command::ConfigureLocation {
            name: text(),
            time_zone: time_zone.to_owned(),
            languages: vec!["fr".to_owned()],
            timers,
            bands: Some(LoadBands { waiting, wait_s: [1, 2] }),
            call_order: CallOrder::default(),
            address: None,
            edition: None,
        });
    }

    /// Decides a command, and measures every record that it publishes.
    fn send(&mut self, command: Command) -> BuiltBatch {
        self.offset = self.offset.next();
        let id = format!("{:0>64}", self.offset);
        let mut record = command_record(&self.place.aggregate(), &id, command);
        record.source = "s".repeat(200);
        if let Some(actor) = &mut record.actor {
            actor.subject = "a".repeat(200);
        }
        let record = LogRecord { offset: self.offset, at: self.now, record: record.to_wire() };
        let claim = PartitionClaim { next_offset: record.offset, ..claim() };
        let built = build_from(claim, &[record], &mut self.state);
        for row in &built.batch.outbox {
            assert!(row.record.size() <= MAX_RECORD_BYTES, "{}", row.record.size());
            self.largest = self.largest.max(row.record.size());
        }
        self.omitted += built.tally.omitted;
        let location = self.state.aggregates.get_mut(&self.place.aggregate()).unwrap();
        location.location_mut().unwrap().forget_ended();
        self.state.outcomes.clear();
        built
    }

    fn apply(&mut self, command: Command) {
        let kind = command.kind();
        assert_eq!(self.send(command).tally.applied, 1, "{kind} is refused");
    }

    /// Ticks until no timer is due. Returns the number of steps, and the most rows of one step.
    fn tick_out(&mut self) -> (usize, usize) {
        let (mut steps, mut rows) = (0, 0);
        loop {
            let Batch { tickets, appointments, aggregates, .. } = self.send(Command::Tick {}).batch;
            if aggregates.is_empty() {
                return (steps, rows);
            }
            steps += 1;
            rows = rows.max(tickets.len() + appointments.len());
        }
    }

    fn issue(&mut self, number: u128) {
        self.apply(self.place.issue(&slug(0), number));
    }

    /// An appointment of the last hour of the day, with the longest texts.
    fn book(&mut self, number: u128, doctor: usize) {
        let start = MIDNIGHT - 30 * MINUTE;
        let id = DoctorId::new(slug(doctor)).unwrap();
        let fact = AppointmentFact {
            key: SourceKey::new(format!("{number:0>100}")).unwrap(),
            start: Some(start),
            end: Some(start + MINUTE),
            doctor: Some(Doctor { id, name: text() }),
            queue: Some(self.place.queue(&slug(0))),
            label: Some(text()),
            reason: Some(text()),
            ..self.place.fact(number, 1, AppointmentStatus::Booked)
        };
        self.apply(self.place.report(number, fact));
    }

    /// A patient who has checked in as often as possible, was called and is absent.
    fn visit_often(&mut self, number: u128) {
        self.book(number, 0);
        let appointment = AppointmentId::from_random(&self.place.id, number);
        let station = self.place.station(&slug(0));
        for visit in 0..MAX_VISITS {
            self.apply(self.place.check_in(number));
            let ticket = appointment.visit_ticket(visit);
            if visit + 1 < MAX_VISITS {
                self.apply(Command::LeaveTicket { ticket });
                continue;
            }
            let station = station.clone();
            self.apply(Command::CallTicket { ticket: ticket.clone(), station, force: false });
            self.apply(Command::MarkAbsent { ticket });
        }
    }

    /// Puts so many tickets aside, each with the longest reason.
    fn hold(&mut self, count: usize) -> Vec<TicketId> {
        let tickets = (0..count as u128).map(|number| {
            self.issue(number);
            let ticket = self.place.ticket(number);
            self.apply(Command::HoldTicket { ticket: ticket.clone(), reason: Some(text()) });
            ticket
        });
        tickets.collect()
    }

    fn reset(&mut self) {
        (self.largest, self.omitted) = (0, 0);
    }
}

#[test]
fn end_of_day_of_largest_line_fits() {
    let mut hospital = Hospital::open(1, 1);
    // Enough of the largest parts for more than one slice. Their numbers are the smallest.
    for number in 0..110 {
        hospital.visit_often(u128::from(MAX_VISITS) * number);
    }
    for number in 110..MAX_TICKETS {
        hospital.issue(1_000_000 + u128::from(number));
    }
    let one_more = hospital.place.issue(&slug(0), 7_000_000);
    assert_eq!(hospital.send(one_more).tally.refused, 1, "the location is full");
    hospital.reset();
    hospital.now = MIDNIGHT;
    let (steps, rows) = hospital.tick_out();
    assert_eq!(hospital.omitted, 0, "every record is whole");
    assert!(rows <= 200 && steps <= 60, "{steps} steps of up to {rows} rows");
    assert!(hospital.largest <= MAX_RECORD_BYTES / 2, "{}", hospital.largest);
}

#[test]
fn mass_no_show_fits() {
    let mut hospital = Hospital::open(1, 1);
    for number in 0..300 {
        hospital.book(number * u128::from(MAX_VISITS), 0);
    }
    hospital.reset();
    hospital.now = MIDNIGHT - 30 * MINUTE;
    let (steps, rows) = hospital.tick_out();
    assert_eq!((steps, rows, hospital.omitted), (3, 100, 0));
    assert!(hospital.largest <= MAX_RECORD_BYTES / 2, "{}", hospital.largest);
}

#[test]
fn removal_of_longest_line_fits() {
    let mut hospital = Hospital::open(2, 1);
    hospital.hold(MAX_REORDER);
    hospital.reset();
    let (queue, there) = (hospital.place.queue(&slug(0)), hospital.place.queue(&slug(1)));
    hospital.apply(Command::RemoveQueue { queue, move_to: Some(there) });
    assert_eq!(hospital.omitted, 0, "the record is whole");
    assert!(hospital.largest > MAX_RECORD_BYTES / 4, "{}", hospital.largest);
}

#[test]
fn longest_reorder_fits() {
    let mut hospital = Hospital::open(1, 1);
    (0..MAX_REORDER as u128).for_each(|number| hospital.issue(number));
    hospital.reset();
    let tickets = (0..MAX_REORDER as u128).rev().map(|number| hospital.place.ticket(number));
    let (queue, tickets) = (hospital.place.queue(&slug(0)), tickets.collect());
    hospital.apply(Command::ReorderQueue { queue, tickets });
    assert_eq!(hospital.omitted, 0, "the record is whole");
}

#[test]
fn moves_that_time_out_together_fit() {
    let mut hospital = Hospital::open(1, 1);
    let there = QueueId::new(format!("{}.{}", "m".repeat(MAX_SLUG), slug(0))).unwrap();
    for number in 0..450 {
        hospital.issue(number);
        let ticket = hospital.place.ticket(number);
        hospital.apply(Command::TransferTicket { ticket, queue: there.clone() });
    }
    hospital.reset();
    hospital.now += 11 * MINUTE - 1;
    let (steps, rows) = hospital.tick_out();
    assert_eq!((steps, rows, hospital.omitted), (3, 200, 0));
    // Nobody answers, so all are asked again.
    hospital.now += 1;
    let (steps, rows) = hospital.tick_out();
    assert_eq!((steps, rows, hospital.omitted), (5, 100, 0));
}

/// A location of an extreme size: all queues, stations and doctors that it may have, each with the
/// longest name.
#[test]
fn settings_and_days_of_largest_location_fit() {
    let mut hospital = Hospital::open(MAX_QUEUES, MAX_STATIONS);
    for number in 0..MAX_DOCTORS {
        hospital.book(number as u128 * u128::from(MAX_VISITS), number);
    }
    for number in 0..MAX_QUEUES {
        hospital.apply(hospital.place.issue(&slug(number), 1_000_000 + number as u128));
    }
    hospital.configure("Europe/Paris", [1, 2]);
    hospital.configure("Europe/Berlin", [u32::MAX - 1, u32::MAX]);
    hospital.now = MIDNIGHT;
    hospital.tick_out();
    assert!(hospital.omitted > 0, "some records would not fit whole");
}

/// The ticket of every absent patient whom a station has called shows the station's name.
#[test]
fn new_name_of_busiest_station_fits() {
    let mut hospital = Hospital::open(1, 1);
    for number in 0..1_000 {
        hospital.issue(number);
        let (ticket, station) = (hospital.place.ticket(number), hospital.place.station(&slug(0)));
        hospital.apply(Command::CallTicket { ticket: ticket.clone(), station, force: false });
        hospital.apply(Command::MarkAbsent { ticket });
    }
    let station = hospital.place.station(&slug(0));
    let name = "𝕐".repeat(MAX_TEXT);
    hospital.apply(Command::ConfigureStation { station, name, queues: None, edition: None });
}

/// Every patient of a doctor sees the doctor's name.
#[test]
fn new_name_of_busiest_doctor_fits() {
    let mut hospital = Hospital::open(1, 1);
    for number in 0..500 {
        hospital.book(number * u128::from(MAX_VISITS), 0);
    }
    let id = DoctorId::new(slug(0)).unwrap();
    let fact = hospital.place.fact(7, 1, AppointmentStatus::Booked);
    let fact = AppointmentFact {
        doctor: Some(Doctor { id, name: "𝕐".repeat(MAX_TEXT) }),
        start: Some(MIDNIGHT - 30 * MINUTE),
        end: Some(MIDNIGHT),
        queue: None,
        ..fact
    };
    hospital.apply(hospital.place.report(u128::MAX, fact));
    assert!(hospital.omitted > 0, "the record would not fit whole");
}

#[test]
fn new_name_of_queue_is_small() {
    let mut hospital = Hospital::open(1, 1);
    hospital.hold(1_000);
    hospital.reset();
    let (queue, name) = (hospital.place.queue(&slug(0)), "𝕐".repeat(MAX_TEXT));
    let prefix = "B".to_owned();
    hospital.apply(Command::ConfigureQueue {
        queue,
        name,
        prefix,
        service_s: None,
        max_tickets: None,
        edition: None,
    });
    assert!(hospital.largest < 10_000, "{}", hospital.largest);
}

/// All findings that a run shows in one report, and the tallies of all rules. Words of findings are
/// columns, codes and units, never texts of the file.
#[test]
fn largest_report_of_run_fits() {
    let word = |number: usize| Param::Word(format!("{number:0>64}"));
    let finding = Finding {
        row: u64::MAX,
        rule: RuleId::new(slug(0)).unwrap(),
        severity: Severity::Optimisation,
        outcome: FindingOutcome::OfficeFeeMinimumSmaller,
        params: (0..10).map(|number| (format!("parameter_{number}"), word(number))).collect(),
        cents: i64::MIN,
    };
    let counts = FindingCounts {
        error: u64::MAX,
        warning: u64::MAX,
        optimisation: u64::MAX,
        pass: u64::MAX,
    };
    let tally = RuleTally { counts, took_us: Some(u64::MAX) };
    let progress = RunProgress {
        phase: RunPhase::Concluding,
        permille: 1_000,
        rows_done: u64::MAX,
        rows_total: Some(u64::MAX),
        bytes_done: u64::MAX,
        bytes_total: u64::MAX,
        rows_per_s: u32::MAX,
        eta_ms: Some(u64::MAX),
    };
    let rule = |number| (RuleId::new(slug(number)).unwrap(), tally);
    let report = RunReport {
        progress,
        counts,
        // The tenant's own rules, and as many that come with the product.
        rules: (0..2 * MAX_RULES).map(rule).collect(),
        findings: vec![finding; SHOWN_FINDINGS],
    };
    let tenant = TenantId::new("t".repeat(MAX_SLUG)).unwrap();
    let key = runs::aggregate(&tenant, u128::MAX);
    let commands = [
        runs::request(runs::file(1, u64::MAX)),
        Command::StartRun { attempt: AttemptNumber(1) },
        Command::ReportRun { attempt: AttemptNumber(1), report },
    ];
    let records: Vec<LogRecord> = (7..)
        .zip(commands)
        .map(|(offset, command)| {
            let record =
                runs::record(&tenant, u128::MAX, &format!("r-{offset}"), command).to_wire();
            LogRecord { offset: LogOffset(offset), at: MORNING, record }
        })
        .collect();
    let mut state = BatchState::default();
    state.aggregates.insert(key, AggregateState::new(AggregateKind::Run, u64::MAX >> 1));
    let read = |record: &LogRecord| read(&record.record, RUNS_TOPIC, PartitionId(0), COUNT);
    let content = records.iter().map(read).collect();
    let built = build(claim(), &records.iter().collect::<Vec<_>>(), content, &mut state);
    assert_eq!((built.tally.applied, built.tally.omitted), (3, 0));
    let published = built.batch.outbox.iter().map(|row| row.record.size());
    let largest = published.chain(records.iter().map(|record| record.record.size())).max();
    assert!(largest.is_some_and(|bytes| bytes <= MAX_RECORD_BYTES / 2), "{largest:?}");
}
