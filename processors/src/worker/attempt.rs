//! One attempt at a run, from the lease to its end. Whatever goes wrong, nothing of it is kept but the record that says so:
//! findings and the end are one transaction, which holds only under the lease.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use claims::file::{FileError, FileRefusal};
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

/// How often the lease is prolonged and cancelling looked for: a run stops within a second of being asked to.
const BEAT: Duration = Duration::from_millis(400);
/// Findings on their way from the check to the ledger, in messages of a block of rows each.
const PARTS: usize = 4;
/// How long an end is said before it is left to whoever takes the run's row when its lease has run out.
const SAYING: Duration = Duration::from_secs(10);
/// How long removing a file may hold up saying that its run ended. Past it the file is left to the sweep.
const REMOVING: Duration = Duration::from_secs(2);
/// The first pause after a fault; it doubles with each.
const PAUSE: Duration = Duration::from_secs(2);

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
    /// The end is on its way into the ledger: from here on only a lost lease matters.
    ending: AtomicBool,
}

/// Does what was taken: a run that is due, or the end of one that was perhaps not said.
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
            let said = [records::start(&job), records::end(&job, &command)];
            after_end(&shared, &job, &command, &said).await;
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
        // The check, if it still runs, ends at its next step.
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
        tracing::warn!(run = %self.job.run, attempt = self.job.attempt, "another worker has taken the run");
        AttemptResult::Lost
    }

    /// Checks the file, with everything that goes on beside it.
    async fn complete(&self) -> Result<Command, Interrupt> {
        let (parts, received) = mpsc::channel(PARTS);
        let checked = self.check(parts);
        let stored = async {
            self.shared.backends.work.end(&self.job, received).await.map_err(Interrupt::from)
        };
        tokio::select! {
            done = futures_util::future::try_join(checked, stored) => done.map(|(command, ())| command),
            why = self.watch() => Err(why),
        }
    }

    async fn check(&self, parts: mpsc::Sender<AttemptOutput>) -> Result<Command, Interrupt> {
        let WorkerContext { backends, settings, rules } = &*self.shared;
        let Job { tenant, request, attempt, .. } = &self.job;
        let board = Arc::new(ProgressSlot::new(request.file.bytes));
        let report_sender =
            ReportSender::begin(Arc::clone(&backends.log), self.job.clone(), Arc::clone(&board));
        let rules = rules.of(&*backends.work, tenant).await?;
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
            tables: Arc::clone(&settings.tables),
            list_passes: request.list_passes,
            board: Arc::clone(&board),
            parts: parts.clone(),
            stop: self.stop.clone(),
        };
        let counters = Arc::clone(&settings.counters);
        let checked = thread::run_on_idle_thread(move || check.run(&counters)).await;
        let summary = checked
            .map_err(|panic| AttemptFault::new("the check panicked", panic))?
            .map_err(interrupt_for)?;
        board.put(|reporting, now| reporting.store(now));
        report_sender.stop().await;
        let summary = RunSummary { took_ms: millis(board.begun.elapsed()), ..summary };
        let report = board.put(|reporting, now| reporting.last_report(now));
        let command = Command::CompleteRun { attempt: *attempt, report, summary };
        self.ending.store(true, Relaxed);
        // When nobody takes it, the ledger failed, and says why by itself.
        let _ = parts.send(AttemptOutput::End(Box::new(command.clone()))).await;
        Ok(command)
    }

    /// Prolongs the lease until there is a reason to stop.
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
                // Nobody can say whether the lease still holds, once it should have ended.
                Ok(Err(WorkError::Unavailable(_))) | Err(_) if Instant::now() >= held_until => {
                    return Interrupt::Lost;
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn Error, run = %self.job.run, "a lease was not prolonged");
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
        // There is room for one.
        let _ = parts.try_send(AttemptOutput::End(Box::new(command.clone())));
        drop(parts);
        match self.shared.backends.work.end(&self.job, received).await {
            Ok(()) => {
                let said = [records::start(&self.job), records::end(&self.job, &command)];
                after_end(&self.shared, &self.job, &command, &said).await;
                how
            }
            Err(WorkError::Lost) => self.lost(),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, run = %self.job.run, "an attempt's end was not stored");
                AttemptResult::Lost
            }
        }
    }

    /// A fault may pass: the run is tried again, unless it met as many as it may.
    async fn met(&self, fault: AttemptFault) -> AttemptResult {
        let Job { run, attempt, tries, .. } = &self.job;
        tracing::warn!(error = &fault as &dyn Error, %run, attempt, tries, "an attempt at a run met a fault");
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
        self.release(pause(&self.job), TryCounting::Counted).await
    }

    async fn release(&self, pause: Duration, count: TryCounting) -> AttemptResult {
        let WorkerContext { backends, .. } = &*self.shared;
        match backends.work.release(&self.job, pause, count).await {
            Ok(()) => {}
            Err(WorkError::Lost) => return self.lost(),
            Err(error) => {
                // Then its lease runs out, and whoever takes it says so.
                tracing::warn!(error = &error as &dyn Error, run = %self.job.run, "a run was not given back");
                return AttemptResult::Lost;
            }
        }
        let released = Command::ReleaseRun { attempt: self.job.attempt };
        // It may have been given back before it was heard that it began.
        let said = [records::start(&self.job), records::record(&self.job, "release", released)];
        // Unheard, the run's page shows the old attempt until the next one begins.
        if let Err(error) = append(&*backends.log, &said).await {
            tracing::warn!(error = &error as &dyn Error, "that a run was given back was not heard");
        }
        AttemptResult::Released
    }
}

