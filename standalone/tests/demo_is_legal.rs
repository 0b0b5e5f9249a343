//! The demo clinic against the real rules of a location, without any I/O: whatever chance brings, it asks for
//! nothing that is forbidden, and its lines neither run dry nor grow without bound.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeMap;

use processors::location::Location;
use schemas::{
    Millis,
    codes::Code,
    command::{Command, Verdict},
    ids::{Aggregate, CommandId, QueueId, TicketId},
    line::{Line, QUEUE_KEY, QueueEntry},
    record::CommandRecord,
    view::View,
};
use standalone::demo::{
    clinic::{Clinic, Standing, USUAL_LINE},
    plan,
};

/// A location with its queues' views, fed with commands as the runner would.
struct Model {
    location: Location,
    views: BTreeMap<String, View>,
    handled: u128,
}

const EPOCH: u64 = 7;
/// The location's clock when the doors open: a morning in Toronto.
const OPENING: Millis = 1_790_000_000_000;

impl Model {
    fn configured() -> Self {
        let mut model = Self { location: Location::new(EPOCH), views: BTreeMap::new(), handled: 0 };
        for command in plan::configure(&plan::location(), 1.0) {
            assert!(matches!(model.handle(&command, OPENING), Verdict::Applied { .. }), "{}", command.kind());
        }
        model
    }

    fn handle(&mut self, command: &Command, at: Millis) -> Verdict {
        self.handled += 1;
        let record = CommandRecord {
            aggregate: Aggregate::location(&plan::tenant(), &plan::location()),
            id: CommandId::from_random(self.handled),
            source: "demo".into(),
            valid_until: None,
            actor: None,
            command: command.clone(),
        };
        let step = self.location.handle(&record, at);
        self.location.forget_ended();
        for delta in &step.deltas {
            let view = self.views.entry(delta.view.clone()).or_insert_with(|| View::empty(EPOCH));
            view.fold(&delta.delta);
        }
        step.verdict
    }

    fn waiting(&self, queue: &QueueId) -> usize {
        Line::read(queue.clone(), &self.views[&format!("queue:{queue}")]).unwrap().waiting()
    }

    fn standing(&self) -> Standing {
        let line = |queue: QueueId| {
            let entries = &self.views[&format!("queue:{queue}")].entries;
            let tickets = entries.iter().filter(|(key, _)| *key != QUEUE_KEY);
            let tickets = tickets.map(|(key, entry)| {
                let entry: QueueEntry = serde_json::from_str(entry.get()).unwrap();
                (TicketId::new(key.as_str()).unwrap(), entry)
            });
            let tickets = tickets.collect();
            (queue, tickets)
        };
        plan::queues(&plan::location()).into_iter().map(line).collect()
    }
}

/// Runs `steps` commands and shows each with its verdict and the clinic's time.
fn play(
    clinic: &mut Clinic,
    model: &mut Model,
    steps: usize,
    mut look: impl FnMut(&Command, &Verdict, &Model, Millis),
) {
    let mut done = 0;
    while done < steps {
        let now = clinic.next_due();
        while let Some(command) = clinic.step(now) {
            let verdict = model.handle(&command, OPENING + now);
            clinic.learn(&command, &verdict);
            look(&command, &verdict, model, now);
            done += 1;
        }
    }
}

fn code(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Applied { .. } => None,
        Verdict::Refused { code } => Some(*code),
    }
}

#[test]
fn no_command_of_ten_thousand_is_refused() {
    for seed in 1..=3 {
        let mut model = Model::configured();
        let mut clinic = Clinic::new(seed, plan::location(), Standing::new());
        play(&mut clinic, &mut model, 10_000, |command, verdict, _, now| {
            assert_eq!(code(verdict), None, "seed {seed}: {} at {now}", command.kind());
        });
    }
}

#[test]
fn everything_a_waiting_room_knows_happens() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut urgent = 0;
    let mut model = Model::configured();
    let mut clinic = Clinic::new(1, plan::location(), Standing::new());
    play(&mut clinic, &mut model, 10_000, |command, _, _, _| {
        *seen.entry(command.kind()).or_default() += 1;
        urgent += usize::from(matches!(command, Command::IssueTicket { priority, .. } if priority.get() > 0));
    });
    for kind in [
        "ticket.issue",
        "queue.call_next",
        "ticket.recall",
        "ticket.start",
        "ticket.complete",
        "ticket.hold",
        "ticket.resume",
        "ticket.absent",
        "ticket.return",
        "ticket.no_show",
        "ticket.cancel",
        "ticket.leave",
        "ticket.transfer",
        "ticket.prioritise",
    ] {
        assert!(seen.get(kind).is_some_and(|times| *times >= 10), "{kind}: {seen:?}");
    }
    assert!(urgent >= 20, "{urgent}");
}

