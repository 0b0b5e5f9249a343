//! Conformance of the store of webhooks: a ledger adds webhooks and events, a sender takes
//! deliveries, and a gateway lists them. A sender takes any due delivery, so each promise needs a
//! store of its own.

use std::{collections::BTreeSet, sync::OnceLock, time::Duration};

use gateway::backends::queries::{DeliveriesQuery, ListedDelivery, Queries};
use processors::{
    ledger::{Batch, Ledger, PartitionClaim},
    log::PartitionId,
    webhooks::{
        Attempt, DueDelivery, Finished, NextStep, OutwardRow, PROBE_FROM, UnderWay, WebhookChange,
        WebhookRow, WebhookStore,
    },
};
use schemas::{
    Millis,
    ids::{Aggregate, LocationId, QueueId, TenantId, TicketId, WebhookId},
    outward::{OutwardData, OutwardEvent},
    view::Position,
    webhook::{PreviousSecret, Replay, Webhook, WebhookSettings, WebhookState},
};

/// The backends under test.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub store: &'a dyn WebhookStore,
    pub ledger: &'a dyn Ledger,
    pub queries: &'a dyn Queries,
}

/// A time that no test outlives, and one that is over at once.
const LONG: Duration = Duration::from_secs(600);
const OVER: Duration = Duration::ZERO;
/// A queue that no test fills.
const ROOMY: u32 = 1_000;

/// When the event with this version was decided: in the minute before the test began.
fn at(version: u64) -> Millis {
    static BEGAN: OnceLock<Millis> = OnceLock::new();
    let began = *BEGAN.get_or_init(gateway::clock::now);
    began - 60_000 + Millis::try_from(version).unwrap_or_default()
}

fn tenant() -> TenantId {
    TenantId::new("demo").expect("a name")
}

fn location(name: &str) -> LocationId {
    LocationId::new(name).expect("a name")
}

fn id(number: u128) -> WebhookId {
    WebhookId::from_random(number)
}

fn webhook(number: u128) -> Webhook {
    Webhook {
        webhook: id(number),
        settings: WebhookSettings {
            url: format!("https://hooks.example/{number}"),
            description: None,
            events: BTreeSet::new(),
            locations: BTreeSet::new(),
        },
        state: WebhookState::Active,
        created_at: 1,
        edition: 1,
        secret: Position { epoch: 7, version: 1 },
        previous: None,
    }
}

/// A call of a ticket, under this version of the location.
fn event(place: &str, version: u64) -> OutwardRow {
    let location = location(place);
    let aggregate = Aggregate::location(&tenant(), &location);
    let data = OutwardData::TicketCalled {
        ticket: TicketId::from_random(&location, 7),
        queue: QueueId::new(format!("{place}.general")).expect("a name"),
        station: None,
        repeated: false,
    };
    let position = Position { epoch: 7, version };
    row(&OutwardEvent::new(&aggregate, position, 0, at(version), data), &aggregate, version, None)
}

fn row(
    event: &OutwardEvent,
    aggregate: &Aggregate,
    version: u64,
    webhook: Option<WebhookId>,
) -> OutwardRow {
    OutwardRow::new(event, &event.to_wire(aggregate), at(version), webhook)
}

/// A ledger that commits webhooks and events, a sender, and a gateway.
pub struct Desk<'a> {
    sides: Sides<'a>,
    claim: PartitionClaim,
}

impl<'a> Desk<'a> {
    pub async fn open(sides: Sides<'a>) -> Self {
        let claim = sides.ledger.claim(PartitionId(0)).await.expect("the ledger answers");
        Self { sides, claim }
    }

    async fn commit(&mut self, outward: Vec<OutwardRow>, changes: Vec<WebhookChange>) {
        let row = |change| WebhookRow { tenant: tenant(), change };
        let webhooks = changes.into_iter().map(row).collect();
        let (claim, to) = (self.claim, self.claim.next_offset.next());
        let batch = Batch { outward, webhooks, ..Batch::without_rows(claim, to) };
        self.sides.ledger.commit(&batch).await.expect("the ledger commits");
        self.claim.next_offset = to;
    }

