//! The clinic's day as a pure model: what happens next, decided by chance and by what became of what happened
//! before. It never asks for a move its own knowledge forbids, and believes the outcome, not itself: other
//! people may work in the same clinic.

use std::collections::BTreeMap;

use schemas::{
    Millis,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    ids::{LocationId, QueueId, StationId, TicketId},
    line::QueueEntry,
    ticket::{Priority, TicketState},
};

use super::{
    chance::Chance,
    plan::{self, QUEUES, ROOMS, SIGMA},
};

/// People in each line when the doors open, and about as many as will wait in it ever after.
pub const USUAL_LINE: usize = 12;
/// Below this somebody comes at once: a demo never shows an empty line.
const SHORTEST_LINE: usize = 3;
/// Past this nobody joins: people see the line and turn away.
const LONGEST_LINE: usize = 2 * USUAL_LINE;

/// Minutes of the clinic.
const MINUTE: f64 = 60_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    Called(Option<usize>),
    Served(Option<usize>),
    /// On hold, or absent.
    Away,
}

#[derive(Debug)]
struct Person {
    queue: usize,
    place: Place,
    /// Was absent once: comes at the next call.
    returned: bool,
    /// Order of joining.
    joined: u64,
}

/// What may occur to somebody who waits.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Leaves,
    CallsOff,
    SetAside,
    GetsWorse,
}

#[derive(Debug)]
enum Happening {
    /// Somebody takes a ticket.
    Arrives(usize),
    /// Somebody looks in, and stays unless the line is long.
    LooksIn(usize),
    /// The time of an appointment draws near.
    Booked(usize),
    RoomIsFree(usize),
    Comes(TicketId),
    DoesNotCome(TicketId),
    GivenUp(TicketId),
    Done(TicketId),
    HoldEnds(TicketId),
    IsBack(TicketId),
    NeverCame(TicketId),
    Turns(TicketId, Turn),
}

/// Who stood in a queue before the demo began.
pub type Standing = Vec<(QueueId, Vec<(TicketId, QueueEntry)>)>;

/// The model. Its time is milliseconds since the doors opened.
#[derive(Debug)]
pub struct Clinic {
    location: LocationId,
    queues: Vec<QueueId>,
    stations: Vec<StationId>,
    chance: Chance,
    now: Millis,
    /// By time, then in the order they were planned.
    due: BTreeMap<(Millis, u64), Happening>,
    planned: u64,
    people: BTreeMap<TicketId, Person>,
}

impl Clinic {
    /// Opens the doors: the lines are filled up at once, and the rooms begin to call.
    pub fn new(seed: u64, location: LocationId, standing: Standing) -> Self {
        let mut clinic = Self {
            queues: plan::queues(&location),
            stations: plan::stations(&location),
            location,
            chance: Chance::new(seed),
            now: 0,
            due: BTreeMap::new(),
            planned: 0,
            people: BTreeMap::new(),
        };
        let mut free = [true; ROOMS.len()];
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
        for place in 0..USUAL_LINE {
            for queue in (0..QUEUES.len())
                .filter(|queue| clinic.waiting(*queue) + place < USUAL_LINE)
                .collect::<Vec<_>>()
            {
                clinic.plan(0.0, Happening::Arrives(queue));
            }
        }
        for (queue, plan) in QUEUES.iter().enumerate() {
            clinic.plan(0.5, Happening::LooksIn(queue));
            if plan.booked_every.is_some() {
                clinic.plan(1.0, Happening::Booked(queue));
            }
        }
        for room in (0..ROOMS.len()).filter(|room| free[*room]) {
            let ready = clinic.chance.between(0.1, 3.0);
            clinic.plan(ready, Happening::RoomIsFree(room));
        }
        clinic
    }

    /// Takes over somebody who was there before; answers the room they occupy.
    fn adopt(&mut self, queue: usize, ticket: TicketId, entry: &QueueEntry) -> Option<usize> {
        let room = entry.station.as_ref().and_then(|name| ROOMS.iter().position(|room| room.name == name));
        let (place, next) = match entry.state {
            TicketState::Waiting => (Place::Waiting, None),
            TicketState::Called => (Place::Called(room), Some((1.0, Happening::Comes(ticket.clone())))),
            TicketState::InService => {
                let rest = self.service(queue) / 2.0;
                (Place::Served(room), Some((rest, Happening::Done(ticket.clone()))))
            }
            TicketState::OnHold => (Place::Away, Some((3.0, Happening::HoldEnds(ticket.clone())))),
            TicketState::Absent => (Place::Away, Some((3.0, Happening::IsBack(ticket.clone())))),
            _ => return None,
        };
        if let Some((minutes, happening)) = next {
            self.plan(minutes, happening);
        }
        self.planned += 1;
        self.people.insert(ticket, Person { queue, place, returned: true, joined: self.planned });
        if matches!(place, Place::Called(_) | Place::Served(_)) { room } else { None }
    }

