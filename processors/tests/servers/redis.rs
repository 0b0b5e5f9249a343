//! Redis: the delta rule of the scripts, case by case, and the sorted set beside the view.

use fred::prelude::*;
use processors::{
    fixtures::{queue, ticket},
    log::PartitionId,
    servers::redis::RedisViews,
    views::{Coverage, StoreOutcome, ViewStep, ViewStore},
};
use schemas::{
    clinic::ClinicInfo,
    ids::{Aggregate, LocationId, TenantId},
    line::{Line, QUEUE_KEY, QueueEntry, QueueHead},
    record::{CARE_TOPIC, VIEWS_TOPIC, ViewDelta},
    redis_keys,
    ticket::{Priority, QueueState, TicketState},
    view::{Delta, Fold, Position, View},
};

use crate::setup::{fresh, server};
use testing::patience::patiently;

struct Store {
    views: RedisViews,
    client: Client,
    aggregate: Aggregate,
}

impl Store {
    async fn new() -> Self {
        let url = server("CLINICWIRE_REDIS");
        let client = Builder::from_config(Config::from_url(&url).unwrap()).build().unwrap();
        client.init().await.expect("redis answers");
        let tenant = TenantId::new(fresh()).unwrap();
        let aggregate = Aggregate::location(&tenant, &LocationId::new("riverside").unwrap());
        Self {
            views: RedisViews::connect(&url, VIEWS_TOPIC).await.expect("redis answers"),
            client,
            aggregate,
        }
    }

    async fn generation(&self, present: bool) {
        let key = redis_keys::generation(&self.aggregate);
        if present {
            let partition = PartitionId(fastrand::u32(1 << 20..));
            let coverage = self.views.coverage(CARE_TOPIC, partition).await.expect("redis answers");
            let Coverage::Suspect(identity) = coverage else { panic!("no owner has covered it") };
            let _: () = self.client.set(key, identity.as_str(), None, None, false).await.unwrap();
        } else {
            let _: () = self.client.del(key).await.unwrap();
        }
    }

    async fn held(&self, name: &str) -> Option<View> {
        let fields: std::collections::HashMap<String, String> =
            self.client.hgetall(redis_keys::view(&self.aggregate, name)).await.unwrap();
        redis_keys::read_view(fields).expect("the stored value is a view").map(|stored| stored.view)
    }

    async fn step(&self, name: &str, epoch: u64, delta: Delta) -> StoreOutcome {
        let step = ViewDelta { view: name.to_owned(), keep_s: None, urgent: false, delta };
        let steps = [ViewStep { aggregate: self.aggregate.clone(), epoch, step }];
        self.views.store(&steps).await.expect("redis answers")[0]
    }
}

fn delta(from: u64, to: u64, key: &str) -> Delta {
    let mut delta = Delta { from, to, at: 9, ..Delta::default() };
    delta.put(key, &to);
    delta
}

const BOARD: &str = "board:riverside";

