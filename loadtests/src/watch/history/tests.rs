use serde_json::{Value, json};

use super::*;

/// A history and the view behind it.
struct HistoryBench {
    history: RunHistory,
    entries: Entries,
    over: oneshot::Receiver<()>,
    at: Millis,
}

impl HistoryBench {
    fn new() -> Self {
        let (over, heard) = oneshot::channel();
        Self { history: RunHistory::new(over), entries: Entries::new(), over: heard, at: 1_000 }
    }

    /// Sets these entries and removes those that are null, 100 ms after the previous step.
    fn step(&mut self, entries: Value) -> Vec<Breach> {
        let before = self.entries.clone();
        for (key, entry) in entries.as_object().unwrap() {
            match entry {
                Value::Null => self.entries.remove(key),
                entry => self.entries.insert(key.clone(), entry.clone()),
            };
        }
        self.at += 100;
        let seen = ObservationTime { at: self.at, now_us: self.at * 1000 + 7, live: true };
        self.history
            .look(&before, &self.entries, seen)
            .into_iter()
            .map(|(breach, _)| breach)
            .collect()
    }
}

fn head(state: &str, attempt: u32) -> Value {
    json!({"state": state, "name": "a.csv", "bytes": 9, "requested_at": 1_000, "attempt": attempt})
}

fn waiting(ahead: u32) -> Value {
    let mut head = head("queued", 1);
    head["ahead"] = ahead.into();
    json!({ "run": head })
}

fn over(state: &str) -> Value {
    let mut head = head(state, 1);
    (head["started_at"], head["ended_at"]) = (1_200.into(), 2_900.into());
    json!({ "run": head })
}

fn progress(permille: u32) -> Value {
    json!({
        "phase": if permille < 900 { "reading" } else { "storing" },
        "permille": permille, "rows_done": permille,
        "bytes_done": permille, "bytes_total": 1_000, "rows_per_s": 10,
    })
}

fn finding(row: u64) -> Value {
    json!({
        "row": row, "rule": "office-fee", "severity": "error",
        "outcome": "office_fee_place", "cents": 3_240,
    })
}

#[test]
fn ordinary_run_is_timed_without_breach() {
    let mut bench = HistoryBench::new();
    let counts = json!({"error": 0, "warning": 0, "optimisation": 0, "pass": 0});
    for step in [
        waiting(2),
        waiting(0),
        json!({"run": head("running", 1)}),
        json!({"progress": progress(0), "counts": counts}),
        json!({"progress": progress(400), "finding:001": finding(3), "finding:002": finding(5)}),
        json!({"progress": progress(1_000)}),
    ] {
        assert_eq!(bench.step(step), []);
        assert!(bench.over.try_recv().is_err(), "it is not over yet");
    }
    assert_eq!(bench.step(over("completed")), []);
    assert_eq!(bench.over.try_recv(), Ok(()));
    assert_eq!(bench.history.progress_us, Some(1_400_007));
    assert_eq!(bench.history.finding_us, Some(1_500_007));
    assert_eq!(bench.history.end_us, Some(1_700_007));
    assert_eq!(bench.history.places.iter().map(|place| place.ahead).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(bench.history.reports, [1_400, 1_500, 1_600]);
    assert_eq!(
        bench.history.pace(),
        Some((3, 1_300)),
        "the longest silence is that before the end"
    );
    assert_eq!(findings_of(&bench.entries).unwrap().len(), 2);
}

#[test]
fn progress_may_fall_only_between_attempts() {
    let mut bench = HistoryBench::new();
    bench.step(
        json!({"run": head("running", 1), "progress": progress(500), "finding:001": finding(1)}),
    );
    assert_eq!(bench.step(json!({"progress": progress(499)})), [Breach::ProgressFell]);
    let again = json!({"run": head("running", 2), "progress": null, "finding:001": null});
    assert_eq!(bench.step(again), []);
    assert_eq!(bench.step(json!({"progress": progress(10)})), []);
    assert_eq!(bench.step(json!({"progress": null})), [Breach::ProgressFell]);
}

#[test]
fn new_attempt_must_reset_progress() {
    let mut bench = HistoryBench::new();
    bench.step(json!({"run": head("running", 1), "progress": progress(500)}));
    bench.step(json!({"run": head("running", 2)}));
    assert_eq!(bench.step(json!({"progress": progress(10)})), [Breach::ProgressFell]);
}

#[test]
fn changed_or_misnumbered_finding_is_a_breach() {
    let mut bench = HistoryBench::new();
    bench.step(json!({"run": head("running", 1), "finding:001": finding(1)}));
    assert_eq!(bench.step(json!({"finding:001": finding(2)})), [Breach::ProgressFell]);
    assert_eq!(bench.step(json!({"finding:001": null})), [Breach::ProgressFell]);
    assert_eq!(bench.step(json!({"finding:002": finding(2)})), [Breach::Malformed]);
}

#[test]
fn state_may_go_back_only_with_later_attempt() {
    let mut bench = HistoryBench::new();
    bench.step(json!({"run": head("running", 1)}));
    assert_eq!(bench.step(json!({"run": head("queued", 1)})), [Breach::StateWentBack]);
    bench.step(json!({"run": head("running", 1)}));
    assert_eq!(bench.step(json!({"run": head("queued", 2)})), []);
    assert_eq!(bench.step(json!({"run": head("running", 1)})), [Breach::StateWentBack]);
}

#[test]
fn change_after_end_is_a_breach() {
    let mut bench = HistoryBench::new();
    bench.step(over("completed"));
    assert_eq!(bench.step(json!({})), []);
    assert_eq!(bench.history.unchanged, 1);
    assert_eq!(bench.step(over("failed")), [Breach::ChangedAfterEnd]);
    assert_eq!(bench.step(json!({"progress": progress(1_000)})), [Breach::ChangedAfterEnd]);
}

#[test]
fn only_queued_run_has_a_place() {
    let mut bench = HistoryBench::new();
    let mut running = head("running", 1);
    running["ahead"] = 0.into();
    assert_eq!(bench.step(json!({ "run": running })), [Breach::Malformed]);
}

#[test]
fn rising_places_are_counted() {
    let mut bench = HistoryBench::new();
    for ahead in [3, 9, 5, 8, 6, 7] {
        bench.step(waiting(ahead));
    }
    assert_eq!(
        bench.history.rises(0),
        (2, 3),
        "the step from 3 to 9 may have been somebody who came meanwhile"
    );
    assert_eq!(bench.history.rises(1_300), (1, 1));
    assert_eq!(bench.history.rises(9_999), (0, 0));
}

#[test]
fn view_without_readable_head_is_malformed() {
    let mut bench = HistoryBench::new();
    assert_eq!(bench.step(json!({"progress": progress(1)})), [Breach::Malformed]);
    assert_eq!(bench.step(json!({"run": {"state": "sleeping"}})), [Breach::Malformed; 2]);
}
