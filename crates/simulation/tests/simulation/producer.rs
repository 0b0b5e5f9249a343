//! Producers: people and programs that give commands, send them again when no answer comes, and
//! sometimes use a key twice.

use std::{cell::RefCell, rc::Rc, time::Duration};

use fastrand::Rng;
use schemas::{
    appointment::AppointmentStatus,
    command::{Command, CommandOutcome, Verdict},
    ids::{CommandId, Fingerprint},
    record::{CARE_TOPIC, CommandRecord, WireRecord},
    ticket::Priority,
};
use testing::records::{SampleLocation, actor};
use tokio::time::{Instant, sleep};

use crate::{plan::places, world::World};

/// The answer that a caller got to its command.
pub struct Answer {
    pub tenant: String,
    pub subject: String,
    pub command: String,
    pub fingerprint: Fingerprint,
    pub outcome: CommandOutcome,
}

/// The state that all producers share.
#[derive(Default)]
pub struct Desk {
    /// The numbers of issued tickets by place. Numbers tell tenants apart.
    pub issued: [Vec<u128>; 3],
    appointments: [Vec<u128>; 3],
    next: u128,
    pub answers: Vec<Answer>,
    /// Commands whose append was acknowledged: tenant, subject and id.
    pub acknowledged: Vec<(String, String, String)>,
}

impl Desk {
    fn number(&mut self, place: usize) -> u128 {
        self.next += 1;
        // The tenant is the first digit, so that a ticket in the wrong tenant can be told.
        self.next + 1_000_000 * (place as u128 + 1)
    }
}

/// One producer.
pub struct Producer {
    pub world: Rc<World>,
    pub name: String,
    pub rng: Rng,
    pub sent: u32,
    /// The last records, some of which are sent again.
    pub recent: Vec<CommandRecord>,
}

impl Producer {
    pub async fn run(mut self, until: Instant) {
        while Instant::now() < until {
            sleep(Duration::from_millis(self.rng.u64(10..700))).await;
            let record = self.next_record();
            let tries = self.rng.u32(1..5);
            let world = self.world.clone();
            let rng = self.rng.fork();
            // A caller that waits does not keep the others.
            tokio::task::spawn_local(send(world, record, rng, tries));
            if self.rng.u8(..25) == 0 {
                self.send_poison();
            }
        }
    }

    /// A new command, a repeat, or another command under a key that was used.
    fn next_record(&mut self) -> CommandRecord {
        if !self.recent.is_empty() && self.rng.u8(..8) == 0 {
            return self.recent[self.rng.usize(..self.recent.len())].clone();
        }
        let place = self.rng.usize(..3);
        let command = self.command(place);
        self.sent += 1;
        let id = match self.recent.last() {
            Some(last) if self.rng.u8(..30) == 0 => last.id.clone(),
            _ => CommandId::new(format!("{}-{}", self.name, self.sent)).unwrap(),
        };
        let text = serde_json::to_vec(&command).unwrap();
        let location = &places()[place];
        let key = location.aggregate();
        let is_bridge = matches!(command, Command::ReportAppointment { .. });
        let valid_until = (!is_bridge && self.rng.u8(..5) == 0)
            .then(|| self.world.log_time() + self.rng.i64(500..9_000));
        let record = CommandRecord {
            id,
            fingerprint: (!is_bridge)
                .then(|| Fingerprint::from_parts([key.as_str().as_bytes(), text.as_slice()])),
            valid_until,
            actor: (!is_bridge).then(|| actor(&format!("subject-{}", self.name), "reception")),
            source: if is_bridge { "his-bridge" } else { testing::records::GATEWAY }.to_owned(),
            ..location.record("x", command)
        };
        self.recent.push(record.clone());
        if self.recent.len() > 12 {
            self.recent.remove(0);
        }
        record
    }

