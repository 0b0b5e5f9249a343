//! The only reader of `clinicwire.views.v1`: keeps the tails, hands each shard the records it listens to, and
//! answers commands that wait here.

use std::sync::Arc;

use schemas::record::{ViewsHead, ViewsRecord, WireRecord};
use tokio::sync::mpsc;

use crate::{
    backends::log::Fed,
    commands::Commands,
    metrics::{Metrics, Readiness},
    stream::shard::ToShard,
    stream::tails::{Pushed, Step, Tails},
};

/// Messages a shard may leave unread, a few milliseconds of its work. Past it intake waits, and with it the
/// whole node falls behind rather than grow.
pub const SHARD_INBOX: usize = 4096;

pub struct Intake {
    pub tails: Arc<Tails>,
    pub shards: Vec<mpsc::Sender<ToShard>>,
    pub commands: Arc<Commands>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

impl Intake {
    /// Runs until the log ends.
    pub async fn run(self, mut feed: mpsc::Receiver<Fed>) {
        while let Some(fed) = feed.recv().await {
            match fed {
                Fed::Record(record) => self.take(record).await,
                Fed::CaughtUp => self.readiness.set_caught_up(true),
                Fed::Lost => {
                    tracing::warn!("records of views were lost; every live view is loaded again");
                    self.tails.clear();
                    for shard in &self.shards {
                        let _ = shard.send(ToShard::Reload).await;
                    }
                }
            }
        }
    }

    async fn take(&self, record: WireRecord) {
        self.metrics.intake_records.inc();
        let head = match ViewsHead::from_wire(&record) {
            Ok(head) => head,
            Err(code) => {
                tracing::error!(%code, "a record of views was skipped");
                return;
            }
        };
        if let Some(command) = &head.command {
            let tenant = head.aggregate.tenant();
            if self.commands.is_awaited(&tenant, command)
                && let Ok(ViewsRecord { outcome: Some(outcome), .. }) =
                    ViewsRecord::from_value(&record.value)
            {
                self.commands.answer(&tenant, outcome);
            }
        }
        let step = Arc::new(Step::new(head.aggregate, head.position, record.value));
        if let Pushed::Hear(shards) = self.tails.push(&step) {
            for (index, shard) in self.shards.iter().enumerate() {
                if shards & (1 << index) != 0 {
                    let _ = shard.send(ToShard::Step(step.clone())).await;
                }
            }
        }
    }
}
