use serde_json::{Value, json, value::to_raw_value};

use super::*;

/// A delay of 7 ms, because `at` is 1,000 ms in all publications.
const NOW_US: i64 = 1_007_000;

fn phone() -> ClientWatch {
    ClientWatch::new(3, ChannelKind::Ticket { own_line: true })
}

fn waiting(position: u32) -> Value {
    json!({"at": 1000, "state": "waiting", "position": position, "ahead": position - 1})
}

fn whole(watch: &mut ClientWatch, epoch: &str, offset: u64, data: &Value) {
    watch.began(epoch, false, NOW_US);
    watch.whole(offset, &to_raw_value(data).unwrap());
}

fn step(watch: &mut ClientWatch, offset: u64, data: &Value) {
    watch.step(offset, &to_raw_value(data).unwrap(), NOW_US, true);
}

fn found(watch: &ClientWatch) -> Vec<Breach> {
    watch.breaches.counts.keys().copied().collect()
}

#[test]
fn forward_line_is_measured_without_breach() {
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
fn falling_offset_is_a_breach() {
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
fn new_epoch_is_a_breach() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    whole(&mut watch, "10", 11, &waiting(2));
    assert_eq!(found(&watch), [Breach::EpochChanged]);
}

#[test]
fn rising_position_and_earlier_state_are_breaches() {
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
fn equal_publication_is_a_breach() {
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
fn repeated_offset_is_a_duplicate() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &waiting(3));
    step(&mut watch, 11, &waiting(2));
    step(&mut watch, 11, &waiting(2));
    assert!(watch.breaches.is_empty());
    assert_eq!((watch.duplicates, watch.samples.len()), (1, 1));
}

#[test]
fn position_must_match_people_ahead() {
    let mut watch = phone();
    whole(&mut watch, "9", 10, &json!({"at": 1, "state": "waiting", "position": 3, "ahead": 3}));
    assert_eq!(found(&watch), [Breach::Malformed]);
}

#[test]
fn delta_after_held_version_is_a_gap() {
    let mut watch = ClientWatch::new(0, ChannelKind::Keyed);
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
fn delta_end_must_equal_its_offset() {
    let mut watch = ClientWatch::new(0, ChannelKind::Keyed);
    whole(&mut watch, "9", 10, &json!({"version": 10, "at": 1, "entries": {}}));
    step(&mut watch, 12, &json!({"from": 10, "to": 11, "at": 1}));
    assert_eq!(found(&watch), [Breach::VersionMismatch]);
}
