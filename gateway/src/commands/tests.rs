use std::sync::Mutex;

use schemas::{
    command::{Command, CommandResult, Verdict},
    ids::{Aggregate, CommandId, LocationId, QueueId, StationId, TenantId, TicketId},
    record::{Actor, CARE_TOPIC, WireRecord},
    view::View,
};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::{
    BoxFuture,
    backends::{
        log::{FeedItem, NotAppended},
        snapshots::NotRead,
    },
    limits::settings::LimitSettings,
};

/// The answer of the log to a record.
enum AppendOutcome {
    Acknowledged,
    Failed,
    /// Never answered.
    Unknown,
}

struct OneLog {
    outcome: AppendOutcome,
    appended: Mutex<Vec<WireRecord>>,
    on_append: Notify,
}

impl OneLog {
    fn new(outcome: AppendOutcome) -> Arc<Self> {
        Arc::new(Self { outcome, appended: Mutex::default(), on_append: Notify::new() })
    }
}

impl Log for OneLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            match self.outcome {
                AppendOutcome::Acknowledged => {
                    assert_eq!(topic, CARE_TOPIC);
                    self.appended.lock().unwrap().push(record);
                    self.on_append.notify_one();
                    Ok(())
                }
                AppendOutcome::Failed => Err(NotAppended("no broker".into())),
                AppendOutcome::Unknown => std::future::pending().await,
            }
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        mpsc::channel(1).1
    }

    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        mpsc::channel(1).1
    }
}

/// An authority that knows one outcome, or does not answer.
enum Authority {
    Knows(Option<CommandOutcome>),
    Fails,
}

impl Queries for Authority {
    fn lagging(&self, _: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async { Ok(None) })
    }

    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        Box::pin(async move {
            match self {
                Authority::Knows(outcome) => {
                    let record = record(command.command.as_str());
                    let fingerprint = Some(record.effective_fingerprint());
                    let known = outcome.clone().filter(|outcome| outcome.command == record.id);
                    Ok(known.map(|outcome| RecordedOutcome {
                        aggregate: record.aggregate,
                        fingerprint,
                        outcome,
                    }))
                }
                Authority::Fails => Err(NotRead("no connection".into())),
            }
        })
    }

    crate::backends::queries::fake::no_lists!();
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
        fingerprint: Some(Fingerprint::from_parts([b"leave".as_slice()])),
        valid_until: None,
        actor: Some(Actor { subject: "kiosk-1".to_owned(), role: "reception".to_owned() }),
        command: Command::LeaveTicket { ticket: TicketId::from_random(&location, 1) },
    }
}

fn named(id: &str) -> NamedCommand {
    let record = record(id);
    NamedCommand { identity: record.identity(), fingerprint: record.fingerprint }
}

fn outcome(id: &str, version: u64) -> CommandOutcome {
    let verdict = Verdict::Applied { epoch: 1, version, result: CommandResult::default() };
    CommandOutcome { command: CommandId::new(id).unwrap(), at: 0, verdict }
}

fn commands(log: Arc<OneLog>, authority: Authority) -> Arc<Commands> {
    commands_with(log, authority, LimitSettings::default())
}

fn commands_with(log: Arc<OneLog>, authority: Authority, limits: LimitSettings) -> Arc<Commands> {
    let limits = Limits::without_sharing(limits);
    Arc::new(Commands::new(log, Arc::new(authority), Arc::new(limits)))
}

fn version(submitted: Result<Submission, Code>) -> Option<u64> {
    match submitted {
        Ok(Submission::Decided(CommandOutcome {
            verdict: Verdict::Applied { version, .. },
            ..
        })) => Some(version),
        _ => None,
    }
}

impl Commands {
    /// Nobody waits, and nothing is kept for those who did.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.waiters.is_empty()
    }
}

