//! Exactly one effect per record, despite every fault: the runner over memory, with faults at every
//! call of a backend.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "runner/clinic.rs"]
mod clinic;
#[path = "runner/culprits.rs"]
mod culprits;
#[path = "runner/faults.rs"]
mod faults;
#[path = "runner/omitted.rs"]
mod omitted;
#[path = "runner/parked.rs"]
mod parked;
#[path = "runner/partitions.rs"]
mod partitions;
#[path = "runner/restored.rs"]
mod restored;
#[path = "runner/suspended.rs"]
mod suspended;
#[path = "runner/time.rs"]
mod time;
#[path = "runner/truth.rs"]
mod truth;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use clinic::{
    PARTITION, START, ViewsTopic, check, check_after_flush, code, hillside, issue, memory, morning,
    opening, quiet, run, same, send, settings, until,
};
use faults::{Fault, Faults, FaultyLog, Op, backends, backends_with};
use gateway::backends::snapshots::{Snapshot, Snapshots};
use processors::{
    ledger::{JournalEntry, Ledger},
    runner,
};
use schemas::{
    appointment::AppointmentChange,
    codes::Code,
    command::{Command, Verdict},
    event::Event,
    ids::Aggregate,
    log::PartitionId,
    record::WireRecord,
};
use standalone::memory::Memory;
use testing::records::{SampleLocation, riverside::here};

async fn send_all(memory: &Memory, records: Vec<WireRecord>) {
    for record in records {
        send(memory, record).await;
    }
}

fn riverside() -> Aggregate {
    here().aggregate()
}

#[tokio::test(start_paused = true)]
async fn every_record_has_one_effect() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let settings = settings();
    let counters = settings.counters.clone();
    run(backends(&memory, &Faults::none()), settings);
    send_all(&memory, morning(1, 1_500)).await;
    quiet(&memory).await;
    check(&memory, &heard).await;

    let journaled = memory.ledger.journaled();
    assert!(
        [journaled.applied, journaled.refused, journaled.repeated, journaled.parked]
            .iter()
            .all(|n| *n > 5)
    );
    assert_eq!(counters.applied.load(SeqCst), journaled.applied);
    assert_eq!(counters.refused.load(SeqCst), journaled.refused);
    assert_eq!(counters.repeated.load(SeqCst), journaled.repeated);
    assert_eq!(counters.parked.load(SeqCst), journaled.parked);
    let status = counters.partition("clinicwire.care.v1", PARTITION).unwrap();
    assert_eq!(status.next_offset, memory.log.end());
    assert_eq!(
        (status.oldest_waiting, status.unpublished_since, status.failing),
        (None, None, None)
    );
    let journal = memory.ledger.journal();
    let events =
        journal.iter().filter_map(|(_, row)| row.entry.moved()).flat_map(|(_, events)| events);
    let changes: Vec<AppointmentChange> = events
        .filter_map(|event| match event {
            Event::AppointmentReported { change, .. } | Event::FactIgnored { change, .. } => {
                Some(*change)
            }
            _ => None,
        })
        .collect();
    for change in [
        AppointmentChange::Booked,
        AppointmentChange::Modified,
        AppointmentChange::Cancelled,
        AppointmentChange::Repeated,
        AppointmentChange::Stale,
    ] {
        let counted = changes.iter().filter(|found| **found == change).count() as u64;
        assert_eq!(counters.facts(change), counted, "{change:?}");
    }
    assert!(
        changes.contains(&AppointmentChange::Booked) && changes.contains(&AppointmentChange::Stale),
        "what was ignored counts too"
    );
}

