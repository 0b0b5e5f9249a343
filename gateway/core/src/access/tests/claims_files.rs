//! Rights on runs, rules and files.

use super::*;

/// Another subject of the same tenant, and the same subject at another tenant. Neither owns the
/// runs of `claims(role)`.
fn strangers(role: Role) -> [Claims; 2] {
    let elsewhere = TenantId::new("north").unwrap();
    [
        Claims { subject: "another".into(), ..claims(role) },
        Claims { tenant: elsewhere, ..claims(role) },
    ]
}

#[test]
fn viewers_watch_all_runs_and_editors_their_own() {
    use Role as R;
    for role in R::ALL {
        let claims = claims(role);
        let own = RunId::from_parts(claims.owner_tag(), 1);
        let opens = |run: &RunId| may_open(&claims, &Channel::Run(run.clone())).is_ok();
        assert_eq!(
            opens(&own),
            matches!(role, R::Viewer | R::Editor | R::FinanceBilling | R::Admin | R::SuperAdmin),
            "{role:?}"
        );
        for stranger in strangers(role) {
            let run = RunId::from_parts(stranger.owner_tag(), 1);
            assert!(claims.owns(&own) && !claims.owns(&run));
            assert_eq!(
                opens(&run),
                matches!(role, R::Viewer | R::Admin | R::SuperAdmin),
                "{role:?}"
            );
        }
        let lists = match role {
            R::Viewer | R::Admin | R::SuperAdmin => Ok(Runs::All),
            R::Editor | R::FinanceBilling => Ok(Runs::Own),
            _ => Err(Code::Forbidden),
        };
        assert_eq!(may_list_runs(&claims), lists, "{role:?}");
    }
}

#[test]
fn editors_end_their_own_runs_and_admins_any() {
    use Role as R;
    for role in R::ALL {
        let claims = claims(role);
        let may = |run: &RunId, kind| may_command_run(&claims, run, kind).is_ok();
        let own = RunId::from_parts(claims.owner_tag(), 1);
        assert_eq!(
            may_upload(&claims).is_ok(),
            matches!(role, R::Editor | R::FinanceBilling | R::Admin | R::SuperAdmin),
            "{role:?}"
        );
        for kind in ["run.request", "run.cancel", "run.retry"] {
            assert_eq!(
                may(&own, kind),
                matches!(role, R::Editor | R::FinanceBilling | R::Admin | R::SuperAdmin),
                "{role:?} {kind}"
            );
        }
        for stranger in strangers(role) {
            let run = RunId::from_parts(stranger.owner_tag(), 1);
            for kind in ["run.cancel", "run.retry"] {
                assert_eq!(
                    may(&run, kind),
                    matches!(role, R::Admin | R::SuperAdmin),
                    "{role:?} {kind}"
                );
            }
        }
    }
}

#[test]
fn each_role_has_its_access_to_rules() {
    use Role as R;
    for role in R::ALL {
        let may = |kind| may_rule(&claims(role), kind).is_ok();
        assert_eq!(
            may("rules.list"),
            matches!(role, R::Viewer | R::Editor | R::FinanceBilling | R::Admin | R::SuperAdmin),
            "{role:?}"
        );
        assert_eq!(
            may("rules.try"),
            matches!(role, R::Editor | R::FinanceBilling | R::Admin | R::SuperAdmin),
            "{role:?}"
        );
        for kind in ["rule.put", "rule.enable", "rule.disable", "rule.delete"] {
            assert_eq!(may(kind), matches!(role, R::Admin | R::SuperAdmin), "{role:?} {kind}");
        }
    }
}

#[test]
fn owner_tag_is_stable_and_hides_the_subject() {
    let mut twin = claims(Role::Viewer);
    (twin.expires, twin.tickets) = (7, vec![]);
    assert_eq!(claims(Role::Editor).owner_tag(), twin.owner_tag());
    let hexadecimal = Claims { subject: "feed".into(), ..twin };
    assert!(!RunId::from_parts(hexadecimal.owner_tag(), 0).as_str().contains("feed"));
}
