use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    command::{CommandOutcome, CommandResult, Verdict},
    ids::{LocationId, RunId, SourceId, SourceKey, TenantId, TicketId},
    ticket::Priority,
    view::{Delta, Position},
};

fn aggregate() -> Aggregate {
    Aggregate::location(&TenantId::new("demo").unwrap(), &LocationId::new("riverside").unwrap())
}

fn command_record() -> CommandRecord {
    CommandRecord {
        aggregate: aggregate(),
        id: CommandId::new("c-1").unwrap(),
        source: "clinicwire-gateway".into(),
        fingerprint: Some(Fingerprint::from_parts([b"PUT".as_slice()])),
        valid_until: Some(17),
        actor: Some(Actor { subject: "nurse-7".into(), role: "reception".into() }),
        command: Command::IssueTicket {
            queue: QueueId::new("riverside.general").unwrap(),
            ticket: TicketId::from_random(&LocationId::new("riverside").unwrap(), 7),
            priority: Priority::default(),
        },
    }
}

fn named() -> NamedCommand {
    let command = command_record();
    NamedCommand {
        identity: command.identity(),
        fingerprint: Some(command.effective_fingerprint()),
    }
}

fn with_header(name: &str, value: &str) -> WireRecord {
    let mut record = command_record().to_wire();
    record.headers.retain(|(header, _)| header != name);
    record.headers.push((name.to_owned(), value.to_owned()));
    record
}

#[test]
fn command_record_round_trips() {
    let record = command_record();
    assert!(CommandRecord::from_wire(&record.to_wire()).unwrap() == record);
}

#[test]
fn unreadable_record_still_names_its_command() {
    let wire = WireRecord { value: Bytes::from_static(b"{"), ..command_record().to_wire() };
    assert_eq!(NamedCommand::from_wire(&wire), Some((aggregate(), named())));
}

#[test]
fn outcomes_of_two_subjects_have_two_record_ids() {
    let record_id = |subject: &str| {
        let mut named = named();
        named.identity.subject = subject.to_owned();
        let (command, verdict) =
            (named.identity.command.clone(), Verdict::Refused { code: Code::QueueEmpty });
        let outcome = Some(named.publish(CommandOutcome { command, at: 9, verdict }));
        let position = Position { epoch: 8, version: 5 };
        let record = ViewsRecord { position, at: 9, deltas: Vec::new(), reload: false, outcome };
        record.to_wire(&aggregate()).header("ce_id").unwrap().to_owned()
    };
    assert_ne!(record_id("nurse-7"), record_id("nurse-8"));
}

#[test]
fn each_unusable_record_has_its_code() {
    let wire = command_record().to_wire();
    let table = [
        (WireRecord { key: "riverside".into(), ..wire.clone() }, Code::RecordBadKey),
        (with_header("ce_type", "clinicwire.ticket.teleport.v1"), Code::RecordUnknownType),
        (with_header("ce_type", "org.example.ticket"), Code::RecordUnknownType),
        (with_header("ce_type", "clinicwire.ticket.issue.v2"), Code::RecordUnknownVersion),
        (with_header("ce_type", "clinicwire.ticket.leave.v1"), Code::RecordMalformed),
        (with_header("ce_validuntil", "soon"), Code::RecordMalformed),
        (with_header("ce_source", "a\0b"), Code::RecordMalformed),
        (with_header("ce_source", &"s".repeat(201)), Code::RecordMalformed),
        (with_header("ce_actor", ""), Code::RecordMalformed),
        (with_header("ce_fingerprint", "none"), Code::RecordMalformed),
        (with_header("ce_id", "no spaces allowed"), Code::RecordMalformed),
        (WireRecord { value: Bytes::from_static(b"{"), ..wire.clone() }, Code::RecordMalformed),
        (WireRecord { key: "demo/hillside".into(), ..wire }, Code::RecordForeignId),
    ];
    for (record, code) in table {
        assert_eq!(CommandRecord::from_wire(&record).err(), Some(code));
    }
}

