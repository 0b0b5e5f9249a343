//! Tests of the tails.

use schemas::record::ViewDelta;

use super::*;

fn aggregate() -> Aggregate {
    Aggregate::parse("demo/riverside").unwrap()
}

fn counter() -> IntCounter {
    IntCounter::new("refused", "Refused records.").unwrap()
}

fn record(epoch: u64, version: u64, view: &str, from: u64) -> Arc<TailRecord> {
    let mut delta = Delta { from, to: version, at: 0, ..Delta::default() };
    delta.put(version.to_string(), &version);
    let position = Position { epoch, version };
    let deltas = vec![ViewDelta { view: view.into(), keep_s: None, urgent: false, delta }];
    let content = ViewsRecord { position, at: 0, deltas, reload: false, outcome: None };
    let value = content.to_wire(&aggregate()).value;
    Arc::new(TailRecord::new(aggregate(), position, value, counter()))
}

#[test]
fn only_new_records_reach_only_listening_shards() {
    let tails = Tails::default();
    assert_eq!(tails.push(&record(1, 1, "a", 0)), PushOutcome::News(ShardSet::default()));
    let shard = ShardIndex::from_index(3);
    let mut listening = ShardSet::default();
    listening.insert(shard);
    tails.listen(&aggregate(), shard);
    assert_eq!(tails.push(&record(1, 2, "a", 1)), PushOutcome::News(listening));
    assert_eq!(tails.push(&record(1, 2, "a", 1)), PushOutcome::Stale);
    assert_eq!(tails.push(&record(0, 9, "a", 1)), PushOutcome::Stale);
    tails.leave(&aggregate(), shard);
    assert_eq!(tails.push(&record(2, 1, "a", 0)), PushOutcome::News(ShardSet::default()));
    assert_eq!(tails.position(&aggregate()), Some(Position { epoch: 2, version: 1 }));
}

#[test]
fn name_without_records_leaves_nothing_behind() {
    let (tails, shard) = (Tails::default(), ShardIndex::from_index(0));
    for run in 0..1000 {
        let asked = Aggregate::parse(&format!("demo/run-{run}")).unwrap();
        tails.listen(&asked, shard);
        tails.listen(&asked, ShardIndex::from_index(1));
        tails.leave(&asked, ShardIndex::from_index(1));
        assert_eq!(tails.tails.len(), 1, "another shard still listens");
        tails.leave(&asked, shard);
    }
    assert_eq!(tails.tails.len(), 0);
    tails.listen(&aggregate(), shard);
    tails.push(&record(1, 1, "a", 0));
    tails.leave(&aggregate(), shard);
    assert_eq!(tails.position(&aggregate()), Some(Position { epoch: 1, version: 1 }));
}

#[test]
fn oldest_tails_without_listeners_are_forgotten_first() {
    let (tails, shard) = (Tails::default(), ShardIndex::from_index(0));
    let runs = 0..=MAX_TAILS;
    let name = |run: usize| Aggregate::parse(&format!("demo/run-{run}")).unwrap();
    tails.listen(&name(0), shard);
    for run in runs {
        let record = record(1, 1, "a", 0);
        let value = record.value.clone();
        tails.push(&Arc::new(TailRecord::new(name(run), record.position, value, counter())));
    }
    tails.push(&record(1, 1, "a", 0));
    assert!(tails.tails.len() <= MAX_TAILS / 4 * 3 + 2, "{}", tails.tails.len());
    let is_known = |run| tails.position(&name(run)).is_some();
    assert!(is_known(0) && !is_known(1) && is_known(MAX_TAILS));
    let held: usize = tails.tails.iter().map(|entry| entry.lock().unwrap().bytes).sum();
    assert_eq!(tails.bytes(), held);
}

#[test]
fn jump_within_an_epoch_means_missed_records() {
    let tails = Tails::default();
    let shard = ShardIndex::from_index(3);
    tails.listen(&aggregate(), shard);
    let mut shards = ShardSet::default();
    shards.insert(shard);
    let cases = [
        (record(1, 7, "a", 6), PushOutcome::News(shards)), // following starts anywhere
        (record(1, 8, "a", 7), PushOutcome::News(shards)),
        (record(1, 11, "a", 8), PushOutcome::Missed { shards, missed: 2 }),
        (record(1, 10, "a", 8), PushOutcome::Stale),
        (record(1, 12, "a", 11), PushOutcome::News(shards)),
        (record(2, 1, "a", 0), PushOutcome::News(shards)),
        (record(2, 3, "a", 1), PushOutcome::Missed { shards, missed: 1 }),
    ];
    for (record, pushed) in cases {
        let position = record.position;
        assert_eq!(tails.push(&record), pushed, "{position:?}");
    }
}

#[test]
fn missed_steps_of_a_view_are_merged() {
    let tails = Tails::default();
    for (version, view, from) in [(1, "a", 0), (2, "b", 0), (3, "a", 1), (5, "a", 3)] {
        tails.push(&record(1, version, view, from));
    }
    let delta =
        tails.merged_since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 9).unwrap();
    assert_eq!((delta.from, delta.to, delta.set.len()), (1, 5, 2));
    let half = tails.merged_since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 4).unwrap();
    assert_eq!((half.from, half.to, half.set.len()), (1, 3, 1));
    assert!(tails.merged_since(&aggregate(), "a", Position { epoch: 1, version: 5 }, 9).is_none());
    assert!(tails.merged_since(&aggregate(), "a", Position { epoch: 2, version: 1 }, 9).is_none());
}

#[test]
fn shortened_tail_does_not_serve_older_positions() {
    let tails = Tails::default();
    for version in 1..2000 {
        tails.push(&record(1, version, "a", version - 1));
    }
    let kept = tails.records(&aggregate());
    assert!(
        kept.len() < 1999
            && kept.iter().map(|record| record.cost()).sum::<usize>() <= MAX_TAIL_BYTES
    );
    assert!(
        tails.merged_since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 2000).is_none()
    );
    assert!(
        tails.merged_since(&aggregate(), "a", Position { epoch: 1, version: 1990 }, 2000).is_some()
    );
}

#[test]
fn bytes_count_the_records_of_all_tails() {
    let tails = Tails::default();
    let (first, second) = (record(1, 1, "a", 0), record(1, 2, "a", 1));
    tails.push(&first);
    tails.push(&second);
    assert_eq!(tails.bytes(), first.cost() + second.cost());
    let next_epoch = record(2, 1, "a", 0);
    tails.push(&next_epoch);
    assert_eq!(tails.bytes(), next_epoch.cost());
    tails.clear();
    assert_eq!(tails.bytes(), 0);
}

#[test]
fn unreadable_value_is_counted_once() {
    let refused = counter();
    let position = Position { epoch: 1, version: 1 };
    let value = Bytes::from_static(b"{}");
    let record = TailRecord::new(aggregate(), position, value, refused.clone());
    assert!(record.content().is_none() && record.content().is_none());
    assert_eq!(refused.get(), 1);
}