#[tokio::test]
async fn caller_gets_outcome_of_its_command() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let caller = tokio::spawn({
        let commands = commands.clone();
        async move { commands.submit(record("a")).await }
    });
    log.on_append.notified().await;
    assert!(commands.is_awaited(&named("a").identity));
    let own = named("a").identity;
    for other in [
        CommandIdentity { tenant: tenant("other"), ..own.clone() },
        CommandIdentity { source: "clinicwire-bridge/his".to_owned(), ..own.clone() },
        CommandIdentity { subject: "kiosk-2".to_owned(), ..own.clone() },
        named("b").identity,
    ] {
        assert!(!commands.is_awaited(&other), "{other:?}");
        commands.answer(&NamedCommand { identity: other, ..named("a") }, &outcome("a", 1));
    }
    commands.answer(&named("a"), &outcome("a", 3));
    assert_eq!(version(caller.await.unwrap()), Some(3));
    assert!(commands.is_empty());
    assert_eq!(log.appended.lock().unwrap().len(), 1);
}

/// Two requests of one caller under way at once, with one key.
#[tokio::test]
async fn caller_gets_outcome_of_its_own_content() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let mut other = record("a");
    other.fingerprint = Some(Fingerprint::from_parts([b"configure".as_slice()]));
    let call = |record: CommandRecord| {
        let commands = commands.clone();
        tokio::spawn(async move { commands.submit(record).await })
    };
    let reused = NamedCommand { fingerprint: other.fingerprint, ..named("a") };
    let (first, second) = (call(record("a")), call(other));
    let reader = tokio::spawn({
        let (commands, asked) =
            (commands.clone(), NamedCommand { fingerprint: None, ..named("a") });
        async move { commands.outcome(&asked).await }
    });
    let waiting = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    while waiting(&commands.waiters.commands) < 2 || waiting(&commands.waiters.lookups) < 1 {
        tokio::task::yield_now().await;
    }
    let code = Code::IdempotencyKeyReused;
    let refusal = CommandOutcome { verdict: Verdict::Refused { code }, ..outcome("a", 4) };
    commands.answer(&reused, &refusal);
    assert!(matches!(
        second.await.unwrap(),
        Ok(Submission::Decided(CommandOutcome { verdict: Verdict::Refused { .. }, .. }))
    ));
    commands.answer(&named("a"), &outcome("a", 3));
    assert_eq!(version(first.await.unwrap()), Some(3));
    assert!(reader.await.unwrap() == Ok(Some(outcome("a", 3))), "a reader gets the first outcome");
    assert!(commands.is_empty());
}

#[tokio::test]
async fn callers_of_one_command_share_its_outcome() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let commands = commands(log.clone(), Authority::Knows(None));
    let call =
        |commands: Arc<Commands>| tokio::spawn(async move { commands.submit(record("a")).await });
    let first = call(commands.clone());
    log.on_append.notified().await;
    let second = call(commands.clone());
    log.on_append.notified().await;
    commands.answer(&named("a"), &outcome("a", 3));
    assert_eq!(version(first.await.unwrap()), Some(3));
    assert_eq!(version(second.await.unwrap()), Some(3));
    assert!(commands.is_empty());
}

#[tokio::test(start_paused = true)]
async fn slow_decision_is_pending_then_found() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let pending = commands(log.clone(), Authority::Knows(None));
    assert!(matches!(pending.submit(record("a")).await, Ok(Submission::Pending)));
    assert!(pending.is_empty());

    let commands = commands(log, Authority::Knows(Some(outcome("a", 3))));
    assert!(commands.outcome(&named("a")).await == Ok(Some(outcome("a", 3))));
    assert!(commands.outcome(&named("b")).await == Ok(None));
    let unread = NamedCommand { fingerprint: None, ..named("a") };
    assert!(commands.outcome(&unread).await == Ok(Some(outcome("a", 3))));
    let fingerprint = Some(Fingerprint::from_parts([b"configure".as_slice()]));
    let reused = NamedCommand { fingerprint, ..named("a") };
    assert!(commands.outcome(&reused).await == Err(Code::IdempotencyKeyReused));
    assert!(commands.is_empty());
}

