//! Intake: the only reader of `clinicwire.views.v1` in a node. It keeps the tails, sends each shard
//! the records of the aggregates that it listens to, and answers the commands that wait for their
//! outcome.

use std::sync::Arc;

use schemas::{
    Millis,
    record::{PublishedOutcome, VIEWS_TOPIC, ViewsHead, WireRecord},
};
use telemetry::{Attribute, OpenSpan, SpanKind, TraceContext};
use tokio::sync::mpsc;

use crate::{
    backends::log::FeedItem,
    clock,
    context::NodeContext,
    inbox::ShardMessage,
    readiness::Condition,
    throttle::Throttle,
    views::{
        shard_set::ShardIndex,
        tails::{PushOutcome, TailRecord},
    },
};

/// Messages that a shard may leave unread, which is a few milliseconds of its work. When its inbox
/// is full, intake waits: the whole node falls behind, but its memory does not grow.
pub const SHARD_INBOX: usize = 4096;

pub struct Intake {
    node: Arc<NodeContext>,
    shards: Vec<mpsc::Sender<ShardMessage>>,
    missed: Throttle,
}

impl Intake {
    pub fn new(node: Arc<NodeContext>, shards: Vec<mpsc::Sender<ShardMessage>>) -> Self {
        Self { node, shards, missed: Throttle::default() }
    }

    /// Runs until the log ends.
    pub async fn run(mut self, mut feed: mpsc::Receiver<FeedItem>) {
        while let Some(fed) = feed.recv().await {
            match fed {
                FeedItem::Record { record, appended_at } => {
                    self.report_lag(appended_at);
                    self.take(record).await;
                }
                FeedItem::CaughtUp => {
                    self.node.readiness.set(Condition::CatchingUp, false);
                }
                FeedItem::Lost => {
                    tracing::warn!("records of views were lost; every hot view is fetched again");
                    self.node.tails.clear();
                    self.report_tail_bytes();
                    for shard in &self.shards {
                        let _ = shard.send(ShardMessage::Refetch).await;
                    }
                }
            }
        }
    }

    async fn take(&mut self, record: WireRecord) {
        self.node.metrics.intake.records.inc();
        let mut span = self.begin_span(&record);
        let head = match ViewsHead::from_wire(&record) {
            Ok(head) => head,
            Err(code) => {
                self.node.metrics.intake.refused.inc();
                tracing::error!(%code, "a record of views was skipped");
                return;
            }
        };
        if let Some(command) = &head.command
            && self.node.commands.is_awaited(&command.identity)
            && let Ok(Some(published)) = PublishedOutcome::from_value(&record.value)
        {
            self.node.commands.answer(command, &published.outcome);
        }
        let refused = self.node.metrics.intake.refused.clone();
        let record = TailRecord::new(head.aggregate, head.position, record.value, refused);
        let record = record.with_trace(span.as_ref().map(|span| span.context().clone()));
        let record = Arc::new(record);
        let pushed = self.node.tails.push(&record);
        self.report_tail_bytes();
        let (shards, follows) = match pushed {
            PushOutcome::Stale => return,
            PushOutcome::News(shards) => (shards, true),
            PushOutcome::Missed { shards, missed } => {
                self.report_missed(missed);
                (shards, false)
            }
        };
        if let Some(span) = &mut span {
            let sent_to = (0..self.shards.len()).map(ShardIndex::from_index);
            let count = sent_to.filter(|index| shards.contains(*index)).count();
            span.add(Attribute::Shards(count as u64));
        }
        for (index, inbox) in self.shards.iter().enumerate() {
            if shards.contains(ShardIndex::from_index(index)) {
                let message = match follows {
                    true => ShardMessage::Record(record.clone()),
                    false => ShardMessage::Missed(record.aggregate.clone()),
                };
                let _ = inbox.send(message).await;
            }
        }
    }

    /// Begins the span of a record whose trace is recorded.
    fn begin_span(&self, record: &WireRecord) -> Option<OpenSpan> {
        // A node that starts reads old records again.
        let is_catching_up = self.node.readiness.holds(Condition::CatchingUp);
        if !self.node.tracer.is_on() || is_catching_up {
            return None;
        }
        let parent = TraceContext::from_headers(&record.headers)?;
        let (tracer, context) = (self.node.tracer.clone(), parent.child());
        let name = "receive clinicwire.views.v1";
        let mut span =
            OpenSpan::begin(tracer, context, Some(parent.span), name, SpanKind::Consumer);
        span.add(Attribute::Topic(VIEWS_TOPIC));
        Some(span)
    }

    fn report_missed(&mut self, missed: u64) {
        self.node.metrics.intake.missed.inc_by(missed);
        if let Some(records) = self.missed.add(missed) {
            tracing::warn!(
                records,
                "records of aggregates are missing from the topic of views; their hot views are \
                 fetched again"
            );
        }
    }

    /// Reports how old a record is when it is read. The clocks of the log and of this node may
    /// differ.
    fn report_lag(&self, appended_at: Millis) {
        let lag_ms = (clock::now() - appended_at).max(0);
        self.node.metrics.intake.lag_seconds.set(lag_ms as f64 / 1000.0);
    }

    fn report_tail_bytes(&self) {
        self.node
            .metrics
            .intake
            .tail_bytes
            .set(i64::try_from(self.node.tails.bytes()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
