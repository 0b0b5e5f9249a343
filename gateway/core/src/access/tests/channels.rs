//! Which channels each role opens.

use super::*;

/// Which roles open which channel: the promise to clinics, written a second time.
const OPENED_BY: [(&str, &str); 20] = [
    (
        "ticket:riverside.00000000000000000000000000000001",
        "patient reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    // The ticket of the patient's appointment.
    (
        "ticket:riverside.00000000000000000000000000a000a1",
        "patient reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    (
        "ticket:riverside.00000000000000000000000000002000",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    // The ticket continues the patient's own.
    ("ticket:north.00000000000000000000000000000001", "patient admin"),
    (
        "queue:riverside.general",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("queue:riverside.blood", "reception support_staff admin"),
    ("queue:north.general", "admin"),
    (
        "board:riverside",
        "display reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("board:north", "admin"),
    (
        "appointment:riverside.00000000000000000000000000a000a1",
        "patient reception support_staff doctor therapist counselor admin",
    ),
    // A token for a ticket alone grants none of its patient's other appointments.
    (
        "appointment:riverside.00000000000000000000000000000001",
        "reception support_staff doctor therapist counselor admin",
    ),
    ("appointment:north.00000000000000000000000000a000a1", "patient admin"),
    ("schedule:riverside/dr-roy", "reception support_staff doctor therapist counselor admin"),
    ("schedule:riverside/dr-singh", "reception support_staff admin"),
    ("schedule:north/dr-roy", "admin"),
    ("load:riverside", "reception support_staff doctor therapist counselor admin"),
    ("load:north", "admin"),
    (
        "settings:riverside",
        "reception support_staff doctor therapist counselor pharmacist \
         lab_technician admin",
    ),
    ("settings:north", "admin"),
    ("run:r_0123456789abcdef_00000000000000000000000000000007", "admin viewer"),
];

#[test]
fn each_role_opens_exactly_its_promised_channels() {
    for (name, promised) in OPENED_BY {
        let channel = Channel::parse(name).unwrap();
        for role in Role::ALL {
            // A super admin has the rights of an admin.
            let word = if role == Role::SuperAdmin { "admin" } else { role.as_str() };
            let opens = promised.split(' ').any(|promised| promised == word);
            let expected = if opens { Ok(()) } else { Err(Code::Forbidden) };
            assert_eq!(may_open(&claims(role), &channel), expected, "{role:?} {name}");
        }
    }
    for kind in Channel::KINDS {
        assert!(OPENED_BY.iter().any(|(name, _)| name.starts_with(kind)), "{kind}");
    }
}

#[test]
fn clinician_without_doctor_id_opens_no_schedule() {
    for role in [Role::Doctor, Role::Therapist, Role::Counselor] {
        let claims = Claims { doctor: None, ..claims(role) };
        let channel = Channel::parse("schedule:riverside/dr-roy").unwrap();
        assert_eq!(may_open(&claims, &channel), Err(Code::Forbidden), "{role:?}");
    }
}

#[test]
fn channel_aggregate_is_in_bearers_tenant() {
    let channel = Channel::parse("schedule:riverside/dr-roy").unwrap();
    let tenant = |name| TenantId::new(name).unwrap();
    assert_eq!(channel.aggregate(&tenant("north")).as_str(), "north/riverside");
    assert_ne!(channel.aggregate(&tenant("demo")), channel.aggregate(&tenant("north")));
}
