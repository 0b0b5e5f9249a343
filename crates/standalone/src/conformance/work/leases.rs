//! Leases: how long a run belongs to a worker.

use std::time::Duration;

use processors::{
    run::WorkChange,
    work::{TryCounting, WorkItem},
};
use schemas::{attempt::AttemptNumber, run::RunState};

use super::desk::{BRIEF, Desk, LONG, completed, is_of, lost, tenant};

fn due(taken: WorkItem) -> processors::work::Job {
    match taken {
        WorkItem::Attempt(job) => job,
        WorkItem::UnreportedEnd(..) => panic!("the run did not end"),
    }
}

pub async fn lost_lease_becomes_new_attempt(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let old = desk.take_due(BRIEF).await;
    // The returned run goes first: others were requested later, and its start was already visible.
    let later = desk.ask(&tenant()).await;
    tokio::time::sleep(BRIEF * 10).await;
    let new = due(desk.take_over().await);
    assert!(is_of(&new, &asked));
    assert_eq!((new.attempt.0, new.tries, new.worker.as_str()), (2, 2, "worker-2"));
    assert!(lost(&desk.beat(&old).await));
    assert!(lost(&desk.end(&old, Vec::new(), completed(1)).await));
    assert!(lost(&desk.sides.work.release(&old, Duration::ZERO, TryCounting::Counted).await));
    assert!(!desk.beat(&new).await.expect("the new lease holds"));
    desk.over(&asked).await;
    desk.over(&later).await;
}

pub async fn prolonged_lease_holds(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let lease = Duration::from_millis(100);
    let job = desk.take_due(lease).await;
    desk.beat(&job).await.expect("the lease holds, as nobody else asked for the run");
    // The promise is about real time: after twice the first lease it would have expired.
    tokio::time::sleep(lease * 2).await;
    assert!(desk.take(LONG).await.is_none());
    desk.over(&asked).await;
}

pub async fn worker_learns_of_cancelling(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(BRIEF).await;
    assert!(!desk.sides.work.extend_lease(&job, BRIEF).await.expect("the lease holds"));
    desk.put(&asked, RunState::Running, 1, WorkChange::Cancel).await;
    assert!(desk.sides.work.extend_lease(&job, BRIEF).await.expect("the lease holds"));
    let job = due(desk.take_over().await);
    assert!(desk.beat(&job).await.expect("the lease holds"), "it is still to stop");
    desk.over(&asked).await;
}

pub async fn ended_run_is_lost_to_its_worker(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    desk.over(&asked).await;
    assert!(lost(&desk.beat(&job).await));
    assert!(lost(&desk.end(&job, Vec::new(), completed(1)).await));
    assert!(desk.take(LONG).await.is_none(), "nothing came of it");
}

pub async fn released_run_is_next_attempt_after_pause(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    desk.sides
        .work
        .release(&job, Duration::from_millis(50), TryCounting::Counted)
        .await
        .expect("it is given back");
    assert!(lost(&desk.beat(&job).await));
    let job = due(desk.take_over().await);
    assert_eq!((job.attempt.0, job.tries), (2, 2));
    desk.sides.work.release(&job, LONG, TryCounting::Counted).await.expect("it is given back");
    assert!(desk.take(LONG).await.is_none(), "its pause is not over");
    // The runner learns of it later and changes nothing.
    desk.put(&asked, RunState::Queued, 3, WorkChange::Enqueue(AttemptNumber(3))).await;
    assert!(desk.take(LONG).await.is_none());
    desk.over(&asked).await;
}

pub async fn blameless_release_uses_no_try(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    desk.sides
        .work
        .release(&job, Duration::ZERO, TryCounting::NotCounted)
        .await
        .expect("it is given back");
    let job = due(desk.take_over().await);
    assert!(is_of(&job, &asked));
    assert_eq!((job.attempt.0, job.tries), (2, 1));
    desk.over(&asked).await;
}