    /// When something happens next.
    pub fn next_due(&self) -> Millis {
        self.due.first_key_value().map_or(Millis::MAX, |((at, _), _)| *at)
    }

    /// The next command due by `now`. Its outcome is to be told by [`Clinic::learn`] before the next is asked for.
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

    /// How many wait in a queue (an index into [`QUEUES`]).
    pub fn waiting(&self, queue: usize) -> usize {
        self.people.values().filter(|person| person.queue == queue && person.place == Place::Waiting).count()
    }

    /// Who waits, the last to come first: they will be waiting longest.
    pub fn tickets(&self) -> Vec<TicketId> {
        let mut waiting: Vec<_> =
            self.people.iter().filter(|(_, person)| person.place == Place::Waiting).collect();
        waiting.sort_by_key(|(_, person)| std::cmp::Reverse(person.joined));
        waiting.into_iter().map(|(ticket, _)| ticket.clone()).collect()
    }

    fn plan(&mut self, minutes: f64, happening: Happening) {
        let at = self.now + (minutes * MINUTE) as Millis;
        self.planned += 1;
        self.due.insert((at, self.planned), happening);
    }

    fn plan_between(&mut self, low: f64, high: f64, happening: Happening) {
        let minutes = self.chance.between(low, high);
        self.plan(minutes, happening);
    }

    /// Minutes of one service in a queue.
    fn service(&mut self, queue: usize) -> f64 {
        self.chance.log_normal(QUEUES[queue].service, SIGMA)
    }

    fn place(&self, ticket: &TicketId) -> Option<Place> {
        self.people.get(ticket).map(|person| person.place)
    }

    fn act(&mut self, happening: Happening) -> Option<Command> {
        match happening {
            Happening::Arrives(queue) => Some(self.arrival(queue)),
            Happening::LooksIn(queue) => self.look_in(queue),
            Happening::Booked(queue) => self.booked(queue),
            Happening::RoomIsFree(room) => {
                let (queue, station) = (self.queues[ROOMS[room].queue].clone(), self.stations[room].clone());
                Some(Command::CallNext { queue, station })
            }
            Happening::Comes(ticket) => {
                matches!(self.place(&ticket)?, Place::Called(_)).then_some(Command::StartService { ticket })
            }
            Happening::DoesNotCome(ticket) => {
                matches!(self.place(&ticket)?, Place::Called(_)).then_some(Command::RecallTicket { ticket })
            }
            Happening::GivenUp(ticket) => {
                let missed = self.chance.happens(0.35);
                let called = matches!(self.place(&ticket)?, Place::Called(_));
                called.then_some(if missed {
                    Command::MarkNoShow { ticket }
                } else {
                    Command::MarkAbsent { ticket }
                })
            }
            Happening::Done(ticket) => self.done(ticket),
            Happening::HoldEnds(ticket) => {
                (self.place(&ticket)? == Place::Away).then_some(Command::ResumeTicket { ticket })
            }
            Happening::IsBack(ticket) => {
                (self.place(&ticket)? == Place::Away).then_some(Command::ReturnTicket { ticket })
            }
            Happening::NeverCame(ticket) => {
                (self.place(&ticket)? == Place::Away).then_some(Command::MarkNoShow { ticket })
            }
            Happening::Turns(ticket, turn) => {
                (self.place(&ticket)? == Place::Waiting).then(|| turned(ticket, turn))
            }
        }
    }

    fn arrival(&mut self, queue: usize) -> Command {
        let urgent = self.chance.happens(0.05);
        let priority = if urgent { 5 + u8::from(self.chance.happens(0.3)) } else { 0 };
        Command::IssueTicket {
            queue: self.queues[queue].clone(),
            // A proposal: over HTTP the gateway chooses the id, from a better source.
            ticket: TicketId::from_random(&self.location, self.chance.bits()),
            priority: Priority::new(priority).unwrap_or_default(),
        }
    }

