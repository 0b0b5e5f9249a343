use super::*;

#[test]
fn ids_reject_texts_of_another_form() {
    for good in ["a", "riverside", "north-2"] {
        assert!(LocationId::new(good).is_ok(), "{good}");
    }
    for bad in ["", "A", "a b", "a.b", "a/b", "é", &"x".repeat(41)] {
        assert!(LocationId::new(bad).is_err(), "{bad}");
    }
    assert!(QueueId::new("riverside.general").is_ok());
    for bad in ["riverside", "riverside.", ".general", "a.b.c", "a.B"] {
        assert!(QueueId::new(bad).is_err(), "{bad}");
    }
    let ticket = TicketId::from_random(&LocationId::new("riverside").unwrap(), 7);
    assert!(TicketId::new(ticket.as_str()).is_ok());
    for bad in ["riverside.7", "riverside.0000000000000000000000000000000G"] {
        assert!(TicketId::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn scoped_id_names_its_location() {
    let queue = QueueId::new("riverside.general").unwrap();
    assert_eq!(queue.location().as_str(), "riverside");
    assert!(queue.belongs_to(&LocationId::new("riverside").unwrap()));
    assert!(!queue.belongs_to(&LocationId::new("river").unwrap()));
}

#[test]
fn debug_hides_ticket_id() {
    let ticket = TicketId::from_random(&LocationId::new("riverside").unwrap(), 0xdead_beef);
    let text = format!("{ticket:?}");
    assert!(!text.contains("riverside") && !text.contains("beef"), "{text}");
}

#[test]
fn source_cannot_be_named_like_a_program() {
    for good in ["his", "his-clinicwire"] {
        assert!(SourceId::new(good).is_ok(), "{good}");
    }
    for bad in ["clinicwire", "clinicwire-gateway", "clinicwire-processors/follow-up", "His"] {
        assert!(SourceId::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_ids_of_one_person_are_kin() {
    let (south, north) = (LocationId::new("south").unwrap(), LocationId::new("north").unwrap());
    for bits in [7, u128::MAX] {
        let first = TicketId::from_random(&south, bits);
        let there = first.successor(&north, 1);
        let back = there.successor(&south, 2);
        assert!(there.belongs_to(&north) && back.belongs_to(&south) && back != first);
        assert!(first.is_kin(&there) && back.is_kin(&first) && first.is_kin(&first));
        assert!(!first.is_kin(&TicketId::from_random(&south, bits.wrapping_add(256))));
        assert!(!first.is_kin(&TicketId::from_random(&south, bits.wrapping_sub(256))));
        assert!(first.is_kin(&TicketId::from_random(&south, bits.wrapping_sub(255))));
    }
}

#[test]
fn appointment_has_the_tickets_of_its_visits() {
    let (south, north) = (LocationId::new("south").unwrap(), LocationId::new("north").unwrap());
    for bits in [7, u128::MAX] {
        let appointment = AppointmentId::from_random(&south, bits);
        let last = appointment.visit_ticket(MAX_VISITS - 1);
        assert_ne!(appointment.visit_ticket(0), last);
        assert!(appointment.has_ticket(&appointment.visit_ticket(0)));
        assert!(appointment.has_ticket(&last));
        assert!(!appointment.has_ticket(&appointment.visit_ticket(MAX_VISITS)));
        assert!(!appointment.has_ticket(&TicketId::from_random(&north, bits)));
        let moved = appointment.moved_to(&north);
        assert_eq!(moved, AppointmentId::from_random(&north, bits));
        assert!(moved.is_kin(&appointment));
        assert!(moved.is_kin_of(&last) && moved.has_ticket(&moved.visit_ticket(1)));
        // Programs of two versions make the same ids. A move leaves room for the visits.
        for number in [1, 2] {
            let expected = bits.wrapping_add(16 * u128::from(number));
            let there = appointment.visit_ticket(0).successor(&north, number);
            assert_eq!(there, TicketId::from_random(&north, expected));
            assert!(!appointment.moved_to(&north).has_ticket(&there));
        }
        let stranger = AppointmentId::from_random(&south, bits.wrapping_add(256));
        assert!(!stranger.is_kin(&appointment));
        assert!(!stranger.is_kin_of(&appointment.visit_ticket(0)));
    }
}

#[test]
fn ids_are_made_of_their_parts() {
    let (location, doctor) =
        (LocationId::new("riverside").unwrap(), DoctorId::new("dr-roy").unwrap());
    let schedule = ScheduleId::from_parts(&location, &doctor);
    assert_eq!(schedule.as_str(), "riverside/dr-roy");
    assert_eq!((schedule.location(), schedule.doctor()), (location.clone(), doctor));
    let run = RunId::from_parts(0xabc, 7);
    assert_eq!(RunId::new(run.as_str()), Ok(run.clone()));
    assert_eq!(run.owner(), 0xabc);
    let (demo, file) = (TenantId::new("demo").unwrap(), FileId::from_random(7));
    for path in [file.path(&demo), file.label_path(&demo)] {
        assert_eq!(FileId::from_path(&path), Some((demo.clone(), file.clone())), "{path}");
    }
    assert_ne!(file.path(&demo), file.label_path(&demo));
    for other in [
        "demo",
        "demo/x",
        "Demo/f_00000000000000000000000000000007",
        "a/demo/f_00000000000000000000000000000007",
    ] {
        assert_eq!(FileId::from_path(other), None, "{other}");
    }
    let texts = [
        (EventId::from_random(7).to_string(), "e_00000000000000000000000000000007"),
        (WebhookId::from_random(7).to_string(), "w_00000000000000000000000000000007"),
        (CommandId::from_random(7).to_string(), "00000000000000000000000000000007"),
        (DisplayId::from_random(&location, 7).to_string(), "riverside.0000000000000007"),
    ];
    for (made, expected) in texts {
        assert_eq!(made, expected);
    }
}

#[test]
fn aggregate_says_what_it_is() {
    use AggregateKind as K;
    let demo = TenantId::new("demo").unwrap();
    let (location, run) = (LocationId::new("riverside").unwrap(), RunId::from_parts(1, 2));
    let (source, key) = (SourceId::new("his").unwrap(), SourceKey::new("Maria 1980").unwrap());
    let appointment = Aggregate::appointment_key(&demo, &source, &key);
    for (aggregate, kind) in [
        (Aggregate::location(&demo, &location), K::Location),
        (Aggregate::run(&demo, &run), K::Run),
        (Aggregate::rules(&demo), K::Rules),
        (Aggregate::webhooks(&demo), K::Webhooks),
        (Aggregate::tenant_settings(&demo), K::Tenant),
        (appointment.clone(), K::AppointmentKey),
    ] {
        assert_eq!((aggregate.kind(), aggregate.tenant()), (kind, demo.clone()));
        let is_location = kind == K::Location;
        assert_eq!(aggregate.location_id(), is_location.then(|| location.clone()));
        assert_eq!(aggregate.run_id(), (kind == K::Run).then(|| run.clone()));
        assert_eq!(Aggregate::parse(aggregate.as_str()), Ok(aggregate.clone()));
        assert_eq!(aggregate.to_string(), format!("demo/{}", aggregate.id()));
        // The digest of a key may stand for a patient.
        let hides = !format!("{aggregate:?}").contains(aggregate.id());
        assert_eq!(hides, kind == K::AppointmentKey, "{aggregate:?}");
    }
    for bad in ["demo", "Demo/riverside", "demo/_else", "demo/", "/riverside", "demo/a/b"] {
        assert!(Aggregate::parse(bad).is_err(), "{bad}");
    }
    let other = SourceKey::new("Maria 1981").unwrap();
    assert_ne!(Aggregate::appointment_key(&demo, &source, &other), appointment);
}
