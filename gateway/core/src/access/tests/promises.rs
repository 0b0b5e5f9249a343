//! The commands and channels of each role: the promise to clinics, written a second time.

use super::*;

/// The kinds of commands that each role may send about its own location, queue and ticket. This is
/// the promise to clinics, written a second time and sorted by role.
pub(super) fn promised(role: Role) -> Vec<&'static str> {
    let ticket_work = [
        "ticket.call",
        "ticket.recall",
        "ticket.start",
        "ticket.complete",
        "ticket.hold",
        "ticket.resume",
        "ticket.absent",
        "ticket.return",
        "ticket.no_show",
        "ticket.transfer",
        "ticket.revert",
    ];
    let room_work = [
        "queue.call_next",
        "station.call_next",
        "queue.pause",
        "queue.resume",
        "station.open",
        "station.close",
    ];
    let desk_work = [
        "queue.open",
        "queue.close",
        "queue.reorder",
        "ticket.issue",
        "ticket.cancel",
        "ticket.leave",
        "ticket.yield",
        "ticket.prioritise",
        "appointment.check_in",
        "appointment.override_check_in",
        "appointment.undo_check_in",
        "display.pair",
        "display.rename",
        "display.unpair",
        "check_in_point.rotate",
        "check_in_point.revoke",
    ];
    let furnishing = [
        "location.configure",
        "location.change_privacy",
        "location.change_messages",
        "location.change_branding",
        "location.order_queues",
        "queue.configure",
        "queue.remove",
        "station.configure",
        "station.remove",
        "check_in_point.configure",
        "check_in_point.remove",
    ];
    match role {
        Role::Patient => vec![
            "ticket.return",
            "ticket.leave",
            "ticket.yield",
            "ticket.subscribe_alerts",
            "ticket.unsubscribe_alerts",
        ],
        Role::Doctor
        | Role::Therapist
        | Role::Counselor
        | Role::Pharmacist
        | Role::LabTechnician => [&ticket_work[..], &room_work].concat(),
        Role::Reception | Role::SupportStaff => [&ticket_work[..], &room_work, &desk_work].concat(),
        Role::Admin | Role::SuperAdmin => {
            [&ticket_work[..], &room_work, &desk_work, &furnishing].concat()
        }
        Role::Source => vec!["appointment.report"],
        Role::CheckInPoint => vec!["ticket.issue", "appointment.check_in"],
        Role::Display | Role::Viewer | Role::Editor | Role::FinanceBilling => vec![],
    }
}

/// The kinds of commands to locations.
pub(super) fn location_kinds() -> Vec<&'static str> {
    let others = ["run.", "rule.", "reference.", "webhook.", "tenant.", "appointment_key."];
    let of_location = |kind: &&str| !others.iter().any(|other| kind.starts_with(other));
    Command::KINDS.iter().copied().filter(of_location).collect()
}

/// The kinds that gateways accept. Only workers write the others.
pub(super) const OTHER_KINDS: [&str; 19] = [
    "run.request",
    "run.cancel",
    "run.retry",
    "rule.put",
    "rule.enable",
    "rule.disable",
    "rule.delete",
    "webhook.create",
    "webhook.change",
    "webhook.delete",
    "webhook.rotate",
    "webhook.pause",
    "webhook.resume",
    "webhook.test",
    "webhook.replay",
    "reference.put",
    "reference.delete",
    "reference.load",
    "reference.clear",
];

/// Commands that only a processor writes.
pub(super) const OF_PROCESSORS: [&str; 7] = [
    "appointment_key.claim",
    "ticket.receive",
    "ticket.withdraw",
    "ticket.settle",
    "appointment.receive",
    "appointment.settle",
    "location.tick",
];

/// Which roles open which channel: the promise to clinics, written a second time.
pub(super) const OPENED_BY: [(&str, &str); 20] = [
    (
        "ticket:riverside.00000000000000000000000000000001",
        "patient reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    // The ticket of the patient's appointment.
    (
        "ticket:riverside.00000000000000000000000000a000a1",
        "patient reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    (
        "ticket:riverside.00000000000000000000000000002000",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    // The ticket continues the patient's own.
    ("ticket:north.00000000000000000000000000000001", "patient admin"),
    (
        "queue:riverside.general",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("queue:riverside.blood", "reception support_staff admin"),
    ("queue:north.general", "admin"),
    (
        "board:riverside",
        "display reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("board:north", "admin"),
    (
        "appointment:riverside.00000000000000000000000000a000a1",
        "patient reception support_staff doctor therapist counselor admin",
    ),
    // A token for a ticket alone grants none of its patient's other appointments.
    (
        "appointment:riverside.00000000000000000000000000000001",
        "reception support_staff doctor therapist counselor admin",
    ),
    ("appointment:north.00000000000000000000000000a000a1", "patient admin"),
    ("schedule:riverside/dr-roy", "reception support_staff doctor therapist counselor admin"),
    ("schedule:riverside/dr-singh", "reception support_staff admin"),
    ("schedule:north/dr-roy", "admin"),
    ("load:riverside", "reception support_staff doctor therapist counselor admin"),
    ("load:north", "admin"),
    (
        "settings:riverside",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("settings:north", "admin"),
    ("run:r_0123456789abcdef_00000000000000000000000000000007", "admin viewer"),
];
