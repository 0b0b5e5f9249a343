//! Random commands for a few queues, rooms and tickets.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::{
    branding::{Branding, Colour},
    privacy::{BoardPrivacy, LinePrivacy, Privacy},
};

use super::*;

pub(super) const QUEUES: [&str; 3] = ["general", "lab", "x-ray"];
pub(super) const ROOMS: [&str; 3] = ["room-1", "room-2", "room-3"];
/// The number of tickets issued at the desk.
const TICKETS: u128 = 12;
const APPOINTMENTS: u128 = 8;

/// Timers with a long window, so that many check-ins succeed.
pub(super) fn timers() -> Timers {
    Timers { check_in_early_s: 6 * 60 * 60, ..Timers::default() }
}

/// The next command as plain values, so that a failing history is readable.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    kind: &'static str,
    ticket: u128,
    others: Vec<u128>,
    slug: &'static str,
    room: &'static str,
    number: u8,
    pub(super) pause: Millis,
    pub(super) good_for: Option<Millis>,
}

/// The weight of each kind: enough tickets and calls that the moves find a ticket.
const KINDS: [(u32, &str); 46] = [
    (12, "appointment.report"),
    (8, "appointment.check_in"),
    (3, "appointment.undo_check_in"),
    (3, "location.tick"),
    (2, "station.open"),
    (2, "station.close"),
    (14, "ticket.issue"),
    (10, "queue.call_next"),
    (4, "station.call_next"),
    (1, "queue.remove"),
    (5, "ticket.start"),
    (4, "ticket.call"),
    (3, "ticket.complete"),
    (4, "ticket.absent"),
    (4, "ticket.hold"),
    (4, "ticket.revert"),
    (3, "queue.reorder"),
    (3, "ticket.recall"),
    (3, "ticket.resume"),
    (3, "ticket.return"),
    (3, "ticket.transfer"),
    (2, "ticket.prioritise"),
    (1, "ticket.no_show"),
    (1, "ticket.cancel"),
    (1, "ticket.leave"),
    (4, "ticket.yield"),
    (3, "ticket.transfer elsewhere"),
    (3, "ticket.settle"),
    (4, "appointment.settle"),
    (2, "appointment.receive"),
    (1, "ticket.receive"),
    (1, "ticket.withdraw"),
    (1, "queue.configure"),
    (1, "location.change_privacy"),
    (1, "location.change_messages"),
    (1, "location.change_branding"),
    (1, "location.order_queues"),
    (2, "station.configure"),
    (1, "station.remove"),
    (1, "location.configure"),
    (1, "queue.open"),
    (1, "queue.open"),
    (1, "queue.resume"),
    (1, "queue.resume"),
    (1, "queue.pause"),
    (1, "queue.close"),
];