/// Removes what an attempt that ended no longer needs, and then says how it ended: the work's row goes with what is said, and
/// whoever finds it before that does both again.
async fn after_end(shared: &WorkerContext, job: &Job, command: &Command, said: &[OutgoingRecord]) {
    let WorkerContext { backends, .. } = shared;
    let again = matches!(command, Command::FailRun { failure, .. } if failure.retryable);
    if !again {
        let removed =
            files::remove(&*backends.files, &*backends.work, &job.tenant, &job.request.file.file);
        if timeout(REMOVING, removed).await.is_err() {
            tracing::warn!(run = %job.run, "a file was not removed in time, and goes with the next sweep");
        }
    }
    if timeout(SAYING, append_until_acknowledged(&*backends.log, said)).await.is_err() {
        tracing::warn!(run = %job.run, attempt = job.attempt, "how an attempt ended was not heard yet");
    }
}

fn interrupt_for(why: CheckError) -> Interrupt {
    match why {
        // Whoever stopped it knows why, and is heard first.
        CheckError::Stopped => {
            Interrupt::AttemptFault(AttemptFault::new("the check was stopped", CheckError::Stopped))
        }
        CheckError::File(FileError::Io(error)) => Interrupt::AttemptFault(AttemptFault::new(
            "the store of files failed while it was read",
            error,
        )),
        CheckError::File(FileError::Refused(refusal)) => {
            let code = match refusal {
                FileRefusal::NoHeader
                | FileRefusal::ColumnMissing { .. }
                | FileRefusal::ColumnTwice { .. } => Code::FileNotAnExport,
                FileRefusal::NotText { .. } => Code::FileNotText,
                FileRefusal::TooWide { .. } | FileRefusal::QuoteOpen { .. } => Code::FileMalformed,
            };
            Interrupt::Failed(RunFailure { code, params: refusal.params(), retryable: false })
        }
    }
}

/// Two seconds, four, …; and up to a quarter more by the run's own random digits, so that many do not come back at once.
fn pause(job: &Job) -> Duration {
    let doubled = PAUSE * 2_u32.saturating_pow(job.tries.saturating_sub(1));
    let run = job.run.as_str();
    let random = u32::from_str_radix(&run[run.len() - 2..], 16).unwrap_or_default();
    doubled + doubled * random / 1024
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
