mod channels;
mod claims_files;
mod promises;
mod requests;

use schemas::{
    appointment::{AppointmentFact, AppointmentStatus},
    channel::Channel,
    check_in::{CheckInPointKind, CheckInPointSetup},
    codes::Code,
    command::Command,
    handover::HandoverAnswer,
    ids::{
        AppointmentId, CheckInPointId, DisplayId, DoctorId, LocationId, QueueId, RunId, SourceId,
        SourceKey, StationId, TenantId, TicketId,
    },
    push::{PushDevice, PushKeys},
    ticket::Priority,
    timers::Timers,
};

use self::promises::{OF_PROCESSORS, OPENED_BY, OTHER_KINDS, location_kinds, promised};
use super::{
    table::{Reach, TABLE, reach},
    *,
};

const TICKET: &str = "00000000000000000000000000000001";
const APPOINTMENT: &str = "00000000000000000000000000a000a1";

fn location(name: &str) -> LocationId {
    LocationId::new(name).unwrap()
}

fn queue(name: &str) -> QueueId {
    QueueId::new(name).unwrap()
}

fn ticket(location: &str) -> TicketId {
    TicketId::new(format!("{location}.{TICKET}")).unwrap()
}

fn appointment(location: &str) -> AppointmentId {
    AppointmentId::new(format!("{location}.{APPOINTMENT}")).unwrap()
}

/// A fact that the source `his` reports.
fn fact() -> AppointmentFact {
    AppointmentFact {
        source: SourceId::new("his").unwrap(),
        key: SourceKey::new("4711").unwrap(),
        revision: 1,
        revision_is_time: false,
        status: AppointmentStatus::Booked,
        start: None,
        end: None,
        doctor: None,
        queue: None,
        label: None,
        reason: None,
        moved_to: None,
    }
}

/// Claims at riverside with its general queue, one ticket and one appointment. The bearer is
/// `dr-roy` in schedules and `his` among sources. Admins and sources are bound to no location.
fn claims(role: Role) -> Claims {
    let anywhere = matches!(role, Role::Admin | Role::SuperAdmin | Role::Source);
    Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: "his".into(),
        role,
        locations: if anywhere { vec![] } else { vec![location("riverside")] },
        queues: vec![queue("riverside.general")],
        tickets: vec![ticket("riverside")],
        appointments: vec![appointment("riverside")],
        doctor: Some(DoctorId::new("dr-roy").unwrap()),
        expires: 0,
        origin: Origin::default(),
    }
}

fn setup() -> CheckInPointSetup {
    CheckInPointSetup {
        name: String::new(),
        kind: CheckInPointKind::Poster,
        queues: Default::default(),
        factor: Default::default(),
        place: None,
    }
}

fn device() -> PushDevice {
    let keys = PushKeys { p256dh: String::new(), auth: String::new() };
    PushDevice { endpoint: String::new(), keys }
}

