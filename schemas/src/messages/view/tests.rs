use proptest::prelude::*;

use super::*;

fn entry(value: u8) -> Box<RawValue> {
    raw(&value)
}

/// Steps over a few keys. Each step sets or removes at least one key.
fn history() -> impl Strategy<Value = Vec<Vec<(u8, Option<u8>)>>> {
    prop::collection::vec(
        prop::collection::vec((0u8..6, prop::option::of(any::<u8>())), 1..4),
        1..20,
    )
}

/// Sparse but unbroken deltas: the aggregate also moves for changes of other views.
fn deltas(history: &[Vec<(u8, Option<u8>)>]) -> Vec<Delta> {
    let mut version = 0;
    history
        .iter()
        .enumerate()
        .map(|(index, steps)| {
            let from = version;
            version += 1 + u64::from(steps[0].0 % 3);
            let mut delta = Delta { from, to: version, at: index as i64, ..Delta::default() };
            for (key, value) in steps {
                match value {
                    Some(value) => delta.put(key.to_string(), value),
                    None => delta.drop_key(key.to_string()),
                }
            }
            delta
        })
        .collect()
}

fn state(history: &[Vec<(u8, Option<u8>)>]) -> BTreeMap<String, u8> {
    let mut state = BTreeMap::new();
    for (key, value) in history.iter().flatten() {
        match value {
            Some(value) => state.insert(key.to_string(), *value),
            None => state.remove(&key.to_string()),
        };
    }
    state
}

fn values(view: &View) -> BTreeMap<String, u8> {
    view.entries.iter().map(|(key, entry)| (key.clone(), entry.get().parse().unwrap())).collect()
}

proptest! {
    #[test]
    fn folding_all_deltas_gives_the_state(history in history()) {
        let mut view = View::empty(1);
        for delta in deltas(&history) {
            prop_assert_eq!(view.fold(&delta), Fold::Applied);
        }
        prop_assert_eq!(values(&view), state(&history));
    }

    #[test]
    fn merged_deltas_fold_like_single_ones(history in history(), cut in 0usize..20) {
        let deltas = deltas(&history);
        let cut = cut.min(deltas.len() - 1);
        let mut one_by_one = View::empty(1);
        for delta in &deltas {
            one_by_one.fold(delta);
        }
        let mut merged = deltas[cut].clone();
        for next in &deltas[cut + 1..] {
            prop_assert_eq!(merged.merge(next), Fold::Applied);
        }
        // Readers may apply removals and entries in any order.
        prop_assert!(merged.remove.iter().all(|key| !merged.set.contains_key(key)));
        let mut view = View::empty(1);
        for delta in &deltas[..cut] {
            view.fold(delta);
        }
        prop_assert_eq!(view.fold(&merged), Fold::Applied);
        prop_assert_eq!(values(&view), values(&one_by_one));
        prop_assert_eq!(view.position, one_by_one.position);
    }

    #[test]
    fn repeats_are_dropped_and_jumps_are_gaps(
        history in history(),
        repeat in 0usize..20,
        skip in 1usize..20,
    ) {
        let deltas = deltas(&history);
        let mut view = View::empty(1);
        for delta in &deltas {
            view.fold(delta);
        }
        let before = values(&view);
        prop_assert_eq!(view.fold(&deltas[repeat.min(deltas.len() - 1)]), Fold::Dropped);
        prop_assert_eq!(values(&view), before);
        if skip < deltas.len() {
            let mut late = View::empty(1);
            prop_assert_eq!(late.fold(&deltas[skip]), Fold::Gap);
            prop_assert!(late.entries.is_empty());
        }
    }
}

#[test]
fn step_without_entries_is_a_gap_for_others() {
    let mut full = Delta { from: 1, to: 3, at: 9, ..Delta::default() };
    full.put("a", &1);
    let omitted = full.without_entries();
    let text = serde_json::to_string(&omitted).unwrap();
    assert_eq!(text, r#"{"from":1,"to":3,"at":9,"omitted":true}"#);
    for (held, verdict) in [(0, Fold::Gap), (1, Fold::Gap), (2, Fold::Gap), (3, Fold::Dropped)] {
        let mut view = View::empty(1);
        view.position.version = held;
        assert_eq!(view.fold(&omitted), verdict, "{held}");
        assert_eq!(view.position.version, held);
    }
    let next = Delta { from: 3, to: 4, ..Delta::default() };
    let before = Delta { from: 0, to: 1, ..Delta::default() };
    assert_eq!(omitted.clone().merge(&next), Fold::Gap);
    assert_eq!(before.clone().merge(&omitted), Fold::Gap);
    assert_eq!(full.clone().merge(&omitted), Fold::Dropped);
}

#[test]
fn view_json_round_trips() {
    let mut view = View::empty(u64::MAX);
    view.entries.insert("a".into(), entry(1));
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(text, r#"{"epoch":"18446744073709551615","version":0,"at":0,"entries":{"a":1}}"#);
    let back: View = serde_json::from_str(&text).unwrap();
    assert_eq!(back.position, view.position);
    assert_eq!(values(&back), values(&view));
}

#[test]
fn step_is_empty_without_any_change() {
    assert!(Delta { from: 1, to: 2, ..Delta::default() }.is_empty());
    let mut sets = Delta::default();
    sets.put("a", &1);
    let mut removes = Delta::default();
    removes.drop_key("a");
    assert!(!sets.is_empty() && !removes.is_empty());
}
