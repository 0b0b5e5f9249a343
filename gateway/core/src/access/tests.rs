use schemas::ticket::Priority;

use super::*;

const TICKET: &str = "00000000000000000000000000000001";

fn location(name: &str) -> LocationId {
    LocationId::new(name).unwrap()
}

fn queue(name: &str) -> QueueId {
    QueueId::new(name).unwrap()
}

fn ticket(location: &str) -> TicketId {
    TicketId::new(format!("{location}.{TICKET}")).unwrap()
}

/// Somebody of riverside, assigned to its general queue, with one ticket there.
fn claims(role: Role) -> Claims {
    Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: "somebody".into(),
        role,
        locations: vec![location("riverside")],
        queues: vec![queue("riverside.general")],
        tickets: vec![ticket("riverside")],
        appointments: Vec::new(),
        doctor: None,
        expires: 0,
    }
}

/// One command of every kind about `at`, its queue and ticket there.
fn every_command(at: &str, queue_name: &str) -> Vec<Command> {
    use Command as C;
    let queue = queue(&format!("{at}.{queue_name}"));
    let ticket = ticket(at);
    let station = schemas::ids::StationId::new(format!("{at}.room-1")).unwrap();
    vec![
        C::ConfigureLocation { name: String::new(), time_zone: String::new(), languages: vec![] },
        C::ConfigureQueue {
            queue: queue.clone(),
            name: String::new(),
            prefix: String::new(),
            service_s: None,
        },
        C::ConfigureStation { station: station.clone(), name: String::new() },
        C::OpenQueue { queue: queue.clone() },
        C::PauseQueue { queue: queue.clone() },
        C::ResumeQueue { queue: queue.clone() },
        C::CloseQueue { queue: queue.clone() },
        C::ReorderQueue { queue: queue.clone(), tickets: vec![] },
        C::IssueTicket { queue: queue.clone(), ticket: ticket.clone(), priority: Priority::default() },
        C::CallNext { queue: queue.clone(), station: station.clone() },
        C::CallTicket { ticket: ticket.clone(), station },
        C::RecallTicket { ticket: ticket.clone() },
        C::StartService { ticket: ticket.clone() },
        C::CompleteTicket { ticket: ticket.clone() },
        C::HoldTicket { ticket: ticket.clone(), reason: None },
        C::ResumeTicket { ticket: ticket.clone() },
        C::MarkAbsent { ticket: ticket.clone() },
        C::ReturnTicket { ticket: ticket.clone() },
        C::MarkNoShow { ticket: ticket.clone() },
        C::CancelTicket { ticket: ticket.clone(), reason: None },
        C::LeaveTicket { ticket: ticket.clone() },
        C::TransferTicket { ticket: ticket.clone(), queue, successor: None },
        C::Prioritise { ticket: ticket.clone(), priority: Priority::default() },
        C::RevertTicket { ticket },
    ]
}

/// The kinds of commands each role may give about its own location, queue and ticket: the promise to clinics,
/// written down a second time and by role.
fn promised(role: Role) -> Vec<&'static str> {
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
    let queue_work = ["queue.call_next", "queue.pause", "queue.resume"];
    let desk_work = [
        "queue.open",
        "queue.close",
        "queue.reorder",
        "ticket.issue",
        "ticket.cancel",
        "ticket.leave",
        "ticket.prioritise",
    ];
    match role {
        Role::Patient => vec!["ticket.leave"],
        Role::Display => vec![],
        Role::Doctor => [&ticket_work[..], &queue_work].concat(),
        Role::Reception => [&ticket_work[..], &queue_work, &desk_work].concat(),
        Role::Admin => location_kinds(),
        Role::Viewer | Role::Editor => vec![],
    }
}

/// The kinds of commands to locations.
fn location_kinds() -> Vec<&'static str> {
    let kinds = Command::KINDS.iter().copied();
    kinds.filter(|kind| !kind.starts_with("run.") && !kind.starts_with("rule.")).collect()
}

/// What gateways take; the others are facts that only workers write.
const RUN_AND_RULE_KINDS: [&str; 7] =
    ["run.request", "run.cancel", "run.retry", "rule.put", "rule.enable", "rule.disable", "rule.delete"];

