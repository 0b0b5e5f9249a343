//! The ends of runs when only the file is at fault.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use schemas::{
    codes::Code,
    command::Command,
    event::Event,
    finding::{FindingOutcome, Param},
    ids::{Aggregate, FileId, RuleId},
    reference::ReferenceTable,
    rule::{Bilingual, Column, Rule, RuleCheck, Severity},
    run::{RunPhase, RunProgress, RunState, SHOWN_FINDINGS},
};

use super::office::{Office, RequestedRun, export};

fn is_monotonous(all: &[RunProgress]) -> bool {
    let falls = |position: &[RunProgress]| {
        position[0].permille > position[1].permille
            || position[0].phase > position[1].phase
            || position[0].rows_done > position[1].rows_done
            || position[0].bytes_done > position[1].bytes_done
    };
    !all.windows(2).any(falls)
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_file_is_checked_and_reported() {
    let office = Office::open();
    let worker = office.worker(|_, _| ());
    let asked = office.ask_for(25_000).await;
    let head = office.until_state(&asked, RunState::Completed).await;
    let summary = head.summary.expect("a completed run has one");
    assert_eq!((summary.rows, summary.rows_unreadable, summary.stored), (25_000, 2_500, 2_500));
    assert_eq!((summary.counts.error, head.attempt.0), (2_500, 1));

    let found = office.findings(&asked).await;
    assert!(found.iter().map(|(_, finding)| finding.row).eq((1..=2_500).map(|n| n * 10)));
    assert!(found.iter().all(|(_, finding)| finding.outcome == FindingOutcome::RowUnreadable));
    let reports = office.reports(&asked);
    let shown: Vec<_> = reports.iter().flat_map(|report| &report.findings).collect();
    assert!(
        shown.iter().map(|finding| finding.row).eq((1..=SHOWN_FINDINGS as u64).map(|n| n * 10))
    );
    let progress: Vec<RunProgress> = reports.iter().map(|report| report.progress.clone()).collect();
    assert!(is_monotonous(&progress));
    let (first, last) = (&progress[0], &progress[progress.len() - 1]);
    assert_eq!((first.permille, last.permille, last.rows_total), (0, 1_000, Some(25_000)));
    // A report is sent after a pause, so one may skip a phase that is shorter.
    assert_eq!((first.phase, last.phase), (RunPhase::Reading, RunPhase::Storing));
    let entries = office.view(&asked).await.expect("the view is kept").entries;
    assert!(entries.contains_key("rule:office-fee"), "a rule that ended shows its time");
    assert!(entries.contains_key("rule:file") && entries.contains_key("finding:100"));

    office.removed(&asked.file).await;
    assert!(office.is_idle().await);
    assert_eq!(office.ends(&asked), 1);
    worker.stop().await;
}

/// Asserts that the run fails with this code and place, and is not tried again.
async fn fails(office: &Office, asked: &RequestedRun, code: Code, param: Option<(&str, Param)>) {
    let head = office.until_state(asked, RunState::Failed).await;
    let failure = head.failure.expect("a failed run says why");
    assert_eq!((failure.code, failure.retryable, head.attempt.0), (code, false, 1));
    let params = param.map(|(name, param)| (name.to_owned(), param)).into_iter().collect();
    assert_eq!(failure.params, params);
    assert!(office.findings(asked).await.is_empty());
    assert_eq!(office.ends(asked), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_file_fails_run_with_its_column() {
    let office = Office::open();
    let _worker = office.worker(|_, _| ());
    let whole = String::from_utf8(export(2_000).to_vec()).unwrap();
    let column = |name: &str| Some(("column", Param::Word(name.into())));
    let line = |line| Some(("line", Param::Number(line)));
    for (content, code, param) in [
        (whole.replacen(";Code;", ";Kode;", 1), Code::FileNotAnExport, column("code")),
        ("a,b\n1,2\n".into(), Code::FileNotAnExport, line(1)),
        // The fault is behind checked rows whose findings were already sent.
        (format!("{whole}\"1;2\r\n"), Code::FileMalformed, line(2_002)),
        ("\u{0}\u{1}".into(), Code::FileNotText, Some(("byte", Param::Number(0)))),
    ] {
        let asked = office.ask(office.upload(content.into()).await).await;
        fails(&office, &asked, code, param).await;
        office.removed(&asked.file).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_file_fails_run() {
    let office = Office::open();
    let _worker = office.worker(|_, _| ());
    let mut file = office.upload(export(1)).await;
    file.file = FileId::from_random(u128::MAX);
    let asked = office.ask(file).await;
    fails(&office, &asked, Code::FileUnknown, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_run_stops_its_check() {
    let office = Office::open();
    let worker = office.worker(|_, _| ());
    office.files.shut();
    let asked = office.ask_for(30_000).await;
    office.until_half_read(1).await;
    office.say(&asked.run, Command::CancelRun {}).await;
    // The file store stays closed: the check stops without another byte.
    let head = office.until_state(&asked, RunState::Cancelled).await;
    assert_eq!(head.attempt.0, 1);
    office.removed(&asked.file).await;
    assert!(office.findings(&asked).await.is_empty() && office.is_idle().await);
    assert_eq!((office.ends(&asked), worker.counters.running.load(SeqCst)), (1, 0));
    office.files.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_runs_learn_place_and_keep_shared_file() {
    let office = Office::open();
    let _worker = office.worker(|_, settings| settings.at_once = 1);
    office.files.shut();
    let first = office.ask_for(10_000).await;
    office.until_half_read(1).await;
    let second = office.ask(first.file.clone()).await;
    let third = office.ask_for(10).await;
    office.until(&second, "it is the next", |head| head.ahead == Some(0)).await;
    office.until(&third, "it is behind it", |head| head.ahead == Some(1)).await;
    office.files.open();
    for asked in [&first, &second, &third] {
        let head = office.until_state(asked, RunState::Completed).await;
        assert_eq!(head.ahead, None);
    }
    office.removed(&first.file).await;
    let placed = |asked: &RequestedRun| {
        office.events(asked).iter().filter(|event| matches!(event, Event::RunPlaced { .. })).count()
    };
    assert_eq!((placed(&first), placed(&second)), (0, 1), "a place is sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_without_run_are_removed() {
    let office = Office::open();
    let unused = office.upload(export(1)).await;
    // A retention of zero, so that the file is already old when the worker looks.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let _worker = office.worker(|_, settings| settings.keep_files = Duration::ZERO);
    office.removed(&unused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_uses_tenant_rules_of_its_start() {
    let office = Office::open();
    let _worker = office.worker(|_, _| ());
    let id = RuleId::new("contexts-there").unwrap();
    let rule = Rule {
        id: id.clone(),
        name: Bilingual { fr: "Contexte présent".into(), en: "Context present".into() },
        category: "form".into(),
        enabled: true,
        severity: Severity::Warning,
        check: RuleCheck::Required { column: Column::Contexts, when: Default::default() },
    };
    let counts = async |office: &Office| {
        let asked = office.ask_for(100).await;
        let head = office.until_state(&asked, RunState::Completed).await;
        let counts = head.summary.expect("a completed run has one").counts;
        let ruled = office
            .view(&asked)
            .await
            .expect("the view is kept")
            .entries
            .contains_key("rule:office-fee");
        (counts.error, counts.warning, ruled)
    };
    assert_eq!(counts(&office).await, (10, 0, true), "none is stored: the built-in one");
    let rules = Aggregate::rules(&office.tenant);
    office.say_to(&rules, Command::PutRule { rule, edition: None }).await;
    // Records of a rule book and of a run have no common order, so the rule is stored first.
    office.until_rules(1).await;
    assert_eq!(counts(&office).await, (10, 100, false), "the tenant's own instead");
    office.say_to(&rules, Command::DisableRule { rule: id }).await;
    office.until_rules(2).await;
    assert_eq!(counts(&office).await, (10, 0, false), "no rule at all, as the tenant wants it");
}

#[tokio::test(flavor = "multi_thread")]
async fn next_run_uses_the_tables_of_its_tenant() {
    let office = Office::open();
    let worker = office.worker(|_, settings| settings.rules = claims::rules::shipped());
    let unknown_codes = async || {
        let asked = office.ask_for(10).await;
        office.until_state(&asked, RunState::Completed).await;
        let found = office.findings(&asked).await;
        let outcomes = found.iter().map(|(_, finding)| finding.outcome);
        outcomes.filter(|outcome| *outcome == FindingOutcome::CodeUnknown).count()
    };
    let rules = Aggregate::rules(&office.tenant);
    let load = |csv: &str| Command::LoadReference {
        table: ReferenceTable::Codes,
        csv: csv.to_owned(),
        keep_others: false,
        edition: None,
    };
    assert_eq!(unknown_codes().await, 0, "without a table, nothing is known of codes");
    office.say_to(&rules, load("code,leaf,group,top,cents\n8857,a,b,c,935\n")).await;
    office.until_codes(1).await;
    assert_eq!(unknown_codes().await, 10, "each row has the code 9999");
    office.say_to(&rules, load("code,leaf,group,top,cents\n9999,a,b,c,\n")).await;
    office.until_codes(2).await;
    assert_eq!(unknown_codes().await, 0, "the same worker sees the new table");
    let clear = Command::ClearReference { table: ReferenceTable::Codes, edition: None };
    office.say_to(&rules, clear).await;
    office.until_codes(3).await;
    assert_eq!(unknown_codes().await, 0, "the table of the installation again");
    worker.stop().await;
}
