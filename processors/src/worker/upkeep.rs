//! The periodic tasks of a worker: it sends the places of waiting runs and removes what is past its
//! retention.

use std::{error::Error, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, interval, sleep};

use super::{
    WorkerContext,
    files::remove_old,
    records::{append, place_record},
};

/// How often places in line are sent while this worker has no room for more. Places of one moment
/// go together.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// How often runs past their retention are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often storage for findings is prepared and old files are removed. Storage for tomorrow is
/// created a day before it is needed.
const DAYS_EVERY: Duration = Duration::from_secs(600);

/// Sends places in line, until it is dropped.
pub async fn send_places(shared: &WorkerContext) {
    let WorkerContext { backends, settings, .. } = shared;
    let mut often = interval(LINE_EVERY);
    loop {
        often.tick().await;
        // While there is room, no run waits for long.
        if settings.counters.running.load(Relaxed) < settings.at_once as u64 {
            continue;
        }
        let places = match backends.work.changed_places().await {
            Ok(places) if places.is_empty() => continue,
            Ok(places) => places,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "reading the places in line failed");
                continue;
            }
        };
        let records: Vec<_> =
            places.iter().map(|place| place_record(place, fastrand::u128(..))).collect();
        if let Err(error) = append(&*backends.log, &records).await {
            tracing::warn!(error = &error as &dyn Error, "sending the places in line failed");
            if let Err(error) = backends.work.mark_unsent(&places).await {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "some places in line are not sent until they change"
                );
            }
        }
    }
}

/// Prepares storage for findings: before the first run is taken, and regularly after that.
pub async fn prepare_days(shared: &WorkerContext) -> bool {
    let kept = shared.backends.work.prepare_days().await;
    if let Err(error) = &kept {
        tracing::warn!(error = error as &dyn Error, "preparing storage for findings failed");
    }
    kept.is_ok()
}

/// Removes what is past its retention, until it is dropped.
pub async fn sweep(shared: &WorkerContext) {
    let mut days_at = Instant::now();
    loop {
        delete_expired_runs(shared).await;
        if Instant::now() >= days_at && prepare_days(shared).await && remove_files(shared).await {
            days_at = Instant::now() + DAYS_EVERY;
        }
        sleep(SWEEP_EVERY).await;
    }
}

async fn delete_expired_runs(shared: &WorkerContext) {
    loop {
        match shared.backends.work.sweep().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "deleting expired runs failed");
                return;
            }
        }
    }
}

async fn remove_files(shared: &WorkerContext) -> bool {
    let WorkerContext { backends, settings, .. } = shared;
    let removed = remove_old(&*backends.files, &*backends.work, settings.keep_files).await;
    if let Err(fault) = &removed {
        tracing::warn!(error = fault as &dyn Error, "removing old files failed");
    }
    removed.is_ok()
}