#[test]
fn every_kind_has_one_row_and_no_row_is_of_nothing() {
    let rows: Vec<_> = TABLE.iter().map(|(kind, _)| *kind).collect();
    let mut expected = Channel::KINDS.to_vec();
    expected.extend(location_kinds());
    expected.extend(RUN_AND_RULE_KINDS);
    expected.extend(["files.put", "runs.list", "rules.list", "rules.try"]);
    for kind in &expected {
        assert_eq!(rows.iter().filter(|row| row == &kind).count(), 1, "{kind}");
    }
    assert_eq!(rows.len(), expected.len());
    for role in Role::ALL {
        for fact in ["run.start", "run.report", "run.complete", "run.fail", "run.stop", "ticket.teleport"] {
            assert_eq!(reach(role, fact), Reach::Nothing);
        }
    }
}

#[test]
fn each_role_gives_the_commands_it_was_promised_and_no_other() {
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
fn at_another_location_only_an_admin_gives_commands() {
    for role in Role::ALL {
        for command in every_command("north", "general") {
            let allowed = may_command(&claims(role), &location("north"), &command).is_ok();
            assert_eq!(allowed, role == Role::Admin, "{role:?} {}", command.kind());
        }
    }
}

#[test]
fn a_doctor_moves_assigned_queues_only() {
    for command in every_command("riverside", "blood") {
        let allowed = may_command(&claims(Role::Doctor), &location("riverside"), &command).is_ok();
        // A ticket's id does not tell its queue, so commands on tickets go by location.
        let expected = command.ticket().is_some() && promised(Role::Doctor).contains(&command.kind());
        assert_eq!(allowed, expected, "{}", command.kind());
    }
}

#[test]
fn a_patient_leaves_with_the_own_ticket_only() {
    let other = TicketId::new("riverside.00000000000000000000000000000002").unwrap();
    let leave = Command::LeaveTicket { ticket: other };
    assert_eq!(may_command(&claims(Role::Patient), &location("riverside"), &leave), Err(Code::Forbidden));
    let own = Command::LeaveTicket { ticket: ticket("riverside") };
    assert_eq!(may_command(&claims(Role::Patient), &location("north"), &own), Err(Code::Forbidden));
}

#[test]
fn a_transfer_to_another_location_needs_that_location_too() {
    let transfer = Command::TransferTicket {
        ticket: ticket("riverside"),
        queue: queue("north.general"),
        successor: Some(ticket("north")),
    };
    for role in Role::ALL {
        let mut claims = claims(role);
        let allowed = may_command(&claims, &location("riverside"), &transfer).is_ok();
        assert_eq!(allowed, role == Role::Admin, "{role:?}");
        claims.locations.push(location("north"));
        let allowed = may_command(&claims, &location("riverside"), &transfer).is_ok();
        assert_eq!(allowed, matches!(role, Role::Reception | Role::Doctor | Role::Admin), "{role:?}");
    }
}

#[test]
fn each_role_opens_the_channels_it_was_promised_and_no_other() {
    use Role as R;
    const ALL: &[Role] = &Role::ALL;
    let rows: [(&str, &[Role]); 7] = [
        // Everybody but a display: the ticket is the patient's own, and at the staff's location.
        (
            "ticket:riverside.00000000000000000000000000000001",
            &[R::Patient, R::Reception, R::Doctor, R::Admin],
        ),
        ("ticket:riverside.00000000000000000000000000000002", &[R::Reception, R::Doctor, R::Admin]),
        ("queue:riverside.general", &[R::Reception, R::Doctor, R::Admin]),
        ("queue:riverside.blood", &[R::Reception, R::Admin]),
        ("board:riverside", &[R::Display, R::Reception, R::Doctor, R::Admin]),
        ("board:north", &[R::Admin]),
        ("queue:north.general", &[R::Admin]),
    ];
    for (name, promised) in rows {
        let channel = Channel::parse(name).unwrap();
        for role in ALL {
            let expected = if promised.contains(role) { Ok(()) } else { Err(Code::Forbidden) };
            assert_eq!(may_open(&claims(*role), &channel), expected, "{role:?} {name}");
        }
    }
    let foreign_ticket = Channel::Ticket(ticket("north"));
    for role in ALL {
        assert_eq!(may_open(&claims(*role), &foreign_ticket).is_ok(), *role == Role::Admin, "{role:?}");
    }
}

/// Somebody else of the same tenant, and the same name at another tenant: neither is the one who started a run.
fn strangers(role: Role) -> [Claims; 2] {
    let elsewhere = TenantId::new("north").unwrap();
    [Claims { subject: "another".into(), ..claims(role) }, Claims { tenant: elsewhere, ..claims(role) }]
}

#[test]
fn viewers_watch_all_runs_editors_their_own_and_clinic_roles_none() {
    use Role as R;
    for role in R::ALL {
        let claims = claims(role);
        let own = RunId::new_for(claims.owner_tag(), 1);
        let opens = |run: &RunId| may_open(&claims, &Channel::Run(run.clone())).is_ok();
        assert_eq!(opens(&own), matches!(role, R::Viewer | R::Editor | R::Admin), "{role:?}");
        for stranger in strangers(role) {
            let run = RunId::new_for(stranger.owner_tag(), 1);
            assert!(claims.owns(&own) && !claims.owns(&run));
            assert_eq!(opens(&run), matches!(role, R::Viewer | R::Admin), "{role:?}");
        }
        let lists = match role {
            R::Viewer | R::Admin => Ok(Runs::All),
            R::Editor => Ok(Runs::Own),
            _ => Err(Code::Forbidden),
        };
        assert_eq!(may_list_runs(&claims), lists, "{role:?}");
    }
}

#[test]
fn editors_start_runs_and_end_their_own_and_admins_any() {
    use Role as R;
    for role in R::ALL {
        let claims = claims(role);
        let may = |run: &RunId, kind| may_command_run(&claims, run, kind).is_ok();
        let own = RunId::new_for(claims.owner_tag(), 1);
        assert_eq!(may_upload(&claims).is_ok(), matches!(role, R::Editor | R::Admin), "{role:?}");
        for kind in ["run.request", "run.cancel", "run.retry"] {
            assert_eq!(may(&own, kind), matches!(role, R::Editor | R::Admin), "{role:?} {kind}");
        }
        for stranger in strangers(role) {
            let run = RunId::new_for(stranger.owner_tag(), 1);
            for kind in ["run.cancel", "run.retry"] {
                assert_eq!(may(&run, kind), role == R::Admin, "{role:?} {kind}");
            }
        }
    }
}

#[test]
fn rules_are_read_by_all_who_see_runs_tried_by_editors_and_changed_by_admins() {
    use Role as R;
    for role in R::ALL {
        let may = |kind| may_rule(&claims(role), kind).is_ok();
        assert_eq!(may("rules.list"), matches!(role, R::Viewer | R::Editor | R::Admin), "{role:?}");
        assert_eq!(may("rules.try"), matches!(role, R::Editor | R::Admin), "{role:?}");
        for kind in ["rule.put", "rule.enable", "rule.disable", "rule.delete"] {
            assert_eq!(may(kind), role == R::Admin, "{role:?} {kind}");
        }
    }
}

#[test]
fn the_tag_of_an_owner_tells_no_subject_and_stays_the_same() {
    let mut twin = claims(Role::Viewer);
    (twin.expires, twin.tickets) = (7, vec![]);
    assert_eq!(claims(Role::Editor).owner_tag(), twin.owner_tag());
    assert!(!RunId::new_for(twin.owner_tag(), 0).as_str().contains("somebody"));
}

#[test]
fn a_token_that_lists_nothing_reaches_nothing_below_admin() {
    for role in Role::ALL {
        let empty = Claims { locations: vec![], queues: vec![], tickets: vec![], ..claims(role) };
        for command in every_command("riverside", "general") {
            assert_eq!(may_command(&empty, &location("riverside"), &command).is_ok(), role == Role::Admin);
        }
        for name in ["board:riverside", "queue:riverside.general"] {
            assert_eq!(may_open(&empty, &Channel::parse(name).unwrap()).is_ok(), role == Role::Admin);
        }
    }
}

#[test]
fn roles_are_spelt_alike_everywhere() {
    for (column, role) in Role::ALL.into_iter().enumerate() {
        assert_eq!(role as usize, column);
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.as_str()));
    }
}
