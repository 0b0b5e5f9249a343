use serde_json::{Value, json};

use super::*;

/// A story and the view behind it.
struct Told {
    story: Story,
    entries: Entries,
    over: oneshot::Receiver<()>,
    at: Millis,
}

impl Told {
    fn new() -> Self {
        let (over, heard) = oneshot::channel();
        Self { story: Story::new(over), entries: Entries::new(), over: heard, at: 1_000 }
    }

    /// Sets these entries, removing those that are null, 100 ms after the step before.
    fn step(&mut self, entries: Value) -> Vec<Breach> {
        let before = self.entries.clone();
        for (key, entry) in entries.as_object().unwrap() {
            match entry {
                Value::Null => self.entries.remove(key),
                entry => self.entries.insert(key.clone(), entry.clone()),
            };
        }
        self.at += 100;
        let seen = Moment { at: self.at, now_us: self.at * 1000 + 7, live: true };
        self.story
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
        "phase": if permille < 900 { "reading" } else { "storing" }, "permille": permille, "rows_done": permille,
        "bytes_done": permille, "bytes_total": 1_000, "rows_per_s": 10,
    })
}

fn finding(row: u64) -> Value {
    json!({"row": row, "rule": "office-fee", "severity": "error", "outcome": "office_fee_place", "cents": 3_240})
}

#[test]
fn a_run_that_goes_its_way_breaks_nothing_and_each_first_sight_is_timed() {
    let mut told = Told::new();
    for step in [
        waiting(2),
        waiting(0),
        json!({"run": head("running", 1)}),
        json!({"progress": progress(0), "counts": {"error": 0, "warning": 0, "optimisation": 0, "pass": 0}}),
        json!({"progress": progress(400), "finding:001": finding(3), "finding:002": finding(5)}),
        json!({"progress": progress(1_000)}),
    ] {
        assert_eq!(told.step(step), []);
        assert!(told.over.try_recv().is_err(), "it is not over yet");
    }
    assert_eq!(told.step(over("completed")), []);
    assert_eq!(told.over.try_recv(), Ok(()));
    assert_eq!(told.story.progress_us, Some(1_400_007));
    assert_eq!(told.story.finding_us, Some(1_500_007));
    assert_eq!(told.story.end_us, Some(1_700_007));
    assert_eq!(told.story.places.iter().map(|place| place.ahead).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(told.story.reports, [1_400, 1_500, 1_600]);
    assert_eq!(told.story.pace(), Some((3, 1_300)), "the longest silence is that before the end");
    assert_eq!(findings_of(&told.entries).unwrap().len(), 2);
}

#[test]
fn progress_that_falls_is_found_within_an_attempt_and_none_between_two() {
    let mut told = Told::new();
    told.step(
        json!({"run": head("running", 1), "progress": progress(500), "finding:001": finding(1)}),
    );
    assert_eq!(told.step(json!({"progress": progress(499)})), [Breach::ProgressFell]);
    let again = json!({"run": head("running", 2), "progress": null, "finding:001": null});
    assert_eq!(told.step(again), []);
    assert_eq!(told.step(json!({"progress": progress(10)})), []);
    assert_eq!(told.step(json!({"progress": null})), [Breach::ProgressFell]);
}

#[test]
fn progress_of_the_attempt_before_that_stays_is_found() {
    let mut told = Told::new();
    told.step(json!({"run": head("running", 1), "progress": progress(500)}));
    told.step(json!({"run": head("running", 2)}));
    assert_eq!(told.step(json!({"progress": progress(10)})), [Breach::ProgressFell]);
}

#[test]
fn a_finding_that_is_taken_back_exchanged_or_misnumbered_is_found() {
    let mut told = Told::new();
    told.step(json!({"run": head("running", 1), "finding:001": finding(1)}));
    assert_eq!(told.step(json!({"finding:001": finding(2)})), [Breach::ProgressFell]);
    assert_eq!(told.step(json!({"finding:001": null})), [Breach::ProgressFell]);
    assert_eq!(told.step(json!({"finding:002": finding(2)})), [Breach::Malformed]);
}

#[test]
fn a_state_that_goes_back_is_found_unless_a_later_attempt_begins() {
    let mut told = Told::new();
    told.step(json!({"run": head("running", 1)}));
    assert_eq!(told.step(json!({"run": head("queued", 1)})), [Breach::StateWentBack]);
    told.step(json!({"run": head("running", 1)}));
    assert_eq!(told.step(json!({"run": head("queued", 2)})), []);
    assert_eq!(told.step(json!({"run": head("running", 1)})), [Breach::StateWentBack]);
}

#[test]
fn whatever_follows_an_end_is_found_but_the_same_again() {
    let mut told = Told::new();
    told.step(over("completed"));
    assert_eq!(told.step(json!({})), []);
    assert_eq!(told.story.unchanged, 1);
    assert_eq!(told.step(over("failed")), [Breach::ChangedAfterEnd]);
    assert_eq!(told.step(json!({"progress": progress(1_000)})), [Breach::ChangedAfterEnd]);
}

#[test]
fn a_place_in_line_is_shown_while_queued_only() {
    let mut told = Told::new();
    let mut running = head("running", 1);
    running["ahead"] = 0.into();
    assert_eq!(told.step(json!({ "run": running })), [Breach::Malformed]);
}

#[test]
fn places_that_rise_after_all_are_in_line_are_counted() {
    let mut told = Told::new();
    for ahead in [3, 9, 5, 8, 6, 7] {
        told.step(waiting(ahead));
    }
    assert_eq!(
        told.story.rises(0),
        (2, 3),
        "the step from 3 to 9 may have been somebody who came meanwhile"
    );
    assert_eq!(told.story.rises(1_300), (1, 1));
    assert_eq!(told.story.rises(9_999), (0, 0));
}

#[test]
fn a_view_without_a_head_or_with_one_that_cannot_be_read_is_found() {
    let mut told = Told::new();
    assert_eq!(told.step(json!({"progress": progress(1)})), [Breach::Malformed]);
    assert_eq!(told.step(json!({"run": {"state": "sleeping"}})), [Breach::Malformed; 2]);
}
