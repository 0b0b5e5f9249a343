//! The clinic's day as a pure model. Chance and the outcomes of earlier commands decide what
//! happens next. The model never gives a command that it knows to be illegal, and trusts outcomes
//! more than its own state, because other people may work in the same clinic.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    Millis,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    ids::{LocationId, QueueId, SourceKey, StationId, TicketId},
    line::QueueEntry,
    ticket::TicketState,
};

use super::{
    chance::Chance,
    plan::{self, DOCTORS, MINUTE, Pace, QUEUES, ROOMS},
};

mod appointments;
mod fates;
mod people;
mod rooms;

use appointments::{Booking, FactKind};
use people::{PatientDecision, Person, Place};
use rooms::Room;

/// People in each line at the start; about as many wait in it from then on.
pub const USUAL_LINE: usize = 12;
/// Below this length a person arrives at once: a demo never shows an empty line.
const SHORTEST_LINE: usize = 3;
/// Past this length people without an appointment do not join: they see the line and leave.
const LONGEST_LINE: usize = 2 * USUAL_LINE;
/// How long a visitor who calls a patient has to start the service.
const LEFT_ALONE: Millis = 10_000;

#[derive(Debug)]
enum Happening {
    /// A person takes a ticket.
    Arrives(usize),
    /// A person comes in, and stays unless the line is long.
    LooksIn(usize),
    RoomIsFree(usize),
    BreakEnds(usize),
    Comes(TicketId),
    DoesNotCome(TicketId),
    GivenUp(TicketId),
    Done(TicketId),
    HoldEnds(TicketId),
    IsBack(TicketId),
    NeverCame(TicketId),
    /// The timer of the location has ended the absence.
    Expires(TicketId),
    Turns(TicketId, PatientDecision),
    /// The next slot of a doctor's book is filled, or stays free.
    Books(usize),
    /// The book has a new fact about an appointment.
    Tells(SourceKey, FactKind),
    /// The patient of an appointment is at the desk.
    ChecksIn(SourceKey),
    /// An appointment is forgotten.
    Forgotten(SourceKey),
    DayEnds,
}

/// The people who stood in a queue before the demo began.
pub type DemoLines = Vec<(QueueId, Vec<(TicketId, QueueEntry)>)>;

/// The model. Its time is real time; the pace decides how much of a clinic's day passes in it.
pub struct DemoClinic {
    location: LocationId,
    queues: Vec<QueueId>,
    stations: Vec<StationId>,
    pace: Pace,
    chance: Chance,
    now: Millis,
    /// Ordered by time, then by the order of planning.
    due: BTreeMap<(Millis, u64), Happening>,
    planned: u64,
    people: BTreeMap<TicketId, Person>,
    rooms: Vec<Room>,
    /// The next slot of each doctor that is not decided yet.
    books: Vec<Millis>,
    /// Later slots that are taken already.
    taken: BTreeSet<(usize, Millis)>,
    bookings: BTreeMap<SourceKey, Booking>,
}

impl DemoClinic {
    /// Opens the doors at `now`: books and lines are filled at once, and the rooms begin to call.
    pub fn new(
        seed: u64,
        pace: Pace,
        now: Millis,
        location: LocationId,
        standing: DemoLines,
    ) -> Self {
        let mut clinic = Self {
            queues: plan::queues(&location),
            stations: plan::stations(&location),
            location,
            pace,
            chance: Chance::new(seed),
            now,
            due: BTreeMap::new(),
            planned: 0,
            people: BTreeMap::new(),
            rooms: Vec::new(),
            books: Vec::new(),
            taken: BTreeSet::new(),
            bookings: BTreeMap::new(),
        };
        clinic.rooms = (0..ROOMS.len()).map(|_| Room::new(clinic.next_break())).collect();
        let mut free = vec![true; ROOMS.len()];
        for (queue, entries) in standing {
            let Some(queue) = clinic.queues.iter().position(|known| *known == queue) else {
                continue;
            };
            for (ticket, entry) in entries {
                if let Some(room) = clinic.adopt(queue, ticket, &entry) {
                    free[room] = false;
                }
            }
        }
        clinic.open_books();
        clinic.fill_lines();
        for queue in 0..QUEUES.len() {
            clinic.plan(0.5, Happening::LooksIn(queue));
        }
        for room in (0..ROOMS.len()).filter(|room| free[*room]) {
            clinic.plan_between(0.1, 3.0, Happening::RoomIsFree(room));
        }
        clinic.plan_at(plan::day_ends(now), Happening::DayEnds);
        clinic
    }

