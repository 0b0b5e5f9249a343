use std::sync::Mutex;

use schemas::{
    command::{Command, CommandResult, Verdict},
    ids::{Aggregate, LocationId, QueueId, RunId, StationId, TicketId},
    record::{CARE_TOPIC, WireRecord},
    view::View,
};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::{
    BoxFuture,
    backends::log::{FeedItem, NotAppended},
    backends::queries::{FindingsPage, FindingsQuery, ListedRun, RunsQuery},
    backends::snapshots::NotRead,
};

/// What the log does with a record.
enum Fate {
    Acknowledged,
    Failed,
    /// Never answered.
    Unknown,
}

struct OneLog {
    fate: Fate,
    appended: Mutex<Vec<WireRecord>>,
    on_append: Notify,
}

impl OneLog {
    fn new(fate: Fate) -> Arc<Self> {
        Arc::new(Self { fate, appended: Mutex::default(), on_append: Notify::new() })
    }
}

impl Log for OneLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            match self.fate {
                Fate::Acknowledged => {
                    assert_eq!(topic, CARE_TOPIC);
                    self.appended.lock().unwrap().push(record);
                    self.on_append.notify_one();
                    Ok(())
                }
                Fate::Failed => Err(NotAppended("no broker".into())),
                Fate::Unknown => std::future::pending().await,
            }
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        mpsc::channel(1).1
    }
}

/// An authority that knows one outcome, or does not answer.
enum Authority {
    Knows(Option<CommandOutcome>),
    Fails,
}

impl Queries for Authority {
    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async { Ok(None) })
    }

    fn outcome<'a>(
        &'a self,
        _: &'a TenantId,
        command: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<CommandOutcome>, NotRead>> {
        Box::pin(async move {
            match self {
                Authority::Knows(outcome) => {
                    Ok(outcome.clone().filter(|outcome| outcome.command == *command))
                }
                Authority::Fails => Err(NotRead("no connection".into())),
            }
        })
    }

    fn runs<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        unreachable!("a command lists nothing")
    }

    fn findings<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunId,
        _: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        unreachable!("a command lists nothing")
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn record(id: &str) -> CommandRecord {
    let location = LocationId::new("riverside").unwrap();
    CommandRecord {
        aggregate: Aggregate::location(&tenant("demo"), &location),
        id: CommandId::new(id).unwrap(),
        source: "test".to_owned(),
        valid_until: None,
        actor: None,
        command: Command::LeaveTicket { ticket: TicketId::from_random(&location, 1) },
    }
}

fn outcome(id: &str, version: u64) -> CommandOutcome {
    let verdict = Verdict::Applied { epoch: 1, version, result: CommandResult::default() };
    CommandOutcome { command: CommandId::new(id).unwrap(), at: 0, verdict }
}

fn commands(log: Arc<OneLog>, authority: Authority) -> Arc<Commands> {
    Arc::new(Commands::new(log, Arc::new(authority)))
}

fn version(submitted: Result<Submitted, Code>) -> Option<u64> {
    match submitted {
        Ok(Submitted::Decided(CommandOutcome {
            verdict: Verdict::Applied { version, .. },
            ..
        })) => Some(version),
        _ => None,
    }
}

impl Commands {
    /// Nobody waits, and nothing is kept for those who did.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.waiters.load(Ordering::Relaxed) == 0
    }
}

