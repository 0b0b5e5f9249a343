use std::sync::Mutex;

use gateway_core::access::{Origin, Role};
use schemas::{
    audit::AuditRecord,
    record::{AUDIT_TOPIC, WireRecord},
};
use tokio::{sync::Semaphore, time::Instant};

use super::*;
use crate::{
    BoxFuture,
    backends::log::{FeedItem, NotAppended},
};

/// A log that acknowledges a record with each permit, or refuses all.
#[derive(Default)]
struct SlowLog {
    appended: Mutex<Vec<WireRecord>>,
    acknowledged: Option<Semaphore>,
}

impl Log for SlowLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        assert_eq!(topic, AUDIT_TOPIC);
        Box::pin(async move {
            self.appended.lock().unwrap().push(record);
            let Some(acknowledged) = &self.acknowledged else {
                return Err(NotAppended("no broker".into()));
            };
            acknowledged.acquire().await.expect("it is open").forget();
            Ok(())
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        unreachable!("the audit reads nothing")
    }

    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        unreachable!("the audit reads nothing")
    }
}

fn slow_log(permits: usize) -> Arc<SlowLog> {
    let acknowledged = Some(Semaphore::new(permits));
    Arc::new(SlowLog { acknowledged, ..SlowLog::default() })
}

fn claims(tenant: &str) -> Claims {
    Claims {
        tenant: TenantId::new(tenant).unwrap(),
        subject: "subject-1".into(),
        role: Role::Doctor,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: schemas::Millis::MAX,
        origin: Origin::default(),
    }
}

fn open(channel: &str) -> AuditedAction {
    let action = "channel.open".into();
    AuditedAction { action, what: vec![channel.to_owned()], ..AuditedAction::default() }
}

impl SlowLog {
    /// The names in the entries of each record.
    fn names(&self) -> Vec<Vec<String>> {
        let names = |record: &WireRecord| {
            let (_, entries) = AuditRecord::from_wire(record).unwrap();
            entries.into_iter().flat_map(|written| written.entry.what).collect()
        };
        self.appended.lock().unwrap().iter().map(names).collect()
    }

    fn acknowledge(&self, records: usize) {
        self.acknowledged.as_ref().unwrap().add_permits(records);
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_come_together_are_one_record_per_tenant() {
    let log = slow_log(0);
    let audit = Audit::new(log.clone());
    let write = |tenant: &'static str, number: usize| {
        let audit = audit.clone();
        tokio::spawn(async move { audit.write(&claims(tenant), open(&number.to_string())).await })
    };
    let first = write("demo", 0);
    tokio::task::yield_now().await;
    let others: Vec<_> =
        (0..150).map(|number| write(["demo", "north"][number % 2], number)).collect();
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.appended.lock().unwrap().len(), 1, "the others wait");
    assert!(!first.is_finished(), "nothing is shown before the log has answered");
    log.acknowledged.as_ref().unwrap().add_permits(10);
    for written in others.into_iter().chain([first]) {
        assert_eq!(written.await.unwrap(), Ok(()));
    }
    let appended = log.appended.lock().unwrap();
    let counts: Vec<_> =
        appended.iter().map(|record| AuditRecord::from_wire(record).unwrap().1.len()).collect();
    assert_eq!(counts, [1, 75, 75]);
    assert_eq!(appended[0].key, "demo");
}

#[tokio::test(start_paused = true)]
async fn audit_that_is_not_acknowledged_refuses() {
    let refusing = Audit::new(Arc::new(SlowLog::default()));
    assert_eq!(refusing.write(&claims("demo"), open("a")).await, Err(Code::TryAgain));
    assert!(refusing.is_failing());

    let audit = Audit::new(slow_log(0));
    assert_eq!(audit.write(&claims("demo"), open("a")).await, Err(Code::TryAgain));
}

#[tokio::test(start_paused = true)]
async fn waiting_entries_are_bounded() {
    let audit = Audit::new(slow_log(0));
    let mut waiting = Vec::new();
    for number in 0..MAX_WAITING + BATCH + 1 {
        let audit = audit.clone();
        waiting.push(async move { audit.write(&claims("demo"), open(&number.to_string())).await });
    }
    let began = Instant::now();
    let answers = futures_util::future::join_all(waiting).await;
    assert!(answers.iter().all(|answer| *answer == Err(Code::TryAgain)));
    assert!(began.elapsed() <= WITHIN + Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(audit.write(&claims("demo"), open("a")).await, Err(Code::TryAgain));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_of_a_shard_get_one_answer() {
    let log = slow_log(1);
    let audit = Audit::new(log.clone());
    let (inbox, mut messages) = mpsc::channel(4);
    let subscription = SubscriptionId::for_test();
    let mut entry = AuditEntryId::FIRST;
    for number in 0..3 {
        let waiting = AuditedSubscription { subscription, entry, inbox: inbox.clone() };
        audit.write_for(waiting, &claims("demo"), open(&number.to_string()));
        entry = entry.next();
    }
    let Some(ShardMessage::Audited { entries, written }) = messages.recv().await else {
        panic!("the shard gets a message");
    };
    assert_eq!((entries.len(), written), (3, Ok(())));
    assert_eq!(log.names(), [["0", "1", "2"]]);
}

#[tokio::test(start_paused = true)]
async fn notes_are_repeated_until_they_are_written() {
    let log = slow_log(0);
    let audit = Audit::new(log.clone());
    audit.note(&claims("demo"), open("a"));
    tokio::time::sleep(WITHIN + Duration::from_millis(500)).await;
    assert!(audit.is_failing());
    audit.note(&claims("demo"), open("b"));
    log.acknowledge(10);
    audit.flush(Duration::from_secs(5)).await;
    assert_eq!((audit.counts().waiting_notes(), audit.counts().lost_notes()), (0, 0));
    assert_eq!(log.names().concat(), ["a", "a", "b"], "the first attempt was not acknowledged");
}

#[tokio::test(start_paused = true)]
async fn notes_are_bounded_and_lost_ones_counted() {
    let audit = Audit::new(slow_log(0));
    for _ in 0..MAX_NOTES + 7 {
        audit.note(&claims("demo"), open("a"));
    }
    assert_eq!((audit.counts().waiting_notes(), audit.counts().lost_notes()), (MAX_NOTES, 7));
}
