//! Conformance of the alert store: a ledger adds devices and alerts, a sender takes them. A sender
//! takes any due alert, so each promise needs a store of its own.

use std::{collections::BTreeSet, time::Duration};

use processors::{
    alerts::{Alert, AlertChange, AlertRow, AlertStore, DueAlert},
    ledger::{Batch, Ledger, PartitionClaim},
    log::PartitionId,
};
use schemas::{
    ids::{LocationId, TenantId, TicketId},
    push::{AlertKind, PushDevice, PushKeys},
};

/// The backends under test.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub store: &'a dyn AlertStore,
    pub ledger: &'a dyn Ledger,
}

/// A lease that no test outlives, and one that is over at once.
const LONG: Duration = Duration::from_secs(600);
const OVER: Duration = Duration::ZERO;

fn tenant() -> TenantId {
    TenantId::new("demo").expect("a name")
}

fn ticket(number: u128) -> TicketId {
    let location = LocationId::new("riverside").expect("a name");
    TicketId::from_random(&location, number)
}

fn device(path: &str) -> PushDevice {
    let keys = PushKeys { p256dh: "A".repeat(87), auth: "B".repeat(22) };
    PushDevice { endpoint: format!("https://push.example/{path}"), keys }
}

fn subscribe(number: u128, path: &str) -> AlertChange {
    AlertChange::Subscribe { ticket: ticket(number), device: device(path) }
}

fn send(number: u128, kind: AlertKind) -> AlertChange {
    let room = (kind == AlertKind::Called).then(|| "Room 3".to_owned());
    AlertChange::Send(Alert { ticket: ticket(number), kind, label: "A-042".into(), room, at: 7 })
}

/// A ledger that commits changes, and a sender.
pub struct Desk<'a> {
    sides: Sides<'a>,
    claim: PartitionClaim,
}

impl<'a> Desk<'a> {
    pub async fn open(sides: Sides<'a>) -> Self {
        let claim = sides.ledger.claim(PartitionId(0)).await.expect("the ledger answers");
        Self { sides, claim }
    }

    async fn commit(&mut self, changes: Vec<AlertChange>) {
        let row = |change| AlertRow { tenant: tenant(), change };
        let alerts = changes.into_iter().map(row).collect();
        let (claim, to) = (self.claim, self.claim.next_offset.next());
        let batch = Batch { alerts, ..Batch::without_rows(claim, to) };
        self.sides.ledger.commit(&batch).await.expect("the ledger commits");
        self.claim.next_offset = to;
    }

    async fn take(&self, lease: Duration) -> Vec<DueAlert> {
        let nobody = BTreeSet::new();
        self.sides
            .store
            .take(10, lease, &nobody, &BTreeSet::new())
            .await
            .expect("the store answers")
    }

    async fn kinds(&self, lease: Duration) -> Vec<AlertKind> {
        self.take(lease).await.iter().map(|due| due.alert.kind).collect()
    }

    async fn devices(&self, number: u128) -> usize {
        self.sides.store.devices(&tenant(), &ticket(number)).await.expect("the store answers")
    }
}

pub async fn alerts_of_a_suspended_tenant_rest(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a")]).await;
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    let (nobody, suspended) = (BTreeSet::new(), BTreeSet::from([tenant()]));
    let taken = desk.sides.store.take(10, LONG, &nobody, &suspended).await;
    assert!(taken.expect("the store answers").is_empty(), "it is suspended");
    assert_eq!(desk.kinds(LONG).await, [AlertKind::Called], "the alert waited");
}

pub async fn every_device_gets_the_alert_once(desk: &mut Desk<'_>) {
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    assert!(desk.take(LONG).await.is_empty(), "nobody subscribed");
    desk.commit(vec![subscribe(1, "a"), subscribe(1, "b"), subscribe(2, "c")]).await;
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    let due = desk.take(LONG).await;
    let mut endpoints: Vec<_> = due.iter().map(|due| due.device.endpoint.clone()).collect();
    endpoints.sort();
    assert_eq!(endpoints, ["https://push.example/a", "https://push.example/b"]);
    for due in &due {
        let Alert { ticket: of, kind, label, room, at } = &due.alert;
        assert!(*of == ticket(1) && *kind == AlertKind::Called && label == "A-042" && *at == 7);
        assert_eq!(room.as_deref(), Some("Room 3"));
        assert!(due.name.device == due.device.id() && due.device.keys == device("a").keys);
        assert_eq!(due.tries, 1);
    }
    assert!(desk.take(LONG).await.is_empty(), "they are under a lease");
    for due in &due {
        desk.sides.store.end(&due.name).await.expect("the store answers");
    }
    desk.commit(Vec::new()).await;
    assert!(desk.take(LONG).await.is_empty(), "they were sent");
}

pub async fn alert_of_a_lost_sender_is_taken_again(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a"), send(1, AlertKind::Near)]).await;
    let first = desk.take(OVER).await;
    let second = desk.take(LONG).await;
    assert!(first[0].name == second[0].name);
    assert_eq!((first[0].tries, second[0].tries), (1, 2));
}

