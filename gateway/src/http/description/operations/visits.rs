//! Operations on tickets and appointments.

use schemas::{appointment_report::AppointmentReport, codes::Code, push::PushDevice};

use super::location::{CALL, ISSUE};
use crate::http::{
    access::{ticket_links, ticket_qr},
    description::{
        answers as a,
        operation::{Access, Operation},
    },
    location::requests::bodies,
};

pub(super) fn operations() -> Vec<Operation> {
    [tickets(), actions(), appointments()].into_iter().flatten().collect()
}

const LINK: &[Code] = &[Code::TicketLinkUnknown, Code::TicketLinkEnded];

fn tickets() -> Vec<Operation> {
    let image = |path, id, kind| {
        Operation::read(path, id, "Draw the QR code of a ticket's link", "ticket.link")
            .query::<ticket_qr::TicketImageParams>()
            .answers_bytes("The image.", kind)
            .refuses(LINK)
    };
    vec![
        Operation::read(
            "/v1/tickets/{ticket}",
            "readTicket",
            "Read the place of one person",
            "ticket",
        )
        .answers::<a::TicketSnapshot>(200, "The place, the estimate and the call."),
        Operation::read(
            "/v1/tickets/{ticket}/link",
            "readTicketLink",
            "Read the link by which a patient holds the ticket",
            "ticket.link",
        )
        .answers::<a::LinkAnswer>(200, "The link.")
        .refuses(LINK),
        Operation::read(
            "/v1/tickets/{ticket}/alerts",
            "readAlertKey",
            "Read the key with which a browser subscribes to alerts",
            "ticket.subscribe_alerts",
        )
        .answers::<a::AlertKey>(200, "The key."),
        image("/v1/tickets/{ticket}/link.svg", "drawTicketLinkSvg", "image/svg+xml"),
        image("/v1/tickets/{ticket}/link.png", "drawTicketLinkPng", "image/png"),
        Operation::request(
            "post",
            "/v1/ticket-links/exchange",
            "exchangeTicketLink",
            "Exchange a link or a code for a token of its patient",
            Access::Everybody,
        )
        .takes::<ticket_links::ExchangeBody>()
        .answers::<a::TokenAnswer>(200, "The token.")
        .refuses(LINK)
        .refuses(&[Code::TokenRevoked, Code::RateLimited, Code::NotFound]),
    ]
}

const TICKET: &[Code] = &[Code::TicketUnknown, Code::IllegalMove, Code::Moving];