/// One command of every kind to location `at`, about its queue, ticket and appointment.
fn every_command(at: &str, queue_name: &str) -> Vec<Command> {
    use Command as C;
    let queue = queue(&format!("{at}.{queue_name}"));
    let ticket = ticket(at);
    let station = StationId::new(format!("{at}.room-1")).unwrap();
    let display = DisplayId::from_random(&location(at), 1);
    let point = CheckInPointId::new(format!("{at}.entrance")).unwrap();
    vec![
        C::ConfigureLocation {
            name: String::new(),
            time_zone: String::new(),
            languages: vec![],
            timers: Timers::default(),
            bands: None,
            call_order: Default::default(),
            address: None,
            edition: None,
        },
        C::ChangePrivacy { privacy: Default::default(), edition: None },
        C::ChangeMessages { messages: vec![], edition: None },
        C::ChangeBranding { branding: Default::default(), edition: None },
        C::OrderQueues { queues: vec![], edition: None },
        C::ConfigureQueue {
            queue: queue.clone(),
            name: String::new(),
            prefix: String::new(),
            service_s: None,
            max_tickets: None,
            edition: None,
        },
        C::RemoveQueue { queue: queue.clone(), move_to: None },
        C::ConfigureStation {
            station: station.clone(),
            name: String::new(),
            queues: None,
            edition: None,
        },
        C::RemoveStation { station: station.clone() },
        C::PairDisplay { display: display.clone(), name: String::new(), check_in_point: None },
        C::RenameDisplay { display: display.clone(), name: String::new(), edition: None },
        C::UnpairDisplay { display },
        C::ConfigureCheckInPoint { point: point.clone(), setup: setup(), edition: None },
        C::RotateCheckInPoint { point: point.clone() },
        C::RevokeCheckInPoint { point: point.clone() },
        C::RemoveCheckInPoint { point },
        C::OpenStation { station: station.clone() },
        C::CloseStation { station: station.clone() },
        C::OpenQueue { queue: queue.clone() },
        C::PauseQueue { queue: queue.clone(), message: None },
        C::ResumeQueue { queue: queue.clone() },
        C::CloseQueue { queue: queue.clone() },
        C::ReorderQueue { queue: queue.clone(), tickets: vec![] },
        C::IssueTicket {
            queue: queue.clone(),
            ticket: ticket.clone(),
            priority: Priority::default(),
        },
        C::CallNext { queue: queue.clone(), station: station.clone(), force: false },
        C::CallNextAtStation { station: station.clone(), force: false },
        C::CallTicket { ticket: ticket.clone(), station, force: false },
        C::RecallTicket { ticket: ticket.clone() },
        C::StartService { ticket: ticket.clone() },
        C::CompleteTicket { ticket: ticket.clone() },
        C::HoldTicket { ticket: ticket.clone(), reason: None },
        C::ResumeTicket { ticket: ticket.clone() },
        C::MarkAbsent { ticket: ticket.clone() },
        C::ReturnTicket { ticket: ticket.clone() },
        C::YieldTicket { ticket: ticket.clone() },
        C::SubscribeAlerts { ticket: ticket.clone(), device: device() },
        C::UnsubscribeAlerts { ticket: ticket.clone(), endpoint: device().endpoint },
        C::MarkNoShow { ticket: ticket.clone() },
        C::CancelTicket { ticket: ticket.clone(), reason: None },
        C::LeaveTicket { ticket: ticket.clone() },
        C::TransferTicket { ticket: ticket.clone(), queue: queue.clone() },
        C::ReceiveTicket {
            ticket: ticket.clone(),
            queue: queue.clone(),
            priority: Priority::default(),
            from: ticket.clone(),
            until: 0,
        },
        C::WithdrawTicket { ticket: ticket.clone(), from: ticket.clone() },
        C::SettleTicket {
            ticket: ticket.clone(),
            successor: ticket.clone(),
            answer: HandoverAnswer::Kept,
        },
        C::Prioritise { ticket: ticket.clone(), priority: Priority::default(), reason: None },
        C::RevertTicket { ticket },
        C::ReportAppointment { appointment: appointment(at), fact: fact() },
        C::CheckIn { appointment: appointment(at), queue: Some(queue) },
        C::OverrideCheckIn { appointment: appointment(at), queue: None, reason: String::new() },
        C::UndoCheckIn { appointment: appointment(at) },
        C::ReceiveAppointment {
            appointment: appointment(at),
            fact: fact(),
            from: appointment(at),
            hops: 0,
            question: None,
        },
        C::SettleAppointment {
            appointment: appointment(at),
            successor: appointment(at),
            held: None,
            answer: HandoverAnswer::Kept,
            question: None,
        },
        C::Tick {},
    ]
}

