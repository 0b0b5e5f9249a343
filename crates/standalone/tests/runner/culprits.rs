//! Records that can never be committed: each is found among its neighbours and parked alone.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use processors::{
    ledger::{JournalEntry, Ledger},
    runner::{self, FailureKind},
};
use schemas::{
    codes::Code,
    record::{CARE_TOPIC, WireRecord},
};
use testing::records::riverside::here;

use crate::{
    clinic::{
        PARTITION, ViewsTopic, check, code, issue, memory, opening, quiet, run, send, settings,
        until,
    },
    faults::{Fault, Faults, Op, backends},
    send_all,
};

/// Forty commands of which the 20th is called `poison`.
fn records() -> Vec<WireRecord> {
    let id = |number| if number == 20 { "poison".to_owned() } else { format!("issue-{number}") };
    let issues = (1..=40).map(|n| here().record(&id(n), issue(&here(), n)).to_wire());
    opening(&here()).into_iter().chain(issues).collect()
}

#[tokio::test(start_paused = true)]
async fn record_that_the_ledger_refuses_is_parked_alone() {
    for batch in [1, 7, 500] {
        let memory = memory();
        let heard = ViewsTopic::listen(&memory);
        let faults = Faults::none();
        faults.refuse_to_store("poison");
        send_all(&memory, records()).await;
        let settings = runner::RunnerSettings { batch, ..settings() };
        let counters = settings.counters.clone();
        run(backends(&memory, &faults), settings);
        assert_eq!(code(&heard.outcome("poison").await), Some(Code::RecordNotStored));
        quiet(&memory).await;
        let journal = memory.ledger.journal();
        let parked =
            journal.iter().filter(|(_, row)| matches!(row.entry, JournalEntry::Parked { .. }));
        assert_eq!(parked.count(), 1, "its neighbours are applied");
        assert_eq!(memory.ledger.journaled().applied, 43);
        assert_eq!(counters.partition(CARE_TOPIC, PARTITION).unwrap().failing, None);
        let asked = faults.calls(Op::Commit);
        assert!(
            batch == 1 || asked < 30,
            "halving finds the record, not trying one by one: {asked}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn panic_once_changes_nothing() {
    for op in [Op::Load, Op::Outcomes, Op::LocationParts] {
        let memory = memory();
        let heard = ViewsTopic::listen(&memory);
        send_all(&memory, crate::morning(11, 60)).await;
        run(backends(&memory, &Faults::one(op, 2, Fault::Panic)), settings());
        quiet(&memory).await;
        check(&memory, &heard).await;
    }
}

#[tokio::test(start_paused = true)]
async fn record_that_panics_each_time_is_parked_alone() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let opening = opening(&here());
    // Outcomes are looked up after a command that comes again.
    send_all(&memory, [opening.clone(), vec![opening[0].clone()]].concat()).await;
    run(backends(&memory, &faults), settings());
    quiet(&memory).await;
    faults.panic_always(Op::Outcomes);
    send(&memory, here().record("panics", issue(&here(), 1)).to_wire()).await;
    assert_eq!(code(&heard.outcome("panics").await), Some(Code::RecordPanicked));
    faults.mend();
    send(&memory, here().record("fine", issue(&here(), 2)).to_wire()).await;
    assert_eq!(code(&heard.outcome("fine").await), None);
    quiet(&memory).await;
}

/// Anywhere else, a panic ends the task of its partition, which then starts anew.
#[tokio::test(start_paused = true)]
async fn panic_after_the_commit_restarts_the_partition() {
    for op in [Op::Commit, Op::Store, Op::Append, Op::Published, Op::Outbox] {
        let memory = memory();
        let heard = ViewsTopic::listen(&memory);
        send_all(&memory, crate::morning(12, 60)).await;
        run(backends(&memory, &Faults::one(op, 2, Fault::Panic)), settings());
        quiet(&memory).await;
        check(&memory, &heard).await;
    }
}

/// A partition of nothing but unreadable records stops: they are the fault of a program.
#[tokio::test(start_paused = true)]
async fn storm_of_unreadable_records_stops_the_partition() {
    let memory = memory();
    send_all(&memory, opening(&here())).await;
    let poison = |n: u32| {
        let record = here().record(&format!("poison-{n}"), issue(&here(), n.into())).to_wire();
        WireRecord { value: b"{".as_slice().into(), ..record }
    };
    let limit = 20;
    let limited = || runner::RunnerSettings { parked_limit: limit, ..settings() };
    let (first, second) = (limited(), limited());
    let counters = first.counters.clone();
    let running = run(backends(&memory, &Faults::none()), first);
    // Ten readable records make up for one.
    send_all(&memory, (0..15).map(poison).collect()).await;
    let fine = |n: u32| here().record(&format!("fine-{n}"), issue(&here(), n.into())).to_wire();
    send_all(&memory, (0..150).map(fine).collect()).await;
    send_all(&memory, (15..30).map(poison).collect()).await;
    quiet(&memory).await;
    send_all(&memory, (30..100).map(poison).collect()).await;
    let stopped = async || {
        let failing = counters.partition(CARE_TOPIC, PARTITION).and_then(|status| status.failing);
        failing.is_some_and(|failing| failing.kind == FailureKind::Parked)
    };
    until("the partition stops", stopped).await;
    let parked = counters.parked.load(SeqCst);
    assert!((30 + limit - 15..30 + limit + 7).contains(&parked), "{parked}");
    tokio::time::sleep(Duration::from_secs(120)).await; // simulated time: nothing may happen in it
    assert_eq!(counters.parked.load(SeqCst), parked);
    assert!(memory.ledger.checkpoint(PARTITION).await.unwrap().next_offset < memory.log.end());
    assert!(!running.is_finished(), "the other partitions of the process go on");

    running.abort();
    let counters = second.counters.clone();
    run(backends(&memory, &Faults::none()), second);
    until("a restart goes on", async || counters.parked.load(SeqCst) >= limit).await;
}