#[test]
fn views_record_round_trips_as_head_and_value() {
    let mut delta = Delta { from: 3, to: 5, at: 9, ..Delta::default() };
    delta.put("queue", &1);
    let record = ViewsRecord {
        position: Position { epoch: 8, version: 5 },
        at: 9,
        deltas: vec![ViewDelta {
            view: "queue:riverside.general".into(),
            keep_s: None,
            urgent: false,
            delta,
        }],
        reload: false,
        outcome: Some(named().publish(CommandOutcome {
            command: CommandId::new("c-1").unwrap(),
            at: 9,
            verdict: Verdict::Applied { epoch: 8, version: 5, result: CommandResult::default() },
        })),
    };
    let wire = record.to_wire(&aggregate());
    let head = ViewsHead::from_wire(&wire).unwrap();
    assert_eq!((head.aggregate, head.position), (aggregate(), record.position));
    assert_eq!(head.command, Some(named()));
    let back = ViewsRecord::from_value(&wire.value).unwrap();
    assert_eq!(back.deltas[0].delta.to, 5);
    assert_eq!(back.deltas[0].delta.set["queue"].get(), "1");
    assert!(back.outcome == record.outcome);
    assert!(PublishedOutcome::from_value(&wire.value) == Ok(record.outcome));
    let tick = ViewsRecord { outcome: None, ..back }.to_wire(&aggregate());
    assert!(PublishedOutcome::from_value(&tick.value) == Ok(None));
    assert_eq!(PublishedOutcome::from_value(b"{").err(), Some(Code::RecordMalformed));
}