    /// A Poisson stream, thinned by the length of the line so that it swings around its usual length: as many
    /// join as are served when the line is usual, twice as many when it is empty, nobody when it is too long.
    fn look_in(&mut self, queue: usize) -> Option<Command> {
        let plan = &QUEUES[queue];
        let rooms = ROOMS.iter().filter(|room| room.queue == queue).count() as f64;
        // Between two people a room also waits for the one to come and is made ready for the next.
        let turn = plan.service * (SIGMA * SIGMA / 2.0).exp() + 2.0;
        let booked = plan.booked_every.map_or(0.0, |minutes| 0.9 / minutes);
        let per_minute = 2.0 * (rooms / turn - booked).max(0.01);
        let gap = self.chance.exponential(1.0 / per_minute);
        self.plan(gap, Happening::LooksIn(queue));
        let stays = 1.0 - self.waiting(queue) as f64 / LONGEST_LINE as f64;
        self.chance.happens(stays).then(|| self.arrival(queue))
    }

    /// One in ten does not keep an appointment; the others come some minutes before or after it.
    fn booked(&mut self, queue: usize) -> Option<Command> {
        self.plan(QUEUES[queue].booked_every?, Happening::Booked(queue));
        if self.waiting(queue) < LONGEST_LINE && self.chance.happens(0.9) {
            self.plan_between(0.0, 12.0, Happening::Arrives(queue));
        }
        None
    }

    fn done(&mut self, ticket: TicketId) -> Option<Command> {
        let person = self.people.get(&ticket)?;
        let Place::Served(_) = person.place else {
            return None;
        };
        if let Some((queue, share)) = QUEUES[person.queue].onwards
            && self.chance.happens(share)
        {
            return Some(Command::TransferTicket {
                ticket,
                queue: self.queues[queue].clone(),
                successor: None,
            });
        }
        Some(Command::CompleteTicket { ticket })
    }

    /// What became of a command.
    pub fn learn(&mut self, command: &Command, verdict: &Verdict) {
        match verdict {
            Verdict::Applied { result, .. } => self.applied(command, result),
            // A queue that is closed: the next person would only stand before the same door.
            Verdict::Refused { .. } if matches!(command, Command::IssueTicket { .. }) => return,
            Verdict::Refused { code } => self.refused(command, *code),
        }
        for queue in 0..QUEUES.len() {
            let now = self.due.range(..=(self.now, u64::MAX));
            let coming =
                now.filter(|(_, next)| matches!(next, Happening::Arrives(to) if *to == queue)).count();
            if self.waiting(queue) + coming < SHORTEST_LINE {
                self.plan(0.0, Happening::Arrives(queue));
            }
        }
    }

    fn applied(&mut self, command: &Command, result: &CommandResult) {
        match command {
            Command::IssueTicket { queue, ticket, .. } => {
                let Some(queue) = self.queues.iter().position(|known| known == queue) else {
                    return;
                };
                let ticket = result.ticket.as_ref().unwrap_or(ticket).clone();
                self.planned += 1;
                let person = Person { queue, place: Place::Waiting, returned: false, joined: self.planned };
                self.people.insert(ticket.clone(), person);
                self.plan_turn(ticket);
            }
            Command::CallNext { queue, station } => {
                let queue = self.queues.iter().position(|known| known == queue);
                let room = self.stations.iter().position(|known| known == station);
                if let (Some(queue), Some(ticket)) = (queue, &result.ticket) {
                    self.called(queue, ticket, room);
                }
            }
            Command::RecallTicket { ticket } => {
                if self.comes_when_called(ticket, 0.6) {
                    self.plan_between(0.2, 0.8, Happening::Comes(ticket.clone()));
                } else {
                    self.plan(1.5, Happening::GivenUp(ticket.clone()));
                }
            }
            Command::StartService { ticket } => self.started(ticket),
            Command::CompleteTicket { ticket }
            | Command::MarkNoShow { ticket }
            | Command::CancelTicket { ticket, .. }
            | Command::LeaveTicket { ticket } => self.gone(ticket),
            Command::TransferTicket { ticket, queue, .. } => self.moved(ticket, queue),
            Command::HoldTicket { ticket, .. } => {
                self.put(ticket, Place::Away);
                self.plan_between(4.0, 10.0, Happening::HoldEnds(ticket.clone()));
            }
            Command::MarkAbsent { ticket } => {
                self.put(ticket, Place::Away);
                if self.chance.happens(0.75) {
                    self.plan_between(2.0, 7.0, Happening::IsBack(ticket.clone()));
                } else {
                    self.plan(8.0, Happening::NeverCame(ticket.clone()));
                }
            }
            Command::ResumeTicket { ticket } | Command::ReturnTicket { ticket } => {
                self.put(ticket, Place::Waiting);
                if let Some(person) = self.people.get_mut(ticket) {
                    person.returned = true;
                }
            }
            _ => {}
        }
    }

