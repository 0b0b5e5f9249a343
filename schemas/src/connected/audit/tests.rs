use super::*;
use crate::{
    ids::{AppointmentId, LocationId},
    record::MAX_RECORD_BYTES,
};

/// The largest entry that [`AuditEntry::bounded`] lets through.
fn largest() -> AuditEntry {
    let text = |length: usize| "\u{1}".repeat(length);
    let position = Some(Position { epoch: u64::MAX, version: u64::MAX });
    AuditEntry {
        at: Millis::MAX,
        subject: "s".repeat(200).into(),
        role: "lab_technician".into(),
        address: Some(IpAddr::from([0xffff; 8])),
        agent: Some(agent(&text(9_000))),
        action: "appointment.undo-check-in".into(),
        what: vec![text(9_000); 500],
        code: Some(Code::IdempotencyKeyReused),
        other_tenant: None,
        reason: Some(text(500)),
        crossed: true,
        first: position,
        last: position,
    }
    .bounded()
}

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

#[test]
fn largest_record_fits_its_topic() {
    let entry = largest();
    assert_eq!((entry.what.len(), entry.what[0].len()), (MAX_NAMES, MAX_CHANNEL));
    let record = AuditRecord { entries: vec![entry; MAX_ENTRIES] };
    let wire = record.to_wire(&tenant(), u128::MAX);
    assert!(wire.size() <= MAX_RECORD_BYTES, "{}", wire.size());
}

#[test]
fn text_is_cut_between_characters() {
    let mut text = "é".repeat(80);
    cut(&mut text, 101);
    assert_eq!(text.len(), 100);
    assert_eq!(agent(&format!("a{}", "é".repeat(80))).len(), 159);
}

#[test]
fn entry_keeps_its_bytes_and_unknown_fields() {
    let value = r#"{"entries":[{"at":7,"subject":"s","role":"doctor","action":"queue.read",
        "what":["riverside.general"],"newer":{"a":[1]}}]}"#;
    let record = AuditRecord { entries: vec![largest()] }.to_wire(&tenant(), 1);
    let newer = WireRecord { value: value.into(), ..record.clone() };
    let (found, entries) = AuditRecord::from_wire(&newer).unwrap();
    assert_eq!((found, entries.len()), (tenant(), 1));
    assert!(entries[0].text.get().contains(r#""newer":{"a":[1]}"#));
    assert_eq!(&*entries[0].entry.action, "queue.read");
    let (_, entries) = AuditRecord::from_wire(&record).unwrap();
    assert!(entries[0].entry == largest());
}

#[test]
fn record_of_other_key_or_type_is_refused() {
    let good = AuditRecord { entries: vec![largest()] }.to_wire(&tenant(), 1);
    let with_type = |ce_type: &str| {
        let mut record = good.clone();
        record.headers[3].1 = ce_type.to_owned();
        record
    };
    let table = [
        (with_type("clinicwire.audit.seen.v2"), Code::RecordUnknownVersion),
        (with_type("clinicwire.access.revoked.v1"), Code::RecordUnknownType),
        (WireRecord { key: "demo/riverside".to_owned(), ..good.clone() }, Code::RecordBadKey),
        (WireRecord { value: "{}".into(), ..good.clone() }, Code::RecordMalformed),
        (WireRecord { value: r#"{"entries":[{}]}"#.into(), ..good }, Code::RecordMalformed),
    ];
    for (record, code) in table {
        assert_eq!(AuditRecord::from_wire(&record).err(), Some(code));
    }
}

#[test]
fn visits_and_moves_of_a_person_are_near() {
    let (here, there) = (LocationId::new("riverside").unwrap(), LocationId::new("north").unwrap());
    for last in [0_u128, 0x7f, 0xff] {
        let appointment = AppointmentId::from_random(&here, (0xabc << 8) | last);
        let near = PersonKey::near(appointment.as_str()).unwrap();
        for visit in [0, 7, 15] {
            let ticket = appointment.visit_ticket(visit);
            for name in [ticket.to_string(), format!("ticket:{}", ticket.successor(&there, 8))] {
                assert!(near.contains(&PersonKey::of_name(&name).unwrap()), "{last:x} {visit}");
            }
        }
        let other = AppointmentId::from_random(&here, (0xabe << 8) | last);
        assert!(!near.contains(&PersonKey::of_name(other.as_str()).unwrap()));
    }
    for first_or_last in [0, u128::MAX] {
        assert!(PersonKey::near(&format!("a.{first_or_last:032x}")).is_some());
    }
}

#[test]
fn only_tickets_and_appointments_have_a_person() {
    let hex = "0123456789abcdef0123456789abcdef";
    let named = |name: &str| PersonKey::of_name(name).is_some();
    assert!(named(&format!("riverside.{hex}")) && named(&format!("appointment:riverside.{hex}")));
    let run = format!("run:r_0123456789abcdef_{hex}");
    let upper = format!("riverside.{}", hex.to_uppercase());
    let (short, sign) = (format!("riverside.{}", &hex[1..]), format!("a.+{}", &hex[1..]));
    for name in ["", "queue:riverside.general", hex, &run, &upper, &short, &sign, "é.0"] {
        assert!(!named(name), "{name}");
    }
}

#[test]
fn entry_names_each_of_its_persons_once() {
    let here = LocationId::new("riverside").unwrap();
    let [one, two] = [1 << 8, 2 << 8].map(|bits| AppointmentId::from_random(&here, bits));
    let what = vec![
        two.to_string(),
        "queue:riverside.general".to_owned(),
        format!("ticket:{}", one.visit_ticket(3)),
        one.to_string(),
    ];
    let persons = AuditEntry { what, ..largest() }.persons();
    let keys = [&one, &two].map(|id| PersonKey::of_name(id.as_str()).unwrap());
    assert_eq!(persons, keys);
    assert_eq!(keys[0].to_string(), format!("{:030x}", 1));
    assert_eq!(format!("{:?}", keys[0]), "PersonKey(…)");
}
