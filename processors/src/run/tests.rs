use proptest::{collection::vec, prelude::*};
use schemas::{
    bounds::MAX_TEXT,
    codes::Code,
    command::{Command, Verdict},
    finding::{Finding, FindingOutcome},
    rule::Severity,
    run::{RunFailure, RunPhase, RunSummary},
    view::{Fold, View},
};

use testing::records::{actor, command_record, runs, tenant};

use super::*;
use crate::effect::{RecordEffect, RecordTime};

const EPOCH: u64 = 1_772_000_000;
const NOON: Millis = 1_772_449_200_000;

fn aggregate() -> Aggregate {
    runs::aggregate(&tenant("demo"), 9)
}

/// A run, its view as a client folds it, and a clock.
struct Clerk {
    run: Run,
    view: View,
    at: Millis,
    commands: u32,
}

impl Clerk {
    fn new() -> Self {
        Self { run: Run::new(EPOCH), view: View::empty(EPOCH), at: NOON, commands: 0 }
    }

    /// A run that waits for its first attempt.
    fn queued() -> Self {
        let mut clerk = Self::new();
        clerk.applied(request());
        clerk
    }

    fn running() -> Self {
        let mut clerk = Self::queued();
        clerk.applied(Command::StartRun { attempt: AttemptNumber(1) });
        clerk
    }

    fn send(&mut self, command: Command) -> RecordEffect {
        self.at += 100;
        self.commands += 1;
        let id = format!("c-{}", self.commands);
        let clerk = Some(actor("clerk-1", "editor"));
        let record = CommandRecord { actor: clerk, ..command_record(&aggregate(), &id, command) };
        let effect = self.run.handle(&record, RecordTime::at_once(self.at));
        for delta in &effect.deltas {
            assert_eq!(delta.view, format!("run:{}", aggregate().id()));
            assert_eq!(
                self.view.fold(&delta.delta),
                Fold::Applied,
                "each effect follows the one before"
            );
        }
        effect
    }

    fn applied(&mut self, command: Command) -> RecordEffect {
        let effect = self.send(command);
        assert!(matches!(effect.verdict, Verdict::Applied { .. }));
        effect
    }

    fn refused(&mut self, command: Command) -> Code {
        match self.send(command).verdict {
            Verdict::Refused { code } => code,
            Verdict::Applied { .. } | Verdict::Moving { .. } => panic!("it was applied"),
        }
    }

    fn head(&self) -> RunHead {
        serde_json::from_str(self.view.entries["run"].get()).unwrap()
    }

    fn progress(&self) -> RunProgress {
        serde_json::from_str(self.view.entries["progress"].get()).unwrap()
    }

    fn work(&self) -> WorkChange {
        self.run.row(&aggregate()).unwrap().work
    }
}

fn request() -> Command {
    runs::request(runs::file(3, 1_000))
}

fn report(permille: u32, findings: usize) -> RunReport {
    let finding = |row: usize| Finding {
        row: row as u64,
        rule: runs::rule("office-fee"),
        severity: Severity::Error,
        outcome: FindingOutcome::OfficeFeePlace,
        params: BTreeMap::new(),
        cents: 3_240,
    };
    let mut counts = FindingCounts::default();
    counts.add(Severity::Error, findings as u64);
    RunReport {
        progress: RunProgress {
            phase: RunPhase::Reading,
            permille,
            rows_done: u64::from(permille) * 10,
            rows_total: None,
            bytes_done: u64::from(permille),
            bytes_total: 1_000,
            rows_per_s: 1_000,
            eta_ms: None,
        },
        counts,
        rules: [(runs::rule("office-fee"), RuleTally { counts, took_us: None })].into(),
        findings: (1..=findings).map(finding).collect(),
    }
}

fn progress_report(attempt: u32, permille: u32, findings: usize) -> Command {
    Command::ReportRun { attempt: AttemptNumber(attempt), report: report(permille, findings) }
}

fn failure(retryable: bool) -> RunFailure {
    let code = if retryable { Code::RunFaulted } else { Code::FileNotText };
    RunFailure { code, params: BTreeMap::new(), retryable }
}

fn fail(attempt: u32, retryable: bool) -> Command {
    Command::FailRun { attempt: AttemptNumber(attempt), failure: failure(retryable) }
}

fn complete(attempt: u32) -> Command {
    let (report, summary) = (report(1_000, 0), RunSummary::default());
    Command::CompleteRun { attempt: AttemptNumber(attempt), report, summary }
}