#[tokio::test(start_paused = true)]
async fn records_delivered_twice_are_applied_once() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let log = FaultyLog {
        real: Arc::new(memory.log.another()),
        faults: faults.clone(),
        twice: true,
        partition_count: 1,
        released: AtomicBool::new(false),
    };
    run(backends_with(&memory, &faults, Arc::new(log)), settings());
    send_all(&memory, morning(2, 100)).await;
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn evicted_location_is_restored_unchanged() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    run(backends(&memory, &faults), runner::RunnerSettings { cached_tickets: 5, ..settings() });
    send_all(&memory, morning(3, 200)).await;
    quiet(&memory).await;
    check(&memory, &heard).await;
    assert!(faults.calls(Op::Load) > 10, "locations were loaded again and again");
}

/// Kills the process at this point: drops the runner's future while it waits there.
async fn dies_at(op: Op, nth: u32, fault: Fault) {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    send_all(&memory, morning(4, 60)).await;
    let faults = Faults::one(op, nth, fault);
    let first = run(backends(&memory, &faults), settings());
    until("the runner reaches the point", async || faults.calls(op) >= nth).await;
    faults.held.notified().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let working = Faults::none();
    run(backends(&memory, &working), settings());
    until("its successor begins", async || working.calls(Op::Outbox) > 0).await;
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn crash_between_steps_loses_and_repeats_nothing() {
    let points = [
        Op::PartitionClaim,
        Op::Outbox,
        Op::Outcomes,
        Op::Load,
        Op::Epoch,
        Op::Commit,
        Op::Store,
        Op::MarkDirty,
        Op::Replace,
    ];
    for op in
        points.into_iter().chain([Op::View, Op::Dirty, Op::Repaired, Op::Append, Op::Published])
    {
        for fault in [Fault::HoldBefore, Fault::HoldAfter] {
            dies_at(op, 1, fault).await;
        }
    }
    // Rows of the outbox are deleted alone once, after the last batch.
    for op in [Op::Outcomes, Op::LocationParts, Op::Commit, Op::Store, Op::Append] {
        for (nth, fault) in [(3, Fault::HoldBefore), (4, Fault::HoldAfter)] {
            dies_at(op, nth, fault).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refused_or_lost_answers_are_recovered() {
    for op in Op::ALL {
        for fault in [Fault::Refuse, Fault::LoseAnswer] {
            for nth in [1, 2, 5] {
                let memory = memory();
                let heard = ViewsTopic::listen(&memory);
                send_all(&memory, morning(5, 60)).await;
                let faults = Faults::one(op, nth, fault);
                if op == Op::Checkpoint {
                    // The checkpoint is read only after a fault.
                    faults.break_all(&[Op::Append]);
                }
                let running = run(backends(&memory, &faults), settings());
                if op == Op::Checkpoint {
                    until("a few attempts", async || faults.calls(Op::Append) > 3).await;
                    faults.mend();
                }
                quiet(&memory).await;
                check(&memory, &heard).await;
                running.abort();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn commit_with_lost_answer_is_not_repeated() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    send_all(&memory, morning(6, 30)).await;
    let faults = Faults::one(Op::Commit, 2, Fault::LoseAnswer);
    run(backends(&memory, &faults), settings());
    quiet(&memory).await;
    assert!(faults.calls(Op::Checkpoint) > 0, "the checkpoint was asked");
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn hanging_backend_does_not_stop_the_runner() {
    for op in [Op::PartitionClaim, Op::Outcomes, Op::Commit, Op::Store, Op::Append, Op::Published] {
        for fault in [Fault::HoldBefore, Fault::HoldAfter] {
            let memory = memory();
            let heard = ViewsTopic::listen(&memory);
            send_all(&memory, morning(7, 40)).await;
            let faults = Faults::one(op, 1, fault);
            let running = run(backends(&memory, &faults), settings());
            quiet(&memory).await;
            check(&memory, &heard).await;
            running.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replaced_owner_changes_nothing_and_releases() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    send_all(&memory, morning(8, 60)).await;
    let faults = Faults::one(Op::Commit, 2, Fault::HoldBefore);
    let log = Arc::new(FaultyLog {
        real: Arc::new(memory.log.another()),
        faults: faults.clone(),
        twice: false,
        partition_count: 1,
        released: AtomicBool::new(false),
    });
    run(backends_with(&memory, &faults, log.clone()), settings());
    faults.held.notified().await;
    run(backends(&memory, &Faults::none()), settings());
    quiet(&memory).await;
    faults.let_go();
    until("the old owner gives the partition back", async || log.released.load(SeqCst)).await;
    send_all(&memory, vec![here().record("late", issue(&here(), 777)).to_wire()]).await;
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// Random faults at every call, with restarts in between. One seed reproduces one run.
#[tokio::test(start_paused = true)]
async fn random_faults_and_restarts_keep_invariants() {
    for seed in 0..40 {
        let memory = memory();
        let heard = ViewsTopic::listen(&memory);
        let records = morning(seed, 120);
        let mut running = run(backends(&memory, &Faults::random(seed, 40)), settings());
        for (n, part) in records.chunks(records.len() / 3 + 1).enumerate() {
            send_all(&memory, part.to_vec()).await;
            // Simulated time: decides how far the runner gets before it dies.
            tokio::time::sleep(Duration::from_millis(seed * 7 % 120)).await;
            running.abort();
            if seed % 5 == 0 {
                memory.views.flush();
            }
            running = run(backends(&memory, &Faults::random(seed * 31 + n as u64, 40)), settings());
        }
        quiet(&memory).await;
        if seed % 5 == 0 {
            check_after_flush(&memory, &heard).await;
        } else {
            check(&memory, &heard).await;
        }
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_continues_without_view_store() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    run(backends(&memory, &faults), settings());
    send_all(&memory, opening(&here())).await;
    quiet(&memory).await;

    faults.break_all(&[Op::Store, Op::Replace]);
    for number in 1..=20 {
        send(&memory, here().record(&format!("dark-{number}"), issue(&here(), number)).to_wire())
            .await;
        let outcome = heard.outcome(&format!("dark-{number}")).await;
        assert!(
            matches!(outcome.verdict, Verdict::Applied { .. }),
            "decided and told while the store is away"
        );
    }
    assert!(!memory.ledger.dirty(PARTITION, 1, 1).await.unwrap().is_empty());
    assert!(faults.calls(Op::Store) < 5, "a store that is away is not asked for every batch");

    faults.mend();
    quiet(&memory).await;
    check(&memory, &heard).await;
    let before = faults.calls(Op::Store);
    send(&memory, here().record("light", issue(&here(), 99)).to_wire()).await;
    quiet(&memory).await;
    assert!(faults.calls(Op::Store) > before, "steps are stored again");
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn lost_view_is_repaired_by_next_change() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), settings());
    send_all(&memory, opening(&here())).await;
    for number in 1..=5 {
        send(&memory, here().record(&format!("before-{number}"), issue(&here(), number)).to_wire())
            .await;
    }
    quiet(&memory).await;
    check(&memory, &heard).await;
    memory.views.flush();
    send(&memory, here().record("after", issue(&here(), 6)).to_wire()).await;
    quiet(&memory).await;
    let name = (riverside(), format!("queue:{}", here().queue("general")));
    let (expected, _) = memory.ledger.view(&name).await.unwrap().unwrap();
    assert_eq!(expected.entries.len(), 7);
    match memory.views.load(&name.0, &name.1).await.unwrap() {
        Snapshot::Held(view) => assert!(same(&view, &expected)),
        _ => panic!("the view is not repaired"),
    }
}

/// The repair reads a view, and the view changes before it is copied: the copy is not the last one.
#[tokio::test(start_paused = true)]
async fn view_that_moves_on_while_it_is_repaired_is_repaired_again() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    // A new location has every view repaired.
    let faults = Faults::one(Op::View, 1, Fault::HoldAfter);
    run(backends(&memory, &faults), settings());
    send_all(&memory, opening(&here())).await;
    faults.held.notified().await;
    for number in 1..=5 {
        send(&memory, here().record(&format!("i-{number}"), issue(&here(), number)).to_wire())
            .await;
    }
    until("all is committed", async || {
        memory.ledger.checkpoint(PARTITION).await.unwrap().next_offset == memory.log.end()
            && memory.ledger.outbox(PARTITION, 1).await.unwrap().is_empty()
    })
    .await;
    faults.let_go();
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// The store loses everything, or comes back with old data. No command follows.
#[tokio::test(start_paused = true)]
async fn emptied_or_old_view_store_is_filled_again() {
    for comes_back_old in [false, true] {
        let memory = memory();
        let heard = ViewsTopic::listen(&memory);
        let faults = Faults::none();
        run(backends(&memory, &faults), settings());
        send_all(&memory, morning(13, 200)).await;
        quiet(&memory).await;
        let saved = memory.views.save();
        send_all(
            &memory,
            (500..520)
                .map(|n| here().record(&format!("n-{n}"), issue(&here(), n)).to_wire())
                .collect(),
        )
        .await;
        quiet(&memory).await;
        if comes_back_old {
            memory.views.restart_from(saved);
        } else {
            memory.views.flush();
        }
        until("every view is back", async || {
            for (name, expected) in memory.ledger.views() {
                match memory.views.load(&name.0, &name.1).await.unwrap() {
                    Snapshot::Held(view) if same(&view, &expected) => {}
                    _ => return false,
                }
            }
            true
        })
        .await;
        quiet(&memory).await;
        check(&memory, &heard).await;
    }
}

#[tokio::test(start_paused = true)]
async fn transfer_continues_at_other_location() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::one(Op::Append, 2, Fault::LoseAnswer)), settings());
    send_all(&memory, opening(&here())).await;
    send_all(&memory, opening(&hillside())).await;
    send(&memory, here().record("issue", issue(&here(), 1)).to_wire()).await;
    let successor = here().ticket(1).successor(&hillside().id, 1);
    let transfer =
        Command::TransferTicket { ticket: here().ticket(1), queue: hillside().queue("general") };
    send(&memory, here().record("transfer", transfer).to_wire()).await;
    assert_eq!(code(&heard.outcome("transfer").await), None);
    until("the successor stands in line", async || {
        let loaded = memory.ledger.restore(&hillside().aggregate()).await.unwrap();
        loaded.is_some_and(|loaded| loaded.tickets.iter().any(|ticket| ticket.id == successor))
    })
    .await;
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn ledger_outage_releases_partition_without_loss() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let log = Arc::new(FaultyLog {
        real: Arc::new(memory.log.another()),
        faults: faults.clone(),
        twice: false,
        partition_count: 1,
        released: AtomicBool::new(false),
    });
    run(backends_with(&memory, &faults, log.clone()), settings());
    send_all(&memory, opening(&here())).await;
    quiet(&memory).await;
    faults.break_all(&Op::ALL);
    // More records than the runner holds for a blocked partition.
    send_all(&memory, morning(9, 400)).await;
    until("the partition is given back", async || log.released.load(SeqCst)).await;
    // A claim begins with the question whether the ledger is older than what was published.
    let claims = faults.calls(Op::BeginEpoch);
    until("it is claimed again, in vain", async || faults.calls(Op::BeginEpoch) > claims + 2).await;
    faults.mend();
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn long_outbox_is_published_in_order() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    // One large batch is committed, and its owner dies before publishing anything.
    send_all(&memory, morning(10, 1_000)).await;
    let faults = Faults::none();
    faults.break_all(&[Op::Append]);
    let first =
        run(backends(&memory, &faults), runner::RunnerSettings { batch: 2_000, ..settings() });
    until("the batch is committed", async || {
        memory.ledger.checkpoint(PARTITION).await.unwrap().next_offset == memory.log.end()
    })
    .await;
    first.abort();
    assert!(heard.all().is_empty());
    assert!(memory.ledger.outbox(PARTITION, 2_000).await.unwrap().len() > 1_000);
    run(backends(&memory, &Faults::none()), settings());
    quiet(&memory).await;
    check(&memory, &heard).await;
}
