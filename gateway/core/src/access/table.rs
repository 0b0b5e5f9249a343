//! The table of rights: which things of each kind a role may reach.

use super::role::Role;

/// Which things of one kind a role may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Nothing,
    /// The tickets that the token lists, those that continue them at other locations, and those of
    /// the appointments that it lists.
    OwnTickets,
    /// The appointments that the token lists.
    OwnAppointments,
    /// The schedule of the doctor that the token names, at the locations that it lists.
    OwnSchedule,
    /// Everything at the locations that the token lists.
    OwnLocations,
    /// The queues that the token lists. In an emergency at another location, every queue there:
    /// nobody is assigned to one beforehand.
    OwnQueues,
    /// The runs that the bearer started.
    OwnRuns,
    /// Facts reported in the bearer's own name, at the locations that the token lists, or anywhere
    /// without a list.
    OwnName,
    /// Everything of the token's tenant.
    Tenant,
    /// Everything at the locations that the token lists, or everything of its tenant without a
    /// list.
    Listed,
}

const N: Reach = Reach::Nothing;

const O: Reach = Reach::OwnTickets;

const A: Reach = Reach::OwnAppointments;

const S: Reach = Reach::OwnSchedule;

const L: Reach = Reach::OwnLocations;

const Q: Reach = Reach::OwnQueues;

const R: Reach = Reach::OwnRuns;

const F: Reach = Reach::OwnName;

const T: Reach = Reach::Tenant;

const X: Reach = Reach::Listed;

