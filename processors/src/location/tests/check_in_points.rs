//! Creating, changing, rotating, revoking and removing check-in points.

use schemas::{
    check_in::{CheckInFactor, CheckInPlace, CheckInPointKind, CheckInPointSetup},
    ids::{CheckInPointId, DisplayId},
};

use super::*;
use crate::location::settings::MAX_CHECK_IN_POINTS;

fn point(slug: &str) -> CheckInPointId {
    CheckInPointId::new(format!("riverside.{slug}")).unwrap()
}

fn setup(kind: CheckInPointKind) -> CheckInPointSetup {
    CheckInPointSetup {
        name: "Entrance".into(),
        kind,
        queues: [queue("general")].into(),
        factor: CheckInFactor::PhoneEnd,
        place: Some(CheckInPlace { latitude: 45.5, longitude: -73.6, radius_m: 200 }),
    }
}

fn configure(slug: &str, setup: &CheckInPointSetup) -> Command {
    Command::ConfigureCheckInPoint { point: point(slug), setup: setup.clone(), edition: None }
}

/// The entry of the point in the settings of the location after the effect.
fn shown(effect: &RecordEffect, slug: &str) -> Option<serde_json::Value> {
    let [change] = &effect.deltas[..] else { panic!("one view changes") };
    assert_eq!(change.view, "settings:riverside");
    let key = format!("check-in-point:{}", point(slug));
    assert!(change.delta.set.contains_key(&key) || change.delta.remove.contains(&key));
    change.delta.set.get(&key).map(|entry| serde_json::from_str(entry.get()).unwrap())
}

#[test]
fn rotation_changes_with_every_new_code_and_with_nothing_else() {
    let mut clinic = Clinic::open();
    let poster = setup(CheckInPointKind::Poster);
    let rotation = |effect: &RecordEffect| {
        let entry = shown(effect, "entrance").unwrap();
        (entry["rotation"].as_u64().unwrap(), entry["revoked"] == true)
    };
    let first = rotation(&clinic.apply(configure("entrance", &poster)));
    let renamed = CheckInPointSetup { name: "Main door".into(), ..poster.clone() };
    assert_eq!(rotation(&clinic.apply(configure("entrance", &renamed))), first);
    let revoked = rotation(&clinic.apply(Command::RevokeCheckInPoint { point: point("entrance") }));
    assert_eq!(revoked, (first.0, true));
    let rotated = rotation(&clinic.apply(Command::RotateCheckInPoint { point: point("entrance") }));
    assert!(rotated.0 > first.0 && !rotated.1, "in use again, with another code");
    let gone = clinic.apply(Command::RemoveCheckInPoint { point: point("entrance") });
    assert_eq!(shown(&gone, "entrance"), None);
    let again = rotation(&clinic.apply(configure("entrance", &poster)));
    assert!(again.0 > rotated.0, "a point that is created again has no old code");
}

#[test]
fn faulty_setups_and_unknown_points_are_refused() {
    let mut clinic = Clinic::open();
    let poster = setup(CheckInPointKind::Poster);
    clinic.apply(configure("entrance", &poster));
    clinic.apply(Command::RevokeCheckInPoint { point: point("entrance") });
    let nowhere = CheckInPlace { latitude: 91.0, longitude: 0.0, radius_m: 200 };
    let unknown = point("nowhere");
    let display = DisplayId::from_random(&here().id, 1);
    let pair = |slug: &str| Command::PairDisplay {
        display: display.clone(),
        name: "Kiosk".into(),
        check_in_point: Some(point(slug)),
    };
    let table = [
        (
            configure("hall", &CheckInPointSetup { name: " ".into(), ..poster.clone() }),
            Code::InvalidValue,
        ),
        (
            configure("hall", &CheckInPointSetup { place: Some(nowhere), ..poster.clone() }),
            Code::InvalidValue,
        ),
        (
            configure(
                "hall",
                &CheckInPointSetup { queues: [queue("nowhere")].into(), ..poster.clone() },
            ),
            Code::QueueUnknown,
        ),
        (Command::RotateCheckInPoint { point: unknown.clone() }, Code::CheckInPointUnknown),
        (Command::RevokeCheckInPoint { point: unknown.clone() }, Code::CheckInPointUnknown),
        (Command::RemoveCheckInPoint { point: unknown }, Code::CheckInPointUnknown),
        (Command::RevokeCheckInPoint { point: point("entrance") }, Code::IllegalMove),
        (pair("nowhere"), Code::CheckInPointUnknown),
        (pair("entrance"), Code::IllegalMove),
    ];
    for (command, code) in table {
        let kind = command.kind();
        assert_eq!(clinic.refusal(command), Some(code), "{kind}");
    }
    clinic.apply(configure("kiosk", &setup(CheckInPointKind::Kiosk)));
    clinic.apply(pair("kiosk"));
    for number in 2..MAX_CHECK_IN_POINTS {
        clinic.apply(configure(&format!("door-{number}"), &poster));
    }
    assert_eq!(clinic.refusal(configure("one-more", &poster)), Some(Code::InvalidValue));
    clinic.apply(configure("entrance", &poster));
}

#[test]
fn removed_queue_is_offered_by_no_point() {
    let mut clinic = Clinic::open();
    clinic.apply(configure("entrance", &setup(CheckInPointKind::Poster)));
    let removed = clinic.apply(Command::RemoveQueue { queue: queue("general"), move_to: None });
    let settings = removed.deltas.iter().find(|change| change.view == "settings:riverside");
    let key = format!("check-in-point:{}", point("entrance"));
    let entry = settings.unwrap().delta.set.get(&key).unwrap();
    let entry: serde_json::Value = serde_json::from_str(entry.get()).unwrap();
    assert_eq!(entry["queues"], serde_json::json!([]));
}
