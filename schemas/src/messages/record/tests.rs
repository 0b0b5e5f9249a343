use bytes::Bytes;

use super::*;
use crate::{
    command::{CommandOutcome, CommandResult, Verdict},
    ids::{LocationId, TenantId, TicketId},
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
