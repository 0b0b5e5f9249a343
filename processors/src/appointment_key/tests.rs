//! Claims of one key, in every order.

use schemas::appointment::AppointmentStatus;
use testing::records::{MORNING, SampleLocation, command_record, tenant};

use super::*;

const PLACES: [&str; 3] = ["riverside", "hillside", "lakeside"];

/// The claim of a location: appointment 7 of the same key at each of them.
fn claim(place: &str, revision: u64) -> CommandRecord {
    let place = SampleLocation::new("demo", place);
    let fact = place.fact(7, revision, AppointmentStatus::Booked);
    let key = Aggregate::appointment_key(&tenant("demo"), &fact.source, &fact.key);
    let appointment = place.appointment(7);
    let id = format!("{}-{revision}", place.id);
    command_record(&key, &id, Command::ClaimAppointment { appointment, fact })
}

fn send(key: &mut AppointmentKey, record: &CommandRecord) -> Vec<(String, u64, String)> {
    let effect = key.handle(record, RecordTime::at_once(MORNING));
    assert_eq!(effect.position, key.position());
    assert!(effect.deltas.is_empty(), "nobody follows a key");
    let told = effect.follow_ups.iter().map(|next| {
        let Command::ReportAppointment { appointment, fact } = &next.command else {
            panic!("another command")
        };
        assert!(appointment.belongs_to(&next.aggregate.location_id().unwrap()));
        let to = fact.moved_to.as_ref().expect("the fact moves the appointment");
        (appointment.location().to_string(), fact.revision, to.to_string())
    });
    told.collect()
}

fn told(from: &str, revision: u64, to: &str) -> Vec<(String, u64, String)> {
    vec![(from.to_owned(), revision, to.to_owned())]
}

#[test]
fn older_claim_gets_the_current_location() {
    let mut key = AppointmentKey::new(7);
    assert_eq!(send(&mut key, &claim("riverside", 1)), []);
    assert_eq!(send(&mut key, &claim("hillside", 3)), told("riverside", 3, "hillside"));
    assert_eq!(send(&mut key, &claim("lakeside", 2)), told("lakeside", 3, "hillside"));
    assert_eq!(send(&mut key, &claim("riverside", 4)), told("hillside", 4, "riverside"));
    assert_eq!(key.position().version, 3, "the claim of old news changed nothing");
}

#[test]
fn claims_of_one_location_and_of_one_revision_move_nothing() {
    let mut key = AppointmentKey::new(7);
    for revision in [2, 5, 5, 3] {
        assert_eq!(send(&mut key, &claim("riverside", revision)), []);
    }
    assert_eq!(key.position().version, 2);
    assert_eq!(send(&mut key, &claim("hillside", 5)), told("hillside", 5, "riverside"));
}

#[test]
fn every_order_of_claims_ends_at_the_newest() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut key = AppointmentKey::new(7);
        let mut gone = std::collections::BTreeSet::new();
        for place in order {
            let record = claim(PLACES[place], place as u64 + 1);
            gone.extend(send(&mut key, &record).into_iter().map(|(from, ..)| from));
        }
        let holders = PLACES.iter().filter(|place| !gone.contains(**place));
        assert_eq!(holders.collect::<Vec<_>>(), [&PLACES[2]], "{order:?}");
    }
}

#[test]
fn key_is_the_same_after_a_restart_and_a_rebuild() {
    let mut key = AppointmentKey::new(7);
    let mut rebuilt = AppointmentKey::new(7);
    for (place, revision) in [("riverside", 1), ("hillside", 3), ("lakeside", 2)] {
        let effect = key.handle(&claim(place, revision), RecordTime::at_once(MORNING));
        for event in &effect.events {
            rebuilt.replay(effect.position.version, effect.at, event);
        }
    }
    let json = |key: &AppointmentKey| serde_json::to_string(key.header()).unwrap();
    assert_eq!(json(&rebuilt), json(&key));
    let header = serde_json::from_str(&json(&key)).unwrap();
    let mut restored = AppointmentKey::restore(key.position(), header);
    let late = claim("riverside", 2);
    assert_eq!(send(&mut restored, &late), send(&mut key, &late));
}
