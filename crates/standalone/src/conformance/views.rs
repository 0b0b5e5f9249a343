//! Conformance of the view store: processors write it, gateways read it.

use std::collections::BTreeMap;

use gateway::backends::snapshots::{Snapshot, Snapshots, TicketInLine};
use processors::{
    fixtures::{Clinic, call_next, issue, leave, opening, queue, ticket},
    ledger::Ledger,
    log::PartitionId,
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore},
};
use schemas::{
    channel::Channel,
    ids::{Aggregate, QueueId},
    record::{CARE_TOPIC, RUNS_TOPIC, ViewDelta},
    redis_keys::StoreIdentity,
    ticket::TicketState,
    view::{Delta, Fold, Position, View, raw},
};

use super::{PATIENCE, ledger::same_view};

/// The two clients of one store, and a way to harm what it holds of an aggregate.
pub struct Store<'a, Lose> {
    pub views: &'a dyn ViewStore,
    pub snapshots: &'a dyn Snapshots,
    pub lose: Lose,
}

/// The part of its data on one aggregate that a view store loses.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// The generation of the aggregate, as a server that was emptied.
    Generation,
    /// The identity of the server alone, as after a restart, or by a replica in its place: the
    /// generation and these views of the aggregate stay, under an earlier identity.
    Identity(&'static [&'static str]),
}

impl<Lose> Store<'_, Lose> {
    async fn store(&self, steps: &[ViewStep]) -> Vec<StoreOutcome> {
        let stored = self.views.store(steps).await.expect("the store answers");
        assert_eq!(stored.len(), steps.len());
        stored
    }

    async fn replace(&self, aggregate: &Aggregate, name: &str, view: &View, keep_s: Option<u32>) {
        self.views.replace(aggregate, name, view, keep_s).await.expect("the store answers");
    }

    async fn held(&self, aggregate: &Aggregate, name: &str) -> Option<View> {
        match self.snapshots.load(aggregate, name).await.expect("the store answers") {
            Snapshot::Held(view) => Some(view),
            Snapshot::Absent => None,
            Snapshot::Suspect => panic!("the aggregate lost its generation"),
        }
    }

    async fn is_suspect(&self, aggregate: &Aggregate, name: &str) -> bool {
        let snapshot = self.snapshots.load(aggregate, name).await.expect("the store answers");
        matches!(snapshot, Snapshot::Suspect)
    }
}

const BOARD: &str = "board:riverside";

/// A step of the board that sets each of `keys` to `version`.
fn step(aggregate: &Aggregate, epoch: u64, from: u64, to: u64, keys: &[&str]) -> ViewStep {
    let mut delta =
        Delta { from, to, at: 1_700_000_000_000 + to.cast_signed(), ..Delta::default() };
    for key in keys {
        delta.put(*key, &to);
    }
    ViewStep {
        aggregate: aggregate.clone(),
        epoch,
        step: ViewDelta { view: BOARD.into(), keep_s: None, urgent: false, delta },
    }
}

fn view(epoch: u64, version: u64, keys: &[&str]) -> View {
    let mut view = View::empty(epoch);
    view.position.version = version;
    view.at = 1_700_000_000_000 + version.cast_signed();
    view.entries.extend(keys.iter().map(|key| ((*key).to_owned(), raw(&version))));
    view
}

pub async fn new_aggregate_begins_with_whole_view<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    assert!(store.is_suspect(&aggregate, BOARD).await, "nothing is known of it");
    assert_eq!(store.store(&[step(&aggregate, 7, 0, 1, &["a"])]).await, [StoreOutcome::Behind]);
    store.replace(&aggregate, BOARD, &view(7, 1, &["a"]), None).await;
    same_view(&store.held(&aggregate, BOARD).await.expect("it was stored"), &view(7, 1, &["a"]));
    assert!(
        store.held(&aggregate, "queue:riverside.general").await.is_none(),
        "absent, and known to be"
    );
    let mut first = step(&aggregate, 7, 0, 2, &["b"]);
    first.step.view = "board:another".into();
    assert_eq!(
        store.store(&[first]).await,
        [StoreOutcome::Current],
        "a further view begins with its first step"
    );
    same_view(
        &store.held(&aggregate, "board:another").await.expect("it was stored"),
        &view(7, 2, &["b"]),
    );
}