#[tokio::test]
async fn outcome_arriving_during_read_is_found() {
    let commands = commands(OneLog::new(AppendOutcome::Acknowledged), Authority::Knows(None));
    let asked = tokio::spawn({
        let commands = commands.clone();
        async move { commands.outcome(&named("a")).await }
    });
    while !commands.is_awaited(&named("a").identity) {
        tokio::task::yield_now().await;
    }
    commands.answer(&named("a"), &outcome("a", 3));
    assert!(asked.await.unwrap() == Ok(Some(outcome("a", 3))));
}

#[tokio::test(start_paused = true)]
async fn failing_log_means_try_again() {
    for outcome in [AppendOutcome::Failed, AppendOutcome::Unknown] {
        let commands = commands(OneLog::new(outcome), Authority::Fails);
        assert_eq!(commands.submit(record("a")).await.err(), Some(Code::TryAgain));
        let asked = commands.outcome(&named("a")).await;
        assert_eq!(asked.err(), Some(Code::TryAgain));
        assert!(commands.is_empty());
    }
}

#[tokio::test]
async fn leaving_caller_frees_its_place() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
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
    let log = OneLog::new(AppendOutcome::Acknowledged);
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
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let commands = commands_with(log.clone(), Authority::Knows(None), LimitSettings::off());
    let waiters: Vec<_> =
        (0..MAX_WAITERS).map(|_| register(&commands, "subject-1", WaitKind::Command)).collect();
    assert!(waiters.iter().all(Result::is_ok));
    assert_eq!(commands.submit(record("a")).await.err(), Some(Code::TryAgain));
    assert!(log.appended.lock().unwrap().is_empty());
    drop(waiters);
    assert!(commands.is_empty());
}

fn register<'a>(commands: &'a Commands, subject: &str, kind: WaitKind) -> Result<Waiter<'a>, Code> {
    let identity = CommandIdentity { subject: subject.to_owned(), ..named("a").identity };
    commands.register(identity, None, kind)
}

#[tokio::test]
async fn lookups_of_unknown_ids_hold_up_no_command() {
    let log = OneLog::new(AppendOutcome::Acknowledged);
    let commands = commands_with(log, Authority::Knows(None), LimitSettings::off());
    let lookups: Vec<_> =
        (0..MAX_LOOKUPS).map(|_| register(&commands, "subject-1", WaitKind::Lookup)).collect();
    assert!(lookups.iter().all(Result::is_ok));
    assert_eq!(commands.outcome(&named("unknown")).await.err(), Some(Code::TryAgain));
    assert!(register(&commands, "subject-1", WaitKind::Command).is_ok());
    drop(lookups);
    assert!(commands.is_empty());
}

#[tokio::test]
async fn subject_and_tenant_have_places_of_their_own() {
    for kind in [WaitKind::Command, WaitKind::Lookup] {
        let commands = commands(OneLog::new(AppendOutcome::Unknown), Authority::Knows(None));
        let take = |subject: &str| {
            std::iter::from_fn(|| register(&commands, subject, kind).ok()).collect::<Vec<_>>()
        };
        let places = |limit| LimitSettings::default().places(limit).unwrap() as usize;
        let [of_subject, of_tenant] = kind.limits();
        let first = take("subject-1");
        assert_eq!(first.len(), places(of_subject));
        let refusal = register(&commands, "subject-1", kind).err();
        assert_eq!(refusal, Some(Code::TooManyWaiting));
        // Another subject still waits, until the tenant has no place left.
        let others: Vec<_> = (0..100).flat_map(|n| take(&format!("other-{n}"))).collect();
        assert_eq!(first.len() + others.len(), places(of_tenant));
        drop((first, others));
        assert!(commands.is_empty());
    }
}