    fn fill_lines(&mut self) {
        for place in 0..USUAL_LINE {
            for queue in (0..QUEUES.len())
                .filter(|queue| self.waiting(*queue) + place < USUAL_LINE)
                .collect::<Vec<_>>()
            {
                self.plan(0.0, Happening::Arrives(queue));
            }
        }
    }

    /// Ends the service day: the location has ended every ticket, and the next day begins like the
    /// first one.
    fn next_day(&mut self) {
        self.people.clear();
        self.due.retain(|_, next| !matches!(next, Happening::RoomIsFree(_)));
        for room in (0..ROOMS.len()).filter(|room| !self.rooms[*room].closed).collect::<Vec<_>>() {
            self.plan_between(0.1, 3.0, Happening::RoomIsFree(room));
        }
        self.fill_lines();
        self.plan_at(plan::day_ends(self.now), Happening::DayEnds);
    }

    /// The time of the next event.
    pub fn next_due(&self) -> Millis {
        self.due.first_key_value().map_or(Millis::MAX, |((at, _), _)| *at)
    }

    /// The next command due by `now`. Report its outcome by [`DemoClinic::learn`] before asking for
    /// the next one.
    pub fn step(&mut self, now: Millis) -> Option<Command> {
        while self.next_due() <= now {
            let ((at, _), happening) = self.due.pop_first()?;
            self.now = at;
            if let Some(command) = self.act(happening) {
                return Some(command);
            }
        }
        None
    }

    /// Shifts the plans of people after a standstill of this length that ended at `now`.
    /// Appointments keep their times; patients who should have come more than a minute ago did not.
    pub fn stood_still(&mut self, lag: Millis, now: Millis) {
        for ((at, order), happening) in std::mem::take(&mut self.due) {
            use Happening as H;
            let at = match happening {
                H::Tells(..) | H::ChecksIn(_) if at < now - MINUTE => continue,
                H::Tells(..) | H::ChecksIn(_) | H::Books(_) | H::Forgotten(_) | H::DayEnds => at,
                _ => at + lag,
            };
            self.due.insert((at, order), happening);
        }
        for (plan, slot) in DOCTORS.iter().zip(&mut self.books) {
            *slot = (*slot).max(appointments::slot_after(now, plan.slot(self.pace)));
        }
        self.taken.retain(|(doctor, start)| *start >= self.books[*doctor]);
    }

    /// Takes over the people in the queues at `now`. A patient whom another person called is served
    /// too.
    pub fn notice(&mut self, now: Millis, standing: &DemoLines) {
        self.now = self.now.max(now);
        for (queue, entries) in standing {
            let Some(queue) = self.queues.iter().position(|known| known == queue) else {
                continue;
            };
            for (ticket, entry) in entries {
                let left_alone = entry.called_at.is_some_and(|at| at <= now - LEFT_ALONE);
                if entry.state == TicketState::Called && left_alone && !self.is_busy(ticket) {
                    // Another person uses the room, so it does not become free.
                    self.called(queue, ticket, None);
                }
            }
        }
    }

    /// How many wait in a queue (an index into [`QUEUES`]).
    pub fn waiting(&self, queue: usize) -> usize {
        self.people
            .values()
            .filter(|person| person.queue == queue && person.place == Place::Waiting)
            .count()
    }

    /// The waiting people, the last to arrive first: they will wait longest.
    pub fn tickets(&self) -> Vec<TicketId> {
        let mut waiting: Vec<_> =
            self.people.iter().filter(|(_, person)| person.place == Place::Waiting).collect();
        waiting.sort_by_key(|(_, person)| std::cmp::Reverse(person.joined));
        waiting.into_iter().map(|(ticket, _)| ticket.clone()).collect()
    }

    /// The size of the model: people, appointments and planned events.
    pub fn remembered(&self) -> usize {
        self.people.len() + self.bookings.len() + self.taken.len() + self.due.len()
    }

    fn plan(&mut self, minutes: f64, happening: Happening) {
        self.plan_at(self.now + self.pace.ms(minutes), happening);
    }