pub(super) fn command(pick: &Pick) -> Command {
    use Command as C;
    let (ticket, queue, station) = (ticket(of_ticket(pick)), queue(pick.slug), station(pick.room));
    let flag = pick.number.is_multiple_of(2);
    let reason = flag.then(|| "x-ray first".to_owned());
    match pick.kind {
        "appointment.report" => report(of_appointment(pick), any_fact(pick)),
        "appointment.check_in" => C::CheckIn {
            appointment: appointment(of_appointment(pick)),
            queue: flag.then_some(queue),
        },
        "appointment.undo_check_in" => {
            C::UndoCheckIn { appointment: appointment(of_appointment(pick)) }
        }
        "location.tick" => C::Tick {},
        "station.open" => C::OpenStation { station },
        "station.close" => C::CloseStation { station },
        "ticket.issue" => C::IssueTicket { queue, ticket, priority: priority(pick.number % 3) },
        "queue.call_next" => C::CallNext { queue, station, force: flag },
        "station.call_next" => C::CallNextAtStation { station, force: !flag },
        "queue.remove" => C::RemoveQueue { queue, move_to: other_queue(pick) },
        "ticket.start" => C::StartService { ticket },
        "ticket.call" => C::CallTicket { ticket, station, force: flag },
        "ticket.complete" => C::CompleteTicket { ticket },
        "ticket.absent" => C::MarkAbsent { ticket },
        "ticket.hold" => C::HoldTicket { ticket, reason },
        "ticket.revert" => C::RevertTicket { ticket },
        "queue.reorder" => C::ReorderQueue { queue, tickets: tickets(&pick.others) },
        "ticket.recall" => C::RecallTicket { ticket },
        "ticket.resume" => C::ResumeTicket { ticket },
        "ticket.return" => C::ReturnTicket { ticket },
        "ticket.transfer" => C::TransferTicket { ticket, queue },
        "ticket.prioritise" => {
            C::Prioritise { ticket, priority: priority(pick.number % 3), reason }
        }
        "ticket.no_show" => C::MarkNoShow { ticket },
        "ticket.cancel" => C::CancelTicket { ticket, reason },
        "ticket.leave" => C::LeaveTicket { ticket },
        "ticket.yield" => C::YieldTicket { ticket },
        "ticket.transfer elsewhere" => {
            C::TransferTicket { ticket, queue: QueueId::new("hillside.general").unwrap() }
        }
        "appointment.settle" => C::SettleAppointment {
            appointment: appointment(of_appointment(pick)),
            successor: appointment(of_appointment(pick)).moved_to(&hillside()),
            held: flag.then(|| appointment(of_appointment(pick)).moved_to(&hillside())),
            answer: answer(pick),
            question: None,
        },
        "appointment.receive" => C::ReceiveAppointment {
            appointment: appointment(of_appointment(pick)),
            fact: AppointmentFact { moved_to: None, ..any_fact(pick) },
            from: AppointmentId::from_random(&hillside(), of_appointment(pick)),
            hops: pick.number % 12,
            question: None,
        },
        "ticket.settle" => C::SettleTicket {
            successor: ticket.successor(&hillside(), u32::from(pick.number % 3)),
            ticket,
            answer: answer(pick),
        },
        "ticket.receive" => C::ReceiveTicket {
            ticket: arrival(pick),
            queue,
            priority: priority(pick.number % 3),
            from: TicketId::from_random(&hillside(), pick.ticket),
            until: MORNING + Millis::from(pick.number) * MINUTE,
        },
        "ticket.withdraw" => C::WithdrawTicket {
            ticket: arrival(pick),
            from: TicketId::from_random(&hillside(), pick.ticket),
        },
        "queue.configure" => C::ConfigureQueue {
            queue,
            name: format!("Queue {}", pick.number % 4),
            prefix: ["A", "B", "C", "D"][usize::from(pick.number % 4)].into(),
            service_s: flag.then_some(30 + 10 * u32::from(pick.number)),
            max_tickets: (!flag).then_some(1 + u32::from(pick.number) / 2),
            edition: None,
        },
        "station.remove" => C::RemoveStation { station },
        "station.configure" => C::ConfigureStation {
            station,
            name: format!("Room {}", pick.number % 4),
            queues: (!pick.number.is_multiple_of(3)).then(|| {
                let served = |(index, slug): (usize, &&str)| {
                    (pick.number >> index & 1 == 1).then(|| super::queue(slug))
                };
                QUEUES.iter().enumerate().filter_map(served).collect()
            }),
            edition: None,
        },
        "location.configure" => {
            let zones = ["Europe/Paris", "Pacific/Kiritimati", "Pacific/Honolulu"];
            let mut command = configure_with(zones[usize::from(pick.number % 3)], timers());
            if let C::ConfigureLocation { call_order, timers, address, .. } = &mut command {
                *address = (pick.number < 64).then(|| "1 River Street".to_owned());
                *call_order = [CallOrder::Arrival, CallOrder::Appointment][usize::from(flag)];
                timers.day_ends_tickets = pick.number < 128;
            }
            command
        }
        "location.change_privacy" => C::ChangePrivacy {
            privacy: Privacy {
                lines: LinePrivacy {
                    start: flag,
                    doctor: pick.number & 2 > 0,
                    name: pick.number & 4 > 0,
                },
                boards: BoardPrivacy {
                    waiting: pick.number & 8 > 0,
                    earlier: pick.number & 16 > 0,
                    doctor: pick.number & 32 > 0,
                    name: pick.number & 64 > 0,
                },
            },
            edition: None,
        },
        "location.change_messages" => {
            let text = format!("Message {}", pick.number % 4);
            let message = BTreeMap::from([("en".to_owned(), text)]);
            C::ChangeMessages { messages: vec![message; usize::from(flag)], edition: None }
        }
        "location.change_branding" => {
            let colour = flag.then(|| Colour::new(format!("#0000{:02x}", pick.number)).unwrap());
            C::ChangeBranding {
                branding: Branding { colour, ..Branding::default() },
                edition: None,
            }
        }
        "location.order_queues" => {
            let mut queues = QUEUES.map(super::queue).to_vec();
            queues.rotate_left(usize::from(pick.number % 3));
            C::OrderQueues { queues, edition: None }
        }
        "queue.open" => C::OpenQueue { queue },
        "queue.resume" => C::ResumeQueue { queue },
        "queue.pause" => C::PauseQueue { queue, message: reason },
        "queue.close" => C::CloseQueue { queue },
        other => panic!("no such kind: {other}"),
    }
}

