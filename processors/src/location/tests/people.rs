//! No person loses their place in line: histories over three locations, with moves, refusals,
//! repeats, reordered and lost records, crashes and time limits. One seed reproduces a history.
//!
//! At every step each person who has not left has a live ticket. Once records pass again and all
//! questions are answered, each has exactly one, every booking is where its source last said, and
//! no move waits for anything. Timers fire in slices of a few, and nights pass, so that many wait
//! at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use fastrand::Rng;
use schemas::{
    identity::CommandIdentity,
    ids::{Aggregate, AggregateKind, CommandId},
};

use super::*;
use crate::{appointment_key::AppointmentKey, location::timers::SLICE};

/// Histories of one run.
const HISTORIES: u64 = 10_000;
/// Steps of one history before it comes to rest.
const STEPS: usize = 40;
const SLUGS: [&str; 3] = ["riverside", "hillside", "lakeside"];

fn place(index: usize) -> testing::records::SampleLocation {
    testing::records::SampleLocation::new("demo", SLUGS[index])
}

/// One location with its log, its stored rows and its outbox.
struct Site {
    location: Location,
    log: VecDeque<CommandRecord>,
    outbox: VecDeque<CommandRecord>,
    tickets: BTreeMap<TicketId, Ticket>,
    appointments: BTreeMap<AppointmentId, Appointment>,
    decided: HashMap<CommandIdentity, Verdict>,
    /// Most parts that change in one step because timers fire.
    slice: usize,
}

impl Site {
    fn new(slice: usize) -> Self {
        Self {
            location: Location { slice, ..Location::new(EPOCH) },
            slice,
            log: VecDeque::new(),
            outbox: VecDeque::new(),
            tickets: BTreeMap::new(),
            appointments: BTreeMap::new(),
            decided: HashMap::new(),
        }
    }

    /// Forgets everything that is not stored, as a crash does.
    fn crash(&mut self) {
        let live = self.tickets.values().filter(|ticket| ticket.is_unfinished());
        let live = live.cloned().collect();
        let (position, header) = (self.location.position(), self.location.header().clone());
        let today = header.day_starts..header.day_ends;
        let near = self.appointments.values().filter(|one| one.is_near(&today)).cloned().collect();
        self.location = Location::restore(position, header, live, near);
        self.location.slice = self.slice;
    }

    /// When the location next asks about a move, or takes one back.
    fn next_question(&self) -> Option<Millis> {
        let tickets = self.tickets.values().filter(|ticket| ticket.handover.is_some());
        let limits = tickets.filter_map(|ticket| {
            Location::ticket_question_due(ticket).or(self.location.ticket_due(ticket))
        });
        let moves = self.appointments.values().filter_map(Location::appointment_question_due);
        limits.chain(moves).min()
    }

    /// The tickets that the next record at `now` must not call.
    fn overdue(&self, now: Millis) -> BTreeSet<TicketId> {
        let now = now.max(self.location.header().now);
        let is_overdue = |ticket: &&Ticket| {
            let due = self.location.ticket_due(ticket);
            // A move that has timed out is over, and its person waits again.
            ticket.standing.state != TicketState::Leaving && due.is_some_and(|at| at <= now)
        };
        self.tickets.values().filter(is_overdue).map(|ticket| ticket.id.clone()).collect()
    }

    /// Adds the stored parts that a runner would load for this command.
    fn load(&mut self, command: &Command) {
        let named = command.ticket().and_then(|id| self.tickets.get(id));
        let ended = named.filter(|ticket| !ticket.is_live()).cloned();
        self.location.add_ended(ended.into_iter().collect());
        let key = match command {
            Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } => {
                Some((&fact.source, &fact.key))
            }
            _ => None,
        };
        let is_named = |one: &&Appointment| {
            Some(&one.id) == command.appointment() || Some(one.source()) == key
        };
        let appointments = self.appointments.values().filter(is_named).cloned().collect();
        self.location.add_appointments(appointments);
    }

    /// Decides the next record of the log, as a runner does.
    fn decide_next(&mut self, now: Millis) -> Option<(CommandRecord, RecordEffect)> {
        let record = self.log.pop_front()?;
        let identity = record.identity();
        if self.decided.contains_key(&identity) {
            return None;
        }
        self.load(&record.command);
        let effect = self.location.handle(&record, RecordTime::at_once(now));
        for id in &effect.appointments {
            let held = self.location.appointment(id).expect("a changed appointment is in memory");
            self.appointments.insert(id.clone(), held.clone());
        }
        for id in &effect.touched {
            let ticket = self.location.ticket(id).expect("a touched ticket is in memory");
            self.tickets.insert(id.clone(), ticket.clone());
        }
        self.location.forget_ended();
        if !matches!(record.command, Command::Tick {}) {
            self.decided.insert(identity, effect.verdict.clone());
        }
        if let Some(Settlement { command, began, outcome }) = &effect.settles {
            let first = self.decided.insert(command.clone(), outcome.clone());
            assert!(
                matches!(first, Some(Verdict::Moving { version, .. }) if version == *began),
                "an outcome is settled once"
            );
        }
        self.outbox.extend(effect.follow_ups.iter().cloned());
        Some((record, effect))
    }
}

