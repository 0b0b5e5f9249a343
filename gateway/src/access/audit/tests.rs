use std::sync::Mutex;

use gateway_core::access::{Origin, Role};
use schemas::record::WireRecord;
use tokio::sync::Semaphore;

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
    let action = "channel.open".to_owned();
    AuditedAction { action, what: vec![channel.to_owned()], ..AuditedAction::default() }
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
    let counts: Vec<_> = appended
        .iter()
        .map(|record| {
            let AuditRecord { entries } = serde_json::from_slice(&record.value).unwrap();
            entries.len()
        })
        .collect();
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
    for _ in 0..MAX_WAITING + BATCH {
        let (written, answer) = oneshot::channel();
        let entry = AuditEntry {
            at: 0,
            subject: String::new(),
            role: String::new(),
            address: None,
            agent: None,
            action: String::new(),
            what: Vec::new(),
            code: None,
            other_tenant: None,
            reason: None,
        };
        let tenant = TenantId::new("demo").unwrap();
        if audit.entries.try_send(WaitingEntry { tenant, entry, written }).is_err() {
            break;
        }
        waiting.push(answer);
    }
    assert!(waiting.len() <= MAX_WAITING + BATCH);
    assert_eq!(audit.write(&claims("demo"), open("a")).await, Err(Code::TryAgain));
}
