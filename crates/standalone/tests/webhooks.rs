//! The sender of webhooks over memory, with real receivers and a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use processors::{
    ledger::{Batch, Ledger, PartitionClaim},
    log::PartitionId,
    tenants::Tenants,
    webhooks::{
        self, AttemptResult, OutwardRow, WebhookChange, WebhookCounters, WebhookRow,
        WebhookSenderSettings, WebhookStore,
    },
};
use schemas::{
    Millis,
    ids::{Aggregate, LocationId, QueueId, TenantId, TicketId, WebhookId},
    outward::{OutwardData, OutwardEvent},
    view::Position,
    webhook::{PreviousSecret, Webhook, WebhookKey, WebhookSettings, WebhookState},
};
use standalone::memory::Memory;
use testing::{
    patience::{eventually, until},
    receiver::Receiver,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

const START: Millis = 1_772_434_800_000;
const MINUTE: Millis = 60_000;

/// The step that made the secrets of all webhooks here, and the step before.
const SECRET: Position = Position { epoch: 7, version: 2 };
const BEFORE: Position = Position { epoch: 7, version: 1 };

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn key() -> WebhookKey {
    WebhookKey::from_bytes([9; 32])
}

/// A memory with webhooks, and a clock.
struct Clinic {
    memory: Memory,
    clock: Arc<AtomicI64>,
    claim: PartitionClaim,
    signal: Arc<Notify>,
    version: u64,
}

impl Clinic {
    async fn open() -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let now = Arc::clone(&clock);
        let memory = Memory::new(Arc::new(move || now.load(SeqCst)));
        let claim = memory.ledger.claim(PartitionId(0)).await.unwrap();
        Self { memory, clock, claim, signal: Arc::default(), version: 0 }
    }

    async fn commit(&mut self, outward: Vec<OutwardRow>, changes: Vec<WebhookChange>) {
        let row = |change| WebhookRow { tenant: tenant(), change };
        let (claim, to) = (self.claim, self.claim.next_offset.next());
        let batch = Batch {
            outward,
            webhooks: changes.into_iter().map(row).collect(),
            ..Batch::without_rows(claim, to)
        };
        self.memory.ledger.commit(&batch).await.unwrap();
        self.claim.next_offset = to;
        self.signal.notify_one();
    }

    async fn register(&mut self, number: u128, receiver: &Receiver) -> WebhookId {
        let webhook = WebhookId::from_random(number);
        let settings = WebhookSettings {
            url: format!("{}/hook/{number}", receiver.origin),
            description: None,
            events: BTreeSet::new(),
            locations: BTreeSet::new(),
        };
        let stored = Webhook {
            webhook: webhook.clone(),
            settings,
            state: WebhookState::Active,
            created_at: START,
            edition: 1,
            secret: SECRET,
            previous: Some(PreviousSecret { secret: BEFORE, until: START + 30 * MINUTE }),
        };
        self.commit(Vec::new(), vec![WebhookChange::Store(stored)]).await;
        webhook
    }

    /// Adds this many calls.
    async fn happen(&mut self, count: u64) {
        let location = LocationId::new("riverside").unwrap();
        let aggregate = Aggregate::location(&tenant(), &location);
        for _ in 0..count {
            self.version += 1;
            let data = OutwardData::TicketCalled {
                ticket: TicketId::from_random(&location, self.version.into()),
                queue: QueueId::new("riverside.general").unwrap(),
                station: None,
                repeated: false,
            };
            let position = Position { epoch: 7, version: self.version };
            let at = self.clock.load(SeqCst);
            let event = OutwardEvent::new(&aggregate, position, 0, at, data);
            let row = OutwardRow::new(&event, &event.to_wire(&aggregate), at, None);
            self.commit(vec![row], Vec::new()).await;
        }
    }

    /// Waits until this many deliveries wait or are under way. While one is, its lease would end
    /// with a step of the clock, and it would be sent again.
    async fn until_left(&self, pending: u64) {
        until("the deliveries are done", async || {
            self.memory.webhooks.count().await.unwrap().pending == pending
        })
        .await;
    }

    fn pass(&self, time: Millis) {
        self.clock.fetch_add(time, SeqCst);
        self.signal.notify_one();
    }

    fn start(&self) -> Sender {
        let clock = Arc::clone(&self.clock);
        let counters = Arc::<WebhookCounters>::default();
        let settings = WebhookSenderSettings {
            key: key(),
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            counters: Arc::clone(&counters),
            clock: Arc::new(move || clock.load(SeqCst)),
            tenants: Tenants::none(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async {
            let _ = stopped.await;
        };
        let (store, log) = (self.memory.webhooks.clone(), self.memory.log.clone());
        let signal = Arc::clone(&self.signal);
        let task = tokio::spawn(async move {
            webhooks::run(store, log, settings, signal, stopping).await.unwrap();
        });
        Sender { counters, stop, task }
    }
}

struct Sender {
    counters: Arc<WebhookCounters>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Sender {
    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

/// The ids of the events that a receiver has, each of them once.
fn ids(receiver: &Receiver) -> BTreeSet<String> {
    receiver.taken().iter().map(|request| request.header("webhook-id").to_owned()).collect()
}

async fn until_has(receiver: &Receiver, count: usize) {
    eventually("the receiver has the events", async || {
        (ids(receiver).len() >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_was_down_gets_everything() {
    let mut clinic = Clinic::open().await;
    let [down, other, third] =
        [Receiver::serve().await, Receiver::serve().await, Receiver::serve().await];
    down.status.store(503, SeqCst);
    for (number, receiver) in [(1, &down), (2, &other), (3, &third)] {
        clinic.register(number, receiver).await;
    }
    let sender = clinic.start();
    clinic.happen(60).await;
    // The clock stands still: the others wait for nothing.
    until_has(&other, 60).await;
    until_has(&third, 60).await;
    clinic.until_left(60).await;
    assert!(down.refused() >= 1 && down.taken().is_empty());
    for round in 1..=12 {
        clinic.pass(5 * MINUTE);
        clinic.happen(5).await;
        clinic.until_left(60 + 5 * round).await;
    }
    until_has(&other, 120).await;
    assert!(down.taken().is_empty(), "it was down for an hour");
    let probes = down.refused();
    assert!(probes < 5 * 64 + 60, "{probes} requests to a receiver that is down");
    down.status.store(204, SeqCst);
    clinic.pass(10 * MINUTE);
    until_has(&down, 120).await;
    clinic.until_left(0).await;
    assert_eq!(ids(&down), ids(&other));
    assert_eq!(other.taken().len(), 120, "nothing is sent twice");
    // A request under way while the receiver came back may have been sent again.
    assert!(sender.counters.results(AttemptResult::Sent) >= 360);
    assert_eq!(clinic.memory.webhooks.count().await.unwrap().dead, 0);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_signed_with_both_secrets_of_a_rotation() {
    let mut clinic = Clinic::open().await;
    let receiver = Receiver::serve().await;
    let webhook = clinic.register(1, &receiver).await;
    let sender = clinic.start();
    clinic.happen(1).await;
    until_has(&receiver, 1).await;
    clinic.until_left(0).await;
    clinic.pass(31 * MINUTE);
    clinic.happen(1).await;
    until_has(&receiver, 2).await;
    let taken = receiver.taken();
    for (request, signed_by) in taken.iter().zip([vec![SECRET, BEFORE], vec![SECRET]]) {
        let timestamp = request.header("webhook-timestamp").parse().unwrap();
        let expected: Vec<_> = signed_by
            .into_iter()
            .map(|made| {
                let secret = key().secret(&tenant(), &webhook, made);
                secret.sign(request.header("webhook-id"), timestamp, &request.body)
            })
            .collect();
        assert_eq!(request.header("webhook-signature"), expected.join(" "));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.path, "/hook/1");
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["id"], request.header("webhook-id"));
    }
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_share_the_work_without_repeating_it() {
    let mut clinic = Clinic::open().await;
    let receiver = Receiver::serve().await;
    clinic.register(1, &receiver).await;
    let senders = [clinic.start(), clinic.start()];
    clinic.happen(200).await;
    until_has(&receiver, 200).await;
    // The receiver has an event before its sender has the answer.
    clinic.until_left(0).await;
    let [first, second] = senders;
    let sent = |sender: &Sender| sender.counters.results(AttemptResult::Sent);
    assert_eq!(sent(&first) + sent(&second), 200);
    assert_eq!(receiver.taken().len(), 200);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_is_gone_is_disabled() {
    let mut clinic = Clinic::open().await;
    let receiver = Receiver::serve().await;
    receiver.status.store(410, SeqCst);
    clinic.register(1, &receiver).await;
    let before = clinic.memory.runs_log.end();
    let sender = clinic.start();
    clinic.happen(1).await;
    let runs = &clinic.memory.runs_log;
    eventually("the webhook is disabled", async || (runs.end() > before).then_some(())).await;
    assert_eq!(sender.counters.results(AttemptResult::Gone), 1);
    sender.stop().await;
    assert_eq!(clinic.memory.webhooks.count().await.unwrap().dead, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_and_redirects_are_not_followed() {
    let mut clinic = Clinic::open().await;
    let [long, moved] = [Receiver::serve().await, Receiver::serve().await];
    long.status.store(200, SeqCst);
    long.answer_bytes.store(8 * 1024 * 1024, SeqCst);
    moved.status.store(302, SeqCst);
    clinic.register(1, &long).await;
    clinic.register(2, &moved).await;
    let sender = clinic.start();
    clinic.happen(2).await;
    until_has(&long, 2).await;
    eventually("both redirects count as refused", async || {
        (sender.counters.results(AttemptResult::Refused) == 2).then_some(())
    })
    .await;
    assert_eq!(moved.refused(), 2);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_dies_after_three_days_and_is_kept() {
    let mut clinic = Clinic::open().await;
    let receiver = Receiver::serve().await;
    receiver.status.store(500, SeqCst);
    clinic.register(1, &receiver).await;
    let sender = clinic.start();
    clinic.happen(1).await;
    let of = &clinic.memory.webhooks;
    eventually("it is a dead letter", async || {
        clinic.pass(3 * 60 * MINUTE);
        (of.count().await.ok()?.dead == 1).then_some(())
    })
    .await;
    assert!((2..=webhooks::MAX_TRIES as usize).contains(&receiver.refused()));
    assert_eq!(sender.counters.dead(), 1);
    sender.stop().await;
}