#[tokio::test]
async fn caller_gets_outcome_of_its_command() {
    let log = OneLog::new(Fate::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let caller = tokio::spawn({
        let commands = commands.clone();
        async move { commands.submit(record("a")).await }
    });
    log.on_append.notified().await;
    assert!(commands.is_awaited(&tenant("demo"), &CommandId::new("a").unwrap()));
    assert!(!commands.is_awaited(&tenant("other"), &CommandId::new("a").unwrap()));
    commands.answer(&tenant("other"), outcome("a", 1));
    commands.answer(&tenant("demo"), outcome("b", 2));
    commands.answer(&tenant("demo"), outcome("a", 3));
    assert_eq!(version(caller.await.unwrap()), Some(3));
    assert!(commands.is_empty());
    assert_eq!(log.appended.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn two_callers_of_one_command_get_the_same_outcome() {
    let log = OneLog::new(Fate::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let call =
        |commands: Arc<Commands>| tokio::spawn(async move { commands.submit(record("a")).await });
    let first = call(commands.clone());
    log.on_append.notified().await;
    let second = call(commands.clone());
    log.on_append.notified().await;
    commands.answer(&tenant("demo"), outcome("a", 3));
    assert_eq!(version(first.await.unwrap()), Some(3));
    assert_eq!(version(second.await.unwrap()), Some(3));
    assert!(commands.is_empty());
}

#[tokio::test(start_paused = true)]
async fn slow_decision_is_pending_then_found() {
    let log = OneLog::new(Fate::Acknowledged);
    let pending = commands(log.clone(), Authority::Knows(None));
    assert!(matches!(pending.submit(record("a")).await, Ok(Submitted::Pending)));
    assert!(pending.is_empty());

    let commands = commands(log, Authority::Knows(Some(outcome("a", 3))));
    let (a, b) = (CommandId::new("a").unwrap(), CommandId::new("b").unwrap());
    assert!(commands.outcome(&tenant("demo"), &a).await == Ok(Some(outcome("a", 3))));
    assert!(commands.outcome(&tenant("demo"), &b).await == Ok(None));
    assert!(commands.is_empty());
}

#[tokio::test]
async fn outcome_arriving_during_read_is_found() {
    let commands = commands(OneLog::new(Fate::Acknowledged), Authority::Knows(None));
    let asked = tokio::spawn({
        let commands = commands.clone();
        async move { commands.outcome(&tenant("demo"), &CommandId::new("a").unwrap()).await }
    });
    while !commands.is_awaited(&tenant("demo"), &CommandId::new("a").unwrap()) {
        tokio::task::yield_now().await;
    }
    commands.answer(&tenant("demo"), outcome("a", 3));
    assert!(asked.await.unwrap() == Ok(Some(outcome("a", 3))));
}

#[tokio::test(start_paused = true)]
async fn failing_log_means_try_again() {
    for fate in [Fate::Failed, Fate::Unknown] {
        let commands = commands(OneLog::new(fate), Authority::Fails);
        assert_eq!(commands.submit(record("a")).await.err(), Some(Code::TryAgain));
        let asked = commands.outcome(&tenant("demo"), &CommandId::new("a").unwrap()).await;
        assert_eq!(asked.err(), Some(Code::TryAgain));
        assert!(commands.is_empty());
    }
}

#[tokio::test]
async fn leaving_caller_frees_its_place() {
    let log = OneLog::new(Fate::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let caller = tokio::spawn({
        let commands = commands.clone();
        async move { commands.submit(record("a")).await }
    });
    log.on_append.notified().await;
    caller.abort();
    assert!(caller.await.is_err());
    assert!(commands.is_empty());
}

#[tokio::test]
async fn unreadable_record_is_refused_before_append() {
    let log = OneLog::new(Fate::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let mut foreign = record("a");
    foreign.command = Command::CallNext {
        queue: QueueId::new("riverside.general").unwrap(),
        station: StationId::new("north.room-1").unwrap(),
        force: false,
    };
    assert_eq!(commands.submit(foreign).await.err(), Some(Code::RecordForeignId));
    assert!(log.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn excess_callers_are_refused_before_append() {
    let log = OneLog::new(Fate::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let waiters: Vec<_> =
        (0..MAX_WAITERS).map(|_| commands.register(tenant("demo"), record("a").id)).collect();
    assert!(waiters.iter().all(Result::is_ok));
    assert_eq!(commands.submit(record("a")).await.err(), Some(Code::TryAgain));
    assert!(log.appended.lock().unwrap().is_empty());
    drop(waiters);
    assert!(commands.is_empty());
}
