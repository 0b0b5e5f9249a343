use proptest::{collection::vec, prelude::*};
use schemas::{
    command::Verdict,
    finding::{Finding, FindingOutcome},
    ids::{CommandId, FileId, RunId, TenantId},
    record::Actor,
    rule::Severity,
    run::{RunFailure, RunPhase, RunSummary},
    view::{Fold, View},
};

use super::*;
use crate::effect::RecordEffect;

const EPOCH: u64 = 1_772_000_000;
const NOON: Millis = 1_772_449_200_000;

fn aggregate() -> Aggregate {
    Aggregate::run(&TenantId::new("demo").unwrap(), &RunId::from_parts(7, 9))
}

/// A run, its view as a client folds it, and its clock.
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

    /// A clerk whose run waits for its first attempt.
    fn queued() -> Self {
        let mut clerk = Self::new();
        clerk.applied(request());
        clerk
    }

    fn running() -> Self {
        let mut clerk = Self::queued();
        clerk.applied(Command::StartRun { attempt: 1 });
        clerk
    }

    fn send(&mut self, command: Command) -> RecordEffect {
        self.at += 100;
        self.commands += 1;
        let record = CommandRecord {
            aggregate: aggregate(),
            id: CommandId::new(format!("c-{}", self.commands)).unwrap(),
            source: "test".into(),
            valid_until: None,
            actor: Some(Actor { subject: "clerk-1".into(), role: "editor".into() }),
            command,
        };
        let effect = self.run.handle(&record, self.at);
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
            Verdict::Applied { .. } => panic!("it was applied"),
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
    let (file, name) = (FileId::from_random(3), "mars.csv".to_owned());
    let file = RunFile { file, name, bytes: 1_000, sha256: "00".repeat(32) };
    Command::RequestRun { file, list_passes: false, keep_s: 86_400 }
}

fn report(permille: u32, findings: usize) -> RunReport {
    let finding = |row: usize| Finding {
        row: row as u64,
        rule: RuleId::new("office-fee").unwrap(),
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
        rules: [(RuleId::new("office-fee").unwrap(), RuleTally { counts, took_us: None })].into(),
        findings: (1..=findings).map(finding).collect(),
    }
}

fn told(attempt: u32, permille: u32, findings: usize) -> Command {
    Command::ReportRun { attempt, report: report(permille, findings) }
}

fn failure(retryable: bool) -> RunFailure {
    let code = if retryable { Code::RunFaulted } else { Code::FileNotText };
    RunFailure { code, params: BTreeMap::new(), retryable }
}

fn fail(attempt: u32, retryable: bool) -> Command {
    Command::FailRun { attempt, failure: failure(retryable) }
}

fn complete(attempt: u32) -> Command {
    Command::CompleteRun { attempt, report: report(1_000, 0), summary: RunSummary::default() }
}

#[test]
fn a_run_goes_from_the_line_to_its_one_end() {
    let mut clerk = Clerk::queued();
    assert_eq!((clerk.head().state, clerk.work()), (RunState::Queued, WorkChange::Enqueue(1)));
    clerk.applied(Command::PlaceRun { attempt: 1, ahead: 3 });
    assert_eq!(clerk.head().ahead, Some(3));
    clerk.applied(Command::StartRun { attempt: 1 });
    assert_eq!(
        (clerk.head().state, clerk.head().ahead, clerk.work()),
        (RunState::Running, None, WorkChange::Unchanged)
    );
    clerk.applied(told(1, 400, 2));
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
        Command::StopRun { attempt: 1 },
        told(1, 999, 1),
        Command::CancelRun {},
    ] {
        assert_eq!(clerk.refused(late), Code::RunOver);
    }
}

#[test]
fn a_run_is_asked_for_once_and_before_anything_else() {
    let mut clerk = Clerk::new();
    for early in [Command::CancelRun {}, Command::StartRun { attempt: 1 }, Command::RetryRun {}] {
        assert_eq!(clerk.refused(early), Code::RunUnknown);
    }
    clerk.applied(request());
    assert_eq!(clerk.refused(request()), Code::RunExists);
}

#[test]
fn a_file_without_bytes_or_with_a_name_nobody_can_show_is_refused() {
    let named = |name: &str, bytes| {
        let file = RunFile {
            file: FileId::from_random(3),
            name: name.into(),
            bytes,
            sha256: "00".repeat(32),
        };
        Command::RequestRun { file, list_passes: false, keep_s: 1 }
    };
    for bad in
        [named("", 1), named("a\nb", 1), named(&"x".repeat(MAX_TEXT + 1), 1), named("a.csv", 0)]
    {
        assert_eq!(Clerk::new().refused(bad), Code::InvalidValue);
    }
    Clerk::new().applied(named(&"é".repeat(MAX_TEXT), 1));
}

#[test]
fn cancelling_ends_a_queued_run_at_once_and_a_running_one_when_its_worker_stopped() {
    let mut clerk = Clerk::queued();
    clerk.applied(Command::CancelRun {});
    assert_eq!((clerk.head().state, clerk.work()), (RunState::Cancelled, WorkChange::Remove));

    let mut clerk = Clerk::running();
    clerk.applied(Command::CancelRun {});
    assert!(clerk.head().cancelling && clerk.work() == WorkChange::Cancel);
    clerk.applied(Command::StopRun { attempt: 1 });
    assert_eq!((clerk.head().state, clerk.head().cancelling), (RunState::Cancelled, false));
}

