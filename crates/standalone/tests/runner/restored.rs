//! A ledger that is older than what was published, as after a restore: a new epoch begins, despite
//! every fault.

use processors::{ledger::Ledger, log::Log};
use schemas::{
    record::{VIEWS_TOPIC, ViewsRecord},
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

/// A location at work, of which a later version was published than the ledger has. Returns the
/// published position.
async fn restored() -> (Memory, Position) {
    let memory = memory();
    let running = run(backends(&memory, &Faults::none()), settings());
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    quiet(&memory).await;
    running.abort();
    let held = position(&memory).await;
    let published = Position { version: held.version + 20, ..held };
    let record = ViewsRecord {
        position: published,
        at: 1,
        deltas: Vec::new(),
        reload: false,
        outcome: None,
    };
    let wire = record.to_wire(&here().aggregate());
    memory.log.append(&[(VIEWS_TOPIC, wire)]).await.unwrap();
    (memory, published)
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
        let owner = memory.ledger.checkpoint(PARTITION).await.unwrap().owner_epoch;
        let is_claimed =
            async || memory.ledger.checkpoint(PARTITION).await.unwrap().owner_epoch > owner;
        until("it is claimed again", is_claimed).await;
        quiet(&memory).await;
        assert_eq!(position(&memory).await, begun);
        again.abort();
    }
}