#[tokio::test]
async fn store_script_follows_the_delta_rule() {
    use StoreOutcome::{Behind, Current};
    // Stored (epoch, version); the step's epoch, from and to; the answer; the stored position
    // afterwards.
    let table = [
        (None, 7, 0, 1, Current, Some((7, 1))),
        (None, 7, 1, 2, Behind, None),
        (Some((7, 5)), 7, 5, 6, Current, Some((7, 6))),
        (Some((7, 5)), 7, 3, 6, Current, Some((7, 6))),
        (Some((7, 5)), 7, 0, 6, Current, Some((7, 6))),
        (Some((7, 5)), 7, 4, 5, Current, Some((7, 5))),
        (Some((7, 5)), 7, 0, 4, Current, Some((7, 5))),
        (Some((7, 5)), 7, 6, 7, Behind, Some((7, 5))),
        (Some((7, 5)), 6, 5, 6, Current, Some((7, 5))),
        (Some((7, 5)), 8, 0, 1, Current, Some((8, 1))),
        (Some((7, 5)), 8, 5, 6, Behind, Some((7, 5))),
        // As texts, 10 sorts before 9; as floats, the last two are equal.
        (Some((9, 9)), 9, 9, 10, Current, Some((9, 10))),
        (Some((9, 10)), 9, 9, 9, Current, Some((9, 10))),
        (Some((9, 1)), 10, 0, 1, Current, Some((10, 1))),
        (Some((1 << 53, 5)), (1 << 53) + 1, 0, 1, Current, Some(((1 << 53) + 1, 1))),
    ];
    for (index, (held, epoch, from, to, answer, then)) in table.into_iter().enumerate() {
        let store = Store::new().await;
        if let Some((epoch, version)) = held {
            let mut view = View::empty(epoch);
            view.position.version = version;
            view.entries = delta(0, version, "old").set;
            store.views.replace(&store.aggregate, BOARD, &view, None).await.unwrap();
        } else {
            store.generation(true).await;
        }
        assert_eq!(store.step(BOARD, epoch, delta(from, to, "new")).await, answer, "row {index}");
        let found = store.held(BOARD).await;
        assert_eq!(
            found.as_ref().map(|view| (view.position.epoch, view.position.version)),
            then,
            "row {index}"
        );
        let applied = then != held;
        let has = |key| found.as_ref().is_some_and(|view: &View| view.entries.contains_key(key));
        assert_eq!(has("new"), applied, "row {index}");
        let afresh = held.is_some_and(|(held, _)| applied && epoch > held);
        assert_eq!(has("old"), held.is_some() && !afresh, "row {index}");
        // Without the generation, for any step.
        store.generation(false).await;
        assert_eq!(store.step(BOARD, epoch, delta(from, to, "new")).await, Behind, "row {index}");
        assert_eq!(
            store.held(BOARD).await.map(|view| (view.position.epoch, view.position.version)),
            then,
            "row {index}"
        );
    }
}

/// A small generator: the same cases in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn any_steps_end_at_the_folded_view() {
    let store = Store::new().await;
    store.generation(true).await;
    let mut dice = Dice(1);
    let mut model = View::empty(7);
    let mut kinds = [0; 3];
    for _ in 0..500 {
        let from = (model.position.version + 2).saturating_sub(dice.roll(5));
        let mut step = Delta { from, to: from + 1 + dice.roll(3), at: 5, ..Delta::default() };
        for _ in 0..dice.roll(4) {
            let key = format!("k{}", dice.roll(12));
            if dice.roll(3) == 0 { step.drop_key(key) } else { step.put(key, &dice.roll(1_000)) }
        }
        let fold = model.fold(&step);
        kinds[fold as usize] += 1;
        let expected = if fold == Fold::Gap { StoreOutcome::Behind } else { StoreOutcome::Current };
        assert_eq!(store.step(BOARD, 7, step).await, expected);
    }
    assert!(kinds.iter().all(|count| *count > 20), "applied, dropped and gaps all came: {kinds:?}");
    let held = store.held(BOARD).await.expect("a view");
    assert_eq!(serde_json::to_string(&held).unwrap(), serde_json::to_string(&model).unwrap());
}

fn waits(rank: u64, priority: u8, state: TicketState) -> QueueEntry {
    QueueEntry {
        label: "A-001".into(),
        state,
        priority: Priority::new(priority).unwrap(),
        rank,
        issued_at: 1,
        called_at: None,
        started_at: None,
        station: None,
        recalls: 0,
        reason: None,
        moving_to: None,
        moved_from: None,
        appointment: None,
        priority_reason: None,
    }
}

fn head() -> QueueHead {
    QueueHead {
        name: "General".into(),
        state: QueueState::Open,
        prefix: "A".into(),
        service_s: 720,
        servers: 1,
        message: None,
        last_call_at: None,
        clinic: ClinicInfo {
            name: "Riverside Clinic".into(),
            time_zone: "America/Toronto".into(),
            ..ClinicInfo::default()
        },
    }
}