/// The queue to which the tickets of a removed queue move, in most cases.
fn other_queue(pick: &Pick) -> Option<QueueId> {
    (pick.number >= 64).then(|| queue(QUEUES[usize::from(pick.number) % QUEUES.len()]))
}

fn hillside() -> LocationId {
    LocationId::new("hillside").unwrap()
}

/// A ticket that comes from the other location.
fn arrival(pick: &Pick) -> TicketId {
    ticket(1_000 + pick.ticket)
}

fn answer(pick: &Pick) -> HandoverAnswer {
    match pick.number % 5 {
        0 => HandoverAnswer::Refused(Code::QueueNotOpen),
        1 => HandoverAnswer::Kept,
        _ => HandoverAnswer::Accepted,
    }
}

/// The number of the appointment of a pick. The tickets of its visits have the numbers from there.
fn of_appointment(pick: &Pick) -> u128 {
    1_000 * (1 + pick.ticket % APPOINTMENTS)
}

/// The number of the ticket of a pick: issued at the desk, or of one of the first visits of an
/// appointment.
fn of_ticket(pick: &Pick) -> u128 {
    match pick.ticket {
        desk if desk < TICKETS => desk,
        _ => of_appointment(pick) + [0, 0, 1, 2][(pick.others[0] % 4) as usize],
    }
}

fn any_fact(pick: &Pick) -> AppointmentFact {
    let number = pick.number;
    let status = AppointmentStatus::ALL[usize::from(number) % AppointmentStatus::ALL.len()];
    // Most facts are bookings; otherwise no check-in would succeed.
    let status = if number < 140 { AppointmentStatus::Booked } else { status };
    // Most appointments are in the next hours, so that their patients can check in.
    let spread = if number < 140 { 3 } else { 11 };
    let start = MORNING + Millis::from(number) * spread * MINUTE;
    let queue = ["general", "lab"][usize::from(number) % 2];
    let moved_to = (number.is_multiple_of(17)).then(|| LocationId::new("hillside").unwrap());
    AppointmentFact {
        start: (!number.is_multiple_of(13)).then_some(start),
        end: (!number.is_multiple_of(13)).then_some(start + 20 * MINUTE),
        doctor: (!number.is_multiple_of(5))
            .then(|| doctor(["roy", "singh"][usize::from(number / 4) % 2])),
        // A fact names a queue of the location to which the appointment moves.
        queue: (!number.is_multiple_of(3) && moved_to.is_none()).then(|| super::queue(queue)),
        moved_to,
        ..fact(of_appointment(pick), u64::from(pick.others.iter().sum::<u128>() as u32), status)
    }
}

/// Mostly minutes, sometimes half a day, sometimes a broker whose clock goes back.
fn any_pause() -> impl Strategy<Value = Millis> {
    prop_oneof![8 => 0..20 * MINUTE, 1 => 0..12 * 60 * MINUTE, 1 => -MINUTE..0]
}

pub(super) fn pick() -> impl Strategy<Value = Pick> {
    let kinds = KINDS.map(|(weight, kind)| (weight, Just(kind).boxed()));
    (
        prop::strategy::Union::new_weighted(kinds.to_vec()),
        0..TICKETS + APPOINTMENTS,
        prop::collection::vec(0..TICKETS, 1..4),
        prop::sample::select(&QUEUES[..]),
        prop::sample::select(&ROOMS[..]),
        any::<u8>(),
        any_pause(),
        prop::option::weighted(0.1, -MINUTE..4 * MINUTE),
    )
        .prop_map(|(kind, ticket, others, slug, room, number, pause, good_for)| Pick {
            kind,
            ticket,
            others,
            slug,
            room,
            number,
            pause,
            good_for,
        })
}
