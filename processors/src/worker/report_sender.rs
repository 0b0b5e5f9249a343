//! Sends the reports of a running attempt on a task of its own. So the check never waits for the
//! log, and changes during a slow append go into one report.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::{command::Command, run::RunReport};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    records::{append_until_acknowledged, record, start},
    reporting::Reporting,
};
use crate::{log::Log, work::Job};

/// Where the check leaves its progress for the report task.
pub struct ProgressSlot {
    pub begun: Instant,
    reporting: Mutex<Reporting>,
    changed: Notify,
}

impl ProgressSlot {
    pub fn new(bytes: u64) -> Self {
        Self {
            begun: Instant::now(),
            reporting: Mutex::new(Reporting::new(bytes)),
            changed: Notify::new(),
        }
    }

    /// Lets `put` change the pending report.
    pub fn put<T>(&self, put: impl FnOnce(&mut Reporting, std::time::Duration) -> T) -> T {
        let answer = put(&mut self.lock(), self.begun.elapsed());
        self.changed.notify_one();
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Reporting> {
        self.reporting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a report is due.
    async fn due(&self) -> RunReport {
        loop {
            let due = self.lock().due().map(|due| self.begun + due);
            match due {
                Some(due) if due <= Instant::now() => {
                    return self.lock().report(self.begun.elapsed());
                }
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    // The report may now be due sooner.
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }
}

/// The task that sends reports until it is stopped. Dropping it sends nothing more.
pub struct ReportSender {
    task: JoinSet<()>,
    stop: oneshot::Sender<()>,
}

impl ReportSender {
    /// Appends the start of the attempt, and from then on the reports in the slot.
    pub fn begin(log: Arc<dyn Log>, job: Job, slot: Arc<ProgressSlot>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(tell(log, job, slot, stopped));
        Self { task, stop }
    }

    /// Waits until the records in progress are acknowledged, and sends nothing more.
    pub async fn stop(mut self) {
        drop(self.stop);
        while self.task.join_next().await.is_some() {}
    }
}

async fn tell(
    log: Arc<dyn Log>,
    job: Job,
    slot: Arc<ProgressSlot>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut records = vec![start(&job)];
    for number in 1_u32.. {
        let report = tokio::select! {
            biased;
            report = slot.due() => Some(report),
            _ = &mut stop => None,
        };
        let over = report.is_none();
        if let Some(report) = report {
            let command = Command::ReportRun { attempt: job.attempt, report };
            records.push(record(&job, &format!("r{number}"), command));
        }
        if !records.is_empty() {
            append_until_acknowledged(&*log, &records).await;
            records.clear();
        }
        if over {
            return;
        }
    }
}