    async fn store(&mut self, webhook: Webhook) {
        self.commit(Vec::new(), vec![WebhookChange::Store(webhook)]).await;
    }

    /// Adds events of the location `riverside` with these versions, and queues them.
    async fn happen(&mut self, versions: &[u64]) {
        let events = versions.iter().map(|version| event("riverside", *version)).collect();
        self.commit(events, Vec::new()).await;
        self.queue(ROOMY).await;
    }

    async fn queue(&self, full: u32) -> u64 {
        self.sides.store.queue(10, full).await.expect("the store answers")
    }

    async fn carry_out(&self) {
        while self.sides.store.carry_out(2).await.expect("the store answers") {}
    }

    async fn take(&self, lease: Duration) -> Vec<DueDelivery> {
        self.take_beside(10, lease, &UnderWay::new()).await
    }

    async fn take_beside(
        &self,
        places: u32,
        lease: Duration,
        under_way: &UnderWay,
    ) -> Vec<DueDelivery> {
        let nobody = BTreeSet::new();
        let taken = self.sides.store.take(20, places, lease, under_way, &nobody);
        taken.await.expect("the store answers")
    }

    /// The deliveries that a sender gets while these tenants are suspended.
    async fn take_without(&self, resting: &[TenantId]) -> Vec<DueDelivery> {
        let (under_way, resting) = (UnderWay::new(), resting.iter().cloned().collect());
        let taken = self.sides.store.take(20, 10, LONG, &under_way, &resting);
        taken.await.expect("the store answers")
    }

    async fn finish(&self, due: &DueDelivery, next: NextStep) {
        let result = if next == NextStep::Sent { "sent" } else { "refused" };
        let attempt = Attempt { at: 5, result: result.to_owned(), status: Some(200), took_ms: 3 };
        let (name, failures) = (due.name.clone(), due.failures);
        let finished = [Finished { name, attempt, next, failures }];
        self.sides.store.finish(&finished).await.expect("the store answers");
    }

    async fn listed(&self, number: u128, state: Option<&'static str>) -> Vec<ListedDelivery> {
        let asked = DeliveriesQuery { webhook: id(number), state, after: None, limit: 50 };
        let listed = self.sides.queries.webhook_deliveries(&tenant(), &asked).await;
        listed.expect("the authority answers")
    }

    async fn states(&self, number: u128) -> Vec<String> {
        let all = self.listed(number, None).await;
        all.into_iter().rev().map(|listed| listed.state).collect()
    }
}

fn again(rest: Duration) -> NextStep {
    NextStep::Retry { pause: OVER, rest }
}

/// The paths of the receivers, sorted.
fn receivers(due: &[DueDelivery]) -> Vec<&str> {
    let mut paths: Vec<_> =
        due.iter().filter_map(|due| due.url.strip_prefix("https://hooks.example/")).collect();
    paths.sort_unstable();
    paths
}

pub async fn webhooks_of_a_suspended_tenant_rest(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    assert!(desk.take_without(&[tenant()]).await.is_empty(), "it is suspended");
    let other = TenantId::new("other").expect("a name");
    let due = desk.take_without(&[other]).await;
    assert_eq!(receivers(&due), ["1"], "the event waited");
    assert_eq!(due[0].name.tries, 1);
}

pub async fn every_webhook_gets_each_event_once(desk: &mut Desk<'_>) {
    desk.happen(&[1]).await;
    assert!(desk.take(LONG).await.is_empty(), "no webhook was there");
    desk.store(webhook(1)).await;
    desk.store(webhook(2)).await;
    desk.happen(&[2]).await;
    let due = desk.take(LONG).await;
    assert_eq!(receivers(&due), ["1", "2"]);
    let expected = event("riverside", 2);
    for due in &due {
        assert!(due.event == expected.event && due.body.as_bytes() == expected.body);
        assert_eq!((due.name.tries, due.failures), (1, 0));
        assert_eq!(due.secret, Position { epoch: 7, version: 1 });
    }
    assert!(desk.take(LONG).await.is_empty(), "they are under a lease");
    for due in &due {
        desk.finish(due, NextStep::Sent).await;
    }
    assert_eq!(desk.queue(ROOMY).await, 0);
    assert!(desk.take(OVER).await.is_empty(), "they were sent");
    assert_eq!(desk.states(1).await, ["sent"]);
}