/// The keys of the appointments, with their log and their outbox.
#[derive(Default)]
struct Keys {
    keys: BTreeMap<Aggregate, AppointmentKey>,
    log: VecDeque<CommandRecord>,
    outbox: VecDeque<CommandRecord>,
    decided: BTreeSet<CommandIdentity>,
}

impl Keys {
    /// Decides the next claim, as a runner does.
    fn decide_next(&mut self, now: Millis) {
        let Some(record) = self.log.pop_front() else { return };
        assert!(CommandRecord::from_wire(&record.to_wire()).unwrap() == record);
        if self.decided.insert(record.identity()) {
            let key = self.keys.entry(record.aggregate.clone());
            let key = key.or_insert_with(|| AppointmentKey::new(EPOCH));
            self.outbox.extend(key.handle(&record, RecordTime::at_once(now)).follow_ups);
        }
    }
}

/// Whether the command asks about a move, or answers. Facts are not among them: a source repeats
/// those that are lost.
fn is_about_move(command: &Command) -> bool {
    use Command as C;
    match command {
        C::ReceiveTicket { .. } | C::WithdrawTicket { .. } | C::SettleTicket { .. } => true,
        C::ReceiveAppointment { question, .. } | C::SettleAppointment { question, .. } => {
            question.is_some()
        }
        _ => false,
    }
}

/// The command in a few words, with the fact that it reports.
fn words(command: &Command) -> String {
    match command {
        Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } => {
            let AppointmentFact { key, revision, status, moved_to, queue, .. } = fact;
            let (key, status) = (key.as_str(), status.as_str());
            format!("{} {key} {revision} {status} {moved_to:?} {queue:?}", command.kind())
        }
        command => command.kind().to_owned(),
    }
}

/// The last word of a source about a booking.
#[derive(Clone, Default)]
struct Booking {
    /// The index of the site. `None` before the first fact and after a cancellation.
    site: Option<usize>,
    revision: u64,
}

/// Bookings of one history.
const BOOKINGS: usize = 3;

struct World {
    bookings: [Booking; BOOKINGS],
    sites: Vec<Site>,
    keys: Keys,
    now: Millis,
    random: Rng,
    sent: Vec<(usize, CommandRecord)>,
    /// The first ticket of the person of each ticket.
    people: BTreeMap<TicketId, TicketId>,
    /// People who left, were served, were cancelled, or whom a timer ended.
    ended: BTreeSet<TicketId>,
    /// Some questions and answers are parked, and nobody releases them.
    loses: bool,
    history: Vec<String>,
}

impl World {
    fn open(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let slice = [1, 2, 5, SLICE][random.usize(..4)];
        let mut world = Self {
            bookings: Default::default(),
            sites: (0..SLUGS.len()).map(|_| Site::new(slice)).collect(),
            keys: Keys::default(),
            now: MORNING,
            random,
            sent: Vec::new(),
            people: BTreeMap::new(),
            ended: BTreeSet::new(),
            loses: false,
            history: Vec::new(),
        };
        for index in 0..SLUGS.len() {
            let ends = world.random.bool();
            for mut command in place(index).full_opening() {
                if let Command::ConfigureLocation { timers, .. } = &mut command {
                    timers.day_ends_tickets = ends;
                }
                world.send(index, command);
            }
            while !world.sites[index].log.is_empty() {
                world.decide(index);
            }
        }
        world.history.clear();
        world.loses = true;
        world
    }