#[test]
fn run_goes_from_queue_to_one_end() {
    let mut clerk = Clerk::queued();
    assert_eq!(
        (clerk.head().state, clerk.work()),
        (RunState::Queued, WorkChange::Enqueue(AttemptNumber(1)))
    );
    clerk.applied(Command::PlaceRun { attempt: AttemptNumber(1), ahead: 3 });
    assert_eq!(clerk.head().ahead, Some(3));
    clerk.applied(Command::StartRun { attempt: AttemptNumber(1) });
    assert_eq!(
        (clerk.head().state, clerk.head().ahead, clerk.work()),
        (RunState::Running, None, WorkChange::Unchanged)
    );
    clerk.applied(progress_report(1, 400, 2));
    assert_eq!(
        clerk.view.entries.keys().collect::<Vec<_>>(),
        ["counts", "finding:001", "finding:002", "progress", "rule:office-fee", "run"]
    );
    let effect = clerk.applied(complete(1));
    assert_eq!(effect.deltas[0].keep_s, Some(86_400), "an end is kept, and then forgotten");
    assert_eq!((clerk.head().state, clerk.work()), (RunState::Completed, WorkChange::Remove));
    assert_eq!(clerk.progress().permille, 1_000);
    for late in [
        complete(1),
        fail(1, true),
        Command::StopRun { attempt: AttemptNumber(1) },
        progress_report(1, 999, 1),
        Command::CancelRun {},
    ] {
        assert_eq!(clerk.refused(late), Code::RunOver);
    }
}

#[test]
fn run_is_requested_once_and_first() {
    let mut clerk = Clerk::new();
    for early in [
        Command::CancelRun {},
        Command::StartRun { attempt: AttemptNumber(1) },
        Command::RetryRun {},
    ] {
        assert_eq!(clerk.refused(early), Code::RunUnknown);
    }
    clerk.applied(request());
    assert_eq!(clerk.refused(request()), Code::RunExists);
}

#[test]
fn empty_file_or_invalid_name_is_refused() {
    let named =
        |name: &str, bytes| runs::request(RunFile { name: name.into(), ..runs::file(3, bytes) });
    for bad in
        [named("", 1), named("a\nb", 1), named(&"x".repeat(MAX_TEXT + 1), 1), named("a.csv", 0)]
    {
        assert_eq!(Clerk::new().refused(bad), Code::InvalidValue);
    }
    Clerk::new().applied(named(&"é".repeat(MAX_TEXT), 1));
}

#[test]
fn cancel_ends_queued_run_now_running_run_later() {
    let mut clerk = Clerk::queued();
    clerk.applied(Command::CancelRun {});
    assert_eq!((clerk.head().state, clerk.work()), (RunState::Cancelled, WorkChange::Remove));

    let mut clerk = Clerk::running();
    clerk.applied(Command::CancelRun {});
    assert!(clerk.head().cancelling && clerk.work() == WorkChange::Cancel);
    clerk.applied(Command::StopRun { attempt: AttemptNumber(1) });
    assert_eq!((clerk.head().state, clerk.head().cancelling), (RunState::Cancelled, false));
}

#[test]
fn end_before_stop_wins_over_cancel() {
    let mut clerk = Clerk::running();
    clerk.applied(Command::CancelRun {});
    clerk.applied(complete(1));
    assert_eq!(clerk.head().state, RunState::Completed);
    assert_eq!(clerk.refused(Command::StopRun { attempt: AttemptNumber(1) }), Code::RunOver);
}

#[test]
fn takeover_starts_attempt_and_refuses_old_worker() {
    let mut clerk = Clerk::running();
    clerk.applied(progress_report(1, 700, 3));
    clerk.applied(Command::StartRun { attempt: AttemptNumber(2) });
    assert_eq!(clerk.head().attempt, AttemptNumber(2));
    assert_eq!(
        clerk.view.entries.keys().collect::<Vec<_>>(),
        ["run"],
        "nothing of the old attempt is shown"
    );
    for old in [
        progress_report(1, 800, 1),
        complete(1),
        fail(1, true),
        Command::ReleaseRun { attempt: AttemptNumber(1) },
    ] {
        assert_eq!(clerk.refused(old), Code::RunOtherAttempt);
    }
    assert_eq!(
        clerk.refused(Command::StartRun { attempt: AttemptNumber(2) }),
        Code::RunOtherAttempt,
        "a start is applied once"
    );
    clerk.applied(progress_report(2, 100, 1));
    assert_eq!(clerk.progress().permille, 100, "a new attempt begins at its beginning");
}