pub async fn alert_is_tried_again_after_its_pause(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a"), send(1, AlertKind::Near)]).await;
    let due = desk.take(LONG).await;
    desk.sides.store.retry(&due[0].name, LONG).await.expect("the store answers");
    assert!(desk.take(LONG).await.is_empty(), "the pause is not over");
    desk.sides.store.retry(&due[0].name, OVER).await.expect("the store answers");
    assert_eq!(desk.take(LONG).await[0].tries, 2);
}

pub async fn newer_alert_replaces_an_older_one(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a"), send(1, AlertKind::Near)]).await;
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    assert_eq!(desk.kinds(OVER).await, [AlertKind::Called]);
    let older = desk.take(LONG).await;
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    desk.sides.store.end(&older[0].name).await.expect("the store answers");
    let newer = desk.take(LONG).await;
    assert_eq!(newer.len(), 1, "the end of the older one leaves it");
    assert!(newer[0].name != older[0].name);
    assert_eq!(newer[0].tries, 1);
}

pub async fn withdrawn_alert_is_not_sent(desk: &mut Desk<'_>) {
    let withdraw = AlertChange::Withdraw { ticket: ticket(1) };
    desk.commit(vec![subscribe(1, "a"), subscribe(2, "b")]).await;
    desk.commit(vec![send(1, AlertKind::Called), send(2, AlertKind::Near)]).await;
    desk.commit(vec![withdraw.clone()]).await;
    assert_eq!(desk.kinds(OVER).await, [AlertKind::Near]);
    desk.commit(vec![send(1, AlertKind::Called), withdraw]).await;
    assert_eq!(desk.kinds(OVER).await, [AlertKind::Near], "in one batch as well");
    assert_eq!(desk.devices(1).await, 1);
}

pub async fn forgotten_ticket_keeps_its_last_alert(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a"), subscribe(2, "b")]).await;
    let forget = AlertChange::Forget { ticket: ticket(1) };
    desk.commit(vec![send(1, AlertKind::Moved), forget]).await;
    assert_eq!((desk.devices(1).await, desk.devices(2).await), (0, 1));
    assert_eq!(desk.kinds(LONG).await, [AlertKind::Moved]);
    desk.commit(vec![send(1, AlertKind::Called)]).await;
    assert!(desk.take(LONG).await.is_empty());
}

pub async fn unsubscribed_device_gets_nothing(desk: &mut Desk<'_>) {
    let gone = AlertChange::Unsubscribe { ticket: ticket(1), device: device("a").id() };
    desk.commit(vec![subscribe(1, "a"), subscribe(1, "b"), send(1, AlertKind::Near)]).await;
    desk.commit(vec![gone.clone()]).await;
    let due = desk.take(OVER).await;
    assert_eq!(due.len(), 1, "a due alert ends with its device");
    assert_eq!(due[0].device.endpoint, "https://push.example/b");
    desk.commit(vec![gone, subscribe(1, "a")]).await;
    assert_eq!(desk.devices(1).await, 2, "the last change counts");
}

pub async fn gone_device_is_removed_from_its_ticket(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a"), subscribe(2, "a"), send(1, AlertKind::Near)]).await;
    let due = desk.take(OVER).await;
    desk.sides.store.remove_device(&due[0].name).await.expect("the store answers");
    assert!(desk.take(LONG).await.is_empty());
    assert_eq!((desk.devices(1).await, desk.devices(2).await), (0, 1));
}

pub async fn busy_services_are_left_alone(desk: &mut Desk<'_>) {
    let other = PushDevice { endpoint: "https://other.example:8443/x".into(), ..device("a") };
    let subscribe_other = AlertChange::Subscribe { ticket: ticket(1), device: other };
    desk.commit(vec![subscribe(1, "a"), subscribe_other, send(1, AlertKind::Near)]).await;
    let busy = BTreeSet::from(["https://other.example:8443".to_owned()]);
    let due =
        desk.sides.store.take(10, OVER, &busy, &BTreeSet::new()).await.expect("the store answers");
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].origin(), "https://push.example");
    let one = desk
        .sides
        .store
        .take(1, LONG, &BTreeSet::new(), &BTreeSet::new())
        .await
        .expect("the store answers");
    assert_eq!(one.len(), 1, "no more than asked for");
}

pub async fn old_devices_are_swept(desk: &mut Desk<'_>) {
    desk.commit(vec![subscribe(1, "a")]).await;
    assert_eq!(desk.sides.store.sweep(LONG).await.expect("the store answers"), 0);
    // The clock of the store has moved on by then.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(desk.sides.store.sweep(OVER).await.expect("the store answers"), 1);
    assert_eq!(desk.devices(1).await, 0);
}

/// Calls `$run!` with the names of the promises of the alert store.
#[macro_export]
macro_rules! alert_promises {
    ($run:ident) => {
        $run! {
            every_device_gets_the_alert_once,
            alerts_of_a_suspended_tenant_rest,
            alert_of_a_lost_sender_is_taken_again,
            alert_is_tried_again_after_its_pause,
            newer_alert_replaces_an_older_one,
            withdrawn_alert_is_not_sent,
            forgotten_ticket_keeps_its_last_alert,
            unsubscribed_device_gets_nothing,
            gone_device_is_removed_from_its_ticket,
            busy_services_are_left_alone,
            old_devices_are_swept,
        }
    };
}