    fn send(&mut self, index: usize, command: Command) {
        let id = format!("c-{}", self.sent.len());
        let record = CommandRecord {
            id: CommandId::new(id).unwrap(),
            actor: Some(actor("nurse-7", "reception")),
            ..place(index).record("c", command)
        };
        self.history.push(format!("{} ← {}", SLUGS[index], words(&record.command)));
        self.sent.push((index, record.clone()));
        self.sites[index].log.push_back(record);
    }

    /// A ticket of the location, live ones more often than not.
    fn any_ticket(&mut self, index: usize) -> Option<TicketId> {
        let tickets = &self.sites[index].tickets;
        let live: Vec<_> = tickets.values().filter(|ticket| ticket.is_live()).collect();
        let all: Vec<_> = tickets.values().collect();
        let from = if live.is_empty() || self.random.u8(..8) == 0 { all } else { live };
        (!from.is_empty()).then(|| from[self.random.usize(..from.len())].id.clone())
    }

    /// A ticket of the location that came from another one and has ended.
    fn ended_successor(&mut self, index: usize) -> Option<TicketId> {
        let tickets = self.sites[index].tickets.values();
        let ended: Vec<_> =
            tickets.filter(|ticket| ticket.from.is_some() && !ticket.is_live()).collect();
        (!ended.is_empty()).then(|| ended[self.random.usize(..ended.len())].id.clone())
    }

    /// A queue to move to: open, closed, unknown, or at an unknown location.
    fn any_queue(&mut self) -> QueueId {
        let slug = ["general", "general", "lab", "nowhere"][self.random.usize(..4)];
        match self.random.usize(..SLUGS.len() * 4) {
            0 => QueueId::new("atlantis.general").unwrap(),
            index => place(index % SLUGS.len()).queue(slug),
        }
    }

    fn any_command(&mut self, index: usize) -> Option<Command> {
        use Command as C;
        let here = place(index);
        let (queue, station) = (here.queue("general"), here.station("room-1"));
        let kind = self.random.usize(..25);
        if kind < 3 {
            let ticket = TicketId::from_random(&here.id, self.random.u128(..));
            return Some(C::IssueTicket { queue, ticket, priority: Priority::default() });
        }
        if kind == 22 {
            return Some(C::RevertTicket { ticket: self.ended_successor(index)? });
        }
        let ticket = self.any_ticket(index)?;
        Some(match kind {
            3..=8 => C::TransferTicket { ticket, queue: self.any_queue() },
            9 | 10 => C::RevertTicket { ticket },
            11 => C::CallTicket { ticket, station, force: true },
            12 => C::StartService { ticket },
            13 => C::CompleteTicket { ticket },
            14 => C::LeaveTicket { ticket },
            15 => C::CancelTicket { ticket, reason: None },
            16 => C::HoldTicket { ticket, reason: None },
            17 => C::MarkAbsent { ticket },
            18 | 19 => C::CallNext { queue, station, force: true },
            23 | 24 => C::YieldTicket { ticket },
            20 => C::CloseQueue { queue: here.queue(["general", "lab"][self.random.usize(..2)]) },
            _ => C::OpenQueue { queue },
        })
    }

    /// Lets the source say something new of a booking.
    fn tell(&mut self) {
        let number = self.random.usize(..BOOKINGS);
        let (there, sure) = (self.random.usize(..SLUGS.len()), self.random.u8(..4) > 0);
        let kind = self.random.u8(..10);
        let booking = &mut self.bookings[number];
        booking.revision += 1;
        let was = booking.site;
        // Many sources do not say where a booking was before.
        let silent = kind >= 6;
        let here = if silent { there } else { was.unwrap_or(there) };
        let mut fact =
            place(here).fact(number as u128, booking.revision, AppointmentStatus::Booked);
        (fact.start, fact.end) = (Some(MORNING + 60 * MINUTE), Some(MORNING + 80 * MINUTE));
        booking.site = Some(here);
        match kind {
            0 | 6 => {
                fact.status = AppointmentStatus::Cancelled;
                booking.site = None;
            }
            1..=5 if there != here => {
                // The other location refuses a queue that it does not have.
                fact.queue = Some(place(there).queue(if sure { "general" } else { "nowhere" }));
                fact.moved_to = Some(place(there).id);
                booking.site = Some(if sure { there } else { here });
            }
            7 if !sure => {
                fact.queue = Some(place(here).queue("nowhere"));
                booking.site = was;
            }
            _ => {}
        }
        let appointment = AppointmentId::from_random(&place(here).id, self.random.u128(..));
        self.send(here, Command::ReportAppointment { appointment, fact });
    }

