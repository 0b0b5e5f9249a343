//! Fair turns between tenants, and the places that waiting runs learn.

use std::collections::BTreeSet;

use processors::{
    run::WorkChange,
    work::{RunPlace, WorkItem},
};
use schemas::{attempt::AttemptNumber, run::RunState};

use super::desk::{Desk, LONG, RequestedRun, is_of, tenant};

pub async fn nothing_due_means_nothing_taken(desk: &mut Desk<'_>) {
    assert!(desk.take(LONG).await.is_none());
    assert_eq!(desk.sides.work.changed_places().await.expect("the work answers"), []);
}

pub async fn run_is_taken_once_with_its_request(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    assert!(is_of(&job, &asked));
    assert_eq!((job.attempt.0, job.tries, job.worker.as_str()), (1, 1, "worker-1"));
    assert!(job.request.file == asked.request.file && job.request.list_passes);
    assert!(desk.take(LONG).await.is_none(), "it is under a lease");
    desk.over(&asked).await;
    assert!(desk.take(LONG).await.is_none(), "it is over");
}

pub async fn runs_of_a_suspended_tenant_wait(desk: &mut Desk<'_>) {
    let (asked, other) = (desk.ask(&tenant()).await, desk.ask(&tenant()).await);
    let suspended = BTreeSet::from([asked.tenant.clone()]);
    let taken = desk.sides.work.take("worker-1", LONG, &suspended).await;
    let Some(WorkItem::Attempt(job)) = taken.expect("the work answers") else {
        panic!("the run of the other tenant is due")
    };
    assert!(is_of(&job, &other));
    let taken = desk.sides.work.take("worker-1", LONG, &suspended).await;
    assert!(taken.expect("the work answers").is_none(), "the first one's tenant is suspended");
    assert!(is_of(&desk.take_due(LONG).await, &asked));
    all_over(desk, &[asked, other]).await;
}

/// Requests three runs of one tenant, then one run of each of two others.
async fn ask_five(desk: &mut Desk<'_>) -> [RequestedRun; 5] {
    let [one, other, third] = [tenant(), tenant(), tenant()];
    let first = [desk.ask(&one).await, desk.ask(&one).await, desk.ask(&one).await];
    let [a, b, c] = first;
    [a, b, c, desk.ask(&other).await, desk.ask(&third).await]
}

async fn all_over(desk: &mut Desk<'_>, asked: &[RequestedRun]) {
    for asked in asked {
        desk.over(asked).await;
    }
}

pub async fn tenants_take_turns(desk: &mut Desk<'_>) {
    let asked = ask_five(desk).await;
    // First one run of each tenant in queue order, then the tenant with the fewest running.
    for expected in [0, 3, 4, 1, 2] {
        let job = desk.take_due(LONG).await;
        assert!(is_of(&job, &asked[expected]), "the run asked for as number {expected}");
    }
    assert!(desk.take(LONG).await.is_none());
    all_over(desk, &asked).await;
}

pub async fn served_tenant_waits_for_others(desk: &mut Desk<'_>) {
    let asked = ask_five(desk).await;
    for expected in [0, 3, 4, 1, 2] {
        let job = desk.take_due(LONG).await;
        assert!(is_of(&job, &asked[expected]), "the run asked for as number {expected}");
        desk.over(&asked[expected]).await; // no run is under way when the next one is taken
    }
}

pub async fn each_place_is_reported_once(desk: &mut Desk<'_>) {
    let asked = ask_five(desk).await;
    let told = async |desk: &Desk<'_>| {
        let mut told = desk.sides.work.changed_places().await.expect("the work answers");
        told.sort_by_key(|place| place.ahead);
        told
    };
    let place = |ahead: u32, asked: &RequestedRun| RunPlace {
        tenant: asked.tenant.clone(),
        run: asked.run.clone(),
        attempt: AttemptNumber(1),
        ahead,
    };
    let [a, b, c, d, e] = &asked;
    let line: Vec<RunPlace> =
        (0..).zip([a, d, e, b, c]).map(|(ahead, asked)| place(ahead, asked)).collect();
    assert_eq!(told(desk).await, line);
    assert_eq!(told(desk).await, [], "nothing changed");
    desk.sides.work.mark_unsent(&line[1..2]).await.expect("the work answers");
    assert_eq!(told(desk).await, line[1..2], "it was not told after all");

    let job = desk.take_due(LONG).await;
    assert!(is_of(&job, a));
    let line = [(0, d), (1, e), (2, b), (3, c)].map(|(ahead, asked)| place(ahead, asked));
    assert_eq!(told(desk).await, line);
    desk.over(d).await;
    let line = [(0, e), (1, b), (2, c)].map(|(ahead, asked)| place(ahead, asked));
    assert_eq!(told(desk).await, line);
    all_over(desk, &asked).await;
    assert_eq!(told(desk).await, []);
}

pub async fn known_attempt_stays_with_its_worker(desk: &mut Desk<'_>) {
    let asked = desk.ask(&tenant()).await;
    let job = desk.take_due(LONG).await;
    desk.put(&asked, RunState::Queued, 1, WorkChange::Enqueue(AttemptNumber(1))).await;
    desk.put(&asked, RunState::Running, 1, WorkChange::Unchanged).await;
    assert!(!desk.beat(&job).await.expect("the lease holds"));
    desk.put(&asked, RunState::Queued, 2, WorkChange::Enqueue(AttemptNumber(2))).await;
    assert!(super::desk::lost(&desk.beat(&job).await), "a later attempt was asked for");
    let job = desk.take_due(LONG).await;
    assert_eq!((job.attempt.0, job.tries), (2, 1), "tries count from when it was asked for");
    desk.over(&asked).await;
}
