//! The ends of attempts: the kept results, and how long they are kept.

use std::collections::BTreeMap;

use gateway::backends::queries::{FindingPlace, RunsQuery};
use processors::{
    run::WorkChange,
    work::{AttemptOutput, StoredRules, WorkItem},
};
use schemas::{
    attempt::AttemptNumber,
    codes::Code,
    command::Command,
    finding::{Finding, FindingOutcome, Param},
    ids::RuleId,
    reference::{ReferenceEntry, ReferenceTable},
    rule::{Bilingual, Column, Rule, RuleCheck, Severity},
    run::{RunFailure, RunState},
    view::Position,
};

use super::desk::{BRIEF, Desk, LONG, completed, lost, tenant};
use crate::conformance::soon;

fn finding(row: u64, severity: Severity, cents: i64) -> Finding {
    let word = Param::Word("a \\ \"word\"\twith\nall \u{1} sorts: é".into());
    Finding {
        row,
        rule: RuleId::new("some-rule").expect("a slug"),
        severity,
        outcome: FindingOutcome::NotAllowed,
        params: BTreeMap::from([("code".into(), word), ("limit_cents".into(), Param::Number(-3))]),
        cents,
    }
}

pub async fn findings_are_listed_in_order(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    let found = [
        finding(9, Severity::Pass, 0),
        finding(5, Severity::Error, 100),
        finding(4, Severity::Optimisation, 900),
        finding(7, Severity::Error, 100),
        finding(6, Severity::Error, 250),
        finding(7, Severity::Error, 100),
    ];
    let (first, rest) = found.split_at(2);
    desk.end(&job, vec![first.to_vec(), Vec::new(), rest.to_vec()], completed(1))
        .await
        .expect("it ends");
    desk.complete(&asked, 1, 600).await;
    let listed = desk.findings(&asked).await;
    // Order: severity, then cents, then row, then the order of finding.
    let order = [4, 1, 3, 5, 2, 0];
    assert_eq!(listed.len(), order.len());
    for ((place, finding), at) in listed.iter().zip(order) {
        assert_eq!(*finding, found[at]);
        assert_eq!(*place, FindingPlace { place: finding.sort_key(), n: at as i32 + 1 });
    }
    assert!(desk.take(LONG).await.is_none());
}

/// More findings than one message to a ledger holds.
pub async fn many_findings_are_kept(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    let found: Vec<Finding> = (1..=5_000).map(|row| finding(row, Severity::Error, 0)).collect();
    let parts = found.chunks(700).map(<[Finding]>::to_vec).collect();
    desk.end(&job, parts, completed(1)).await.expect("it ends");
    desk.complete(&asked, 1, 600).await;
    let listed: Vec<Finding> =
        desk.findings(&asked).await.into_iter().map(|(_, finding)| finding).collect();
    assert!(listed == found);
}

pub async fn worker_without_lease_leaves_no_finding(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let old = desk.take_due(BRIEF).await;
    let WorkItem::Attempt(new) = desk.take_over().await else { panic!("the run did not end") };
    let theirs = vec![vec![finding(1, Severity::Error, 0); 2_000]];
    assert!(lost(&desk.end(&old, theirs, completed(1)).await));
    let ours = finding(2, Severity::Error, 0);
    desk.end(&new, vec![vec![ours.clone()]], completed(2)).await.expect("it ends");
    assert!(lost(&desk.end(&new, Vec::new(), completed(2)).await), "an attempt ends once");
    for attempt in [1, 2] {
        desk.complete(&asked, attempt, 600).await;
        let found = desk.findings(&asked).await;
        // Memory returns the findings of the ended attempt, whatever attempt the row names.
        assert!(
            found.iter().all(|(_, finding)| *finding == ours),
            "nothing of the lost attempt is kept"
        );
    }
    assert_eq!(desk.findings(&asked).await.len(), 1);
}

pub async fn findings_without_end_are_dropped(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    let parts = vec![AttemptOutput::Findings(vec![finding(1, Severity::Error, 0)])];
    desk.send(&job, parts).await.expect("nothing is asked for");
    assert!(!desk.beat(&job).await.expect("the attempt goes on"));
    desk.end(&job, Vec::new(), completed(1)).await.expect("it ends");
    desk.complete(&asked, 1, 600).await;
    assert!(desk.findings(&asked).await.is_empty());
}

pub async fn unpublished_end_is_handed_on(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(BRIEF).await;
    desk.end(&job, Vec::new(), completed(1)).await.expect("it ends");
    let WorkItem::UnreportedEnd(again, command) = desk.take_over().await else {
        panic!("the run ended")
    };
    assert!(*command == completed(1));
    assert_eq!(
        (again.attempt.0, &again.run),
        (1, &asked.run),
        "the attempt that ended, not another"
    );
    assert!(desk.take(LONG).await.is_none(), "one at a time says it");
    desk.complete(&asked, 1, 600).await;
    assert!(lost(&desk.beat(&again).await), "it was heard");
}

pub async fn failure_ends_without_findings(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(BRIEF).await;
    let params = BTreeMap::from([("column".to_owned(), Param::Word("date".into()))]);
    let failure = RunFailure { code: Code::FileNotAnExport, params, retryable: false };
    let failed = Command::FailRun { attempt: AttemptNumber(1), failure };
    desk.end(&job, Vec::new(), failed.clone()).await.expect("it ends");
    let WorkItem::UnreportedEnd(_, command) = desk.take_over().await else {
        panic!("the run ended")
    };
    assert!(*command == failed);
    desk.put(&asked, RunState::Failed, 1, WorkChange::Remove).await;
    assert!(desk.findings(&asked).await.is_empty());
}

