use schemas::{
    ids::{Aggregate, LocationId, TenantId},
    record::ViewsRecord,
    view::Position,
};

use super::*;
use crate::stream::test_backends::test_node;

/// An intake without shards.
fn intake() -> Intake {
    Intake::new(test_node(), Vec::new())
}

fn record(version: u64) -> WireRecord {
    let tenant = TenantId::new("demo").unwrap();
    let aggregate = Aggregate::location(&tenant, &LocationId::new("riverside").unwrap());
    let position = Position { epoch: 7, version };
    let record = ViewsRecord { position, at: 1, deltas: Vec::new(), reload: false, outcome: None };
    record.to_wire(&aggregate)
}

/// Runs the intake over a feed until it ends.
async fn run(intake: Intake, feed: impl IntoIterator<Item = FeedItem>) {
    let (sender, receiver) = mpsc::channel(16);
    for fed in feed {
        sender.send(fed).await.unwrap_or_else(|_| panic!("the feed has room"));
    }
    drop(sender);
    intake.run(receiver).await;
}

#[tokio::test]
async fn record_moves_lag_and_tail_bytes() {
    let intake = intake();
    let node = intake.node.clone();
    let (metrics, tails) = (&node.metrics, &node.tails);
    let appended_at = clock::now() - 2_500;
    run(intake, [FeedItem::Record { record: record(1), appended_at }]).await;
    let lag = metrics.intake.lag_seconds.get();
    assert!((2.5..60.0).contains(&lag), "{lag}");
    assert!(metrics.intake.tail_bytes.get() > 0);
    assert_eq!(metrics.intake.tail_bytes.get(), i64::try_from(tails.bytes()).unwrap());
    assert_eq!((metrics.intake.records.get(), metrics.intake.refused.get()), (1, 0));
}

#[tokio::test]
async fn record_from_the_future_has_no_lag() {
    let intake = intake();
    let node = intake.node.clone();
    let metrics = &node.metrics;
    metrics.intake.lag_seconds.set(9.0);
    let appended_at = clock::now() + 60_000;
    run(intake, [FeedItem::Record { record: record(1), appended_at }]).await;
    assert!(metrics.intake.lag_seconds.get().abs() < f64::EPSILON);
}

#[tokio::test]
async fn unreadable_headers_are_counted_as_refused() {
    let intake = intake();
    let node = intake.node.clone();
    let (metrics, tails) = (&node.metrics, &node.tails);
    let unreadable = WireRecord { headers: Vec::new(), ..record(1) };
    run(intake, [FeedItem::Record { record: unreadable, appended_at: clock::now() }]).await;
    assert_eq!((metrics.intake.records.get(), metrics.intake.refused.get()), (1, 1));
    assert_eq!(tails.bytes(), 0);
}

#[tokio::test]
async fn loss_of_records_empties_the_tails() {
    let intake = intake();
    let node = intake.node.clone();
    let metrics = &node.metrics;
    run(
        intake,
        [FeedItem::Record { record: record(1), appended_at: clock::now() }, FeedItem::Lost],
    )
    .await;
    assert_eq!(metrics.intake.tail_bytes.get(), 0);
}