pub async fn only_following_step_applies<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    let mut held = view(7, 5, &["a", "b"]);
    store.replace(&aggregate, BOARD, &held, None).await;
    let steps = [
        (step(&aggregate, 7, 5, 6, &["c"]), StoreOutcome::Current, Fold::Applied),
        (step(&aggregate, 7, 5, 6, &["c"]), StoreOutcome::Current, Fold::Dropped),
        (step(&aggregate, 7, 0, 4, &["old"]), StoreOutcome::Current, Fold::Dropped),
        (step(&aggregate, 7, 3, 9, &["a", "d"]), StoreOutcome::Current, Fold::Applied),
        (step(&aggregate, 7, 10, 11, &["hole"]), StoreOutcome::Behind, Fold::Gap),
        (step(&aggregate, 7, 9, 12, &[]), StoreOutcome::Current, Fold::Applied),
    ];
    for (step, stored, fold) in steps {
        assert_eq!(held.fold(&step.step.delta), fold);
        assert_eq!(store.store(&[step]).await, [stored]);
        same_view(&store.held(&aggregate, BOARD).await.expect("it is held"), &held);
    }
    let mut removal = step(&aggregate, 7, 12, 13, &["e"]);
    removal.step.delta.drop_key("a");
    removal.step.delta.drop_key("never-there");
    held.fold(&removal.step.delta);
    assert_eq!(store.store(&[removal]).await, [StoreOutcome::Current]);
    same_view(&store.held(&aggregate, BOARD).await.expect("it is held"), &held);
    assert!(!held.entries.contains_key("a"));
}

/// Stores the steps of a real location (board, line, tickets), as a runner does. Returns its views.
async fn store_real_steps<L>(store: &Store<'_, L>, clinic: &mut Clinic) -> BTreeMap<String, View> {
    let mut views: BTreeMap<String, View> = BTreeMap::new();
    let batches = [
        opening().into_iter().chain((1..=6).map(issue)).collect::<Vec<_>>(),
        vec![call_next(), call_next(), leave(5)],
        vec![issue(7), leave(1), call_next()],
    ];
    for commands in batches {
        let steps = clinic.steps(commands);
        clinic.forget_ended();
        for (step, stored) in steps.iter().zip(store.store(&steps).await) {
            let name = &step.step.view;
            let view = views.entry(name.clone()).or_insert_with(|| View::empty(step.epoch));
            assert_eq!(view.fold(&step.step.delta), Fold::Applied);
            if stored == StoreOutcome::Behind {
                store.replace(&clinic.aggregate, name, view, step.step.keep_s).await;
            }
        }
    }
    views
}

pub async fn real_steps_fold_into_their_views<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let mut clinic = Clinic::new(ledger).await;
    let views = store_real_steps(store, &mut clinic).await;
    assert!(views.len() > 7, "a board, a line and each ticket");
    for (name, view) in &views {
        same_view(&store.held(&clinic.aggregate, name).await.expect("it is held"), view);
    }
}

