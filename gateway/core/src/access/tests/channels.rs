//! Which channels each role opens.

use super::*;

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
