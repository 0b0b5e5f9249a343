//! One attempt at a run, from the lease to its end.
//!
//! Findings and the end are one transaction, which commits only under the lease. So after a fault,
//! nothing of the attempt remains except the record that reports the fault.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use claims::file::FileError;
use schemas::{
    codes::Code,
    command::Command,
    run::{MAX_ATTEMPTS, RunFailure, RunSummary},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    WorkerContext,
    check::{Check, CheckError, StopFlag},
    counters::AttemptResult,
    fault::AttemptFault,
    files::{self, OpenFile},
    records::{self, OutgoingRecord, append, append_until_acknowledged},
    report_sender::{ProgressSlot, ReportSender},
    thread,
};
use crate::work::{AttemptOutput, Job, TryCounting, WorkError, WorkItem};

/// How often the lease is extended and a cancellation is looked for: a run stops within a second of
/// the request.
const BEAT: Duration = Duration::from_millis(400);
/// Messages of findings on their way from the check to the ledger. Each holds the findings of one
/// block of rows.
const PARTS: usize = 4;
/// How long the worker tries to append an end before it leaves it to a worker that takes the run's
/// row after the lease has expired.
const SAYING: Duration = Duration::from_secs(10);
/// How long removing a file may delay the record of the end. Past it, the file is left to the next
/// cleanup.
const REMOVING: Duration = Duration::from_secs(2);
/// The first pause after a fault. It doubles with each further fault.
const PAUSE: Duration = Duration::from_secs(2);

/// The most jitter, as a part of the pause, so that many runs do not return at once.
const MAX_JITTER: f64 = 0.25;

/// Why an attempt did not complete.
enum Interrupt {
    Failed(RunFailure),
    Cancelled,
    /// The worker is to stop.
    GivenBack,
    Lost,
    AttemptFault(AttemptFault),
}

impl From<AttemptFault> for Interrupt {
    fn from(fault: AttemptFault) -> Self {
        Interrupt::AttemptFault(fault)
    }
}

impl From<WorkError> for Interrupt {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Lost => Interrupt::Lost,
            WorkError::Unavailable(_) => {
                Interrupt::AttemptFault(AttemptFault::new("the ledger failed an attempt", error))
            }
        }
    }
}

pub struct Attempt {
    shared: Arc<WorkerContext>,
    job: Job,
    stopping: watch::Receiver<bool>,
    stop: StopFlag,
    /// The end is on its way to the ledger. From here on only a lost lease matters.
    ending: AtomicBool,
}