    fn plan_between(&mut self, low: f64, high: f64, happening: Happening) {
        let minutes = self.chance.between(low, high);
        self.plan(minutes, happening);
    }

    fn plan_at(&mut self, at: Millis, happening: Happening) {
        self.planned += 1;
        self.due.insert((at.max(self.now), self.planned), happening);
    }

    fn act(&mut self, happening: Happening) -> Option<Command> {
        match happening {
            Happening::Arrives(queue) => Some(self.arrival(queue)),
            Happening::LooksIn(queue) => self.look_in(queue),
            Happening::RoomIsFree(room) => Some(self.room_is_free(room)),
            Happening::BreakEnds(room) => {
                Some(Command::OpenStation { station: self.stations[room].clone() })
            }
            Happening::Books(doctor) => self.next_slot(doctor),
            Happening::Tells(key, news) => self.news(&key, news),
            Happening::ChecksIn(key) => self.check_in(&key),
            Happening::Forgotten(key) => self.forget(key),
            Happening::DayEnds => {
                self.next_day();
                None
            }
            of_a_ticket => self.act_on_ticket(of_a_ticket),
        }
    }

    /// Takes the outcome of a command.
    pub fn learn(&mut self, command: &Command, verdict: &Verdict) {
        match verdict {
            Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => {
                self.applied(command, result);
            }
            Verdict::Refused { code } => self.refused(command, *code),
        }
        // At a closed queue the next person would be refused too.
        let shut = matches!(command, Command::IssueTicket { .. })
            && matches!(verdict, Verdict::Refused { .. });
        for queue in (0..QUEUES.len()).filter(|_| !shut) {
            let now = self.due.range(..=(self.now, u64::MAX));
            let coming = now
                .filter(|(_, next)| matches!(next, Happening::Arrives(to) if *to == queue))
                .count();
            if self.waiting(queue) + coming < SHORTEST_LINE {
                self.plan(0.0, Happening::Arrives(queue));
            }
        }
    }

    fn applied(&mut self, command: &Command, result: &CommandResult) {
        match command {
            Command::ReportAppointment { fact, .. } => self.told(fact, result),
            Command::CheckIn { appointment, .. } => {
                if let Some(ticket) = &result.ticket {
                    self.checked_in(appointment, ticket);
                }
            }
            Command::OpenStation { station } => self.opened(station),
            Command::CloseStation { station } => self.closed(station, (10.0, 20.0)),
            Command::CallNext { queue, station, .. } => {
                let queue = self.queues.iter().position(|known| known == queue);
                if let (Some(queue), Some(ticket)) = (queue, &result.ticket) {
                    self.called(queue, ticket, self.room_of(station));
                }
            }
            Command::CallTicket { ticket, station, .. } => {
                let queue = self.people.get(ticket).map_or(0, |person| person.queue);
                self.called(queue, ticket, self.room_of(station));
            }
            of_a_ticket => self.ticket_moved(of_a_ticket, result),
        }
    }

    /// Handles a refusal: another person was faster, or has closed the queue.
    fn refused(&mut self, command: &Command, code: Code) {
        match command {
            Command::ReportAppointment { fact, .. } => drop(self.bookings.remove(&fact.key)),
            Command::CheckIn { appointment, .. } => self.not_checked_in(appointment, code),
            Command::IssueTicket { .. } => {}
            Command::CallNext { queue, station, .. } => {
                if code == Code::QueueEmpty {
                    // Others called the people who seemed to wait.
                    let queue = self.queues.iter().position(|known| known == queue);
                    self.people.retain(|_, person| {
                        Some(person.queue) != queue || person.place != Place::Waiting
                    });
                }
                self.not_called(station, code);
            }
            Command::CallTicket { ticket, station, .. } => {
                if !matches!(code, Code::StationClosed | Code::StationBusy | Code::QueuePaused) {
                    self.gone(ticket);
                }
                self.not_called(station, code);
            }
            Command::OpenStation { station } => self.opened(station),
            Command::CloseStation { station } => self.closed(station, (10.0, 20.0)),
            // Another person serves the patient now; the room continues.
            other => {
                if let Some(ticket) = other.ticket() {
                    self.gone(ticket);
                }
            }
        }
    }
}