    /// Somebody else's hand was quicker, or the queue is paused.
    fn refused(&mut self, command: &Command, code: Code) {
        if let Command::CallNext { queue, station } = command {
            let queue = self.queues.iter().position(|known| known == queue);
            if code == Code::QueueEmpty {
                // Others called those who seemed to wait.
                self.people.retain(|_, person| Some(person.queue) != queue || person.place != Place::Waiting);
            }
            if let Some(room) = self.stations.iter().position(|known| known == station) {
                self.plan_between(0.5, 1.0, Happening::RoomIsFree(room));
            }
        } else if let Some(ticket) = command.ticket() {
            // Theirs now; the room goes on.
            self.gone(ticket);
        }
    }

    /// One in eight has something else in mind than to wait.
    fn plan_turn(&mut self, ticket: TicketId) {
        let (turn, low, high) = match self.chance.between(0.0, 1.0) {
            x if x < 0.03 => (Turn::Leaves, 15.0, 40.0),
            x if x < 0.05 => (Turn::CallsOff, 5.0, 30.0),
            x if x < 0.09 => (Turn::SetAside, 2.0, 15.0),
            x if x < 0.12 => (Turn::GetsWorse, 3.0, 15.0),
            _ => return,
        };
        self.plan_between(low, high, Happening::Turns(ticket, turn));
    }

    fn called(&mut self, queue: usize, ticket: &TicketId, room: Option<usize>) {
        // Somebody unknown was put in line by other hands; here they are treated like the rest.
        let person = Person { queue, place: Place::Waiting, returned: false, joined: self.planned };
        self.people.entry(ticket.clone()).or_insert(person).place = Place::Called(room);
        if self.comes_when_called(ticket, 0.88) {
            self.plan_between(0.3, 1.2, Happening::Comes(ticket.clone()));
        } else {
            self.plan(1.5, Happening::DoesNotCome(ticket.clone()));
        }
    }

    fn comes_when_called(&mut self, ticket: &TicketId, probability: f64) -> bool {
        self.people.get(ticket).is_some_and(|person| person.returned) || self.chance.happens(probability)
    }

    fn started(&mut self, ticket: &TicketId) {
        let Some(person) = self.people.get_mut(ticket) else {
            return;
        };
        if let Place::Called(room) = person.place {
            person.place = Place::Served(room);
        }
        let queue = person.queue;
        let minutes = self.service(queue);
        self.plan(minutes, Happening::Done(ticket.clone()));
    }

    fn moved(&mut self, ticket: &TicketId, queue: &QueueId) {
        self.put(ticket, Place::Waiting);
        let queue = self.queues.iter().position(|known| known == queue);
        if let (Some(queue), Some(person)) = (queue, self.people.get_mut(ticket)) {
            person.queue = queue;
        }
    }

    fn gone(&mut self, ticket: &TicketId) {
        self.put(ticket, Place::Away);
        self.people.remove(ticket);
    }

    /// Moves a person; the room they leave is made ready for the next.
    fn put(&mut self, ticket: &TicketId, place: Place) {
        let Some(person) = self.people.get_mut(ticket) else {
            return;
        };
        if let Place::Called(Some(room)) | Place::Served(Some(room)) =
            std::mem::replace(&mut person.place, place)
        {
            self.plan_between(0.3, 1.3, Happening::RoomIsFree(room));
        }
    }
}

fn turned(ticket: TicketId, turn: Turn) -> Command {
    match turn {
        Turn::Leaves => Command::LeaveTicket { ticket },
        Turn::CallsOff => Command::CancelTicket { ticket, reason: Some("Called off at the desk".into()) },
        Turn::SetAside => Command::HoldTicket { ticket, reason: Some("Waiting for results".into()) },
        Turn::GetsWorse => Command::Prioritise { ticket, priority: Priority::new(3).unwrap_or_default() },
    }
}