pub async fn events_keep_their_order(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2, 3]).await;
    desk.happen(&[4]).await;
    let due = desk.take(LONG).await;
    let order: Vec<_> = due.iter().map(|due| due.event.clone()).collect();
    let expected = [1, 2, 3, 4].map(|version| event("riverside", version).event);
    assert_eq!(order, expected);
}

pub async fn filter_selects_kinds_and_locations(desk: &mut Desk<'_>) {
    let with = |number, kind: Option<&str>, place: Option<&str>| {
        let mut stored = webhook(number);
        stored.settings.events.extend(kind.map(str::to_owned));
        stored.settings.locations.extend(place.map(location));
        stored
    };
    desk.store(with(1, Some("ticket.called"), Some("riverside"))).await;
    desk.store(with(2, Some("ticket.issued"), None)).await;
    desk.store(with(3, None, Some("north"))).await;
    desk.store(with(4, None, None)).await;
    desk.commit(vec![event("riverside", 1), event("north", 1)], Vec::new()).await;
    desk.queue(ROOMY).await;
    assert_eq!(receivers(&desk.take(LONG).await), ["1", "3", "4", "4"]);
}

pub async fn test_reaches_its_webhook_alone(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.store(webhook(2)).await;
    let aggregate = Aggregate::webhooks(&tenant());
    let data = OutwardData::WebhookTest { webhook: id(2) };
    let test = OutwardEvent::new(&aggregate, Position { epoch: 7, version: 9 }, 0, at(9), data);
    desk.commit(vec![row(&test, &aggregate, 9, Some(id(2)))], Vec::new()).await;
    desk.queue(ROOMY).await;
    assert_eq!(receivers(&desk.take(LONG).await), ["2"]);
}

pub async fn delivery_of_a_lost_sender_is_taken_again(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    let first = desk.take(OVER).await;
    let second = desk.take(LONG).await;
    assert_eq!((first[0].name.tries, second[0].name.tries), (1, 2));
    desk.finish(&first[0], NextStep::Dead { rest: OVER }).await;
    assert_eq!(desk.states(1).await, ["pending"], "the later lease counts");
    desk.finish(&second[0], NextStep::Sent).await;
    assert_eq!(desk.states(1).await, ["sent"]);
}

pub async fn failed_delivery_waits_for_its_pause(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    let due = desk.take(LONG).await;
    desk.finish(&due[0], NextStep::Retry { pause: LONG, rest: OVER }).await;
    assert!(desk.take(LONG).await.is_empty(), "the pause is not over");
    let listed = desk.listed(1, Some("pending")).await;
    assert!(listed[0].next_at.is_some_and(|next| next > gateway::clock::now()));
    assert!(listed[0].attempts.get().contains("refused"), "{}", listed[0].attempts);
}

pub async fn success_makes_waiting_deliveries_due(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2]).await;
    let due = desk.take(LONG).await;
    desk.finish(&due[0], NextStep::Retry { pause: LONG, rest: OVER }).await;
    desk.finish(&due[1], NextStep::Sent).await;
    let again = desk.take(LONG).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].name.tries, again[0].failures), (2, 0));
}

pub async fn failing_webhook_delays_no_other(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.store(webhook(2)).await;
    desk.happen(&[1, 2, 3]).await;
    for _ in 0..PROBE_FROM {
        let due = desk.take(LONG).await;
        for due in due.iter().filter(|due| due.name.of.webhook == id(1)) {
            desk.finish(due, again(OVER)).await;
        }
    }
    desk.happen(&[4]).await;
    let due = desk.take(OVER).await;
    assert_eq!(receivers(&due), ["1", "2"], "a failing webhook gets one at a time");
    let probe = due.iter().find(|due| due.name.of.webhook == id(1)).expect("it is there");
    let busy = UnderWay::from([(probe.name.of.clone(), 1)]);
    assert!(!receivers(&desk.take_beside(10, OVER, &busy).await).contains(&"1"));
    let probe = desk.take(OVER).await.into_iter().find(|due| due.name.of.webhook == id(1));
    desk.finish(&probe.expect("it is there"), again(LONG)).await;
    let queues = desk.sides.queries.webhook_queues(&tenant()).await.expect("the authority answers");
    assert!(queues[0].failures > PROBE_FROM && queues[1].failures == 0, "{queues:?}");
    assert!(!receivers(&desk.take(OVER).await).contains(&"1"), "it rests");
}