/// A read of one ticket finds what the whole view of its queue says of it.
pub async fn ticket_is_found_without_its_line(
    store: &Store<'_, impl AsyncFn(&Aggregate, Loss)>,
    ledger: &dyn Ledger,
) {
    let mut clinic = Clinic::new(ledger).await;
    let views = store_real_steps(store, &mut clinic).await;
    let (aggregate, line) = (&clinic.aggregate, queue());
    let found = async |queue, number| {
        let found = store.snapshots.ticket(aggregate, queue, &ticket(number)).await;
        found.expect("the store answers")
    };
    let view = &views[&Channel::Queue(line.clone()).to_string()];
    let mut states = Vec::new();
    for number in 1..=7 {
        let expected = TicketInLine::of(&line, view, &ticket(number)).expect("it is a line");
        states.push(expected.state.as_ref().map(|ticket| (ticket.state, ticket.ahead)));
        let Snapshot::Held(held) = found(&line, number).await else { panic!("it is held") };
        assert!(held == expected, "ticket {number}");
    }
    use TicketState::{Called, Waiting};
    let (gone, called) = (None, Some((Called, None)));
    let waits = |ahead| Some((Waiting, Some(ahead)));
    assert_eq!(states, [gone, called, waits(0), waits(1), gone, waits(2), waits(3)]);
    let nowhere = QueueId::new("riverside.nowhere").expect("an id");
    assert!(matches!(found(&nowhere, 4).await, Snapshot::Absent));
    (store.lose)(aggregate, Loss::Generation).await;
    assert!(matches!(found(&line, 4).await, Snapshot::Suspect));
}

pub async fn newer_epoch_wins<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    // Beyond 2^53, where two integers can become the same float.
    let epoch = (1 << 53) + 1;
    store.replace(&aggregate, BOARD, &view(epoch, 5, &["a"]), None).await;
    let unchanged = async || {
        same_view(
            &store.held(&aggregate, BOARD).await.expect("it is held"),
            &view(epoch, 5, &["a"]),
        );
    };
    assert_eq!(
        store.store(&[step(&aggregate, epoch - 1, 5, 6, &["b"])]).await,
        [StoreOutcome::Current]
    );
    unchanged().await;
    assert_eq!(
        store.store(&[step(&aggregate, epoch + 1, 5, 6, &["b"])]).await,
        [StoreOutcome::Behind]
    );
    unchanged().await;
    store.replace(&aggregate, BOARD, &view(epoch + 1, 1, &["c"]), None).await;
    same_view(
        &store.held(&aggregate, BOARD).await.expect("it is held"),
        &view(epoch + 1, 1, &["c"]),
    );
    assert_eq!(
        store.store(&[step(&aggregate, epoch + 2, 0, 2, &["d"])]).await,
        [StoreOutcome::Current]
    );
    let begun = store.held(&aggregate, BOARD).await.expect("it is held");
    same_view(&begun, &view(epoch + 2, 2, &["d"])); // no entry of the older epoch is left
}

pub async fn only_newer_view_replaces<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    store.replace(&aggregate, BOARD, &view(7, 5, &["a", "b"]), None).await;
    store.replace(&aggregate, BOARD, &view(7, 9, &["b", "c"]), None).await;
    same_view(&store.held(&aggregate, BOARD).await.expect("it is held"), &view(7, 9, &["b", "c"]));
    for (epoch, version) in [(7, 8), (6, 99)] {
        store.replace(&aggregate, BOARD, &view(epoch, version, &["stale"]), None).await;
        same_view(
            &store.held(&aggregate, BOARD).await.expect("it is held"),
            &view(7, 9, &["b", "c"]),
        );
    }
}

pub async fn emptied_store_is_recognised(
    store: &Store<'_, impl AsyncFn(&Aggregate, Loss)>,
    ledger: &dyn Ledger,
) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    let bystander = Clinic::new(ledger).await.aggregate;
    store.replace(&aggregate, BOARD, &view(7, 5, &["a"]), None).await;
    (store.lose)(&aggregate, Loss::Generation).await;
    assert!(store.is_suspect(&aggregate, BOARD).await);
    for (from, to) in [(5, 6), (0, 6)] {
        assert_eq!(
            store.store(&[step(&aggregate, 7, from, to, &["b"])]).await,
            [StoreOutcome::Behind]
        );
        assert!(
            store.is_suspect(&aggregate, BOARD).await,
            "a step alone does not make the view whole"
        );
    }
    store.replace(&aggregate, BOARD, &view(7, 6, &["a", "b"]), None).await;
    same_view(
        &store.held(&aggregate, BOARD).await.expect("it is repaired"),
        &view(7, 6, &["a", "b"]),
    );
    assert_eq!(store.store(&[step(&aggregate, 7, 6, 7, &["c"])]).await, [StoreOutcome::Current]);
    assert!(
        store.is_suspect(&bystander, BOARD).await,
        "another location's repair says nothing of this one"
    );
}

