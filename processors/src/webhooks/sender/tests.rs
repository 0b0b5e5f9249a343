use schemas::{
    ids::{EventId, TenantId, WebhookId},
    view::Position,
};

use super::{super::DeliveryName, *};
use crate::webhooks::{MAX_TRIES, PROBE_FROM};

fn due(tries: u32, failures: u32) -> DueDelivery {
    let of =
        WebhookName { tenant: TenantId::new("demo").unwrap(), webhook: WebhookId::from_random(1) };
    DueDelivery {
        name: DeliveryName { of, seq: 1, tries },
        event: EventId::from_random(2),
        at: 0,
        body: "{}".to_owned(),
        url: "https://hooks.example".to_owned(),
        secret: Position::default(),
        previous: None,
        failures,
    }
}

fn answer(result: AttemptResult, pause: Option<Duration>) -> Answer {
    Answer { result, status: None, pause }
}

#[test]
fn delivery_dies_after_its_last_attempt() {
    let refused = answer(AttemptResult::Refused, None);
    assert!(matches!(next_step(&due(MAX_TRIES - 1, 0), &refused), NextStep::Retry { .. }));
    assert!(matches!(next_step(&due(MAX_TRIES, 0), &refused), NextStep::Dead { .. }));
    let gone = answer(AttemptResult::Gone, None);
    assert!(matches!(next_step(&due(1, 0), &gone), NextStep::Dead { .. }));
    let sent = answer(AttemptResult::Sent, None);
    assert_eq!(next_step(&due(1, 9), &sent), NextStep::Sent);
}

#[test]
fn receiver_chooses_a_longer_pause_within_a_day() {
    let asks = |seconds| answer(AttemptResult::Refused, Some(Duration::from_secs(seconds)));
    let hour = Duration::from_secs(3600);
    assert_eq!(next_step(&due(1, 0), &asks(3600)), NextStep::Retry { pause: hour, rest: hour });
    let NextStep::Retry { pause, .. } = next_step(&due(1, 0), &asks(1_000_000)) else { panic!() };
    assert_eq!(pause, LONGEST_ASKED);
}

#[test]
fn failing_webhook_rests_before_its_next_probe() {
    let refused = answer(AttemptResult::TimedOut, None);
    let rest = |failures| match next_step(&due(1, failures), &refused) {
        NextStep::Retry { rest, .. } => rest,
        other => panic!("{other:?}"),
    };
    assert_eq!(rest(0), Duration::ZERO);
    assert!(rest(PROBE_FROM) > Duration::ZERO);
}