#[test]
fn crossing_leaves_no_access_behind() {
    let claims = |role, crossed| {
        let mut claims = claims(role);
        claims.origin.crossed = crossed;
        claims
    };
    let pair = |role, crossed| {
        let display = DisplayId::from_random(&location("riverside"), 1);
        let command = Command::PairDisplay { display, name: "Hall".into(), check_in_point: None };
        may_command(&claims(role, crossed), &location("riverside"), &command)
    };
    for role in [Role::Reception, Role::Admin, Role::SuperAdmin] {
        assert_eq!(pair(role, false), Ok(()), "{role:?}");
        assert_eq!(pair(role, true), Err(Code::Forbidden), "{role:?}");
    }
    for crossed in [false, true] {
        let expected = if crossed { Err(Code::Forbidden) } else { Ok(()) };
        let code = may_print_code(&claims(Role::SuperAdmin, crossed), &location("riverside"));
        assert_eq!(code, expected);
    }
    for (kind, lasts) in [
        ("webhook.create", true),
        ("webhook.change", true),
        ("webhook.rotate", true),
        ("webhook.pause", false),
        ("webhook.delete", false),
        ("webhooks.list", false),
    ] {
        let expected = if lasts { Err(Code::Forbidden) } else { Ok(()) };
        assert_eq!(may_webhook(&claims(Role::SuperAdmin, true), kind), expected, "{kind}");
        assert_eq!(may_webhook(&claims(Role::SuperAdmin, false), kind), Ok(()), "{kind}");
    }
}

#[test]
fn histories_and_figures_have_their_own_readers() {
    let (here, north) = (location("riverside"), location("north"));
    let roles = |allowed: &dyn Fn(&Claims) -> bool| -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| allowed(&claims(*role))).collect()
    };
    use Role as R;
    let staff = [R::Reception, R::SupportStaff, R::Doctor, R::Therapist, R::Counselor];
    let admins = [R::Admin, R::SuperAdmin];
    assert_eq!(
        roles(&|claims| may_read_history(claims, &here).is_ok()),
        [&staff[..], &admins].concat()
    );
    assert_eq!(roles(&|claims| may_read_history(claims, &north).is_ok()), admins);
    assert_eq!(
        roles(&|claims| may_read_analytics(claims, &here).is_ok()),
        [&staff[..2], &admins].concat()
    );
    assert_eq!(roles(&|claims| may_read_analytics(claims, &north).is_ok()), admins);
    let patient = claims(R::Patient);
    assert!(may_read_ticket_history(&patient, &ticket("riverside")).is_ok());
    let foreign = TicketId::from_random(&here, 0x2000);
    assert_eq!(may_read_ticket_history(&patient, &foreign), Err(Code::Forbidden));
    assert!(may_read_ticket_history(&claims(R::Pharmacist), &foreign).is_ok());
}

#[test]
fn every_kind_has_exactly_one_row() {
    let rows: Vec<_> = TABLE.iter().map(|(kind, _)| *kind).collect();
    let mut expected = Channel::KINDS.to_vec();
    expected.extend(location_kinds().into_iter().filter(|kind| !OF_PROCESSORS.contains(kind)));
    expected.extend(OTHER_KINDS);
    expected.extend([
        "outcome",
        "files.put",
        "runs.list",
        "rules.list",
        "rules.try",
        "webhooks.list",
    ]);
    expected.extend(["revocations.put", "audit.list", "sessions"]);
    expected.extend(["ticket.link", "check_in_point.code", "scans.flags"]);
    expected.extend(["ticket.history", "location.history", "location.analytics"]);
    for kind in &expected {
        assert_eq!(rows.iter().filter(|row| row == &kind).count(), 1, "{kind}");
    }
    assert_eq!(rows.len(), expected.len());
    for role in Role::ALL {
        let of_workers =
            ["run.start", "run.report", "run.complete", "run.fail", "run.stop", "ticket.fly"];
        for kind in OF_PROCESSORS.into_iter().chain(of_workers) {
            assert_eq!(reach(role, kind), Reach::Nothing);
        }
    }
}

#[test]
fn each_role_sends_exactly_its_promised_commands() {
    let commands = every_command("riverside", "general");
    assert_eq!(commands.iter().map(Command::kind).collect::<Vec<_>>(), location_kinds());
    for role in Role::ALL {
        let promised = promised(role);
        for command in &commands {
            let allowed = may_command(&claims(role), &location("riverside"), command).is_ok();
            assert_eq!(allowed, promised.contains(&command.kind()), "{role:?} {}", command.kind());
        }
    }
}

