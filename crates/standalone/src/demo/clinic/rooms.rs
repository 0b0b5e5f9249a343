//! Rooms: whom they call, and the breaks of those who work in them.

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
/// Minutes after its time at which a colleague sees the patient, rather than somebody without an appointment.
const OVERDUE: f64 = 10.0;
/// Minutes after which a room that other hands closed is opened again.
const CLOSED_BY_OTHERS: (f64, f64) = (10.0, 10.0);

#[derive(Debug)]
pub(super) struct Room {
    /// On a break, or closed by others.
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

    /// A break, if it is time; else the doctor's own patient, if one is there; else whoever is first in line.
    pub(super) fn room_is_free(&mut self, room: usize) -> Command {
        let station = self.stations[room].clone();
        if self.now >= self.rooms[room].break_at && !self.is_line_left_alone_by(room) {
            return Command::CloseStation { station };
        }
        match self.expected_in(room) {
            Some(ticket) => Command::CallTicket { ticket, station },
            None => Command::CallNext { queue: self.queues[ROOMS[room].queue].clone(), station },
        }
    }

    /// Whether a line already lacks a room: nobody goes on a break while somebody else is on one.
    fn is_line_left_alone_by(&self, room: usize) -> bool {
        let mut others = ROOMS.iter().zip(&self.rooms);
        others.any(|(other, state)| other.queue == ROOMS[room].queue && state.closed)
    }

    /// Who waits for an appointment in that room: the earliest of those whose time has come, the doctor's own before
    /// those a colleague is too late for.
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

    /// A call was refused: the room tries again soon, or once its door is open.
    pub(super) fn not_called(&mut self, station: &StationId, code: Code) {
        if code == Code::StationClosed {
            self.closed(station, CLOSED_BY_OTHERS);
        } else if let Some(room) = self.room_of(station) {
            self.plan_between(0.5, 1.0, Happening::RoomIsFree(room));
        }
    }

    /// The room is closed, for so many minutes.
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
