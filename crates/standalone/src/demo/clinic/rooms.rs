//! Rooms: the patients they call, and the breaks of their staff.

use schemas::{
    Millis,
    codes::Code,
    command::Command,
    ids::{StationId, TicketId},
};

use super::{
    super::plan::{DOCTORS, ROOMS},
    DemoClinic, Happening,
    people::Place,
};

/// Minutes before its time at which an appointment may begin.
const EARLY: f64 = 5.0;
/// Minutes after its time at which a colleague takes an appointment before people without one.
const OVERDUE: f64 = 10.0;
/// Minutes after which a room that another person closed is opened again.
const CLOSED_BY_OTHERS: (f64, f64) = (10.0, 10.0);

#[derive(Debug)]
pub(super) struct Room {
    /// On a break, or closed by another person.
    pub(super) closed: bool,
    break_at: Millis,
}

impl Room {
    pub(super) fn new(break_at: Millis) -> Self {
        Self { closed: false, break_at }
    }
}

impl DemoClinic {
    pub(super) fn next_break(&mut self) -> Millis {
        let minutes = self.chance.between(40.0, 130.0);
        self.now + self.pace.ms(minutes)
    }

    /// A break, if it is time; otherwise the doctor's own patient, if present; otherwise the first
    /// in line.
    pub(super) fn room_is_free(&mut self, room: usize) -> Command {
        let station = self.stations[room].clone();
        if self.now >= self.rooms[room].break_at && !self.is_line_left_alone_by(room) {
            return Command::CloseStation { station };
        }
        match self.expected_in(room) {
            Some(ticket) => Command::CallTicket { ticket, station, force: false },
            None => {
                let queue = self.queues[ROOMS[room].queue].clone();
                Command::CallNext { queue, station, force: false }
            }
        }
    }

    /// Whether a queue already lacks a room: only one room of a queue is on a break at a time.
    fn is_line_left_alone_by(&self, room: usize) -> bool {
        let mut others = ROOMS.iter().zip(&self.rooms);
        others.any(|(other, state)| other.queue == ROOMS[room].queue && state.closed)
    }

    /// The next appointment for that room: the earliest one that is due, the doctor's own before
    /// those of a late colleague.
    fn expected_in(&self, room: usize) -> Option<TicketId> {
        let doctor = DOCTORS.iter().position(|doctor| doctor.room == room)?;
        let (soon, overdue) = (self.now + self.pace.ms(EARLY), self.now - self.pace.ms(OVERDUE));
        let waiting = self.people.iter().filter(|(_, person)| person.place == Place::Waiting);
        let booked = waiting.filter_map(|(ticket, person)| Some((person.booked?, ticket)));
        let due = booked.filter(|((with, start), _)| {
            let since = if *with == doctor { soon } else { overdue };
            *start <= since
        });
        due.min_by_key(|((with, start), _)| (*with != doctor, *start))
            .map(|(_, ticket)| ticket.clone())
    }

    pub(super) fn room_of(&self, station: &StationId) -> Option<usize> {
        self.stations.iter().position(|known| known == station)
    }

    /// A call was refused: the room tries again soon, or once its queue is open.
    pub(super) fn not_called(&mut self, station: &StationId, code: Code) {
        if code == Code::StationClosed {
            self.closed(station, CLOSED_BY_OTHERS);
        } else if let Some(room) = self.room_of(station) {
            self.plan_between(0.5, 1.0, Happening::RoomIsFree(room));
        }
    }

    /// Closes the room for this many minutes.
    pub(super) fn closed(&mut self, station: &StationId, (low, high): (f64, f64)) {
        if let Some(room) = self.room_of(station).filter(|room| !self.rooms[*room].closed) {
            self.rooms[room].closed = true;
            self.plan_between(low, high, Happening::BreakEnds(room));
        }
    }

    pub(super) fn opened(&mut self, station: &StationId) {
        if let Some(room) = self.room_of(station).filter(|room| self.rooms[*room].closed) {
            self.rooms[room] = Room::new(self.next_break());
            self.plan_between(0.1, 0.5, Happening::RoomIsFree(room));
        }
    }
}