/// A server that came back may be old. The repair of one view says nothing of the others.
pub async fn view_of_an_earlier_store_is_not_shown(
    store: &Store<'_, impl AsyncFn(&Aggregate, Loss)>,
    ledger: &dyn Ledger,
) {
    const OTHER: &str = "board:another";
    let aggregate = Clinic::new(ledger).await.aggregate;
    for name in [BOARD, OTHER] {
        store.replace(&aggregate, name, &view(7, 5, &["a"]), None).await;
    }
    (store.lose)(&aggregate, Loss::Identity(&[BOARD, OTHER])).await;
    for name in [BOARD, OTHER, "board:never-there"] {
        assert!(store.is_suspect(&aggregate, name).await, "{name}");
    }
    let mut next = step(&aggregate, 7, 5, 6, &["b"]);
    assert_eq!(store.store(&[next.clone()]).await, [StoreOutcome::Behind]);

    // An older position than the held one: what is held may be of a line of time that is no more.
    store.replace(&aggregate, BOARD, &view(7, 4, &["c"]), None).await;
    let repaired = store.held(&aggregate, BOARD).await.expect("it is repaired");
    same_view(&repaired, &view(7, 4, &["c"]));
    assert!(store.held(&aggregate, "board:never-there").await.is_none(), "known to be absent");
    assert!(store.is_suspect(&aggregate, OTHER).await, "it was not repaired");
    next.step.view = OTHER.into();
    assert_eq!(store.store(&[next]).await, [StoreOutcome::Behind]);
    assert!(store.is_suspect(&aggregate, OTHER).await, "a step makes it no younger");
}

pub async fn coverage_is_kept_for_its_partition<L>(store: &Store<'_, L>, _: &dyn Ledger) {
    let views = store.views;
    let coverage = async |topic, partition| {
        views.coverage(topic, PartitionId(partition)).await.expect("the store answers")
    };
    // Servers outlive tests, so the partition is one that no other run used.
    let partition = fastrand::u32(1 << 20..);
    let Coverage::Suspect(identity) = coverage(CARE_TOPIC, partition).await else {
        panic!("nobody has covered it")
    };
    views.cover(CARE_TOPIC, PartitionId(partition), &identity).await.expect("the store answers");
    assert_eq!(coverage(CARE_TOPIC, partition).await, Coverage::Covered);
    let elsewhere = Coverage::Suspect(identity);
    assert_eq!(coverage(RUNS_TOPIC, partition).await, elsewhere, "the same number in a topic");
    assert_eq!(coverage(CARE_TOPIC, partition - 1).await, elsewhere);
    let other = StoreIdentity::new("master", "00000000000000ff").expect("an identity");
    views.cover(CARE_TOPIC, PartitionId(partition), &other).await.expect("the store answers");
    assert_eq!(coverage(CARE_TOPIC, partition).await, elsewhere, "the note is of another server");
}

