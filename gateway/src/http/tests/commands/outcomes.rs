//! Reading the outcomes of commands.

use super::*;

/// A command of `subject` that `location` decided, as the authority has it.
fn recorded(node: &Node, source: &str, subject: &str, location: &str) -> String {
    let location = LocationId::new(location).unwrap();
    let actor = Actor { subject: subject.to_owned(), role: "reception".to_owned() };
    let command = CommandRecord {
        aggregate: Aggregate::location(&TenantId::new("demo").unwrap(), &location),
        id: CommandId::new("1").unwrap(),
        source: source.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: (!subject.is_empty()).then_some(actor),
        command: Command::LeaveTicket { ticket: TicketId::from_random(&location, 1) },
    };
    node.record(&command, applied_with(TICKET));
    format!("/v1/commands/1?source={source}&subject={subject}")
}

#[tokio::test(start_paused = true)]
async fn outcome_is_read_by_submitter_reception_and_admin() {
    let node = node();
    let here = recorded(&node, COMMAND_SOURCE, "kiosk-2", "riverside");
    let north = recorded(&node, COMMAND_SOURCE, "kiosk-3", "north");
    let bridged = recorded(&node, "clinicwire-bridge/his", "", "riverside");
    for role in Role::ALL {
        let (desk, admin) = (
            matches!(role, Role::Reception | Role::SupportStaff),
            matches!(role, Role::Admin | Role::SuperAdmin),
        );
        for (path, allowed) in [
            ("/v1/commands/1", false),
            (here.as_str(), desk || admin),
            (&bridged, desk || admin),
            (&north, admin),
        ] {
            let answer = node.ask(role, "GET", path, "").await;
            let unknown = node.ask(role, "GET", &path.replace("/1", "/2"), "").await;
            assert_eq!(answer.status == 200, allowed, "{role:?} {path}: {}", answer.text);
            let same = (answer.status, answer.text.replace("\"1\"", "\"2\""));
            assert_eq!(same == (unknown.status, unknown.text), !allowed, "{role:?} {path}");
        }
        let own = token_of("demo", "kiosk-2", role);
        let answer = node.ask_as(&own, "GET", "/v1/commands/1", "").await;
        assert_eq!(answer.status, 200, "{role:?}");
    }
    let foreign = token_of("north", "subject-1", Role::Admin);
    for path in [&here, &north, &bridged] {
        assert_eq!(node.ask_as(&foreign, "GET", path, "").await.code(), "not_found", "{path}");
    }
    let odd = "/v1/commands/1?subject=a%00b";
    assert_eq!(node.ask(Role::Admin, "GET", odd, "").await.code(), "not_found");
    let odd = "/v1/commands/1?who=me";
    assert_eq!(node.ask(Role::Admin, "GET", odd, "").await.code(), "malformed");
}

#[tokio::test]
async fn outcome_hides_what_its_reader_may_not_open() {
    let node = node();
    recorded(&node, COMMAND_SOURCE, "subject-1", "riverside");
    let answer = node.ask(Role::Display, "GET", "/v1/commands/1", "").await;
    assert_eq!((answer.status, answer.json().get("result")), (200, None));

    let stranger = TicketId::from_random(&LocationId::new("riverside").unwrap(), 9_999);
    let result = CommandResult {
        ticket: Some(stranger),
        label: Some("A-099".into()),
        ..CommandResult::default()
    };
    node.decide(Decision::Applied(result));
    let answer = node.ask(Role::Patient, "POST", &format!("/v1/tickets/{TICKET}/leave"), "").await;
    assert_eq!((answer.status, answer.json().get("result")), (200, None));
}