#[test]
fn what_ended_meanwhile_wins_over_cancelling() {
    let mut clerk = Clerk::running();
    clerk.applied(Command::CancelRun {});
    clerk.applied(complete(1));
    assert_eq!(clerk.head().state, RunState::Completed);
    assert_eq!(clerk.refused(Command::StopRun { attempt: 1 }), Code::RunOver);
}

#[test]
fn a_takeover_begins_a_new_attempt_and_the_old_worker_is_not_heard_any_more() {
    let mut clerk = Clerk::running();
    clerk.applied(told(1, 700, 3));
    clerk.applied(Command::StartRun { attempt: 2 });
    assert_eq!(clerk.head().attempt, 2);
    assert_eq!(
        clerk.view.entries.keys().collect::<Vec<_>>(),
        ["run"],
        "nothing of the old attempt is shown"
    );
    for old in [told(1, 800, 1), complete(1), fail(1, true), Command::ReleaseRun { attempt: 1 }] {
        assert_eq!(clerk.refused(old), Code::RunOtherAttempt);
    }
    assert_eq!(
        clerk.refused(Command::StartRun { attempt: 2 }),
        Code::RunOtherAttempt,
        "a start is heard once"
    );
    clerk.applied(told(2, 100, 1));
    assert_eq!(clerk.progress().permille, 100, "a new attempt begins at its beginning");
}

#[test]
fn a_fault_that_may_pass_queues_the_next_attempt() {
    let mut clerk = Clerk::running();
    clerk.applied(Command::ReleaseRun { attempt: 1 });
    assert_eq!(
        (clerk.head().state, clerk.head().attempt, clerk.work()),
        (RunState::Queued, 2, WorkChange::Enqueue(2))
    );
    clerk.applied(Command::StartRun { attempt: 2 });
}

#[test]
fn only_a_failure_that_may_pass_is_retried() {
    let mut clerk = Clerk::running();
    assert_eq!(clerk.refused(Command::RetryRun {}), Code::RunNotRetryable);
    clerk.applied(fail(1, true));
    assert_eq!((clerk.head().failure, clerk.work()), (Some(failure(true)), WorkChange::Remove));
    let effect = clerk.applied(Command::RetryRun {});
    assert_eq!(effect.deltas[0].keep_s, None, "it is kept again until it is over");
    assert_eq!(
        (clerk.head().attempt, clerk.head().failure, clerk.work()),
        (2, None, WorkChange::Enqueue(2))
    );

    let mut clerk = Clerk::running();
    clerk.applied(fail(1, false));
    assert_eq!(clerk.refused(Command::RetryRun {}), Code::RunNotRetryable);
}

#[test]
fn a_worker_that_never_began_may_say_that_the_run_failed() {
    let mut clerk = Clerk::running();
    clerk.applied(fail(4, true));
    assert_eq!(clerk.head().state, RunState::Failed);
}

#[test]
fn the_first_hundred_findings_are_shown_and_all_are_counted() {
    let mut clerk = Clerk::running();
    clerk.applied(told(1, 100, 70));
    clerk.applied(told(1, 200, 70));
    let shown = clerk.view.entries.keys().filter(|key| key.starts_with("finding:")).count();
    assert_eq!(shown, SHOWN_FINDINGS);
    assert!(clerk.view.entries.contains_key("finding:100"));
}

#[test]
fn the_clock_never_goes_back() {
    let mut clerk = Clerk::queued();
    clerk.at -= 5_000;
    let effect = clerk.applied(Command::StartRun { attempt: 1 });
    assert_eq!(effect.at, NOON + 100);
}

/// One of all there are: commands have no `Debug` for a failed test to show, numbers do.
fn any_command((kind, attempt, permille, findings): (u8, u32, u32, usize)) -> Command {
    match kind {
        0 => request(),
        1 => Command::CancelRun {},
        2 => Command::RetryRun {},
        3 => Command::PlaceRun { attempt, ahead: permille },
        4 => Command::ReleaseRun { attempt },
        5 => complete(attempt),
        6 => fail(attempt, permille > 500),
        7 => Command::StopRun { attempt },
        8 | 9 => Command::StartRun { attempt },
        _ => told(attempt, permille, findings),
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_percent_and_the_attempt_never_fall_and_the_journal_gives_the_same_run(
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
            prop_assert_eq!(rebuilt.replay(&aggregate(), effect.position.version, effect.at, &effect.events).delta.to, effect.position.version);
            let permille = if clerk.view.entries.contains_key("progress") { clerk.progress().permille } else { 0 };
            let now = (clerk.head().attempt, permille);
            prop_assert!(now.0 > seen.0 || now >= seen, "{now:?} after {seen:?}");
            seen = now;
        }
        rebuilt.header.now = clerk.at.max(rebuilt.header.now); // refusals move the clock, and are not replayed
        prop_assert_eq!(
            serde_json::to_string(rebuilt.header()).unwrap(),
            serde_json::to_string(clerk.run.header()).unwrap()
        );
    }
}