pub async fn places_of_a_webhook_are_bounded(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2, 3]).await;
    let due = desk.take_beside(2, LONG, &UnderWay::new()).await;
    assert_eq!(due.len(), 2);
    let busy = UnderWay::from([(due[0].name.of.clone(), 2)]);
    assert!(desk.take_beside(2, LONG, &busy).await.is_empty());
    let busy = UnderWay::from([(due[0].name.of.clone(), 1)]);
    assert_eq!(desk.take_beside(2, LONG, &busy).await.len(), 1);
}

pub async fn paused_webhook_keeps_its_events(desk: &mut Desk<'_>) {
    let paused = Webhook { state: WebhookState::Paused, ..webhook(1) };
    desk.store(paused).await;
    desk.happen(&[1]).await;
    assert!(desk.take(LONG).await.is_empty());
    desk.store(webhook(1)).await;
    assert_eq!(desk.take(LONG).await.len(), 1);
}

pub async fn disabled_webhook_gets_nothing_new(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    desk.store(Webhook { state: WebhookState::Disabled, ..webhook(1) }).await;
    desk.happen(&[2]).await;
    assert!(desk.take(LONG).await.is_empty());
    desk.store(webhook(1)).await;
    assert_eq!(desk.take(LONG).await.len(), 1, "what it had waits");
}

pub async fn changed_address_and_rotated_secret_count_at_once(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    let mut changed = webhook(1);
    changed.settings.url = "https://hooks.example/new".to_owned();
    let (secret, first) = (Position { epoch: 7, version: 4 }, changed.secret);
    changed.secret = secret;
    changed.previous = Some(PreviousSecret { secret: first, until: 99 });
    desk.store(changed.clone()).await;
    let due = desk.take(LONG).await;
    assert_eq!(receivers(&due), ["new"]);
    assert_eq!((due[0].secret, due[0].previous), (secret, changed.previous));
}

pub async fn deleted_webhook_loses_its_queue(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.store(webhook(2)).await;
    desk.happen(&[1, 2, 3]).await;
    desk.commit(Vec::new(), vec![WebhookChange::Delete(id(1))]).await;
    assert_eq!(receivers(&desk.take(OVER).await), ["2", "2", "2"]);
    desk.carry_out().await;
    assert!(desk.listed(1, None).await.is_empty());
    assert_eq!(desk.listed(2, None).await.len(), 3);
}

pub async fn full_queue_makes_dead_letters(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2]).await;
    desk.sides.store.count().await.expect("the store answers");
    desk.commit(vec![event("riverside", 3)], Vec::new()).await;
    desk.queue(2).await;
    assert_eq!(desk.states(1).await, ["pending", "pending", "dead"]);
}

pub async fn dead_letters_are_replayed(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2, 3]).await;
    for due in desk.take(LONG).await {
        desk.finish(&due, NextStep::Dead { rest: OVER }).await;
    }
    assert_eq!(desk.listed(1, Some("dead")).await.len(), 3);
    let replay = WebhookChange::Replay(id(1), Replay::Dead {});
    desk.commit(Vec::new(), vec![replay]).await;
    desk.carry_out().await;
    let due = desk.take(LONG).await;
    assert_eq!(due.len(), 3);
    assert!(due.iter().all(|due| due.name.tries == 1), "with all their attempts");
    assert!(desk.listed(1, Some("dead")).await.is_empty());
}

