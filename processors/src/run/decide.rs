//! The decisions of a run.

use schemas::{
    Millis,
    attempt::AttemptNumber,
    bounds::MAX_TEXT,
    codes::Code,
    command::Command,
    event::Event,
    record::CommandRecord,
    run::{RunFile, RunHead, RunState},
};

use super::Run;

/// Decides one command when the owner's clock shows `decided_at`.
///
/// # Errors
/// The code under which the command is refused.
pub(super) fn decide(
    run: &Run,
    record: &CommandRecord,
    decided_at: Millis,
) -> Result<Vec<Event>, Code> {
    use Command as C;
    if record.is_expired(decided_at) {
        return Err(Code::CommandExpired);
    }
    if let C::RequestRun { file, list_passes, keep_s } = &record.command {
        return request(run, record, file, *list_passes, *keep_s);
    }
    let head = &run.header.details.as_ref().ok_or(Code::RunUnknown)?.head;
    match &record.command {
        C::CancelRun {} => cancel(head),
        C::RetryRun {} => match &head.failure {
            Some(failure) if head.state == RunState::Failed && failure.retryable => {
                Ok(vec![Event::RunQueued { attempt: head.attempt.next() }])
            }
            _ => Err(Code::RunNotRetryable),
        },
        command => decide_attempt(head, command),
    }
}

/// Decides one command about an attempt: a worker, or the backend of work, sends it.
fn decide_attempt(head: &RunHead, command: &Command) -> Result<Vec<Event>, Code> {
    use Command as C;
    match command {
        C::PlaceRun { attempt, ahead } => {
            require(head, head.state == RunState::Queued && *attempt == head.attempt)?;
            Ok(vec![Event::RunPlaced { ahead: *ahead }])
        }
        C::StartRun { attempt } => {
            require(head, is_open(head, *attempt) && !is_running(head, *attempt))?;
            Ok(vec![Event::RunStarted { attempt: *attempt }])
        }
        C::ReportRun { attempt, report } => {
            require(head, is_running(head, *attempt))?;
            Ok(vec![Event::RunReported { report: report.clone() }])
        }
        C::CompleteRun { attempt, report, summary } => {
            require(head, is_running(head, *attempt))?;
            let report = Event::RunReported { report: report.clone() };
            Ok(vec![report, Event::RunCompleted { summary: summary.clone() }])
        }
        C::ReleaseRun { attempt } => {
            require(head, is_running(head, *attempt))?;
            Ok(vec![Event::RunQueued { attempt: attempt.next() }])
        }
        C::FailRun { attempt, failure } => {
            require(head, is_open(head, *attempt))?;
            Ok(vec![Event::RunFailed { failure: failure.clone() }])
        }
        C::StopRun { attempt } => {
            require(head, is_open(head, *attempt))?;
            Ok(vec![Event::RunCancelled])
        }
        _ => Err(Code::IllegalMove),
    }
}

/// Whether the run is in this attempt.
fn is_running(head: &RunHead, attempt: AttemptNumber) -> bool {
    head.state == RunState::Running && attempt == head.attempt
}

/// Whether this attempt can still end the run. A worker that took over a run may report its end
/// without having reported its start.
fn is_open(head: &RunHead, attempt: AttemptNumber) -> bool {
    !head.state.is_end() && attempt >= head.attempt
}

/// Refuses a command about an attempt unless the condition holds.
fn require(head: &RunHead, condition: bool) -> Result<(), Code> {
    match condition {
        true => Ok(()),
        false if head.state.is_end() => Err(Code::RunOver),
        false => Err(Code::RunOtherAttempt),
    }
}

fn request(
    run: &Run,
    record: &CommandRecord,
    file: &RunFile,
    list_passes: bool,
    keep_s: u32,
) -> Result<Vec<Event>, Code> {
    if run.header.details.is_some() {
        return Err(Code::RunExists);
    }
    let named = (1..=MAX_TEXT).contains(&file.name.chars().count())
        && !file.name.chars().any(char::is_control);
    if !named || file.bytes == 0 || keep_s == 0 {
        return Err(Code::InvalidValue);
    }
    let by = record.actor.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
    Ok(vec![
        Event::RunRequested { file: file.clone(), by, list_passes, keep_s },
        Event::RunQueued { attempt: AttemptNumber(1) },
    ])
}

fn cancel(head: &RunHead) -> Result<Vec<Event>, Code> {
    match head.state {
        RunState::Queued => Ok(vec![Event::RunCancelled]),
        RunState::Running => Ok(vec![Event::RunCancelAsked]),
        RunState::Completed | RunState::Failed | RunState::Cancelled => Err(Code::RunOver),
    }
}
