use proptest::prelude::*;
use schemas::{command::Command, record::CARE_TOPIC};

use super::*;
use crate::runner::batch;

const BITS: u128 = 7;

fn bridge(topic: &str) -> Bridge {
    Bridge {
        tenant: TenantId::new("demo").unwrap(),
        source: SourceId::new("his").unwrap(),
        topic: topic.to_owned(),
    }
}

fn source_record(headers: &[(&str, &str)], value: &str) -> SourceRecord {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let record =
        WireRecord { key: "4711".into(), headers, value: value.as_bytes().to_vec().into() };
    SourceRecord { partition: PartitionId(3), offset: LogOffset(42), record }
}

const BOOKED: &str = r#"{"location": "north", "key": "4711", "version": 2, "status": "booked",
    "start": "2026-11-27T09:00:00Z", "end": "2026-11-27T09:20:00Z"}"#;

fn command(passed: BridgedRecord) -> CommandRecord {
    let BridgedRecord::Command(record) = passed else { panic!("it can be read") };
    CommandRecord::from_wire(&record).unwrap_or_else(|code| panic!("a runner parks it: {code}"))
}

#[test]
fn report_becomes_command_for_first_location() {
    let moved = BOOKED.replace(r#""location""#, r#""moved_from": "south", "location""#);
    for (value, key) in [(BOOKED, "demo/north"), (&moved, "demo/south")] {
        let command = command(
            bridge("his.appointments").convert(source_record(&[("ce_id", "m-1")], value), BITS),
        );
        assert_eq!((command.aggregate.as_str(), command.id.as_str()), (key, "m-1"));
        assert_eq!(command.source, "clinicwire-bridge/his");
        let Command::ReportAppointment { appointment, fact } = command.command else {
            panic!("a report")
        };
        assert_eq!(fact.source.as_str(), "his");
        assert!(Some(appointment.location()) == command.aggregate.location_id());
    }
}

/// The bridge stamps tenant and source, whatever the record contains.
#[test]
fn record_cannot_choose_tenant_or_source() {
    let value = BOOKED.replace(r#""key""#, r#""tenant": "other", "source": "other", "key""#);
    let headers = [("ce_source", "clinicwire-gateway"), ("ce_actor", "root"), ("ce_role", "admin")];
    let command =
        command(bridge("his.appointments").convert(source_record(&headers, &value), BITS));
    assert_eq!(command.aggregate.as_str(), "demo/north");
    assert_eq!(command.source, "clinicwire-bridge/his");
    assert!(command.actor.is_none());
}

/// The id of a record of `topic` at this offset, to which the source gave the id `given`.
fn id_of(topic: &str, given: Option<&str>, offset: i64) -> String {
    let headers: Vec<_> = given.iter().map(|id| ("ce_id", *id)).collect();
    let read = SourceRecord { offset: LogOffset(offset), ..source_record(&headers, BOOKED) };
    command(bridge(topic).convert(read, BITS)).id.to_string()
}

#[test]
fn record_id_comes_from_source_or_offset() {
    assert_eq!(id_of("his", Some("m-1"), 42), "m-1");
    for given in [None, Some("")] {
        let id = id_of("his", given, 42);
        assert!(id.starts_with("his.3.42."), "{id}");
    }
}

#[test]
fn topic_that_is_created_again_gives_other_ids() {
    let id = |value: &str| {
        let read = SourceRecord { offset: LogOffset(42), ..source_record(&[], value) };
        command(bridge("his").convert(read, BITS)).id
    };
    let other = BOOKED.replacen("booked", "cancelled", 1);
    assert_ne!(BOOKED, other);
    assert_eq!(id(BOOKED), id(BOOKED), "read again");
    assert_ne!(id(BOOKED), id(&other));
}

#[test]
fn long_record_ids_differ_to_their_last_character() {
    let topics = ["his".to_owned(), "a".repeat(58), "a".repeat(59), "a".repeat(249)];
    let given = ["urn:uuid with a space".to_owned(), "b".repeat(64), "b".repeat(65)];
    let mut ids = std::collections::HashSet::new();
    for topic in &topics {
        for offset in [42, 420, 421] {
            let id = id_of(topic, None, offset);
            assert_eq!(id_of(topic, None, offset), id, "read again");
            ids.insert(id);
        }
    }
    for given in &given {
        for end in ["1", "2"] {
            ids.insert(id_of("his", Some(&format!("{given}{end}")), 42));
        }
    }
    assert_eq!(ids.len(), 3 * topics.len() + 2 * given.len());
}

#[test]
fn record_read_again_is_the_same_command() {
    let read =
        |bits| command(bridge("his").convert(source_record(&[("ce_id", "m-1")], BOOKED), bits));
    let (first, again) = (read(1), read(2));
    assert!(first.command != again.command, "each has a candidate id");
    assert_eq!(
        (first.identity(), first.effective_fingerprint()),
        (again.identity(), again.effective_fingerprint())
    );
}

#[test]
fn unreadable_record_is_passed_on_unchanged() {
    let table = [
        ("", Code::RecordMalformed),
        ("{", Code::RecordMalformed),
        (
            r#"{"location": "Not A Slug", "key": "1", "version": 1, "status": "booked"}"#,
            Code::RecordMalformed,
        ),
        (
            r#"{"location": "north", "key": "", "version": 1, "status": "booked"}"#,
            Code::RecordMalformed,
        ),
        (
            r#"{"location": "north", "key": "1", "version": 1, "status": "perhaps"}"#,
            Code::RecordMalformed,
        ),
        (
            r#"{"location": "north", "key": "1", "version": -1, "status": "booked"}"#,
            Code::RecordMalformed,
        ),
        (r#"{"location": "north", "key": "1", "status": "booked"}"#, Code::InvalidValue),
    ];
    for (value, expected) in table {
        let passed = bridge("his.appointments")
            .convert(source_record(&[("ce_id", "m-1"), ("x", "y")], value), BITS);
        let BridgedRecord::Unreadable(record, code) = passed else {
            panic!("nobody can read {value}")
        };
        assert_eq!(code, expected, "{value}");
        assert_eq!(&*record.value, value.as_bytes());
        for (name, value) in [
            ("ce_id", "m-1"),
            ("x", "y"),
            ("bridge_topic", "his.appointments"),
            ("bridge_partition", "3"),
            ("bridge_offset", "42"),
            ("bridge_key", "4711"),
            ("bridge_code", expected.as_str()),
        ] {
            assert_eq!(record.header(name), Some(value));
        }
        let partition = PartitionId::for_key(&record.key, 12);
        assert_eq!(batch::read(&record, CARE_TOPIC, partition, 12).err(), Some(Code::RecordBadKey));
    }
}

#[test]
fn oversized_record_is_passed_on_by_place() {
    let large = format!("{BOOKED}{}", " ".repeat(LARGEST));
    let passed =
        bridge("his.appointments").convert(source_record(&[("ce_id", "m-1")], &large), BITS);
    let BridgedRecord::Unreadable(record, Code::TooLarge) = passed else {
        panic!("it is too large")
    };
    assert!(record.value.is_empty());
    assert_eq!(record.header("bridge_offset"), Some("42"));
    assert_eq!(record.header("bridge_code"), Some("too_large"));
}

proptest! {
    /// A source may send any bytes. Each record becomes one that a runner applies or parks, and
    /// none stops the bridge.
    #[test]
    fn no_record_stops_the_bridge(
        value in prop::collection::vec(any::<u8>(), 0..200),
        id in ".{0,80}",
        topic in "[a-zA-Z0-9._-]{1,249}",
        partition in any::<u32>(),
        offset in 0..i64::MAX,
    ) {
        for value in [value, BOOKED.as_bytes().to_vec()] {
            let headers = vec![("ce_id".into(), id.clone())];
            let record = WireRecord { key: id.clone(), headers, value: value.into() };
            let (partition, offset) = (PartitionId(partition), LogOffset(offset));
            match bridge(&topic).convert(SourceRecord { partition, offset, record }, BITS) {
                BridgedRecord::Command(record) => {
                    prop_assert!(CommandRecord::from_wire(&record).is_ok());
                }
                BridgedRecord::Unreadable(record, _) => {
                    prop_assert!(CommandRecord::from_wire(&record).is_err());
                }
            }
        }
    }
}