/// Heads are kept by topic and partition, and the last one that is noted is read back.
pub async fn head_is_kept_for_its_partition<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    // Beyond 2^53, where two integers can become the same float.
    const EPOCH: u64 = (1 << 53) + 1;
    let mut expected = BTreeMap::new();
    let [one, other] = [Clinic::new(ledger).await.aggregate, Clinic::new(ledger).await.aggregate];
    for (topic, partition, aggregate, version) in [
        (CARE_TOPIC, 1, &one, 7),
        (RUNS_TOPIC, 1, &other, 8),
        (CARE_TOPIC, 2, &other, 9),
        (CARE_TOPIC, 1, &one, 10),
        (CARE_TOPIC, 2, &one, 6),
    ] {
        let position = Position { epoch: EPOCH, version };
        let partition = PartitionId(partition);
        let head = PartitionHead { partition, aggregate: aggregate.clone(), position };
        store.views.note_heads(topic, &[head]).await.expect("the store answers");
        expected.insert((topic, partition), (aggregate.clone(), position));
        let mut heads = store.views.heads().await.expect("the store answers");
        heads.sort_unstable();
        let mut expected: Vec<_> = expected.values().cloned().collect();
        expected.sort_unstable();
        assert_eq!(heads, expected);
    }
    store.views.note_heads(CARE_TOPIC, &[]).await.expect("nothing is noted");
}

pub async fn view_expires_as_last_step_says<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let aggregate = Clinic::new(ledger).await.aggregate;
    for name in ["board:brief", "board:revived", BOARD] {
        store.replace(&aggregate, name, &view(7, 1, &["a"]), None).await;
    }
    store.replace(&aggregate, "board:replaced", &view(7, 1, &["a"]), Some(1)).await;
    let keep = |name: &str, from, keep_s| {
        let mut step = step(&aggregate, 7, from, from + 1, &["b"]);
        step.step.view = name.into();
        step.step.keep_s = keep_s;
        step
    };
    let steps = [
        keep("board:brief", 1, Some(1)),
        keep("board:revived", 1, Some(1)),
        keep("board:revived", 2, None),
    ];
    assert_eq!(store.store(&steps).await, [StoreOutcome::Current; 3]);
    let gone = async {
        while store.held(&aggregate, "board:brief").await.is_some()
            || store.held(&aggregate, "board:replaced").await.is_some()
        {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("a view goes when its time is over");
    assert!(store.held(&aggregate, "board:revived").await.is_some(), "its last step keeps it");
    assert!(store.held(&aggregate, BOARD).await.is_some());
}

pub async fn answers_follow_order_of_steps<L>(store: &Store<'_, L>, ledger: &dyn Ledger) {
    let (one, other) = (Clinic::new(ledger).await.aggregate, Clinic::new(ledger).await.aggregate);
    for aggregate in [&one, &other] {
        store.replace(aggregate, BOARD, &view(7, 1, &["a"]), None).await;
    }
    let steps = [
        step(&one, 7, 1, 2, &["b"]),
        step(&other, 7, 5, 6, &["hole"]),
        step(&one, 7, 2, 3, &["c"]),
        step(&other, 7, 1, 2, &["b"]),
        step(&one, 7, 9, 10, &["hole"]),
    ];
    use StoreOutcome::{Behind, Current};
    assert_eq!(store.store(&steps).await, [Current, Behind, Current, Current, Behind]);
    assert!(store.store(&[]).await.is_empty());
    let versions = [&one, &other].map(|aggregate| store.held(aggregate, BOARD));
    let [one, other] = versions;
    assert_eq!(one.await.expect("it is held").position.version, 3);
    assert_eq!(other.await.expect("it is held").position.version, 2);
}

/// Calls `$run!` with the names of the promises of the view store.
#[macro_export]
macro_rules! view_store_promises {
    ($run:ident) => {
        $run! {
            new_aggregate_begins_with_whole_view,
            only_following_step_applies,
            real_steps_fold_into_their_views,
            ticket_is_found_without_its_line,
            newer_epoch_wins,
            only_newer_view_replaces,
            emptied_store_is_recognised,
            view_of_an_earlier_store_is_not_shown,
            coverage_is_kept_for_its_partition,
            head_is_kept_for_its_partition,
            view_expires_as_last_step_says,
            answers_follow_order_of_steps,
        }
    };
}