pub async fn one_event_is_replayed(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2]).await;
    for due in desk.take(LONG).await {
        desk.finish(&due, NextStep::Sent).await;
    }
    let asked = event("riverside", 2).event;
    let replay = WebhookChange::Replay(id(1), Replay::Event { event: asked.clone() });
    desk.commit(Vec::new(), vec![replay]).await;
    desk.carry_out().await;
    let due = desk.take(LONG).await;
    assert!(due.len() == 1 && due[0].event == asked);
}

pub async fn events_of_a_time_are_replayed(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    let versions: Vec<u64> = (1..=7).map(|number| number * 1_000).collect();
    desk.happen(&versions).await;
    for due in desk.take(LONG).await {
        desk.finish(&due, NextStep::Sent).await;
    }
    let all = desk.listed(1, None).await;
    assert_eq!(all.len(), 7);
    let (from, until) = (all[5].at, all[0].at);
    let replay = WebhookChange::Replay(id(1), Replay::Time { from, until });
    desk.commit(Vec::new(), vec![replay]).await;
    desk.carry_out().await;
    assert_eq!(desk.take(LONG).await.len(), 5, "without the first and the last");
}

pub async fn old_deliveries_die_and_are_forgotten(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1]).await;
    let sweep = async |give_up, keep| {
        desk.sides.store.sweep(give_up, keep, 10).await.expect("the store answers")
    };
    assert_eq!(sweep(LONG, LONG).await, (0, false));
    assert_eq!(desk.states(1).await, ["pending"]);
    // The clock of the store has moved on by then.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(sweep(OVER, LONG).await, (1, false));
    assert_eq!(desk.states(1).await, ["dead"]);
    sweep(LONG, OVER).await;
    assert!(desk.listed(1, None).await.is_empty());
}

pub async fn totals_count_what_waits(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.happen(&[1, 2, 3]).await;
    let due = desk.take(LONG).await;
    desk.finish(&due[0], NextStep::Sent).await;
    desk.finish(&due[1], NextStep::Dead { rest: OVER }).await;
    let totals = desk.sides.store.count().await.expect("the store answers");
    assert_eq!((totals.pending, totals.dead, totals.failing), (1, 1, 1), "{totals:?}");
}

pub async fn list_has_pages_of_one_webhook(desk: &mut Desk<'_>) {
    desk.store(webhook(1)).await;
    desk.store(webhook(2)).await;
    desk.happen(&[1, 2, 3]).await;
    let mut asked = DeliveriesQuery { webhook: id(1), state: None, after: None, limit: 2 };
    let queries = desk.sides.queries;
    let first = queries.webhook_deliveries(&tenant(), &asked).await.expect("an answer");
    assert_eq!(first.len(), 2);
    assert!(first[0].event == event("riverside", 3).event && first[0].kind == "ticket.called");
    asked.after = Some(first[1].place);
    let second = queries.webhook_deliveries(&tenant(), &asked).await.expect("an answer");
    assert!(second.len() == 1 && second[0].event == event("riverside", 1).event);
    let other = TenantId::new("other").expect("a name");
    let foreign = queries.webhook_deliveries(&other, &asked).await.expect("an answer");
    assert!(foreign.is_empty());
}

/// Calls `$run!` with the names of the promises of the store of webhooks.
#[macro_export]
macro_rules! webhook_promises {
    ($run:ident) => {
        $run! {
            every_webhook_gets_each_event_once,
            webhooks_of_a_suspended_tenant_rest,
            events_keep_their_order,
            filter_selects_kinds_and_locations,
            test_reaches_its_webhook_alone,
            delivery_of_a_lost_sender_is_taken_again,
            failed_delivery_waits_for_its_pause,
            success_makes_waiting_deliveries_due,
            failing_webhook_delays_no_other,
            places_of_a_webhook_are_bounded,
            paused_webhook_keeps_its_events,
            disabled_webhook_gets_nothing_new,
            changed_address_and_rotated_secret_count_at_once,
            deleted_webhook_loses_its_queue,
            full_queue_makes_dead_letters,
            dead_letters_are_replayed,
            one_event_is_replayed,
            events_of_a_time_are_replayed,
            old_deliveries_die_and_are_forgotten,
            totals_count_what_waits,
            list_has_pages_of_one_webhook,
        }
    };
}
