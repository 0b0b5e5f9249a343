//! Requests other than commands and channels: each check, for every role, here and elsewhere.

use super::*;

/// The roles whose claims pass a check.
fn passing(check: impl Fn(&Claims) -> Result<(), Code>) -> Vec<Role> {
    Role::ALL.into_iter().filter(|role| check(&claims(*role)).is_ok()).collect()
}

#[test]
fn each_request_has_its_bearers_here_and_elsewhere() {
    use Role as R;
    let [here, north] = ["riverside", "north"].map(location);
    let desk = [R::Reception, R::SupportStaff, R::Admin, R::SuperAdmin];
    let admins = [R::Admin, R::SuperAdmin];
    assert_eq!(passing(|c| may_print_code(c, &here)), desk);
    assert_eq!(passing(|c| may_print_code(c, &north)), admins);
    assert_eq!(passing(|c| may_see_flags(c, &here)), desk);
    assert_eq!(passing(|c| may_see_flags(c, &north)), admins);
    assert_eq!(passing(may_read_outcomes), desk);
    assert_eq!(passing(|c| may_read_outcome(c, Some(&here))), desk);
    assert_eq!(passing(|c| may_read_outcome(c, Some(&north))), admins);
    assert_eq!(passing(|c| may_revoke(c, Some(&north))), admins);
    assert_eq!(passing(|c| may_revoke(c, None)), admins);
    assert_eq!(passing(may_read_audit), admins);
}

#[test]
fn admin_of_some_locations_revokes_links_there_alone() {
    let bound = Claims { locations: vec![location("riverside")], ..claims(Role::Admin) };
    let forbidden = Err(Code::Forbidden);
    assert_eq!(may_revoke(&bound, Some(&location("riverside"))), Ok(()));
    assert_eq!(may_revoke(&bound, Some(&location("north"))), forbidden);
    assert_eq!(may_revoke(&bound, None), forbidden);
    assert_eq!(may_read_audit(&bound), forbidden);
}

#[test]
fn only_the_patient_has_a_device_alerted() {
    assert_eq!(passing(|c| may_subscribe_alerts(c, &ticket("riverside"))), [Role::Patient]);
    let other = TicketId::from_random(&location("riverside"), 0x2000);
    assert_eq!(passing(|c| may_subscribe_alerts(c, &other)), []);
    // The link of an appointment reaches the tickets of its visits.
    let by_appointment = Claims { tickets: Vec::new(), ..claims(Role::Patient) };
    let visit = appointment("riverside").visit_ticket(0);
    assert_eq!(may_subscribe_alerts(&by_appointment, &visit), Ok(()));
}
