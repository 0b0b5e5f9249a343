//! People with a ticket: how they join a line, wait and leave.

use schemas::{
    Millis,
    command::{Command, CommandResult},
    ids::{QueueId, TicketId},
    line::QueueEntry,
    ticket::{Priority, TicketState},
};

use super::{
    super::plan::{self, DOCTORS, KEPT, QUEUES, ROOMS, SIGMA},
    DemoClinic, Happening, LONGEST_LINE,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    Called(Option<usize>),
    Served(Option<usize>),
    /// On hold or absent.
    Away,
}

#[derive(Debug)]
pub(super) struct Person {
    pub(super) queue: usize,
    pub(super) place: Place,
    /// Was absent once, and comes at the next call.
    pub(super) returned: bool,
    /// Order of joining.
    pub(super) joined: u64,
    /// The appointment with that doctor at that time.
    pub(super) booked: Option<(usize, Millis)>,
}

/// The decisions of a waiting person.
#[derive(Debug, Clone, Copy)]
pub(super) enum PatientDecision {
    Leaves,
    CallsOff,
    SetAside,
    GetsWorse,
}

impl DemoClinic {
    /// Takes over a person who was there before; returns the room that the person occupies.
    pub(super) fn adopt(
        &mut self,
        queue: usize,
        ticket: TicketId,
        entry: &QueueEntry,
    ) -> Option<usize> {
        let room =
            entry.station.as_ref().and_then(|name| ROOMS.iter().position(|room| room.name == name));
        let (place, next) = match entry.state {
            TicketState::Waiting => (Place::Waiting, None),
            TicketState::Called => {
                (Place::Called(room), Some((1.0, Happening::Comes(ticket.clone()))))
            }
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
        self.joins(ticket.clone(), queue, None);
        if let Some(person) = self.people.get_mut(&ticket) {
            (person.place, person.returned) = (place, true);
        }
        if matches!(place, Place::Called(_) | Place::Served(_)) { room } else { None }
    }

    pub(super) fn joins(
        &mut self,
        ticket: TicketId,
        queue: usize,
        booked: Option<(usize, Millis)>,
    ) {
        self.planned += 1;
        let person =
            Person { queue, place: Place::Waiting, returned: false, joined: self.planned, booked };
        self.people.insert(ticket, person);
    }

    /// Draws the minutes of one service in a queue.
    fn service(&mut self, queue: usize) -> f64 {
        self.chance.log_normal(QUEUES[queue].service, SIGMA)
    }

    fn place(&self, ticket: &TicketId) -> Option<Place> {
        self.people.get(ticket).map(|person| person.place)
    }

    /// Whether the person is called or served, as far as the model knows.
    pub(super) fn is_busy(&self, ticket: &TicketId) -> bool {
        matches!(self.place(ticket), Some(Place::Called(_) | Place::Served(_)))
    }

    pub(super) fn act_on_ticket(&mut self, happening: Happening) -> Option<Command> {
        match happening {
            Happening::Comes(ticket) => matches!(self.place(&ticket)?, Place::Called(_))
                .then_some(Command::StartService { ticket }),
            Happening::DoesNotCome(ticket) => matches!(self.place(&ticket)?, Place::Called(_))
                .then_some(Command::RecallTicket { ticket }),
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
            Happening::Expires(ticket) => {
                if self.place(&ticket)? == Place::Away {
                    self.gone(&ticket);
                }
                None
            }
            Happening::Turns(ticket, turn) => {
                (self.place(&ticket)? == Place::Waiting).then(|| turned(ticket, turn))
            }
            _ => None,
        }
    }

    pub(super) fn arrival(&mut self, queue: usize) -> Command {
        let urgent = self.chance.happens(0.05);
        let priority = if urgent { 5 + u8::from(self.chance.happens(0.3)) } else { 0 };
        Command::IssueTicket {
            queue: self.queues[queue].clone(),
            // A proposed id: over HTTP the gateway chooses it, from a better source.
            ticket: TicketId::from_random(&self.location, self.chance.bits()),
            priority: Priority::new(priority).unwrap_or_default(),
        }
    }

    /// Arrivals: a Poisson stream, thinned by the length of the line. With the usual line as many
    /// join as are served; with an empty line twice as many; with a too long line none.
    pub(super) fn look_in(&mut self, queue: usize) -> Option<Command> {
        let plan = &QUEUES[queue];
        let rooms = ROOMS.iter().filter(|room| room.queue == queue).count() as f64;
        // Between two people a room waits for the next one and is made ready.
        let turn = plan.service * (SIGMA * SIGMA / 2.0).exp() + 2.0;
        let doctors = DOCTORS.iter().filter(|doctor| ROOMS[doctor.room].queue == queue);
        let booked: f64 =
            doctors.map(|doctor| KEPT / self.pace.minutes(doctor.slot(self.pace))).sum();
        let per_minute = 2.0 * (rooms / turn - booked).max(0.01);
        let gap = self.chance.exponential(1.0 / per_minute);
        self.plan(gap, Happening::LooksIn(queue));
        let stays = 1.0 - self.waiting(queue) as f64 / LONGEST_LINE as f64;
        self.chance.happens(stays).then(|| self.arrival(queue))
    }

    fn done(&mut self, ticket: TicketId) -> Option<Command> {
        let person = self.people.get(&ticket)?;
        let Place::Served(_) = person.place else {
            return None;
        };
        if let Some((queue, share)) = QUEUES[person.queue].onwards
            && self.chance.happens(share)
        {
            return Some(Command::TransferTicket { ticket, queue: self.queues[queue].clone() });
        }
        Some(Command::CompleteTicket { ticket })
    }

    /// Takes the outcome of a ticket's own command.
    pub(super) fn ticket_moved(&mut self, command: &Command, result: &CommandResult) {
        match command {
            Command::IssueTicket { queue, ticket, .. } => {
                let Some(queue) = self.queues.iter().position(|known| known == queue) else {
                    return;
                };
                let ticket = result.ticket.as_ref().unwrap_or(ticket).clone();
                self.joins(ticket.clone(), queue, None);
                self.plan_turn(ticket);
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
            Command::MarkAbsent { ticket } => self.absent(ticket),
            Command::ResumeTicket { ticket } | Command::ReturnTicket { ticket } => {
                self.put(ticket, Place::Waiting);
                if let Some(person) = self.people.get_mut(ticket) {
                    person.returned = true;
                }
            }
            _ => {}
        }
    }

    /// Most absent people come back. The desk ends some of the others, the location's timer the
    /// rest.
    fn absent(&mut self, ticket: &TicketId) {
        self.put(ticket, Place::Away);
        match self.chance.between(0.0, 1.0) {
            x if x < 0.75 => self.plan_between(2.0, 7.0, Happening::IsBack(ticket.clone())),
            x if x < 0.88 => self.plan(8.0, Happening::NeverCame(ticket.clone())),
            _ => {
                let grace = Millis::from(plan::timers(self.pace).absent_grace_s) * 1000;
                self.plan_at(self.now + grace, Happening::Expires(ticket.clone()));
            }
        }
    }

    /// Plans the turn of a waiting person: one in eight leaves, is set aside or changes the queue.
    pub(super) fn plan_turn(&mut self, ticket: TicketId) {
        let (turn, low, high) = match self.chance.between(0.0, 1.0) {
            x if x < 0.03 => (PatientDecision::Leaves, 15.0, 40.0),
            x if x < 0.05 => (PatientDecision::CallsOff, 5.0, 30.0),
            x if x < 0.09 => (PatientDecision::SetAside, 2.0, 15.0),
            x if x < 0.12 => (PatientDecision::GetsWorse, 3.0, 15.0),
            _ => return,
        };
        self.plan_between(low, high, Happening::Turns(ticket, turn));
    }

    pub(super) fn called(&mut self, queue: usize, ticket: &TicketId, room: Option<usize>) {
        if !self.people.contains_key(ticket) {
            // Another person put an unknown patient in line, who is treated like all others.
            self.joins(ticket.clone(), queue, None);
        }
        self.put(ticket, Place::Called(room));
        if self.comes_when_called(ticket, 0.88) {
            self.plan_between(0.3, 1.2, Happening::Comes(ticket.clone()));
        } else {
            self.plan(1.5, Happening::DoesNotCome(ticket.clone()));
        }
    }

    fn comes_when_called(&mut self, ticket: &TicketId, probability: f64) -> bool {
        self.people.get(ticket).is_some_and(|person| person.returned)
            || self.chance.happens(probability)
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
            (person.queue, person.booked) = (queue, None);
        }
    }

    pub(super) fn gone(&mut self, ticket: &TicketId) {
        self.put(ticket, Place::Away);
        self.people.remove(ticket);
    }

    /// Moves a person; the room that they leave is made ready for the next one.
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

fn turned(ticket: TicketId, turn: PatientDecision) -> Command {
    match turn {
        PatientDecision::Leaves => Command::LeaveTicket { ticket },
        PatientDecision::CallsOff => {
            Command::CancelTicket { ticket, reason: Some("Called off at the desk".into()) }
        }
        PatientDecision::SetAside => {
            Command::HoldTicket { ticket, reason: Some("Waiting for results".into()) }
        }
        PatientDecision::GetsWorse => Command::Prioritise {
            ticket,
            priority: Priority::new(3).unwrap_or_default(),
            reason: None,
        },
    }
}