/// Executes the work that the worker took: an attempt that is due, or the report of an end that may
/// not have been appended.
pub async fn carry_out(
    shared: Arc<WorkerContext>,
    taken: WorkItem,
    stopping: watch::Receiver<bool>,
) {
    match taken {
        WorkItem::Attempt(job) => {
            shared.settings.counters.taken.fetch_add(1, Relaxed);
            let attempt = Attempt {
                shared: Arc::clone(&shared),
                job,
                stopping,
                stop: StopFlag::default(),
                ending: AtomicBool::new(false),
            };
            let ended = attempt.run().await;
            shared.settings.counters.end(ended);
        }
        WorkItem::UnreportedEnd(job, command) => {
            let records = [records::start(&job), records::end(&job, &command)];
            after_end(&shared, &job, &command, &records).await;
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.stop.set();
    }
}

impl Attempt {
    async fn run(&self) -> AttemptResult {
        let attempt = self.job.attempt;
        let done = if self.job.tries > MAX_ATTEMPTS {
            let failure = RunFailure {
                code: Code::RunWorkerLost,
                params: Default::default(),
                retryable: true,
            };
            Err(Interrupt::Failed(failure))
        } else {
            self.complete().await
        };
        // A check that still runs stops at its next step.
        self.stop.set();
        match done {
            Ok(command) => {
                after_end(&self.shared, &self.job, &command, &[records::end(&self.job, &command)])
                    .await;
                AttemptResult::Completed
            }
            Err(Interrupt::Failed(failure)) => {
                self.end(Command::FailRun { attempt, failure }, AttemptResult::Failed).await
            }
            Err(Interrupt::Cancelled) => {
                self.end(Command::StopRun { attempt }, AttemptResult::Cancelled).await
            }
            Err(Interrupt::GivenBack) => {
                self.release(Duration::ZERO, TryCounting::NotCounted).await
            }
            Err(Interrupt::Lost) => self.lost(),
            Err(Interrupt::AttemptFault(fault)) => self.met(fault).await,
        }
    }

    fn lost(&self) -> AttemptResult {
        tracing::warn!(
            run = %self.job.run,
            attempt = self.job.attempt.0,
            "another worker took the run"
        );
        AttemptResult::Lost
    }

    /// Checks the file, while findings are stored and the lease is extended.
    async fn complete(&self) -> Result<Command, Interrupt> {
        let (parts, received) = mpsc::channel(PARTS);
        let checked = self.check(parts);
        let stored = async {
            self.shared.backends.work.end(&self.job, received).await.map_err(Interrupt::from)
        };
        tokio::select! {
            done = futures_util::future::try_join(checked, stored) => {
                done.map(|(command, ())| command)
            }
            why = self.watch() => Err(why),
        }
    }

    async fn check(&self, parts: mpsc::Sender<AttemptOutput>) -> Result<Command, Interrupt> {
        let WorkerContext { backends, settings, rules, tables } = &*self.shared;
        let Job { tenant, request, attempt, .. } = &self.job;
        let slot = Arc::new(ProgressSlot::new(request.file.bytes));
        let report_sender =
            ReportSender::begin(Arc::clone(&backends.log), self.job.clone(), Arc::clone(&slot));
        let rules = rules.of(&*backends.work, tenant).await?;
        let tables = tables.of(&*backends.work, tenant).await?;
        let opened =
            OpenFile::open(&*backends.files, tenant, &request.file.file, request.file.bytes)
                .await?;
        let Some(file) = opened else {
            let failure = RunFailure {
                code: Code::FileUnknown,
                params: Default::default(),
                retryable: false,
            };
            return Err(Interrupt::Failed(failure));
        };
        let check = Check {
            file,
            rules,
            tables,
            list_passes: request.list_passes,
            progress: Arc::clone(&slot),
            parts: parts.clone(),
            stop: self.stop.clone(),
        };
        let counters = Arc::clone(&settings.counters);
        let checked = thread::run_on_idle_thread(move || check.run(&counters)).await;
        let summary = checked
            .map_err(|panic| AttemptFault::new("the check panicked", panic))?
            .map_err(interrupt_for)?;
        slot.put(|reporting, now| reporting.store(now));
        report_sender.stop().await;
        let summary = RunSummary { took_ms: millis(slot.begun.elapsed()), ..summary };
        let report = slot.put(|reporting, now| reporting.last_report(now));
        let command = Command::CompleteRun { attempt: *attempt, report, summary };
        self.ending.store(true, Relaxed);
        // When the receiver is gone, the ledger has failed and reports the reason itself.
        let _ = parts.send(AttemptOutput::End(Box::new(command.clone()))).await;
        Ok(command)
    }

    /// Extends the lease until there is a reason to stop.
    async fn watch(&self) -> Interrupt {
        let WorkerContext { backends, settings, .. } = &*self.shared;
        let mut stopping = self.stopping.clone();
        let mut held_until = Instant::now() + settings.lease;
        loop {
            let asked = Instant::now();
            let beat =
                timeout(settings.lease, backends.work.extend_lease(&self.job, settings.lease))
                    .await;
            match beat {
                Ok(Ok(cancel)) => {
                    held_until = asked + settings.lease;
                    if cancel && !self.ending.load(Relaxed) {
                        return Interrupt::Cancelled;
                    }
                }
                Ok(Err(WorkError::Lost)) => return Interrupt::Lost,
                // Past the end of the lease, the worker does not know whether it still has the run.
                Ok(Err(WorkError::Unavailable(_))) | Err(_) if Instant::now() >= held_until => {
                    return Interrupt::Lost;
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        run = %self.job.run,
                        "extending a lease failed"
                    );
                }
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(BEAT) => {}
                _ = stopping.wait_for(|stopping| *stopping && !self.ending.load(Relaxed)) => {
                    return Interrupt::GivenBack;
                }
            }
        }
    }

    /// Ends the attempt without findings.
    async fn end(&self, command: Command, how: AttemptResult) -> AttemptResult {
        let (parts, received) = mpsc::channel(1);
        // The channel has room for one part.
        let _ = parts.try_send(AttemptOutput::End(Box::new(command.clone())));
        drop(parts);
        match self.shared.backends.work.end(&self.job, received).await {
            Ok(()) => {
                let records = [records::start(&self.job), records::end(&self.job, &command)];
                after_end(&self.shared, &self.job, &command, &records).await;
                how
            }
            Err(WorkError::Lost) => self.lost(),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    run = %self.job.run,
                    "storing the end of an attempt failed"
                );
                AttemptResult::Lost
            }
        }
    }

    /// Handles a fault, which may pass: the run is tried again, unless it has used all its tries.
    async fn met(&self, fault: AttemptFault) -> AttemptResult {
        let Job { run, attempt, tries, .. } = &self.job;
        tracing::warn!(
            error = &fault as &dyn Error,
            %run,
            attempt = attempt.0,
            tries,
            "an attempt at a run failed with a fault"
        );
        let work = &self.shared.backends.work;
        if matches!(work.extend_lease(&self.job, self.shared.settings.lease).await, Ok(true)) {
            return self
                .end(Command::StopRun { attempt: *attempt }, AttemptResult::Cancelled)
                .await;
        }
        if *tries >= MAX_ATTEMPTS {
            let failure =
                RunFailure { code: Code::RunFaulted, params: Default::default(), retryable: true };
            return self
                .end(Command::FailRun { attempt: *attempt, failure }, AttemptResult::Failed)
                .await;
        }
        self.release(pause(*tries), TryCounting::Counted).await
    }

    async fn release(&self, pause: Duration, count: TryCounting) -> AttemptResult {
        let WorkerContext { backends, .. } = &*self.shared;
        match backends.work.release(&self.job, pause, count).await {
            Ok(()) => {}
            Err(WorkError::Lost) => return self.lost(),
            Err(error) => {
                // The lease then expires, and the worker that takes the run appends the record.
                tracing::warn!(
                    error = &error as &dyn Error,
                    run = %self.job.run,
                    "giving back a run failed"
                );
                return AttemptResult::Lost;
            }
        }
        let released = Command::ReleaseRun { attempt: self.job.attempt };
        // The lease can expire before the start record is read back.
        let records = [records::start(&self.job), records::record(&self.job, "release", released)];
        // If this fails, the run's page shows the old attempt until the next one starts.
        if let Err(error) = append(&*backends.log, &records).await {
            tracing::warn!(error = &error as &dyn Error, "reporting a released run failed");
        }
        AttemptResult::Released
    }
}