#[test]
fn other_locations_are_reached_by_few_roles() {
    for role in Role::ALL {
        for command in every_command("north", "general") {
            let allowed = may_command(&claims(role), &location("north"), &command).is_ok();
            let expected = match role {
                // The ticket at the other location continues the patient's own.
                Role::Admin | Role::SuperAdmin | Role::Source | Role::Patient => {
                    promised(role).contains(&command.kind())
                }
                _ => false,
            };
            assert_eq!(allowed, expected, "{role:?} {}", command.kind());
        }
    }
}

#[test]
fn clinicians_and_services_move_only_assigned_queues() {
    for role in
        [Role::Doctor, Role::Therapist, Role::Counselor, Role::Pharmacist, Role::LabTechnician]
    {
        for command in every_command("riverside", "blood") {
            let allowed = may_command(&claims(role), &location("riverside"), &command).is_ok();
            // The id of a ticket or station does not contain its queue, so the location decides.
            let by_location = command.ticket().is_some() || command.kind().starts_with("station.");
            let expected = by_location && promised(role).contains(&command.kind());
            assert_eq!(allowed, expected, "{role:?} {}", command.kind());
        }
    }
}

#[test]
fn source_reports_only_in_its_own_name() {
    let mut fact_of_another = fact();
    fact_of_another.source = SourceId::new("laboratory").unwrap();
    let command =
        Command::ReportAppointment { appointment: appointment("riverside"), fact: fact_of_another };
    for role in Role::ALL {
        assert_eq!(
            may_command(&claims(role), &location("riverside"), &command),
            Err(Code::Forbidden),
            "{role:?}"
        );
        let own = if role == Role::Source { Ok(fact().source) } else { Err(Code::Forbidden) };
        assert_eq!(source(&claims(role)), own, "{role:?}");
    }
    for no_name in ["HIS", "his 2", "his/2", &"h".repeat(41)] {
        let claims = Claims { subject: no_name.into(), ..claims(Role::Source) };
        assert_eq!(source(&claims), Err(Code::Forbidden), "{no_name}");
    }
}

#[test]
fn patient_leaves_only_with_the_own_ticket() {
    let other = TicketId::new("riverside.00000000000000000000000000002000").unwrap();
    let leave = Command::LeaveTicket { ticket: other };
    assert_eq!(
        may_command(&claims(Role::Patient), &location("riverside"), &leave),
        Err(Code::Forbidden)
    );
    let own = Command::LeaveTicket { ticket: ticket("riverside") };
    assert_eq!(may_command(&claims(Role::Patient), &location("north"), &own), Err(Code::Forbidden));
}

#[test]
fn transfer_needs_the_right_at_the_destination() {
    let transfer =
        Command::TransferTicket { ticket: ticket("riverside"), queue: queue("north.general") };
    for role in Role::ALL {
        let mut claims = claims(role);
        let allowed = may_command(&claims, &location("riverside"), &transfer).is_ok();
        assert_eq!(allowed, matches!(role, Role::Admin | Role::SuperAdmin), "{role:?}");
        claims.locations = vec![location("riverside"), location("north")];
        let allowed = may_command(&claims, &location("riverside"), &transfer).is_ok();
        assert_eq!(allowed, promised(role).contains(&"ticket.transfer"), "{role:?}");
    }
}

#[test]
fn token_without_lists_reaches_nothing_below_admin() {
    for role in Role::ALL {
        let empty = Claims {
            locations: vec![],
            queues: vec![],
            tickets: vec![],
            appointments: vec![],
            ..claims(role)
        };
        for command in every_command("riverside", "general") {
            let allowed = may_command(&empty, &location("riverside"), &command).is_ok();
            let reports = role == Role::Source && command.kind() == "appointment.report";
            let commands = matches!(role, Role::Admin | Role::SuperAdmin)
                && promised(role).contains(&command.kind());
            assert_eq!(allowed, reports || commands, "{role:?} {}", command.kind());
        }
        for (name, _) in OPENED_BY.iter().filter(|(name, _)| !name.starts_with("run:")) {
            let opens = may_open(&empty, &Channel::parse(name).unwrap()).is_ok();
            assert_eq!(opens, matches!(role, Role::Admin | Role::SuperAdmin), "{role:?} {name}");
        }
    }
}