#[test]
fn released_run_queues_the_next_attempt() {
    let mut clerk = Clerk::running();
    clerk.applied(Command::ReleaseRun { attempt: AttemptNumber(1) });
    assert_eq!(
        (clerk.head().state, clerk.head().attempt, clerk.work()),
        (RunState::Queued, AttemptNumber(2), WorkChange::Enqueue(AttemptNumber(2)))
    );
    clerk.applied(Command::StartRun { attempt: AttemptNumber(2) });
}

#[test]
fn only_retryable_failure_is_retried() {
    let mut clerk = Clerk::running();
    assert_eq!(clerk.refused(Command::RetryRun {}), Code::RunNotRetryable);
    clerk.applied(fail(1, true));
    assert_eq!((clerk.head().failure, clerk.work()), (Some(failure(true)), WorkChange::Remove));
    let effect = clerk.applied(Command::RetryRun {});
    assert_eq!(effect.deltas[0].keep_s, None, "it is kept again until it is over");
    assert_eq!(
        (clerk.head().attempt, clerk.head().failure, clerk.work()),
        (AttemptNumber(2), None, WorkChange::Enqueue(AttemptNumber(2)))
    );

    let mut clerk = Clerk::running();
    clerk.applied(fail(1, false));
    assert_eq!(clerk.refused(Command::RetryRun {}), Code::RunNotRetryable);
}

#[test]
fn worker_without_start_may_fail_the_run() {
    let mut clerk = Clerk::running();
    clerk.applied(fail(4, true));
    assert_eq!(clerk.head().state, RunState::Failed);
}

#[test]
fn view_shows_first_hundred_findings() {
    let mut clerk = Clerk::running();
    clerk.applied(progress_report(1, 100, 70));
    clerk.applied(progress_report(1, 200, 70));
    let shown = clerk.view.entries.keys().filter(|key| key.starts_with("finding:")).count();
    assert_eq!(shown, SHOWN_FINDINGS);
    assert!(clerk.view.entries.contains_key("finding:100"));
}

#[test]
fn clock_never_goes_back() {
    let mut clerk = Clerk::queued();
    clerk.at -= 5_000;
    let effect = clerk.applied(Command::StartRun { attempt: AttemptNumber(1) });
    assert_eq!(effect.at, NOON + 100);
}

/// Any command. Commands have no `Debug` output for a failing case, but numbers have.
fn any_command((kind, number, permille, findings): (u8, u32, u32, usize)) -> Command {
    let attempt = AttemptNumber(number);
    match kind {
        0 => request(),
        1 => Command::CancelRun {},
        2 => Command::RetryRun {},
        3 => Command::PlaceRun { attempt, ahead: permille },
        4 => Command::ReleaseRun { attempt },
        5 => complete(number),
        6 => fail(number, permille > 500),
        7 => Command::StopRun { attempt },
        8 | 9 => Command::StartRun { attempt },
        _ => progress_report(number, permille, findings),
    }
}

proptest! {
    #[test]
    fn progress_never_falls_and_journal_rebuilds_run(
        commands in vec((0_u8..14, 1_u32..4, 0_u32..=1_000, 0_usize..40), 1..60)
    ) {
        let mut clerk = Clerk::new();
        let mut rebuilt = Run::new(EPOCH);
        let mut seen = (0, 0);
        for command in commands {
            let effect = clerk.send(any_command(command));
            if effect.events.is_empty() {
                continue;
            }
            let version = effect.position.version;
            let change = rebuilt.replay(&aggregate(), version, effect.at, &effect.events);
            prop_assert_eq!(change.delta.to, version);
            let has_progress = clerk.view.entries.contains_key("progress");
            let permille = if has_progress { clerk.progress().permille } else { 0 };
            let now = (clerk.head().attempt.0, permille);
            prop_assert!(now.0 > seen.0 || now >= seen, "{now:?} after {seen:?}");
            seen = now;
        }
        // Refusals move the clock, and are not replayed.
        rebuilt.header.now = clerk.at.max(rebuilt.header.now);
        prop_assert_eq!(
            serde_json::to_string(rebuilt.header()).unwrap(),
            serde_json::to_string(clerk.run.header()).unwrap()
        );
    }
}
