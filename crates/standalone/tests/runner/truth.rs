//! Metrics and readiness while a runner cannot do its work: no fault is silent.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    thread::{self, ThreadId},
    time::Duration,
};

use processors::{
    anchor::LogFault,
    ledger::Ledger,
    log::{LogOffset, LogState, PartitionId},
    runner::{self, Failure, FailureKind, RunnerCounters},
};
use schemas::record::{CARE_TOPIC, WireRecord};
use tokio::time::sleep;

use crate::{
    clinic::{opening, run, settings, until},
    faults::{Fault, Faults, Op},
    partitions::{Partitions, issues, location},
};

const P0: PartitionId = PartitionId(0);

/// A runner that owns these partitions, whose location is open in partition 0.
async fn working(
    ids: &[u32],
    faults: &Arc<Faults>,
    settings: runner::RunnerSettings,
) -> (Partitions, Arc<RunnerCounters>) {
    let mut partitions = Partitions::new(faults);
    let counters = settings.counters.clone();
    run(partitions.backends(faults), settings);
    assert_eq!(partitions.assign(ids).await.len(), ids.len());
    partitions.send(0, opening(&location(0))).await;
    until("it works", async || partitions.is_committed(0).await).await;
    (partitions, counters)
}

fn failing(counters: &RunnerCounters) -> Option<Failure> {
    counters.partition(CARE_TOPIC, P0)?.failing
}