fn actions() -> Vec<Operation> {
    let post = |path, id, summary, row| {
        Operation::location_command("post", path, id, summary, row).refuses(TICKET)
    };
    let plain = |path, id, summary, row| post(path, id, summary, row).takes::<a::Empty>();
    vec![
        post("/v1/tickets/{ticket}/call", "callTicket", "Call this person", "ticket.call")
            .takes::<bodies::CallBody>()
            .refuses(CALL),
        plain("/v1/tickets/{ticket}/recall", "recallTicket", "Call again", "ticket.recall")
            .refuses(CALL),
        plain("/v1/tickets/{ticket}/start", "startTicket", "Begin the service", "ticket.start")
            .refuses(&[Code::StationUnknown]),
        plain("/v1/tickets/{ticket}/complete", "completeTicket", "End well", "ticket.complete"),
        post("/v1/tickets/{ticket}/hold", "holdTicket", "Put on hold", "ticket.hold")
            .takes::<bodies::ReasonBody>(),
        plain("/v1/tickets/{ticket}/resume", "resumeTicket", "Back from hold", "ticket.resume"),
        plain("/v1/tickets/{ticket}/absent", "markAbsent", "Mark as absent", "ticket.absent"),
        plain("/v1/tickets/{ticket}/return", "returnTicket", "Is back", "ticket.return"),
        plain("/v1/tickets/{ticket}/no-show", "markNoShow", "Did not come", "ticket.no_show"),
        post("/v1/tickets/{ticket}/cancel", "cancelTicket", "Cancel", "ticket.cancel")
            .takes::<bodies::ReasonBody>(),
        plain("/v1/tickets/{ticket}/leave", "leaveTicket", "Leave the line", "ticket.leave"),
        plain("/v1/tickets/{ticket}/yield", "yieldTicket", "Let others go first", "ticket.yield")
            .refuses(&[Code::YieldNotAllowed, Code::NobodyBehind]),
        post(
            "/v1/tickets/{ticket}/transfer",
            "transferTicket",
            "Move to another queue, here or at another location",
            "ticket.transfer",
        )
        .takes::<bodies::TransferBody>()
        .refuses(ISSUE)
        .refuses(&[Code::MoveTimedOut, Code::MoveTakenBack]),
        post(
            "/v1/tickets/{ticket}/prioritise",
            "prioritiseTicket",
            "Change the priority",
            "ticket.prioritise",
        )
        .takes::<bodies::PriorityBody>(),
        post(
            "/v1/tickets/{ticket}/subscribe-alerts",
            "subscribeAlerts",
            "Alert a phone when the turn is near or there",
            "ticket.subscribe_alerts",
        )
        .takes::<PushDevice>()
        .refuses(&[Code::AlertsNotOffered, Code::PushServiceUnknown, Code::TooManyDevices]),
        post(
            "/v1/tickets/{ticket}/unsubscribe-alerts",
            "unsubscribeAlerts",
            "End the alerts of a phone",
            "ticket.unsubscribe_alerts",
        )
        .takes::<bodies::EndpointBody>(),
        plain("/v1/tickets/{ticket}/revert", "revertTicket", "Undo the last step", "ticket.revert")
            .refuses(&[
                Code::NothingToRevert,
                Code::QueueUnknown,
                Code::QueueNotOpen,
                Code::QueueFull,
                Code::StationBusy,
            ]),
    ]
}

fn appointments() -> Vec<Operation> {
    const CHECK_IN: &[Code] = &[
        Code::NoAppointment,
        Code::WrongLocation,
        Code::AppointmentExpired,
        Code::AppointmentOver,
        Code::AlreadyCheckedIn,
        Code::TooManyVisits,
        Code::QueueMissing,
        Code::TimesMissing,
        Code::TooEarly,
        Code::StatusCannotFollow,
        Code::Moving,
    ];
    vec![
        Operation::location_command(
            "post",
            "/v1/appointments",
            "reportAppointment",
            "Report everything that a source knows of one appointment",
            "appointment.report",
        )
        .takes::<AppointmentReport>()
        .refuses(&[
            Code::QueueUnknown,
            Code::StatusCannotFollow,
            Code::TimeAhead,
            Code::TimesMissing,
            Code::TimesReversed,
            Code::TooManyDoctors,
            Code::Moving,
        ]),
        Operation::read(
            "/v1/appointments/{appointment}",
            "readAppointment",
            "Read one appointment",
            "appointment",
        )
        .answers::<a::AppointmentSnapshot>(200, "The appointment."),
        Operation::location_command(
            "post",
            "/v1/appointments/{appointment}/undo-check-in",
            "undoCheckIn",
            "Undo a check-in",
            "appointment.undo_check_in",
        )
        .takes::<a::Empty>()
        .refuses(&[
            Code::NoAppointment,
            Code::NotCheckedIn,
            Code::IllegalMove,
            Code::StatusCannotFollow,
            Code::Moving,
        ]),
        Operation::location_command(
            "post",
            "/v1/check-ins",
            "checkIn",
            "Check a patient in, with an appointment or into a queue",
            "appointment.check_in",
        )
        .takes::<bodies::CheckInBody>()
        .refuses(CHECK_IN)
        .refuses(ISSUE),
        Operation::read(
            "/v1/schedules/{location}/{doctor}",
            "readSchedule",
            "Read one service day of a doctor",
            "schedule",
        )
        .answers::<a::ScheduleSnapshot>(200, "The day."),
    ]
}