/// Removes the file that an ended attempt no longer needs, and then appends the records of the end.
/// The run's row is removed when these records are applied, and a worker that finds the row before
/// that repeats both steps.
async fn after_end(
    shared: &WorkerContext,
    job: &Job,
    command: &Command,
    records: &[OutgoingRecord],
) {
    let WorkerContext { backends, .. } = shared;
    let again = matches!(command, Command::FailRun { failure, .. } if failure.retryable);
    if !again {
        let removed =
            files::remove(&*backends.files, &*backends.work, &job.tenant, &job.request.file.file);
        if timeout(REMOVING, removed).await.is_err() {
            tracing::warn!(
                run = %job.run,
                "removing a file timed out; the next cleanup removes it"
            );
        }
    }
    if timeout(SAYING, append_until_acknowledged(&*backends.log, records)).await.is_err() {
        tracing::warn!(
            run = %job.run,
            attempt = job.attempt.0,
            "reporting the end of an attempt timed out"
        );
    }
}

fn interrupt_for(why: CheckError) -> Interrupt {
    match why {
        // The reason for the stop is known elsewhere and takes precedence.
        CheckError::Stopped => {
            Interrupt::AttemptFault(AttemptFault::new("the check was stopped", CheckError::Stopped))
        }
        CheckError::File(FileError::Io(error)) => {
            Interrupt::AttemptFault(AttemptFault::new("reading from the file store failed", error))
        }
        CheckError::File(FileError::Refused(refusal)) => Interrupt::Failed(RunFailure {
            code: refusal.code(),
            params: refusal.params(),
            retryable: false,
        }),
    }
}

/// The pause after this many tries: two seconds, then four, and so on, plus jitter.
fn pause(tries: u32) -> Duration {
    let doubled = PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1));
    doubled + doubled.mul_f64(MAX_JITTER * fastrand::f64())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