    fn command(&mut self, place: usize) -> Command {
        use Command as C;
        let (here, rng) = (&places()[place], &mut self.rng);
        let mut desk = self.world.desk.borrow_mut();
        let (queue, station) = (here.queue(["general", "lab"][rng.usize(..2)]), {
            here.station(["room-1", "room-2"][rng.usize(..2)])
        });
        let issued = &desk.issued[place];
        // Mostly people who came lately.
        let back = if rng.u8(..4) == 0 { issued.len() } else { issued.len().min(8) };
        let ticket = (back > 0).then(|| here.ticket(issued[issued.len() - 1 - rng.usize(..back)]));
        let kind = rng.u8(..40);
        let Some(ticket) = ticket.filter(|_| kind >= 11) else {
            if kind == 0 {
                return report(here, &mut desk, place, rng);
            }
            let number = desk.number(place);
            desk.issued[place].push(number);
            let priority = Priority::new(rng.u8(..3)).unwrap();
            return C::IssueTicket { queue, ticket: here.ticket(number), priority };
        };
        match kind {
            11..=16 => C::CallNext { queue, station, force: rng.bool() },
            17 => C::CallTicket { ticket, station, force: true },
            18..=20 => C::StartService { ticket },
            21 | 22 => C::CompleteTicket { ticket },
            23 => C::LeaveTicket { ticket },
            24 => C::HoldTicket { ticket, reason: None },
            25 => C::ResumeTicket { ticket },
            26 => C::MarkAbsent { ticket },
            27 => C::ReturnTicket { ticket },
            28 => C::MarkNoShow { ticket },
            29 => C::CancelTicket { ticket, reason: None },
            30 => C::YieldTicket { ticket },
            31 | 32 => C::RevertTicket { ticket },
            33 => {
                let priority = Priority::new(rng.u8(..4)).unwrap();
                C::Prioritise { ticket, priority, reason: None }
            }
            34..=36 => C::TransferTicket { ticket, queue: any_queue(rng) },
            37 => report(here, &mut desk, place, rng),
            38 => match desk.appointments[place].last() {
                Some(number) => here.check_in(*number),
                None => C::OpenQueue { queue },
            },
            _ => [C::CloseQueue { queue: queue.clone() }, C::OpenQueue { queue }][rng.usize(..2)]
                .clone(),
        }
    }

    /// A record that no program can read.
    fn send_poison(&mut self) {
        let place = &places()[self.rng.usize(..3)];
        let id = format!("{}-poison-{}", self.name, self.sent);
        let wire = place.record(&id, place.open_queue("general")).to_wire();
        let wire = WireRecord { value: b"{\"queue\":".as_slice().into(), ..wire };
        self.world.broker.append("another program", CARE_TOPIC, wire);
    }
}

/// A queue to move to: here, elsewhere, unknown, or at an unknown location.
fn any_queue(rng: &mut Rng) -> schemas::ids::QueueId {
    let slug = ["general", "general", "lab", "nowhere"][rng.usize(..4)];
    match rng.usize(..9) {
        0 => SampleLocation::new("demo", "atlantis").queue("general"),
        n => places()[n % 3].queue(slug),
    }
}

/// A fact of a source about one of a few bookings.
fn report(here: &SampleLocation, desk: &mut Desk, place: usize, rng: &mut Rng) -> Command {
    use AppointmentStatus::{Arrived, Booked, Cancelled};
    let number = desk.number(place);
    if rng.bool() {
        desk.appointments[place].push(number);
    }
    let booking = rng.u128(1..6) + 100 * (place as u128);
    let status = [Booked, Booked, Arrived, Cancelled][rng.usize(..4)];
    here.report(number, here.fact(booking, rng.u64(1..9), status))
}

/// Sends a record until there is an outcome, a few times at most.
async fn send(world: Rc<World>, record: CommandRecord, mut rng: Rng, tries: u32) {
    let subject = record.actor.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
    let name = (record.aggregate.tenant().to_string(), subject, record.id.to_string());
    for _ in 0..tries {
        let Some(node) = world.any_node(&mut rng) else {
            sleep(Duration::from_millis(300)).await;
            continue;
        };
        match node.submit(record.clone()).await {
            Ok(outcome) => {
                world.desk.borrow_mut().acknowledged.push(name.clone());
                let Some(outcome) = outcome else { continue };
                note(&world.trace, &record, &outcome);
                let (tenant, subject, command) = name;
                let fingerprint = record.effective_fingerprint();
                let answer = Answer { tenant, subject, command, fingerprint, outcome };
                world.desk.borrow_mut().answers.push(answer);
                return;
            }
            Err(code) if code.is_temporary() => {
                sleep(Duration::from_millis(rng.u64(50..1_500))).await;
            }
            Err(code) => {
                world.trace.note(record.id.as_str(), format_args!("is refused at once: {code}"));
                return;
            }
        }
    }
}

fn note(trace: &crate::trace::Trace, record: &CommandRecord, outcome: &CommandOutcome) {
    let verdict = match &outcome.verdict {
        Verdict::Applied { version, .. } => format!("applied as {version}"),
        Verdict::Moving { version, .. } => format!("moving as {version}"),
        Verdict::Refused { code } => format!("refused: {code}"),
    };
    trace.note(record.id.as_str(), format_args!("{} is {verdict}", record.command.kind()));
}

/// Shared by all producers and clients of a run.
pub type SharedDesk = RefCell<Desk>;