    fn decide(&mut self, index: usize) {
        let overdue = self.sites[index].overdue(self.now);
        let Some((record, effect)) = self.sites[index].decide_next(self.now) else { return };
        let verdict = refusal(&effect).map_or("applied".to_owned(), |code| code.to_string());
        self.history.push(format!("{}: {} {verdict}", SLUGS[index], words(&record.command)));
        for event in &effect.events {
            self.note(event);
            if let Event::TicketCalled { ticket, .. } = event {
                assert!(!overdue.contains(ticket), "an overdue ticket is called");
            }
        }
    }

    /// Records the person of each ticket, and the visits that ended for a reason other than a move.
    fn note(&mut self, event: &Event) {
        let ended = match event {
            Event::TicketIssued { ticket, from, .. } => {
                let person = match from {
                    Some(from) => self.people[from].clone(),
                    None => ticket.clone(),
                };
                self.people.insert(ticket.clone(), person);
                return;
            }
            Event::TicketCancelled { reason: Some(why), .. } if why == "moved_back" => return,
            Event::TicketCompleted { ticket }
            | Event::TicketNoShow { ticket }
            | Event::TicketLeft { ticket }
            | Event::TicketCancelled { ticket, .. }
            | Event::TicketExpired { ticket, .. } => ticket,
            Event::TicketReverted { ticket, .. } => {
                let person = self.people[ticket].clone();
                self.ended.remove(&person);
                return;
            }
            _ => return,
        };
        let person = self.people[ended].clone();
        self.ended.insert(person);
    }

    /// Appends records of the outbox to the logs of their locations.
    fn publish(&mut self, index: usize) {
        let site = &mut self.sites[index];
        let how = self.random.u8(..10);
        let rows: Vec<_> = match how {
            // The acknowledgement is lost: everything is published again later.
            0 => site.outbox.iter().cloned().collect(),
            // The first record fails, the second does not.
            1 => site.outbox.iter().skip(1).take(1).cloned().collect(),
            _ => {
                let count = self.random.usize(..=site.outbox.len());
                site.outbox.drain(..count).collect()
            }
        };
        for record in rows {
            self.append(record);
        }
    }

    /// Decides a claim, and appends what follows from it in any order.
    fn decide_claim(&mut self) {
        self.keys.decide_next(self.now);
        if !self.keys.outbox.is_empty() && self.random.bool() {
            let next = self.random.usize(..self.keys.outbox.len());
            let record = self.keys.outbox.remove(next).unwrap();
            self.append(record);
        }
    }

    fn append(&mut self, record: CommandRecord) {
        if self.loses && is_about_move(&record.command) && self.random.u8(..8) == 0 {
            self.history.push(format!("lost: {}", words(&record.command)));
            return;
        }
        if record.aggregate.kind() == AggregateKind::AppointmentKey {
            self.keys.log.push_back(record);
            return;
        }
        let there = record.aggregate.location_id().unwrap();
        // A location that nobody ever configured refuses like any other.
        match SLUGS.iter().position(|slug| *slug == there.as_str()) {
            Some(index) => self.sites[index].log.push_back(record),
            None => {
                let effect = Location::new(EPOCH).handle(&record, RecordTime::at_once(self.now));
                assert_eq!(refusal(&effect), Some(Code::LocationUnknown));
                effect.follow_ups.into_iter().for_each(|answer| self.append(answer));
            }
        }
    }

    fn step(&mut self) {
        let index = self.random.usize(..SLUGS.len());
        match self.random.usize(..20) {
            0 | 1 => self.tell(),
            2..=7 => {
                if let Some(command) = self.any_command(index) {
                    self.send(index, command);
                }
            }
            8..=12 => self.decide(index),
            13 => self.decide_claim(),
            14..=16 => self.publish(index),
            17 => {
                let (index, record) = self.sent[self.random.usize(..self.sent.len())].clone();
                self.sites[index].log.push_back(record);
            }
            18 => self.sites[index].crash(),
            _ => {
                self.pass_time();
                self.send(index, Command::Tick {});
            }
        }
    }