/// A full disk, or a standby that was not promoted: PostgreSQL reads and does not commit.
#[tokio::test(start_paused = true)]
async fn read_only_ledger_is_a_lasting_failure() {
    let faults = Faults::none();
    let (mut partitions, counters) = working(&[0], &faults, settings()).await;
    faults.break_all(&[Op::Commit]);
    let before = faults.calls(Op::Commit);
    partitions.send(0, issues(&location(0), 1..2)).await;
    // Simulated time of the outage: shorter than until the partition is given back.
    sleep(Duration::from_secs(15)).await;
    let failure = failing(&counters).expect("it fails");
    assert_eq!(failure.kind, FailureKind::Ledger);
    assert!(failure.since.elapsed() > Duration::from_secs(10));
    assert!(faults.calls(Op::Commit) - before < 20, "it backs off");
    faults.mend();
    until("it works again", async || partitions.is_committed(0).await).await;
    until("the failure is over", async || failing(&counters).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn partitions_given_back_are_missed_until_one_works() {
    let faults = Faults::none();
    let (mut partitions, counters) = working(&[0], &faults, settings()).await;
    faults.break_all(&Op::ALL);
    partitions.send(0, issues(&location(0), 1..2)).await;
    let released = async || partitions.log.released.lock().unwrap().len() == 1;
    until("it is given back", released).await;
    assert!(partitions.assign(&[0]).await.is_empty(), "it cannot be claimed");
    let missing = counters.unclaimed()[CARE_TOPIC];
    assert_eq!(missing.kind, FailureKind::Ledger, "why it was given back");
    faults.mend();
    assert_eq!(partitions.assign(&[0]).await.len(), 1);
    until("it works", async || failing(&counters).is_none()).await;
    assert!(counters.unclaimed().is_empty());
}

/// After an outage a slow ledger may refuse some claims of an assignment, again and again.
#[tokio::test(start_paused = true)]
async fn partition_claimed_after_an_outage_has_time_to_work() {
    // Two claims at the start, and two during the outage.
    let faults = Faults::one(Op::PartitionClaim, 6, Fault::Refuse);
    let (mut partitions, counters) = working(&[0, 1], &faults, settings()).await;
    faults.break_all(&[Op::PartitionClaim]);
    assert!(partitions.assign(&[0, 1]).await.is_empty());
    sleep(Duration::from_secs(60)).await; // simulated time of the outage
    faults.mend();
    // The claim succeeds, and no other step does.
    faults.break_all(&[Op::Checkpoint, Op::RenewEpochs, Op::Outbox, Op::Commit]);
    assert_eq!(partitions.assign(&[0, 1]).await.len(), 1, "the second claim is refused");
    partitions.send(0, issues(&location(0), 1..2)).await;
    sleep(Duration::from_secs(15)).await; // simulated time: it must not be given back
    let failure = failing(&counters).expect("it fails");
    assert!(failure.since.elapsed() > Duration::from_secs(60), "no partition has worked since");
    let released = async || !partitions.log.released.lock().unwrap().is_empty();
    assert!(!released().await, "it was claimed 15 s ago");
    until("it is given back", released).await;
}

#[tokio::test(start_paused = true)]
async fn refused_claims_are_a_failure() {
    let faults = Faults::none();
    let (partitions, counters) = working(&[0], &faults, settings()).await;
    partitions.revoke(&[0]).await;
    faults.break_all(&[Op::PartitionClaim]);
    assert!(partitions.assign(&[0]).await.is_empty());
    assert_eq!(counters.unclaimed()[CARE_TOPIC].kind, FailureKind::Claim);
    // Another process owns them now, and this one stands by.
    assert!(partitions.assign(&[]).await.is_empty());
    assert!(counters.unclaimed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn panic_that_returns_backs_off_and_shows() {
    let faults = Faults::none();
    let (mut partitions, counters) = working(&[0], &faults, settings()).await;
    faults.panic_always(Op::Append);
    partitions.send(0, issues(&location(0), 1..2)).await;
    sleep(Duration::from_secs(15)).await; // simulated time: it panics again and again
    let failure = failing(&counters).expect("it fails");
    assert_eq!(failure.kind, FailureKind::Fault);
    assert!(failure.since.elapsed() > Duration::from_secs(10));
    assert!(partitions.log.released.lock().unwrap().is_empty(), "no rebalance for the others");
    faults.mend();
    until("it works again", async || failing(&counters).is_none()).await;
}

fn poison(numbers: std::ops::Range<u64>) -> Vec<WireRecord> {
    let broken = |record| WireRecord { value: b"{".as_slice().into(), ..record };
    issues(&location(0), numbers).into_iter().map(broken).collect()
}

#[tokio::test(start_paused = true)]
async fn rebalance_does_not_restart_a_stopped_partition() {
    let faults = Faults::none();
    let settings = runner::RunnerSettings { parked_limit: 20, ..settings() };
    let (mut partitions, counters) = working(&[0], &faults, settings).await;
    partitions.send(0, poison(0..200)).await;
    let stopped =
        async || failing(&counters).is_some_and(|failure| failure.kind == FailureKind::Parked);
    until("it stops", stopped).await;
    let parked = counters.parked.load(SeqCst);
    partitions.revoke(&[0]).await;
    partitions.assign(&[0]).await;
    until("it stands still again", stopped).await;
    let next = partitions.memory.ledger.checkpoint(P0).await.unwrap().next_offset;
    *partitions.ends.get_mut(&P0).unwrap() = next;
    partitions.send(0, poison(100..150)).await;
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert_eq!(counters.parked.load(SeqCst), parked);
}

#[tokio::test(start_paused = true)]
async fn stopped_partition_does_not_keep_the_others() {
    let faults = Faults::none();
    let settings = runner::RunnerSettings { parked_limit: 5, ..settings() };
    let (mut partitions, counters) = working(&[0, 1], &faults, settings).await;
    partitions.send(0, poison(0..20)).await;
    until("it stops", async || failing(&counters).is_some()).await;
    faults.break_all(&[Op::Append]);
    partitions.send(1, opening(&location(1))).await;
    until("all are given back", async || partitions.log.released.lock().unwrap().len() == 2).await;
}

/// The lines that one thread logs.
#[derive(Clone)]
struct LoggedLines(ThreadId, Arc<Mutex<Vec<u8>>>);

impl Write for LoggedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match thread::current().id() == self.0 {
            true => self.1.lock().unwrap().write(bytes),
            false => Ok(bytes.len()),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An operator finds the row by its place, and its content is not in the log.
#[tokio::test(start_paused = true)]
async fn unpublished_row_is_logged_by_its_place() {
    let lines = LoggedLines(thread::current().id(), Arc::default());
    let writer = lines.clone();
    // For all threads: the first one that passes a log line decides whether the line is on.
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let faults = Faults::none();
    let (mut partitions, counters) = working(&[0], &faults, settings()).await;
    faults.break_all(&[Op::Append]);
    partitions.send(0, issues(&location(0), 1..2)).await;
    until("it fails", async || failing(&counters).is_some()).await;
    let rows = partitions.memory.ledger.outbox(P0, 1).await.unwrap();
    let text = String::from_utf8(lines.1.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("does not acknowledge this row"));
    let line = line.unwrap_or_else(|| panic!("no line in {text}"));
    assert!(line.contains("ERROR"), "{line}");
    let row = &rows[0];
    for field in [
        "partition=0".to_owned(),
        format!("offset={}", row.offset.0),
        format!("part={}", row.part),
        format!("topic=\"{}\"", row.topic),
        format!("key=\"{}\"", row.record.key),
        format!("bytes={}", row.record.value.len()),
    ] {
        assert!(line.contains(&field), "{field} is not in {line}");
    }
    let waits = "the outbox cannot be published; the partition waits and tries again";
    assert!(text.contains(waits), "{text}");
    assert!(!text.contains("A-001"), "a label of a patient is in the log: {text}");
    faults.mend();
    until("it is published", async || {
        partitions.memory.ledger.outbox(P0, 1).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn outbox_that_was_emptied_is_not_old() {
    let faults = Faults::one(Op::Published, 1, Fault::LoseAnswer);
    let (partitions, counters) = working(&[0], &faults, settings()).await;
    until("the answer is lost", async || faults.calls(Op::Published) > 0).await;
    until("the outbox is found empty", async || {
        counters.partition(CARE_TOPIC, P0).unwrap().unpublished_since.is_none()
            && partitions.memory.ledger.outbox(P0, 10).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn revoked_partition_is_not_refilled() {
    let faults = Faults::one(Op::MarkSuspect, 1, Fault::HoldBefore);
    let partitions = Partitions::new(&faults);
    run(partitions.backends(&faults), settings());
    partitions.assign(&[0]).await;
    faults.held.notified().await;
    partitions.revoke(&[0]).await;
    faults.let_go();
    sleep(Duration::from_secs(5)).await; // simulated time: the held call ends
    let asked = faults.calls(Op::Coverage);
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert_eq!(faults.calls(Op::Coverage), asked, "the store is not asked about it any more");
}

/// Gives partition 0 the state of a log that was created again.
fn another_log(partitions: &Partitions, record: Option<WireRecord>, end: i64) {
    let state = LogState { start: LogOffset::START, end: LogOffset(end), record };
    partitions.log.states.lock().unwrap().insert(P0, state);
}

#[tokio::test(start_paused = true)]
async fn partition_of_another_log_is_held_alone() {
    let faults = Faults::none();
    let (partitions, counters) = working(&[0, 1], &faults, settings()).await;
    let other = issues(&location(0), 700..701).pop();
    for (record, end, fault) in [(None, 1, LogFault::Short), (other, 1_000_000, LogFault::Other)] {
        partitions.revoke(&[0, 1]).await;
        another_log(&partitions, record, end);
        let claimed = partitions.claim(&[0, 1]).await;
        assert_eq!(claimed.held, [P0]);
        assert_eq!(claimed.offsets, [(PartitionId(1), LogOffset::START)]);
        let failure = failing(&counters).expect("it is held");
        assert_eq!(failure.kind, FailureKind::Log(fault));
    }
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert!(partitions.log.released.lock().unwrap().is_empty(), "nobody accepts the log");
    // Another claim raises the owner epoch, as accepting the log does.
    partitions.memory.ledger.claim(P0).await.unwrap();
    until("it is given back", async || !partitions.log.released.lock().unwrap().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn old_log_without_its_anchor_is_read() {
    let faults = Faults::none();
    let (mut partitions, counters) = working(&[0], &faults, settings()).await;
    let end = partitions.ends[&P0];
    partitions.revoke(&[0]).await;
    let state = LogState { start: end, end, record: None };
    partitions.log.states.lock().unwrap().insert(P0, state);
    assert_eq!(partitions.claim(&[0]).await.offsets, [(P0, end)]);
    partitions.send(0, issues(&location(0), 1..2)).await;
    until("it works", async || partitions.is_committed(0).await).await;
    assert_eq!(failing(&counters), None);
}
