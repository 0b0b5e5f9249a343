use serde_json::{Value, json, value::to_raw_value};

use super::*;

/// A delay of 7 ms: `at` is 1,000 ms in all of these.
const NOW_US: i64 = 1_007_000;

fn phone() -> Watch {
    Watch::new(3, Kind::Ticket { own_line: true })
}

fn waiting(position: u32) -> Value {
    json!({"at": 1000, "state": "waiting", "position": position, "ahead": position - 1})
}

fn whole(watch: &mut Watch, epoch: &str, offset: u64, data: &Value) {
    watch.began(epoch, false, NOW_US);
    watch.whole(offset, &to_raw_value(data).unwrap());
}

fn step(watch: &mut Watch, offset: u64, data: &Value) {
    watch.step(offset, &to_raw_value(data).unwrap(), NOW_US, true);
}

fn found(watch: &Watch) -> Vec<Breach> {
    watch.breaches.counts.keys().copied().collect()
}

#[test]
fn a_line_that_moves_forward_breaks_nothing_and_is_measured() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    step(&mut watch, 11, &waiting(2));
    step(&mut watch, 14, &waiting(1));
    step(&mut watch, 15, &json!({"at": 1000, "state": "called", "call": {"station": "Room 1"}}));
    assert!(watch.breaches.is_empty());
    assert_eq!(watch.position(), Some((9, 15)));
    assert_eq!(watch.samples.iter().map(|s| s.delay_us).collect::<Vec<_>>(), [7000; 3]);
}

#[test]
fn a_falling_offset_is_found_live_and_when_a_subscription_begins() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    step(&mut watch, 9, &waiting(2));
    assert_eq!(found(&watch), [Breach::VersionFell]);

    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    whole(&mut watch, "9", 8, &waiting(3));
    assert_eq!(found(&watch), [Breach::VersionFell]);
}

#[test]
fn a_new_epoch_is_found() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    whole(&mut watch, "10", 11, &waiting(2));
    assert_eq!(found(&watch), [Breach::EpochChanged]);
}

#[test]
fn a_position_that_rises_and_a_state_that_goes_back_are_found() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    step(&mut watch, 11, &waiting(4));
    assert_eq!(found(&watch), [Breach::PositionRose]);

    let mut watch = phone();
    whole(&mut watch, "9", 10, &json!({"at": 1000, "state": "called"}));
    step(&mut watch, 11, &waiting(4));
    assert_eq!(found(&watch), [Breach::StateWentBack]);
}

#[test]
fn a_publication_that_shows_nothing_new_is_found_but_a_new_estimate_is_new() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    let mut later = waiting(3);
    later["estimate"] = json!({"from": 1, "to": 2});
    step(&mut watch, 11, &later);
    assert!(watch.breaches.is_empty());
    assert_eq!(watch.same_position, 1);
    step(&mut watch, 12, &later);
    assert_eq!(found(&watch), [Breach::NothingNew]);
}

#[test]
fn the_same_offset_twice_is_a_duplicate_and_no_delivery() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    step(&mut watch, 11, &waiting(2));
    step(&mut watch, 11, &waiting(2));
    assert!(watch.breaches.is_empty());
    assert_eq!((watch.duplicates, watch.samples.len()), (1, 1));
}

#[test]
fn a_position_that_contradicts_the_people_ahead_is_found() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &json!({"at": 1, "state": "waiting", "position": 3, "ahead": 3}));
    assert_eq!(found(&watch), [Breach::Malformed]);
}

#[test]
fn deltas_fold_into_the_snapshot_and_a_delta_that_begins_too_late_is_a_gap() {
    let mut watch = Watch::new(0, Kind::Keyed);
    watch.entries = Some(Entries::new());
    whole(&mut watch, "9", 10, &json!({"version": 10, "at": 1, "entries": {"a": 1, "b": 2}}));
    step(&mut watch, 13, &json!({"from": 9, "to": 13, "at": 1, "set": {"c": 3}, "remove": ["a"]}));
    assert!(watch.breaches.is_empty());
    let folded = watch.entries.clone().unwrap();
    assert_eq!(json!(folded), json!({"b": 2, "c": 3}));
    step(&mut watch, 15, &json!({"from": 14, "to": 15, "at": 1, "set": {}, "remove": []}));
    assert_eq!(found(&watch), [Breach::Gap]);
}

#[test]
fn a_delta_whose_end_is_not_its_offset_is_found() {
    let mut watch = Watch::new(0, Kind::Keyed);
    whole(&mut watch, "9", 10, &json!({"version": 10, "at": 1, "entries": {}}));
    step(&mut watch, 12, &json!({"from": 10, "to": 11, "at": 1}));
    assert_eq!(found(&watch), [Breach::VersionMismatch]);
}
