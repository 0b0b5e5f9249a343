//! Fixtures must be values that the product accepts.

use schemas::{
    appointment::AppointmentStatus,
    record::{CommandRecord, ViewsRecord},
    view::Fold,
};

use super::*;

#[test]
fn every_sample_record_survives_the_wire() {
    let place = SampleLocation::new("clinic-7", "hillside");
    let appointment = place.report(1, place.fact(1, 1, AppointmentStatus::Booked));
    let commands = place.opening().into_iter().chain(place.full_opening()).chain([
        place.issue("general", 1),
        place.call_next("general", "room-1"),
        place.call_ticket(1, "room-2"),
        place.transfer(1, "lab"),
        place.leave(1),
        place.check_in(1),
        appointment,
    ]);
    let request = runs::request(runs::file(3, 1_000));
    let run = runs::record(&place.tenant, 9, "c-run", request);
    for record in place.records("c", commands).into_iter().chain([run]) {
        let read = CommandRecord::from_wire(&record.to_wire());
        assert!(read == Ok(record), "the command is read as it was written");
    }
}

#[test]
fn sample_delta_continues_sample_view() {
    let (from, to) = (position(7, 4), position(7, 5));
    let mut held = view(from, &["a"]);
    let record = views_record(to, vec![view_delta("board:riverside", delta(4, 5, &["a", "b"]))]);
    let wire = record.to_wire(&riverside::aggregate());
    let read = ViewsRecord::from_value(&wire.value).expect("a record of views");
    assert_eq!(held.fold(&read.deltas[0].delta), Fold::Applied);
    assert_eq!(json(&held), json(&view(to, &["a", "b"])));
}