    /// Mostly seconds. Sometimes the rest of the day or more, after which many timers wait.
    fn pass_time(&mut self) {
        self.now += match self.random.u8(..20) {
            0 => self.random.i64(1..30) * 60 * MINUTE,
            _ => self.random.i64(0..90) * 1000,
        };
    }

    /// Lets every question be asked until it is answered.
    fn come_to_rest(&mut self) {
        self.loses = false;
        self.let_records_arrive();
        let mut rounds = 0;
        while let Some(due) = self.sites.iter().filter_map(Site::next_question).min() {
            // One question is enough, and three moves of a person can depend on each other.
            rounds += 1;
            assert!(rounds < 100, "a move waits for ever");
            self.now = self.now.max(due);
            for index in 0..SLUGS.len() {
                self.send(index, Command::Tick {});
            }
            self.let_records_arrive();
        }
    }

    /// Lets every record and every answer arrive.
    fn let_records_arrive(&mut self) {
        let mut rounds = 0;
        let at_work = |world: &Self| {
            let Keys { log, outbox, .. } = &world.keys;
            let waits = |site: &Site| !site.log.is_empty() || !site.outbox.is_empty();
            world.sites.iter().any(waits) || !log.is_empty() || !outbox.is_empty()
        };
        while at_work(self) {
            // Each record causes a few others at most.
            rounds += 1;
            assert!(rounds < 1_000, "the locations never stop writing to each other");
            self.decide_claim();
            for index in 0..SLUGS.len() {
                let rows: Vec<_> = self.sites[index].outbox.drain(..).collect();
                rows.into_iter().for_each(|record| self.append(record));
                self.decide(index);
                self.check_nobody_is_lost();
            }
        }
    }

    fn live(&self) -> BTreeMap<&TicketId, Vec<&Ticket>> {
        let mut live = BTreeMap::<_, Vec<_>>::new();
        for ticket in self.sites.iter().flat_map(|site| site.tickets.values()) {
            if ticket.is_live() {
                live.entry(&self.people[&ticket.id]).or_default().push(ticket);
            }
        }
        live
    }

    fn check_nobody_is_lost(&self) {
        let live = self.live();
        for person in self.people.values().filter(|person| !self.ended.contains(*person)) {
            assert!(live.contains_key(person), "a person is in no line");
        }
    }

    fn check_at_rest(&self) {
        self.check_nobody_is_lost();
        for tickets in self.live().values() {
            assert_eq!(tickets.len(), 1, "a person is in two lines");
        }
        for (number, booking) in self.bookings.iter().enumerate() {
            let key = place(0).fact(number as u128, 1, AppointmentStatus::Booked).key;
            // Nobody may have come meanwhile.
            let holds = |one: &Appointment| *one.source().1 == key && !one.reported().is_end();
            let holds = |site: &Site| site.appointments.values().any(holds);
            let sites: Vec<_> = (0..SLUGS.len()).filter(|at| holds(&self.sites[*at])).collect();
            assert_eq!(sites, Vec::from_iter(booking.site), "booking {number} is elsewhere");
        }
        for site in &self.sites {
            assert!(site.appointments.values().all(|one| one.moving.is_none()), "a move waits");
            let waits = |ticket: &&Ticket| ticket.handover.is_some();
            assert!(!site.tickets.values().any(|ticket| waits(&ticket)), "a move is not settled");
            let moving = |verdict: &Verdict| matches!(verdict, Verdict::Moving { .. });
            assert!(!site.decided.values().any(moving), "a caller waits for an outcome");
            let stored = site.tickets.values().filter(|ticket| ticket.is_live());
            for ticket in stored {
                assert!(site.location.ticket(&ticket.id) == Some(ticket), "a row differs");
            }
        }
    }
}

fn play(seed: u64) {
    let mut world = World::open(seed);
    let checked = std::panic::AssertUnwindSafe(&mut world);
    let outcome = std::panic::catch_unwind(|| {
        let world = checked;
        for _ in 0..STEPS {
            world.0.step();
            world.0.check_nobody_is_lost();
        }
        world.0.come_to_rest();
        world.0.check_at_rest();
    });
    if outcome.is_err() {
        panic!("seed {seed}: {}", world.history.join("; "));
    }
}

#[test]
fn every_person_stays_in_exactly_one_line() {
    let half = |rest: u64| move || (rest..HISTORIES).step_by(2).for_each(play);
    let other = std::thread::spawn(half(1));
    half(0)();
    other.join().expect("the other half passes too");
}
