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
    }
}
