//! Pairing, renaming and removing displays.

use std::collections::BTreeMap;

use schemas::ids::DisplayId;

use super::*;
use crate::location::settings::MAX_DISPLAYS;

fn display(number: u64) -> DisplayId {
    DisplayId::from_random(&here().id, number)
}

fn pair(number: u64, name: &str) -> Command {
    Command::PairDisplay { display: display(number), name: name.into(), check_in_point: None }
}

fn rename(number: u64, name: &str, edition: Option<u64>) -> Command {
    Command::RenameDisplay { display: display(number), name: name.into(), edition }
}

/// The names of the displays in the settings of the location, after the deltas of all effects.
fn shown(effects: &[RecordEffect]) -> BTreeMap<String, Option<String>> {
    let mut shown = BTreeMap::new();
    for change in effects.iter().flat_map(|effect| &effect.deltas) {
        assert_eq!(change.view, "settings:riverside", "no other view changes");
        for (key, entry) in &change.delta.set {
            let entry: serde_json::Value = serde_json::from_str(entry.get()).unwrap();
            shown.insert(key.clone(), Some(entry["name"].as_str().unwrap().to_owned()));
        }
        for key in &change.delta.remove {
            shown.insert(key.clone(), None);
        }
    }
    shown
}

#[test]
fn display_is_paired_renamed_and_removed_in_settings() {
    let mut clinic = Clinic::open();
    let rename = rename(1, "Hall", None);
    let unpair = Command::UnpairDisplay { display: display(2) };
    let effects: Vec<_> = [pair(1, "Entrance"), pair(2, "Lab"), rename, unpair]
        .into_iter()
        .map(|command| clinic.apply(command))
        .collect();
    let key = |number| format!("display:{}", display(number));
    let expected = BTreeMap::from([(key(1), Some("Hall".to_owned())), (key(2), None)]);
    assert_eq!(shown(&effects), expected);
    let paired = &clinic.location.header.displays;
    assert_eq!(paired.len(), 1);
    assert_eq!(paired[&display(1)].paired_at, MORNING);
}

#[test]
fn unknown_display_and_faulty_pairing_are_refused() {
    let mut clinic = Clinic::open();
    clinic.apply(pair(1, "Entrance"));
    let table = [
        (pair(2, " "), Code::InvalidValue),
        (rename(9, "Hall", None), Code::DisplayUnknown),
        (rename(1, "Hall", Some(0)), Code::SettingsChanged),
        (Command::UnpairDisplay { display: display(9) }, Code::DisplayUnknown),
    ];
    for (command, code) in table {
        let kind = command.kind();
        assert_eq!(clinic.refusal(command), Some(code), "{kind}");
    }
    assert_eq!(Clinic::empty().refusal(pair(1, "Hall")), Some(Code::LocationUnknown));
}

#[test]
fn display_past_the_bound_is_refused_until_one_is_removed() {
    let mut clinic = Clinic::open();
    for number in 1..=MAX_DISPLAYS as u64 {
        clinic.apply(pair(number, "Screen"));
    }
    assert_eq!(clinic.refusal(pair(0, "One more")), Some(Code::InvalidValue));
    clinic.apply(pair(3, "Paired again"));
    clinic.apply(Command::UnpairDisplay { display: display(7) });
    clinic.apply(pair(0, "One more"));
}
