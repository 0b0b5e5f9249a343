use claims::{rules::builtin, tables::Tables};
use serde_json::json;

use super::*;
use testing::claims_files::{ClaimsFile, check::check_file};

const ROWS: u64 = 6_000;

/// The honest result of a run.
struct HonestResult {
    file: ClaimsFile,
    book: RuleBook,
    entries: Entries,
    listed: Vec<Finding>,
}

impl HonestResult {
    fn new(list_passes: bool) -> Self {
        let file = ClaimsFile::with_violations(ROWS, 5, 0.03).unwrap();
        let (rules, mut listed) = (builtin(), Vec::new());
        let keep = |finding| listed.push(finding);
        let checked =
            check_file(&file.bytes[..], &rules, &Tables::empty(), list_passes, keep).unwrap();
        let mut entries = Entries::new();
        for (n, finding) in listed.iter().take(SHOWN_FINDINGS).enumerate() {
            entries.insert(format!("finding:{:03}", n + 1), json!(finding));
        }
        for (rule, tally) in &checked.tallies {
            entries.insert(format!("rule:{rule}"), json!(tally));
        }
        listed.sort_by_key(Finding::sort_key);
        entries.insert("counts".into(), json!(checked.summary.counts));
        let progress = json!({
            "phase": "storing", "permille": 1000, "rows_done": ROWS,
            "bytes_done": 1, "bytes_total": 1, "rows_per_s": 1,
        });
        entries.insert("progress".into(), progress);
        let head = json!({
            "state": "completed", "name": "a.csv", "bytes": 1, "requested_at": 1,
            "attempt": 1, "summary": checked.summary,
        });
        entries.insert("run".into(), head);
        Self { file, book: RuleBook::new(&rules), entries, listed }
    }

    fn wrong(&self, list_passes: bool) -> Vec<String> {
        let expected =
            ExpectedRun { rows: ROWS, planted: &self.file.planted, rules: &self.book, list_passes };
        differences(&expected, &LastView::read(&self.entries).unwrap(), &self.listed)
    }

    #[track_caller]
    fn assert_wrong(&self, words: &str) {
        let wrong = self.wrong(false);
        assert!(wrong.iter().any(|text| text.contains(words)), "{words} is not among {wrong:#?}");
    }

    /// Raises a number of the view by one.
    fn raise(&mut self, key: &str, pointer: &str) {
        let number = self.entries.get_mut(key).unwrap().pointer_mut(pointer).unwrap();
        *number = json!(number.as_i64().unwrap() + 1);
    }
}

#[test]
fn honest_run_agrees_with_its_file() {
    for list_passes in [false, true] {
        let honest = HonestResult::new(list_passes);
        assert!(
            honest.listed.len() > 30,
            "{} findings are enough to lose one of",
            honest.listed.len()
        );
        assert_eq!(honest.wrong(list_passes), [""; 0]);
        assert_eq!(honest.book.not_planted_for(), 0);
    }
}

#[test]
fn lost_or_doubled_finding_is_noticed() {
    let mut run = HonestResult::new(false);
    let lost = run.listed.remove(7);
    run.assert_wrong("1 missed, 0 invented");
    run.assert_wrong("findings are listed");
    run.assert_wrong("the list has");
    run.listed.insert(7, lost.clone());
    run.listed.insert(7, lost);
    run.assert_wrong("0 missed, 1 invented");
}

#[test]
fn unordered_list_is_noticed() {
    let mut run = HonestResult::new(false);
    run.listed.reverse();
    run.assert_wrong("not in its order");
}

#[test]
fn every_wrong_number_is_noticed() {
    for (key, pointer, words) in [
        ("counts", "/error", "in the summary"),
        ("run", "/summary/rows", "rows were checked"),
        ("run", "/summary/at_risk_cents", "cents at risk"),
        ("run", "/summary/to_gain_cents", "cents at risk"),
        ("run", "/summary/stored", "stored"),
        ("progress", "/permille", "‰ done"),
        ("rule:office-fee", "/error", "rules together"),
        ("rule:office-fee", "/warning", "the list has"),
        ("rule:office-fee", "/pass", "passes"),
        ("finding:004", "/row", "not in the list"),
    ] {
        let mut run = HonestResult::new(false);
        run.raise(key, pointer);
        run.assert_wrong(words);
    }
}

#[test]
fn unfinished_rule_and_hidden_finding_are_noticed() {
    let mut run = HonestResult::new(false);
    run.entries.get_mut("rule:office-fee").unwrap().as_object_mut().unwrap().remove("took_us");
    run.assert_wrong("not finished");
    let mut run = HonestResult::new(false);
    let last = run.entries.keys().rfind(|key| key.starts_with("finding:")).unwrap().clone();
    run.entries.remove(&last);
    run.assert_wrong("first findings are shown");
}

#[test]
fn unknown_rule_is_noticed() {
    let mut run = HonestResult::new(false);
    run.entries.insert("rule:another".into(), json!(RuleTally::default()));
    run.assert_wrong("not a rule of the tenant");
}

#[test]
fn unpredictable_rule_is_not_compared() {
    let mut run = HonestResult::new(false);
    let mut own = builtin();
    own[0].name.en.push_str(" of ours");
    run.book = RuleBook::new(&own);
    assert_eq!(run.book.not_planted_for(), 1);
    assert_eq!(run.wrong(false), [""; 0]);
}

#[test]
fn end_without_summary_or_counts_is_unreadable() {
    for key in ["run", "counts", "progress"] {
        let mut run = HonestResult::new(false);
        run.entries.remove(key);
        assert!(LastView::read(&run.entries).err().unwrap().contains(key));
    }
}