/// Rows: the kinds of channels, then the kinds of commands. Columns are those of `Column`:
/// patient, display, reception, clinician, service, admin, viewer, editor, source, check-in point.
///
/// A clinician reaches queues by assignment, but tickets and appointments by location: the id of a
/// ticket does not contain its queue or doctor, and a lookup here could use an old state. A
/// clinician sees no more of another queue's ticket than the location's board and the ticket's page
/// show anyway, and a command on it is journalled under the clinician's subject.
pub(super) const TABLE: &[(&str, [Reach; 10])] = &[
    ("ticket", [O, N, L, L, L, X, N, N, N, N]),
    ("queue", [N, N, L, Q, Q, X, N, N, N, N]),
    ("board", [N, L, L, L, L, X, N, N, N, N]),
    ("appointment", [A, N, L, L, N, X, N, N, N, N]),
    ("schedule", [N, N, L, S, N, X, N, N, N, N]),
    ("load", [N, N, L, L, N, X, N, N, N, N]),
    ("settings", [N, N, L, L, L, X, N, N, N, N]),
    ("location.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_privacy", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_messages", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_branding", [N, N, N, N, N, X, N, N, N, N]),
    ("location.order_queues", [N, N, N, N, N, X, N, N, N, N]),
    ("queue.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("station.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("station.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("display.pair", [N, N, L, N, N, X, N, N, N, N]),
    ("display.rename", [N, N, L, N, N, X, N, N, N, N]),
    ("display.unpair", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("check_in_point.rotate", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.revoke", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("station.open", [N, N, L, L, L, X, N, N, N, N]),
    ("station.close", [N, N, L, L, L, X, N, N, N, N]),
    ("queue.open", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.pause", [N, N, L, Q, Q, X, N, N, N, N]),
    ("queue.resume", [N, N, L, Q, Q, X, N, N, N, N]),
    ("queue.close", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.reorder", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("queue.call_next", [N, N, L, Q, Q, X, N, N, N, N]),
    // An admin chose the queues of the station, so all staff of the location may call at its
    // stations, as with the call of a ticket.
    ("station.call_next", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.issue", [N, N, L, N, N, X, N, N, N, Q]),
    ("ticket.call", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.recall", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.start", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.complete", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.hold", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.resume", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.absent", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.return", [O, N, L, L, L, X, N, N, N, N]),
    ("ticket.no_show", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.cancel", [N, N, L, N, N, X, N, N, N, N]),
    ("ticket.leave", [O, N, L, N, N, X, N, N, N, N]),
    ("ticket.yield", [O, N, L, N, N, X, N, N, N, N]),
    // The devices are the patient's own: staff neither add nor see them.
    ("ticket.subscribe_alerts", [O, N, N, N, N, N, N, N, N, N]),
    ("ticket.unsubscribe_alerts", [O, N, N, N, N, N, N, N, N, N]),
    ("ticket.transfer", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.prioritise", [N, N, L, N, N, X, N, N, N, N]),
    ("ticket.revert", [N, N, L, L, L, X, N, N, N, N]),
    ("appointment.check_in", [N, N, L, N, N, X, N, N, N, L]),
    ("appointment.override_check_in", [N, N, L, N, N, X, N, N, N, N]),
    ("appointment.undo_check_in", [N, N, L, N, N, X, N, N, N, N]),
    // Only a source reports facts about its appointments. Reception checks in and moves the ticket.
    ("appointment.report", [N, N, N, N, N, N, N, N, F, N]),
    ("run", [N, N, N, N, N, X, T, R, N, N]),
    ("run.request", [N, N, N, N, N, X, N, T, N, N]),
    ("run.cancel", [N, N, N, N, N, X, N, R, N, N]),
    ("run.retry", [N, N, N, N, N, X, N, R, N, N]),
    ("rule.put", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.enable", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.disable", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.delete", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.create", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.change", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.delete", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.rotate", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.pause", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.resume", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.test", [N, N, N, N, N, X, N, N, N, N]),
    ("webhook.replay", [N, N, N, N, N, X, N, N, N, N]),
    ("reference.put", [N, N, N, N, N, X, N, N, N, N]),
    ("reference.delete", [N, N, N, N, N, X, N, N, N, N]),
    ("reference.load", [N, N, N, N, N, X, N, N, N, N]),
    ("reference.clear", [N, N, N, N, N, X, N, N, N, N]),
    // Requests other than commands: get the link of a ticket, read the outcome of another caller's
    // command, upload a file, list runs, list rules and reference data, try a rule on
    // a file.
    ("ticket.link", [O, N, L, N, N, X, N, N, N, N]),
    // The history of a ticket, the histories of a location and its queues, and the figures.
    // Figures tell how long each doctor takes, so clinicians do not see those of others.
    ("ticket.history", [O, N, L, L, L, X, N, N, N, N]),
    ("location.history", [N, N, L, L, N, X, N, N, N, N]),
    ("location.analytics", [N, N, L, N, N, X, N, N, N, N]),
    // The code of a check-in point, to print it.
    ("check_in_point.code", [N, N, L, N, N, X, N, N, N, N]),
    // The suspicious scans of a location.
    ("scans.flags", [N, N, L, N, N, X, N, N, N, N]),
    ("outcome", [N, N, L, N, N, X, N, N, N, N]),
    ("files.put", [N, N, N, N, N, X, N, T, N, N]),
    ("runs.list", [N, N, N, N, N, X, T, R, N, N]),
    ("rules.list", [N, N, N, N, N, X, T, T, N, N]),
    ("webhooks.list", [N, N, N, N, N, X, N, N, N, N]),
    ("rules.try", [N, N, N, N, N, X, N, T, N, N]),
    // Revocations: of a ticket link at its location, of everything else in the whole tenant.
    ("revocations.put", [N, N, N, N, N, X, N, N, N, N]),
    // The audit is of the whole tenant, so an admin of some locations does not read it.
    ("audit.list", [N, N, N, N, N, X, N, N, N, N]),
    // Lists and ends of other people's sessions. Everybody may list and end their own.
    ("sessions", [N, N, N, N, N, X, N, N, N, N]),
];

pub(super) fn reach(role: Role, kind: &str) -> Reach {
    let row = TABLE.iter().find(|(name, _)| *name == kind);
    row.map_or(Reach::Nothing, |(_, columns)| columns[role.column() as usize])
}
