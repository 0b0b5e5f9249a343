//! Runs whose worker dies, or whose file store, log or ledger fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use processors::worker::AttemptResult;
use schemas::{
    codes::Code,
    command::Command,
    event::Event,
    run::{MAX_ATTEMPTS, RunState},
};
use tokio::{sync::watch, time::Instant};

use super::{
    backends::{DeafWork, MuteLog, UnreliableLog},
    office::{Office, RequestedRun},
};

fn starts(office: &Office, asked: &RequestedRun) -> Vec<u32> {
    let start =
        |event| if let Event::RunStarted { attempt } = event { Some(attempt.0) } else { None };
    office.events(asked).into_iter().filter_map(start).collect()
}

/// Asserts that a file of 10,000 rows has a thousand findings, each once.
async fn completed_whole(office: &Office, asked: &RequestedRun, attempt: u32) {
    let head = office.until_state(asked, RunState::Completed).await;
    assert_eq!(head.attempt.0, attempt);
    let rows: Vec<u64> =
        office.findings(asked).await.iter().map(|(_, finding)| finding.row).collect();
    assert!(rows.into_iter().eq((1..=1_000).map(|n| n * 10)));
    let view = office.view(asked).await.expect("the view is kept");
    assert_eq!(view.entries.keys().filter(|key| key.starts_with("finding:")).count(), 100);
    office.removed(&asked.file).await;
    assert_eq!(office.ends(asked), 1);
    assert!(office.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn two_store_failures_cost_two_attempts() {
    let office = Office::open();
    let worker = office.worker(|_, _| ());
    office.files.refusals.store(2, SeqCst);
    let begun = Instant::now();
    let asked = office.ask_for(10_000).await;
    completed_whole(&office, &asked, 3).await;
    assert!(begun.elapsed() >= Duration::from_secs(2 + 4), "it waits longer each time");
    assert_eq!(starts(&office, &asked), [1, 2, 3]);
    assert_eq!(
        (
            worker.counters.ended(AttemptResult::Released),
            worker.counters.ended(AttemptResult::Completed)
        ),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn permanent_store_failure_fails_run_and_allows_retry() {
    let office = Office::open();
    let _worker = office.worker(|_, _| ());
    office.files.refusals.store(MAX_ATTEMPTS, SeqCst);
    let asked = office.ask_for(10_000).await;
    let head = office.until_state(&asked, RunState::Failed).await;
    let failure = head.failure.expect("a failed run says why");
    assert_eq!(
        (failure.code, failure.retryable, head.attempt.0),
        (Code::RunFaulted, true, MAX_ATTEMPTS)
    );
    assert!(office.is_kept(&asked.file).await, "it may be needed again");
    assert_eq!(office.ends(&asked), 1);

    office.files.refusals.store(1, SeqCst);
    office.say(&asked.run, Command::RetryRun {}).await;
    let head = office.until_state(&asked, RunState::Completed).await;
    assert_eq!(head.attempt.0, MAX_ATTEMPTS + 2, "its tries count anew, its attempts go on");
    office.removed(&asked.file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_worker_run_is_taken_over_once() {
    let office = Office::open();
    let first = office.mortal_worker();
    office.files.shut();
    let asked = office.ask_for(10_000).await;
    office.until_half_read(1).await;
    office.until(&asked, "findings are shown", |head| head.state == RunState::Running).await;
    first.kill().await;
    let _second = office.mortal_worker();
    office.until_half_read(2).await;
    office.files.open();
    completed_whole(&office, &asked, 2).await;
    assert_eq!(starts(&office, &asked), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_fails_when_all_workers_die() {
    let office = Office::open();
    office.files.shut();
    let asked = office.ask_for(10_000).await;
    for death in 1..=MAX_ATTEMPTS {
        let worker = office.mortal_worker();
        office.until_half_read(death).await;
        worker.kill().await;
    }
    let _worker = office.mortal_worker();
    let head = office.until_state(&asked, RunState::Failed).await;
    let failure = head.failure.expect("a failed run says why");
    assert_eq!((failure.code, failure.retryable), (Code::RunWorkerLost, true));
    assert!(office.is_kept(&asked.file).await);
    office.files.open();
    office.say(&asked.run, Command::RetryRun {}).await;
    completed_again(&office, &asked).await;
}

async fn completed_again(office: &Office, asked: &RequestedRun) {
    let head = office.until_state(asked, RunState::Completed).await;
    assert!(head.attempt.0 > MAX_ATTEMPTS);
    assert_eq!(office.findings(asked).await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_worker_returns_its_run() {
    let office = Office::open();
    let first = office.worker(|_, settings| settings.lease = Duration::from_secs(600));
    office.files.shut();
    let asked = office.ask_for(10_000).await;
    office.until_half_read(1).await;
    let counters = Arc::clone(&first.counters);
    first.stop().await;
    assert_eq!(counters.ended(AttemptResult::Released), 1);
    office
        .until(&asked, "it waits again", |head| {
            head.state == RunState::Queued && head.attempt.0 == 2
        })
        .await;
    // A lease of ten minutes does not delay the next worker, and no try is used up.
    let _second = office.worker(|_, _| ());
    office.until_half_read(2).await;
    office.files.open();
    completed_whole(&office, &asked, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_without_lease_leaves_no_findings() {
    let office = Office::open();
    let deaf =
        Arc::new(DeafWork { inner: office.memory.work.clone(), deaf: AtomicBool::new(false) });
    let first = office.worker(|backends, settings| {
        backends.work = deaf.clone();
        settings.lease = Duration::from_millis(500);
    });
    office.files.shut();
    let asked = office.ask_for(10_000).await;
    office.until_half_read(1).await;
    deaf.deaf.store(true, SeqCst);
    let second = office.worker(|_, _| ());
    office.until_half_read(2).await;
    office.files.open();
    completed_whole(&office, &asked, 2).await;
    first.stop().await;
    assert_eq!((second.counters.ended(AttemptResult::Completed), office.ends(&asked)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_log_delays_reports_without_loss() {
    let office = Office::open();
    let log = Arc::new(UnreliableLog {
        inner: office.memory.runs_log.clone(),
        faults: AtomicU32::new(5),
    });
    let _worker = office.worker(|backends, _| backends.log = log.clone());
    let asked = office.ask_for(10_000).await;
    completed_whole(&office, &asked, 1).await;
    assert_eq!(log.faults.load(SeqCst), 0, "it did fail");
    assert_eq!(starts(&office, &asked), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_worker_publishes_unpublished_end() {
    let office = Office::open();
    let log =
        Arc::new(MuteLog { inner: office.memory.runs_log.clone(), refused: watch::Sender::new(0) });
    let first = office.worker(|backends, settings| {
        backends.log = log.clone();
        settings.lease = Duration::from_millis(500);
    });
    let asked = office.ask_for(10_000).await;
    let mut refused = log.refused.subscribe();
    drop(refused.wait_for(|refused| *refused > 0).await.expect("the log is there"));
    first.kill().await;
    assert_eq!(office.ends(&asked), 0);
    let _second = office.worker(|_, _| ());
    completed_whole(&office, &asked, 1).await;
    assert_eq!(starts(&office, &asked), [1], "nothing was checked again");
}