#[test]
fn locations_bind_admins_and_sources() {
    for role in [Role::Admin, Role::SuperAdmin, Role::Source] {
        let bound = Claims { locations: vec![location("riverside")], ..claims(role) };
        for (at, reached) in [("riverside", true), ("north", false)] {
            for command in every_command(at, "general") {
                let allowed = may_command(&bound, &location(at), &command).is_ok();
                let expected = reached && promised(role).contains(&command.kind());
                assert_eq!(allowed, expected, "{role:?} {} at {at}", command.kind());
            }
        }
    }
}

#[test]
fn bound_admin_reaches_nothing_that_has_no_location() {
    let bound = Claims { locations: vec![location("riverside")], ..claims(Role::Admin) };
    let run = RunId::from_parts(claims(Role::Editor).owner_tag(), 1);
    let forbidden = Err(Code::Forbidden);
    assert_eq!(may_open(&bound, &Channel::Run(run.clone())), forbidden);
    assert_eq!(may_open(&bound, &Channel::parse("board:north").unwrap()), forbidden);
    assert_eq!(may_command_run(&bound, &run, "run.cancel"), forbidden);
    assert_eq!(may_list_runs(&bound), Err(Code::Forbidden));
    assert_eq!(may_rule(&bound, "rule.put"), forbidden);
    assert_eq!(may_upload(&bound), forbidden);
    assert_eq!(may_read_outcome(&bound, None), forbidden);
    assert_eq!(may_read_outcome(&bound, Some(&location("riverside"))), Ok(()));
}

#[test]
fn claims_are_printed_without_their_bearer() {
    let printed = format!("{:?}", claims(Role::Patient));
    assert_eq!(printed, "Claims { tenant: TenantId(demo), role: Patient, .. }");
}

#[test]
fn desk_and_clinicians_work_at_locations() {
    use Role as R;
    let roles = Role::ALL.into_iter().filter(|role| role.works_at_locations());
    let expected = [R::Reception, R::SupportStaff, R::Doctor, R::Therapist, R::Counselor];
    assert_eq!(roles.collect::<Vec<_>>(), expected);
}

#[test]
fn role_has_one_spelling() {
    for role in Role::ALL {
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.as_str()));
    }
}

#[test]
fn ticket_link_is_for_its_patient_and_the_desk() {
    for role in Role::ALL {
        let here = may_link(&claims(role), &ticket("riverside")).is_ok();
        let desk =
            matches!(role, Role::Reception | Role::SupportStaff | Role::Admin | Role::SuperAdmin);
        assert_eq!(here, desk || role == Role::Patient, "{role:?}");
    }
    let other = TicketId::new("riverside.00000000000000000000000000002000").unwrap();
    assert_eq!(may_link(&claims(Role::Patient), &other), Err(Code::Forbidden));
    assert_eq!(may_link(&claims(Role::Reception), &ticket("north")), Err(Code::Forbidden));
}

#[test]
fn sessions_of_others_are_for_admins_of_the_whole_tenant() {
    for role in Role::ALL {
        let admin = matches!(role, Role::Admin | Role::SuperAdmin);
        assert_eq!(may_manage_sessions(&claims(role), "his"), Ok(()), "{role:?}");
        assert_eq!(may_manage_sessions(&claims(role), "ann").is_ok(), admin, "{role:?}");
    }
    let bound = Claims { locations: vec![location("riverside")], ..claims(Role::Admin) };
    assert_eq!(may_manage_sessions(&bound, "ann"), Err(Code::Forbidden));
}
