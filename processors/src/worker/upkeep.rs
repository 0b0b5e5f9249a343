//! What a worker does besides: telling who waits how many are before them, and forgetting what is past its time.

use std::{error::Error, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, interval, sleep};

use super::{
    WorkerContext,
    files::remove_old,
    records::{append, place},
};

/// How often places in line are told while this worker has no room for more. Places of one moment go together.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// How often runs past their time are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often days of findings and old files are looked after; tomorrow's room is made a day before it is needed.
const DAYS_EVERY: Duration = Duration::from_secs(600);

/// Tells places in line, until it is dropped.
pub async fn send_places(shared: &WorkerContext) {
    let WorkerContext { backends, settings, .. } = shared;
    let mut often = interval(LINE_EVERY);
    loop {
        often.tick().await;
        // With room left nobody waits for long.
        if settings.counters.running.load(Relaxed) < settings.at_once as u64 {
            continue;
        }
        let places = match backends.work.changed_places().await {
            Ok(places) if places.is_empty() => continue,
            Ok(places) => places,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "places in line were not found out");
                continue;
            }
        };
        let records: Vec<_> = places.iter().map(|told| place(told, random_id())).collect();
        if let Err(error) = append(&*backends.log, &records).await {
            tracing::warn!(error = &error as &dyn Error, "places in line were not told");
            if let Err(error) = backends.work.mark_unsent(&places).await {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "some places in line stay untold until they change"
                );
            }
        }
    }
}

/// 128 bits nobody else draws: two hashers of the standard library, each with random keys of its own.
fn random_id() -> u128 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let draw = || u128::from(RandomState::new().build_hasher().finish());
    draw() << 64 | draw()
}

/// Makes room for findings: before the first run is taken, and again every hour.
pub async fn prepare_days(shared: &WorkerContext) -> bool {
    let kept = shared.backends.work.prepare_days().await;
    if let Err(error) = &kept {
        tracing::warn!(
            error = error as &dyn Error,
            "no room was made for the findings of today and tomorrow"
        );
    }
    kept.is_ok()
}

/// Forgets what is past its time, until it is dropped.
pub async fn sweep(shared: &WorkerContext) {
    let mut days_at = Instant::now();
    loop {
        forget_runs(shared).await;
        if Instant::now() >= days_at && prepare_days(shared).await && remove_files(shared).await {
            days_at = Instant::now() + DAYS_EVERY;
        }
        sleep(SWEEP_EVERY).await;
    }
}

async fn forget_runs(shared: &WorkerContext) {
    loop {
        match shared.backends.work.sweep().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "runs past their time were not forgotten"
                );
                return;
            }
        }
    }
}

async fn remove_files(shared: &WorkerContext) -> bool {
    let WorkerContext { backends, settings, .. } = shared;
    let removed = remove_old(&*backends.files, &*backends.work, settings.keep_files).await;
    if let Err(fault) = &removed {
        tracing::warn!(error = fault as &dyn Error, "old files were not removed");
    }
    removed.is_ok()
}
