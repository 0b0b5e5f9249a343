//! Records of a suspended tenant.

use std::sync::Arc;

use processors::tenants::Tenants;
use schemas::{
    ids::TenantId,
    log::FeedItem,
    record::{Actor, CommandRecord},
    tenant::{StoredTenant, TenantQuotas, TenantSettings},
};
use tokio::{sync::mpsc, time::sleep};

use super::*;

fn demo() -> TenantId {
    TenantId::new("demo").unwrap()
}

/// The request of a person at a gateway.
fn asked(id: &str, number: u64) -> WireRecord {
    let actor = Actor { subject: "ann".to_owned(), role: "reception".to_owned() };
    let record = here().record(id, issue(&here(), number));
    CommandRecord { actor: Some(actor), source: "clinicwire-gateway".to_owned(), ..record }
        .to_wire()
}

/// A fact of another system, through a bridge.
fn told(place: &SampleLocation, id: &str, number: u64) -> WireRecord {
    let source = "clinicwire-bridge/his".to_owned();
    CommandRecord { source, ..place.record(id, issue(place, number)) }.to_wire()
}

#[tokio::test(start_paused = true)]
async fn suspended_tenant_loses_no_fact_and_decides_no_request() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let tenants = Tenants::none();
    let limited = runner::RunnerSettings { parked_limit: 2, ..settings() };
    let limited = runner::RunnerSettings { tenants: Arc::clone(&tenants), ..limited };
    run(backends(&memory, &Faults::none()), limited);
    let other = SampleLocation::new("other", "riverside");
    send_all(&memory, [opening(&here()), opening(&other)].concat()).await;
    quiet(&memory).await;
    let before = memory.ledger.journal().len();

    tenants.set_suspended(demo(), true);
    let facts: Vec<_> = (2..6).map(|n| told(&here(), &format!("told-{n}"), n)).collect();
    send(&memory, asked("asked", 1)).await;
    send_all(&memory, facts.clone()).await;
    send(&memory, told(&other, "elsewhere", 1)).await;
    assert_eq!(code(&heard.outcome("asked").await), Some(Code::TenantSuspended));
    assert_eq!(code(&heard.outcome("elsewhere").await), None, "another tenant goes on");
    quiet(&memory).await;
    let journal = memory.ledger.journal().split_off(before);
    let parked: Vec<_> = journal
        .iter()
        .filter_map(|(_, row)| match &row.entry {
            JournalEntry::Parked { code: Code::TenantSuspended, record } => Some(record.clone()),
            _ => None,
        })
        .collect();
    assert!(parked == facts, "every fact is kept as it came");

    tenants.set_suspended(demo(), false);
    send_all(&memory, parked).await;
    send_all(&memory, vec![asked("asked", 1), asked("asked-anew", 1)]).await;
    for id in ["told-2", "told-5"] {
        until("the fact counts", async || heard.outcomes(id).len() == 2).await;
        assert_eq!(code(&heard.outcomes(id)[1]), None, "{id}");
    }
    assert_eq!(code(&heard.outcome("asked-anew").await), None);
    let again = heard.outcomes("asked");
    assert_eq!(again.len(), 2, "decided once: a repeat gets the first outcome");
    assert_eq!(code(&again[1]), Some(Code::TenantSuspended));
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_before_the_tenants_are_known() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let tenants = Tenants::unread();
    let waiting = runner::RunnerSettings { tenants: Arc::clone(&tenants), ..settings() };
    run(backends(&memory, &Faults::none()), waiting);
    send_all(&memory, opening(&here())).await;
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert!(heard.all().is_empty());
    let (feed, items) = mpsc::channel(1);
    tokio::spawn(async move { tenants.follow(items).await });
    feed.send(FeedItem::CaughtUp).await.unwrap();
    quiet(&memory).await;
    assert!(!heard.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn quotas_of_a_location_count_for_new_things_alone() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let tenants = Tenants::none();
    let own = runner::RunnerSettings { tenants: Arc::clone(&tenants), ..settings() };
    run(backends(&memory, &Faults::none()), own);
    send_all(&memory, [opening(&here()), vec![asked("first", 1), asked("second", 2)]].concat())
        .await;
    quiet(&memory).await;
    let quotas = TenantQuotas { live_tickets: Some(2), queues: Some(1), ..TenantQuotas::default() };
    let settings = TenantSettings { quotas, ..TenantSettings::default() };
    tenants.set_settings(demo(), StoredTenant { settings, created_at: 0, edition: 1, by: None });
    let queue = |id: &str, name: &str, prefix: &str| {
        here().record(id, here().configure_queue(name, prefix)).to_wire()
    };
    let left = here().record("left", Command::LeaveTicket { ticket: here().ticket(1) });
    send_all(
        &memory,
        vec![
            asked("third", 3),
            queue("another-queue", "lab", "L"),
            queue("the-same-queue", "general", "A"),
            left.to_wire(),
            asked("fourth", 4),
        ],
    )
    .await;
    for (id, expected) in [
        ("third", Some(Code::QuotaReached)),
        ("another-queue", Some(Code::QuotaReached)),
        ("the-same-queue", None),
        ("left", None),
        ("fourth", None),
    ] {
        assert_eq!(code(&heard.outcome(id).await), expected, "{id}");
    }
    quiet(&memory).await;
    check(&memory, &heard).await;
}