#[tokio::test]
async fn sorted_set_holds_waiting_tickets_in_order() {
    let store = Store::new().await;
    let name = format!("queue:{}", queue());
    let mut dice = Dice(2);
    let mut model = View::empty(7);
    for round in 0..40 {
        let version = model.position.version;
        let mut step = Delta { from: version, to: version + 1, at: 5, ..Delta::default() };
        step.put(QUEUE_KEY, &head());
        for _ in 0..=dice.roll(8) {
            let id = ticket(dice.roll(30).into());
            let state = [
                TicketState::Waiting,
                TicketState::Waiting,
                TicketState::Called,
                TicketState::OnHold,
            ];
            let state = state[usize::try_from(dice.roll(4)).unwrap()];
            let priority = u8::try_from(dice.roll(10)).unwrap();
            match dice.roll(4) {
                0 => step.drop_key(id.as_str()),
                _ => step.put(id.as_str(), &waits((1 << 47) + dice.roll(5), priority, state)),
            }
        }
        assert_eq!(model.fold(&step), Fold::Applied);
        // Every tenth state is written whole, as after a loss.
        if round % 10 == 0 {
            store.views.replace(&store.aggregate, &name, &model, None).await.unwrap();
        } else {
            assert_eq!(store.step(&name, 7, step).await, StoreOutcome::Current);
        }
        let line = Line::from_view(queue(), &model).unwrap();
        let key = redis_keys::line(&store.aggregate, queue().as_str());
        let members: Vec<String> =
            store.client.zrange(key, 0, -1, None, false, None, false).await.unwrap();
        assert_eq!(members.len(), line.waiting());
        for (index, member) in members.iter().enumerate() {
            assert_eq!(line.ahead(&member.parse().unwrap()), Some(index), "as schemas orders them");
        }
    }
}

#[tokio::test]
async fn line_of_thousands_fits_one_view() {
    let store = Store::new().await;
    let name = format!("queue:{}", queue());
    let mut step = Delta { from: 0, to: 1, at: 5, ..Delta::default() };
    step.put(QUEUE_KEY, &head());
    for number in 0..5_000 {
        step.put(ticket(number).as_str(), &waits(number as u64, 0, TicketState::Waiting));
    }
    let mut view = View::empty(7);
    view.fold(&step);
    store.views.replace(&store.aggregate, &name, &view, None).await.expect("as a whole");
    assert_eq!(store.held(&name).await.unwrap().entries.len(), 5_001);
    store.generation(true).await;
    let other = Store::new().await;
    other.generation(true).await;
    assert_eq!(other.step(&name, 7, step.clone()).await, StoreOutcome::Current, "as a step");
    let key = redis_keys::line(&other.aggregate, queue().as_str());
    assert_eq!(other.client.zcard::<i64, _>(key.clone()).await.unwrap(), 5_000);
    let gone = Delta {
        from: 1,
        to: 2,
        at: 6,
        remove: step.set.keys().cloned().collect(),
        ..Delta::default()
    };
    assert_eq!(other.step(&name, 7, gone).await, StoreOutcome::Current);
    assert_eq!(other.client.zcard::<i64, _>(key).await.unwrap(), 0);
    assert_eq!(other.held(&name).await.unwrap().position, Position { epoch: 7, version: 2 });
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let store = Store::new().await;
    store.generation(true).await;
    store.client.script_flush(false).await.unwrap();
    assert_eq!(store.step(BOARD, 7, delta(0, 1, "a")).await, StoreOutcome::Current);
}

#[tokio::test]
async fn silent_redis_is_connected_in_the_background() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let views = patiently("connecting continues", RedisViews::connect(&url, VIEWS_TOPIC))
        .await
        .expect("a client");
    let coverage = patiently("a call fails", views.coverage(CARE_TOPIC, PartitionId(0))).await;
    assert!(coverage.is_err());
}
