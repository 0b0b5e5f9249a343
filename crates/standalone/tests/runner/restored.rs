//! A ledger that is older than what was published, as after a restore: a new epoch begins, despite
//! every fault.

use std::time::Duration;

use processors::{
    ledger::Ledger,
    log::Log,
    views::{PartitionHead, ViewStore},
};
use schemas::{
    record::{CARE_TOPIC, VIEWS_TOPIC, ViewsRecord},
    view::Position,
};
use standalone::memory::Memory;
use testing::records::riverside::here;

use crate::{
    clinic::{PARTITION, issue, memory, opening, quiet, run, send, settings, until},
    faults::{Fault, Faults, Op, backends},
};

/// The position of the location in the ledger.
async fn position(memory: &Memory) -> Position {
    let restored = memory.ledger.restore(&here().aggregate()).await.unwrap();
    restored.expect("the location exists").position
}

/// A location at work, and a position of it that the ledger does not have.
async fn ahead() -> (Memory, Position) {
    let memory = memory();
    let running = run(backends(&memory, &Faults::none()), settings());
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    quiet(&memory).await;
    running.abort();
    let held = position(&memory).await;
    (memory, Position { version: held.version + 20, ..held })
}

/// A location of which a later version was published than the ledger has. Returns the published
/// position.
async fn restored() -> (Memory, Position) {
    let (memory, published) = ahead().await;
    publish(&memory, published).await;
    (memory, published)
}

async fn publish(memory: &Memory, position: Position) {
    let record = ViewsRecord { position, at: 1, deltas: Vec::new(), reload: false, outcome: None };
    let wire = record.to_wire(&here().aggregate());
    memory.log.append(&[(VIEWS_TOPIC, wire)]).await.unwrap();
}

/// A location of which only the view store remembers a later version than the ledger has, because
/// the topic of views has forgotten the lost steps. Returns the head.
async fn restored_late() -> (Memory, Position) {
    let (memory, head) = ahead().await;
    note_head(&memory, head).await;
    (memory, head)
}

async fn note_head(memory: &Memory, position: Position) {
    let head = PartitionHead { partition: PARTITION, aggregate: here().aggregate(), position };
    memory.views.note_heads(CARE_TOPIC, &[head]).await.unwrap();
}

/// Waits until a partition has been claimed again, and everything that waits is done.
async fn claimed_again(memory: &Memory) {
    let owner_epoch = async || memory.ledger.checkpoint(PARTITION).await.unwrap().owner_epoch;
    let before = owner_epoch().await;
    until("it is claimed again", async || owner_epoch().await > before).await;
    quiet(memory).await;
}

/// The heads that the view store remembers.
async fn heads(memory: &Memory) -> Vec<Position> {
    let heads = memory.views.heads().await.unwrap();
    heads.into_iter().map(|(_, position)| position).collect()
}

#[tokio::test(start_paused = true)]
async fn older_ledger_begins_one_epoch_despite_faults() {
    let calls = [Op::BeginEpoch, Op::RenewEpochs, Op::PartitionClaim, Op::Outbox, Op::Append];
    let faults = [Fault::Refuse, Fault::LoseAnswer];
    let cases = calls.iter().flat_map(|op| faults.map(|fault| Faults::one(*op, 1, fault)));
    for faults in cases.chain([Faults::none()]) {
        let (memory, published) = restored().await;
        let before = position(&memory).await;
        let running = run(backends(&memory, &faults), settings());
        let is_new = async || position(&memory).await.epoch > published.epoch;
        until("a new epoch begins", is_new).await;
        let record = here().record("first", issue(&here(), 1)).to_wire();
        send(&memory, record).await;
        quiet(&memory).await;
        let begun = position(&memory).await;
        assert_eq!(begun.version, before.version + 1, "versions go on");
        let views = memory.ledger.views();
        assert!(views.iter().all(|(_, view)| view.position.epoch == begun.epoch));

        // The published record is no longer the newest, and no further epoch begins.
        running.abort();
        let again = run(backends(&memory, &Faults::none()), settings());
        claimed_again(&memory).await;
        assert_eq!(position(&memory).await, begun);
        again.abort();
    }
}