#[test]
fn follow_up_ids_differ_with_every_part() {
    let to = || Aggregate::location(&aggregate().tenant(), &LocationId::new("north").unwrap());
    let id = |command: &CommandRecord, purpose| {
        let next = command.follow_up(purpose, to(), command.command.clone());
        assert_eq!(next.source, FOLLOW_UP_SOURCE);
        next.id
    };
    let first = command_record();
    let changed = |change: fn(&mut CommandRecord)| {
        let mut command = command_record();
        change(&mut command);
        command
    };
    let long = |end: char| {
        let mut command = command_record();
        command.id = CommandId::new(format!("{}{end}", "c".repeat(63))).unwrap();
        command
    };
    let ids = [
        id(&first, "successor"),
        id(&first, "moved"),
        id(&changed(|command| command.actor = None), "successor"),
        id(&changed(|command| command.source.push('2')), "successor"),
        id(
            &changed(|command| command.aggregate = Aggregate::parse("demo/north").unwrap()),
            "successor",
        ),
        id(&long('1'), "successor"),
        id(&long('2'), "successor"),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(id(&first, "successor"), ids[0]);
}

/// The value of a field that names something of `location`.
fn named_at(field: &str, location: &str) -> Value {
    let id = format!("{location}.{:032x}", 7);
    match field {
        "queue" | "move_to" => json!(format!("{location}.general")),
        "queues" => json!([format!("{location}.general")]),
        "setup" => {
            let queues = [format!("{location}.general")];
            json!({"name": "", "kind": "poster", "factor": "birth_year", "queues": queues})
        }
        "fact" => {
            let mut fact = json!({"source": "his", "key": "4711", "revision": 1});
            fact["status"] = json!("booked");
            fact["queue"] = json!(format!("{location}.general"));
            fact
        }
        "station" => json!(format!("{location}.room-1")),
        "display" => json!(format!("{location}.{:016x}", 7)),
        "point" | "check_in_point" => json!(format!("{location}.entrance")),
        "tickets" => json!([id]),
        "ticket" | "appointment" | "from" | "successor" => json!(id),
        other => panic!("{other}"),
    }
}

#[test]
fn record_names_nothing_of_another_location() {
    // Commands, the fields that must name something of their location, those that need not, and
    // further fields.
    let none = || json!({});
    let table = [
        ("location.order_queues", "queues", "", none()),
        ("queue.configure", "queue", "", json!({"name": "", "prefix": ""})),
        ("queue.remove", "queue move_to", "", none()),
        ("queue.open queue.pause queue.resume queue.close", "queue", "", none()),
        ("queue.reorder", "queue tickets", "", none()),
        ("queue.call_next", "queue station", "", none()),
        ("station.configure", "station queues", "", json!({"name": ""})),
        ("station.remove station.open station.close station.call_next", "station", "", none()),
        ("display.pair", "display check_in_point", "", json!({"name": ""})),
        ("display.rename", "display", "", json!({"name": ""})),
        ("display.unpair", "display", "", none()),
        ("check_in_point.configure", "point setup", "", none()),
        ("check_in_point.rotate check_in_point.revoke check_in_point.remove", "point", "", none()),
        ("ticket.issue", "queue ticket", "", none()),
        ("ticket.call", "ticket station", "", none()),
        ("ticket.recall ticket.start ticket.complete ticket.hold", "ticket", "", none()),
        ("ticket.resume ticket.absent ticket.return ticket.yield", "ticket", "", none()),
        ("ticket.no_show ticket.cancel ticket.leave ticket.revert", "ticket", "", none()),
        (
            "ticket.subscribe_alerts",
            "ticket",
            "",
            json!({"device": {"endpoint": "", "keys": {"p256dh": "", "auth": ""}}}),
        ),
        ("ticket.unsubscribe_alerts", "ticket", "", json!({"endpoint": ""})),
        ("ticket.prioritise", "ticket", "", json!({"priority": 3})),
        ("ticket.transfer", "ticket", "queue", none()),
        ("ticket.receive", "ticket queue", "from", json!({"priority": 0, "until": 0})),
        ("ticket.withdraw", "ticket", "from", none()),
        ("ticket.settle", "ticket", "successor", json!({"answer": "kept"})),
        ("appointment.report", "appointment fact", "", none()),
        ("appointment.check_in", "appointment", "queue", none()),
        ("appointment.override_check_in", "appointment", "", json!({"reason": ""})),
        ("appointment.undo_check_in", "appointment", "", none()),
        ("appointment.receive", "appointment fact", "from", json!({"hops": 0})),
        ("appointment.settle", "appointment", "successor", json!({"answer": "kept"})),
    ];
    // Commands that name a location and nothing in it.
    let mut seen = BTreeSet::from([
        "location.configure",
        "location.change_privacy",
        "location.change_messages",
        "location.change_branding",
        "location.tick",
    ]);
    for (kinds, own, free, more) in table {
        seen.extend(kinds.split_whitespace());
        for kind in kinds.split_whitespace() {
            let refers = |abroad: &str| {
                let mut text = more.clone();
                text["type"] = json!(kind);
                for field in own.split_whitespace().chain(free.split_whitespace()) {
                    let at = if field == abroad { "hillside" } else { "riverside" };
                    text[field] = named_at(field, at);
                }
                refers_only_to(&serde_json::from_value(text).expect(kind), &aggregate())
            };
            assert!(refers(""), "{kind}");
            for field in own.split_whitespace() {
                assert!(!refers(field), "{kind}: {field}");
            }
            for field in free.split_whitespace() {
                assert!(refers(field), "{kind}: {field}");
            }
        }
    }
    let of_locations = |kind: &&&str| {
        let others = ["run.", "rule", "reference.", "webhook.", "tenant.", "appointment_key."];
        !others.iter().any(|other| kind.starts_with(other))
    };
    let all: BTreeSet<_> = Command::KINDS.iter().filter(of_locations).copied().collect();
    assert_eq!(seen, all);
}

#[test]
fn record_is_for_the_kind_of_its_aggregate() {
    let tenant = aggregate().tenant();
    let (run, rules) =
        (Aggregate::run(&tenant, &RunId::from_parts(1, 2)), Aggregate::rules(&tenant));
    assert!(!refers_only_to(&command_record().command, &rules));
    assert!(!refers_only_to(&Command::CancelRun {}, &aggregate()));
    assert!(refers_only_to(&Command::CancelRun {}, &run));
    let mut claim = json!({"type": "appointment_key.claim"});
    claim["appointment"] = named_at("appointment", "riverside");
    claim["fact"] = named_at("fact", "riverside");
    let claim: Command = serde_json::from_value(claim).unwrap();
    let key = |source, key: &str| {
        let (source, key) = (SourceId::new(source).unwrap(), SourceKey::new(key).unwrap());
        Aggregate::appointment_key(&tenant, &source, &key)
    };
    assert!(refers_only_to(&claim, &key("his", "4711")));
    assert!(!refers_only_to(&claim, &key("his", "4712")));
    assert!(!refers_only_to(&claim, &key("pms", "4711")));
}

#[test]
fn commands_go_to_the_topic_of_their_aggregate() {
    use AggregateKind as K;
    for (topic, kinds) in [
        (CARE_TOPIC, &[K::Location, K::AppointmentKey][..]),
        (RUNS_TOPIC, &[K::Run, K::Rules, K::Webhooks, K::Tenant]),
    ] {
        assert!(kinds.iter().all(|kind| topic_for(*kind) == topic), "{topic}");
    }
}

#[test]
fn validity_ends_after_its_last_millisecond() {
    let until = |valid_until| CommandRecord { valid_until, ..command_record() };
    assert!(!until(Some(17)).is_expired(17));
    assert!(until(Some(17)).is_expired(18));
    assert!(!until(None).is_expired(Millis::MAX));
}

#[test]
fn size_counts_key_headers_and_value() {
    let text = |text: &str| text.to_owned();
    let headers = vec![(text("four"), text("value")), (text("a"), text("bc"))];
    let record = WireRecord { key: text("key"), headers, value: Bytes::from_static(b"1234567") };
    assert_eq!(record.size(), 3 + 4 + 5 + 1 + 2 + 7);
}
