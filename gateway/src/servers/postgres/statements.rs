//! The statements of the reads, and the places of findings in them.

use schemas::{ids::OWNER_HEX, rule::Severity};

/// One statement, so that position and entries are from one snapshot.
pub const VIEW: &str = "SELECT v.epoch, v.version, v.at, e.key, e.body \
    FROM clinicwire.view v LEFT JOIN clinicwire.view_entry e USING (tenant, aggregate, view) \
    WHERE v.tenant = $1 AND v.aggregate = $2 AND v.view = $3 \
    AND (v.keep_until IS NULL OR v.keep_until > now())";

pub const OUTCOME: &str = "SELECT aggregate, fingerprint, body FROM clinicwire.outcome \
    WHERE tenant = $1 AND source = $2 AND subject = $3 AND command = $4";

/// Newest first, in the order of the index `run_newest`.
pub const RUNS: &str = "SELECT run, head::text FROM clinicwire.run \
    WHERE tenant = $1 AND ($2::text IS NULL OR state = $2) \
    AND ($3::text IS NULL OR starts_with(run, $3)) \
    AND (requested_at, run) < ($4, $5) AND (keep_until IS NULL OR keep_until > now()) \
    ORDER BY requested_at DESC, run DESC LIMIT $6";

pub const HAS_TENANT: &str = "SELECT EXISTS (SELECT FROM clinicwire.view WHERE tenant = $1) \
    OR EXISTS (SELECT FROM clinicwire.run WHERE tenant = $1)";

pub const LAGGING: &str = "SELECT tenant, aggregate FROM clinicwire.lagging($1)";

/// Every location that was ever configured has its settings as a view.
pub const OTHER_LOCATIONS: &str = "SELECT CASE WHEN bool_or(aggregate = $2) THEN NULL \
      ELSE count(*) END FROM clinicwire.view \
    WHERE tenant = $1 AND view = 'settings:' || aggregate";

/// Characters of a run's id up to the end of its owner's tag.
pub const RUN_OWNER_PART: usize = "r_".len() + OWNER_HEX + "_".len();

/// Findings of the completed attempt, in the order of the primary key. The bounds of `place` skip
/// the severities that are not asked for.
pub const FINDINGS: &str = "SELECT f.place, f.n, f.body FROM clinicwire.run r LEFT JOIN LATERAL ( \
        SELECT place, n, body FROM clinicwire.finding \
        WHERE tenant = r.tenant AND run = r.run AND attempt = r.attempt \
        AND (cardinality($3::text[]) = 0 OR severity = ANY($3)) \
        AND ($4::text IS NULL OR rule = $4) \
        AND (place, n) > ($5, $6) AND place <= $7 ORDER BY place, n LIMIT $8 \
    ) f ON r.state = 'completed' \
    WHERE r.tenant = $1 AND r.run = $2 AND (r.keep_until IS NULL OR r.keep_until > now()) \
    ORDER BY f.place, f.n";

/// Position of the severity in a finding's place, in bits.
pub const SEVERITY_SHIFT: u32 = 61;

/// The first and last place of findings with these severities; of all findings when the list is
/// empty.
pub fn places(severities: &[Severity]) -> (i64, i64) {
    let first = |severity: &Severity| (*severity as i64) << SEVERITY_SHIFT;
    let last = |severity: &Severity| first(severity) | ((1 << SEVERITY_SHIFT) - 1);
    (
        severities.iter().map(first).min().unwrap_or(0),
        severities.iter().map(last).max().unwrap_or(i64::MAX),
    )
}

/// The first statement of each transaction.
pub const NAME_TENANT: &str = "SELECT set_config('clinicwire.tenant', $1, true)";
/// [`NAME_TENANT`] before a statement on a table of many partitions. The statement is planned for
/// its values, so that it locks only those partitions that it reads.
pub const NAME_TENANT_AND_PLAN: &str = "SELECT set_config('clinicwire.tenant', $1, true), \
    set_config('plan_cache_mode', 'force_custom_plan', true)";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemas::{
        finding::{Finding, FindingOutcome},
        ids::RuleId,
    };

    use super::*;

    #[test]
    fn each_severity_has_its_own_range_of_places() {
        for severity in Severity::ALL {
            let place = |cents, row| {
                let rule = RuleId::new("rule").unwrap();
                Finding {
                    row,
                    rule,
                    severity,
                    outcome: FindingOutcome::Pass,
                    params: BTreeMap::new(),
                    cents,
                }
                .sort_key()
            };
            let (first, last) = places(&[severity]);
            for place in [place(i64::MAX, 0), place(3240, 7), place(-1, u64::MAX)] {
                assert!((first..=last).contains(&place), "{severity:?}");
            }
            for other in Severity::ALL.into_iter().filter(|other| *other != severity) {
                let (there, until) = places(&[other]);
                assert!(until < first || last < there, "{severity:?} {other:?}");
            }
        }
        assert_eq!(places(&[]), (0, i64::MAX));
        assert_eq!(places(&[Severity::Pass, Severity::Error]), (0, places(&[Severity::Pass]).1));
    }
}