#[test]
fn a_line_never_runs_dry_nor_grows_without_bound() {
    let queues = plan::queues(&plan::location());
    for seed in 1..=3 {
        let mut model = Model::configured();
        let mut clinic = Clinic::new(seed, plan::location(), Standing::new());
        let (mut sums, mut looks, mut commands) = ([0; 3], 0, 0);
        play(&mut clinic, &mut model, 15_000, |command, _, model, now| {
            commands += 1;
            // While the first are still being let in, the line is as long as it is. Any seventh command will do.
            if now == 0 || commands % 7 != 0 {
                return;
            }
            looks += 1;
            for (queue, sum) in queues.iter().zip(&mut sums) {
                let waiting = model.waiting(queue);
                assert!(
                    (1..=3 * USUAL_LINE).contains(&waiting),
                    "seed {seed}: {queue} has {waiting} after {} at {now}",
                    command.kind()
                );
                *sum += waiting;
            }
        });
        for (queue, sum) in queues.iter().zip(sums) {
            let mean = sum / looks;
            assert!(
                (USUAL_LINE / 2..=2 * USUAL_LINE).contains(&mean),
                "seed {seed}: {queue} has {mean} on average"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_day_and_another_seed_another() {
    let day = |seed| {
        let mut log = Vec::new();
        let mut clinic = Clinic::new(seed, plan::location(), Standing::new());
        play(&mut clinic, &mut Model::configured(), 3_000, |command, _, _, now| {
            log.push((now, serde_json::to_string(command).unwrap()));
        });
        log
    };
    assert!(day(1) == day(1));
    assert!(day(1) != day(2));
}

#[test]
fn services_take_what_was_measured() {
    let mut started: BTreeMap<TicketId, Millis> = BTreeMap::new();
    let mut minutes = Vec::new();
    let general = plan::queues(&plan::location()).remove(0);
    let mut model = Model::configured();
    let mut clinic = Clinic::new(3, plan::location(), Standing::new());
    play(&mut clinic, &mut model, 20_000, |command, _, model, now| match command {
        Command::StartService { ticket } => {
            let queue = &model.location.ticket(ticket).unwrap().standing.queue;
            if *queue == general {
                started.insert(ticket.clone(), now);
            }
        }
        Command::CompleteTicket { ticket } | Command::TransferTicket { ticket, .. } => {
            minutes.extend(started.remove(ticket).map(|at| (now - at) as f64 / 60_000.0));
        }
        _ => {}
    });
    minutes.sort_by(f64::total_cmp);
    assert!(minutes.len() > 1_000, "{}", minutes.len());
    for (rank, expected) in [(0.5, 12.1), (0.9, 21.3)] {
        let found = minutes[(minutes.len() as f64 * rank) as usize];
        assert!((found / expected - 1.0).abs() < 0.06, "quantile {rank}: {found}, not {expected}");
    }
}

#[test]
fn a_clinic_that_is_there_already_is_taken_over_as_it_stands() {
    let mut model = Model::configured();
    let mut before = Clinic::new(1, plan::location(), Standing::new());
    play(&mut before, &mut model, 1_000, |_, _, _, _| {});
    let mut after = Clinic::new(2, plan::location(), model.standing());
    let issued = model.location.header().numbers.clone();
    play(&mut after, &mut model, 5_000, |command, verdict, _, now| {
        assert_eq!(code(verdict), None, "{} at {now}", command.kind());
    });
    assert!(model.location.header().numbers["A"] > issued["A"]);
}

#[test]
fn it_lives_on_when_other_hands_work_in_the_same_clinic() {
    let stations = plan::stations(&plan::location());
    let queues = plan::queues(&plan::location());
    let mut model = Model::configured();
    let mut clinic = Clinic::new(1, plan::location(), Standing::new());
    let (mut refused, mut applied) = (0, 0);
    for round in 0..400 {
        play(&mut clinic, &mut model, 10, |_, verdict, _, _| match code(verdict) {
            None => applied += 1,
            Some(Code::IllegalMove | Code::TicketUnknown | Code::QueueEmpty) => refused += 1,
            Some(code) => panic!("{code}"),
        });
        let at = OPENING + clinic.next_due();
        // Somebody calls at a station of their own, and cancels whoever comes.
        let call = Command::CallNext { queue: queues[round % 3].clone(), station: stations[0].clone() };
        if let Verdict::Applied { result, .. } = model.handle(&call, at) {
            model.handle(&Command::CancelTicket { ticket: result.ticket.unwrap(), reason: None }, at);
        }
    }
    assert!(applied > 3_000, "{applied} applied, {refused} refused");
}