fn rule(id: &str) -> Rule {
    let name = Bilingual { fr: "Médecin présent".into(), en: "Doctor present".into() };
    Rule {
        id: RuleId::new(id).expect("a slug"),
        name,
        category: "form".into(),
        enabled: true,
        severity: Severity::Error,
        check: RuleCheck::Required { column: Column::Doctor, when: Default::default() },
    }
}

pub async fn changed_rules_are_read(desk: &mut Desk<'_>) {
    let work = desk.sides.work;
    let (one, other) = (tenant(), tenant());
    let none = StoredRules::default();
    assert_eq!(work.rules(&one, None).await.expect("the work answers"), Some(none.clone()));
    assert_eq!(work.rules(&one, Some(none.position)).await.expect("the work answers"), None);
    let rules = vec![rule("a"), rule("b")];
    desk.store_rules(&one, 1, &rules).await;
    let stored = StoredRules { position: Position { epoch: 3, version: 1 }, rules: rules.clone() };
    for known in [None, Some(none.position)] {
        assert_eq!(work.rules(&one, known).await.expect("the work answers"), Some(stored.clone()));
    }
    assert_eq!(work.rules(&one, Some(stored.position)).await.expect("the work answers"), None);
    let changed = Rule { enabled: false, ..rule("b") };
    desk.store_rules(&one, 2, std::slice::from_ref(&changed)).await;
    let read = work
        .rules(&one, Some(stored.position))
        .await
        .expect("the work answers")
        .expect("they changed");
    assert_eq!(
        read,
        StoredRules {
            position: Position { epoch: 3, version: 2 },
            rules: vec![rule("a"), changed]
        }
    );
    assert_eq!(
        work.rules(&other, None).await.expect("the work answers"),
        Some(none),
        "tenants never meet"
    );
}

pub async fn changed_table_is_read(desk: &mut Desk<'_>) {
    let work = desk.sides.work;
    let (one, other) = (tenant(), tenant());
    let places = ReferenceTable::Establishments;
    let none = Some(Position::default());
    let read = async |tenant, table, known| {
        work.table(tenant, table, known).await.expect("the work answers")
    };
    assert!(read(&one, places, none).await.is_none(), "no table, and none was known");
    let gmf = |gmf| ReferenceEntry::Establishment { gmf };
    let entries = [("55001", gmf(true)), ("55002", gmf(false))];
    desk.store_rules(&one, 1, &[rule("a")]).await;
    desk.store_table(&one, places, (0, 2), &entries).await;
    let stored = read(&one, places, none).await.expect("it changed");
    assert_eq!(stored.position, Position { epoch: 3, version: 2 });
    assert_eq!(stored.entries.keys().collect::<Vec<_>>(), ["55001", "55002"]);
    assert_eq!(stored.entries["55001"].get(), r#"{"gmf":true,"edition":2}"#);
    assert!(read(&one, places, Some(stored.position)).await.is_none());
    assert!(read(&one, ReferenceTable::Codes, none).await.is_none(), "tables are apart");
    assert!(read(&other, places, none).await.is_none(), "tenants never meet");
    desk.store_table(&one, places, (2, 5), &[("55002", gmf(true))]).await;
    let changed = read(&one, places, Some(stored.position)).await.expect("it changed");
    assert_eq!((changed.position.version, changed.entries.len()), (5, 2));
    let rules = work.rules(&one, None).await.expect("the work answers").expect("it was not known");
    assert_eq!((rules.position.version, rules.rules.len()), (1, 1), "the rules are as before");
}

pub async fn file_is_in_use_until_run_ends(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let (file, stranger) = (asked.request.file.file.clone(), tenant());
    let files = [(asked.tenant.clone(), file.clone()), (stranger, file)];
    let used =
        async |desk: &Desk<'_>| desk.sides.work.in_use(&files).await.expect("the work answers");
    assert_eq!(used(desk).await, [files[0].clone()].into(), "a file belongs to its tenant");
    let job = desk.take_due(LONG).await;
    assert_eq!(used(desk).await.len(), 1);
    desk.end(&job, Vec::new(), completed(1)).await.expect("it ends");
    assert!(used(desk).await.is_empty());
    desk.over(&asked).await;
}

pub async fn expired_run_is_forgotten(desk: &mut Desk<'_>) {
    let tenant = tenant();
    let (brief, kept) = (desk.ask(&tenant).await, desk.ask(&tenant).await);
    for asked in [&brief, &kept] {
        let job = desk.take_due(LONG).await;
        desk.end(&job, vec![vec![finding(1, Severity::Error, 0)]], completed(1))
            .await
            .expect("it ends");
        desk.complete(asked, 1, if asked.run == brief.run { 0 } else { 600 }).await;
    }
    let all = RunsQuery { limit: 10, ..RunsQuery::default() };
    let gone = async {
        loop {
            while desk.sides.work.sweep().await.expect("the work answers") {}
            let left = desk.sides.queries.runs(&tenant, &all).await.expect("runs are listed");
            if left.len() == 1 {
                return left;
            }
            tokio::time::sleep(BRIEF).await;
        }
    };
    let left = soon("a run is forgotten", gone).await;
    assert_eq!(left[0].run, kept.run);
    assert_eq!(desk.findings(&kept).await.len(), 1);
}