/// The newest record is a refusal, which has the position that the ledger has.
#[tokio::test(start_paused = true)]
async fn lost_step_before_a_refusal_begins_an_epoch() {
    let (memory, published) = restored().await;
    publish(&memory, position(&memory).await).await;
    let running = run(backends(&memory, &Faults::none()), settings());
    until("a new epoch begins", async || position(&memory).await.epoch > published.epoch).await;
    running.abort();
}

/// What a rebuild does beside it: it fences the owner.
#[tokio::test(start_paused = true)]
async fn partition_without_work_notices_another_owner() {
    let memory = memory();
    let running = run(backends(&memory, &Faults::none()), settings());
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    quiet(&memory).await;
    memory.ledger.claim(PARTITION).await.unwrap();
    claimed_again(&memory).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn head_in_the_store_begins_one_epoch() {
    let (memory, head) = restored_late().await;
    let before = position(&memory).await;
    let running = run(backends(&memory, &Faults::none()), settings());
    until("a new epoch begins", async || position(&memory).await.epoch > head.epoch).await;
    quiet(&memory).await;
    let begun = position(&memory).await;
    assert_eq!(begun.version, before.version, "versions go on");

    // The lost head is remembered until the next commit, and begins no further epoch.
    running.abort();
    let again = run(backends(&memory, &Faults::none()), settings());
    claimed_again(&memory).await;
    assert_eq!((position(&memory).await, heads(&memory).await), (begun, vec![head]));
    send(&memory, here().record("first", issue(&here(), 1)).to_wire()).await;
    quiet(&memory).await;
    let newest = position(&memory).await;
    until("it is the head", async || heads(&memory).await == [newest]).await;
    assert_eq!(newest, Position { version: begun.version + 1, ..begun });
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn silent_store_does_not_stop_a_claim() {
    for fault in [Fault::Refuse, Fault::HoldBefore] {
        let (memory, head) = restored_late().await;
        let running = run(backends(&memory, &Faults::one(Op::Heads, 1, fault)), settings());
        claimed_again(&memory).await;
        send(&memory, here().record("first", issue(&here(), 1)).to_wire()).await;
        quiet(&memory).await;
        assert_eq!(position(&memory).await.epoch, head.epoch, "{fault:?}");
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn held_position_in_the_store_begins_no_epoch() {
    let (memory, _) = ahead().await;
    let held = position(&memory).await;
    note_head(&memory, held).await;
    let running = run(backends(&memory, &Faults::none()), settings());
    claimed_again(&memory).await;
    assert_eq!(position(&memory).await, held);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn head_is_noted_at_most_once_a_second() {
    let (memory, faults) = (memory(), Faults::none());
    let running = run(backends(&memory, &faults), settings());
    let is_head = async || heads(&memory).await == [position(&memory).await];
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    for number in 1..=50 {
        let id = format!("issue-{number}");
        send(&memory, here().record(&id, issue(&here(), number)).to_wire()).await;
        tokio::time::sleep(Duration::from_millis(100)).await; // simulated time of five seconds
    }
    quiet(&memory).await;
    until("the last commit is the head", is_head).await;
    let calls = faults.calls(Op::NoteHeads);
    assert!((3..=7).contains(&calls), "{calls} calls in about five seconds");
    tokio::time::sleep(Duration::from_secs(10)).await; // simulated time without a commit
    assert_eq!(faults.calls(Op::NoteHeads), calls);

    memory.views.flush();
    until("an emptied store gets it again", is_head).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn store_that_refuses_heads_still_gets_views() {
    let (memory, faults) = (memory(), Faults::none());
    faults.break_all(&[Op::NoteHeads]);
    let running = run(backends(&memory, &faults), settings());
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    until("it is tried again", async || faults.calls(Op::NoteHeads) > 2).await;
    quiet(&memory).await;
    let (replaced, stored) = (faults.calls(Op::Replace), faults.calls(Op::Store));
    send(&memory, here().record("first", issue(&here(), 1)).to_wire()).await;
    quiet(&memory).await;
    assert!(faults.calls(Op::Store) > stored, "steps are stored");
    assert!(heads(&memory).await.is_empty());
    assert!(faults.calls(Op::Replace) <= replaced + 1, "and only the view of a ticket is new");
    faults.mend();
    let newest = position(&memory).await;
    until("the head is noted", async || heads(&memory).await == [newest]).await;
    running.abort();
}
