//! Copies dirty views from the ledger to the view store, beside the tasks of the partitions: right
//! after a batch marked them, and once a second while the store does not answer. A store that lost
//! its data, or came back with old data, is filled again at the same rate.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use schemas::view::Position;
use tokio::time::{Instant, sleep, timeout};

use super::{answered, shared::RunnerContext};
use crate::{
    ledger::{LedgerError, ViewName},
    log::PartitionId,
    refill::Refill,
    views::{Coverage, ViewStoreError},
};

/// Views repaired in one pass over one partition.
pub(super) const REPAIRS: u32 = 50;
/// Pause between two passes over a partition: at most 500 views a second, so that filling an
/// emptied store takes a small part of the ledger's time.
const PASS_PAUSE: Duration = Duration::from_millis(100);
/// How often the store is asked whether it was emptied, restarted or replaced: one small request
/// for each partition.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the ledger is asked for marks that nobody told of: a call that timed out, or that of a
/// dead owner, can take effect later. One small query for each partition.
const SEARCH_EVERY: Duration = Duration::from_secs(30);
/// How long the store may take to note the heads of all partitions. The next look tries again.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);
/// Pause after a failure of either store.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Repairs for ever.
pub(super) async fn run(shared: Arc<RunnerContext>) -> Infallible {
    let mut refilling = RefillPass {
        shared: &shared,
        refills: BTreeMap::new(),
        look_at: Instant::now(),
        heads_noted: true,
    };
    let mut search_at = Instant::now() + SEARCH_EVERY;
    loop {
        if search_at <= Instant::now() {
            search_at = Instant::now() + SEARCH_EVERY;
            shared.dirty.all().keys().for_each(|partition| shared.dirty.left(*partition));
        }
        let mut pause = match refilling.work().await {
            Ok(pause) => pause,
            Err(error) => {
                error.log("refilling the view store failed");
                Some(RETRY_PAUSE)
            }
        };
        for (partition, partition_count) in shared.dirty.take() {
            // A store that loses its data again before it covers the partition would lose what was
            // repaired meanwhile, and nobody would know: the marks must stay until then.
            if refilling.refills.contains_key(&partition) {
                shared.dirty.left(partition);
                pause = pause.max(Some(PASS_PAUSE));
                continue;
            }
            match repair(&shared, partition, partition_count).await {
                Ok(true) => {}
                Ok(false) => {
                    shared.dirty.left(partition);
                    pause = pause.max(Some(PASS_PAUSE));
                }
                Err(error) => {
                    shared.dirty.left(partition);
                    error.log("repairing views failed");
                    pause = Some(RETRY_PAUSE);
                }
            }
        }
        match pause {
            Some(pause) if shared.breaker.is_open() => sleep(pause).await,
            // A partition that becomes dirty need not wait for the others.
            pause => {
                let pause = pause.unwrap_or(LOOK_EVERY);
                drop(timeout(pause, shared.dirty.marked.notified()).await);
            }
        }
    }
}

/// Detects that the view store was emptied, restarted or replaced, and has every view of the owned
/// partitions copied again, including those that no record changes.
struct RefillPass<'a> {
    shared: &'a RunnerContext,
    refills: BTreeMap<PartitionId, Refill>,
    look_at: Instant,
    /// Whether the last attempt to note heads succeeded.
    heads_noted: bool,
}

impl RefillPass<'_> {
    /// Asks the store when it is time, and marks one slice of each partition that it lacks. Returns
    /// the pause before the next slice.
    async fn work(&mut self) -> Result<Option<Duration>, RepairError> {
        let owned = self.shared.dirty.all();
        self.refills.retain(|partition, _| owned.contains_key(partition));
        if self.look_at <= Instant::now() {
            self.look_at = Instant::now() + LOOK_EVERY;
            self.look(owned.keys()).await?;
            self.note_heads().await;
        }
        let (breaker, backends) = (&self.shared.breaker, &self.shared.backends);
        let mut marked = Vec::new();
        for (partition, refill) in &mut self.refills {
            let partition_count = owned[partition];
            let begun = refill.found_views();
            let none_left = answered(refill.mark_slice(&*backends.ledger, partition_count)).await?;
            let (topic, id, identity) = refill.covers();
            if !begun && refill.found_views() && self.shared.dirty.can_lack(id) {
                tracing::warn!(
                    topic,
                    partition = id.0,
                    "the view store was emptied, restarted or replaced; its views are copied again"
                );
            }
            if none_left {
                breaker.judge(backends.views.cover(topic, id, identity)).await?;
                self.shared.dirty.covered(id);
                marked.push(*partition);
            }
            self.shared.dirty.left(*partition);
        }
        marked.iter().for_each(|partition| drop(self.refills.remove(partition)));
        Ok((!self.refills.is_empty()).then_some(PASS_PAUSE))
    }

    /// Begins a refill of each partition that the store does not cover. A store that does not
    /// answer is asked for one partition only.
    async fn look(&mut self, owned: impl Iterator<Item = &PartitionId>) -> Result<(), RepairError> {
        let topic = self.shared.settings.topic;
        for partition in owned {
            let coverage = self.shared.backends.views.coverage(topic, *partition);
            if let Coverage::Suspect(identity) = self.shared.breaker.judge(coverage).await?
                && self.refills.get(partition).is_none_or(|refill| *refill.covers().2 != identity)
            {
                self.refills.insert(*partition, Refill::new(topic, *partition, identity));
                self.shared.heads.note_again(*partition);
            }
        }
        Ok(())
    }

    /// Notes the heads that changed. The breaker does not judge the call: a server that refuses
    /// this one key, for lack of a right, stores views nevertheless.
    async fn note_heads(&mut self) {
        let heads = self.shared.heads.to_note();
        if heads.is_empty() {
            return;
        }
        let (views, topic) = (&self.shared.backends.views, self.shared.settings.topic);
        let done = timeout(NOTE_PATIENCE, views.note_heads(topic, &heads)).await;
        match done.unwrap_or_else(|elapsed| Err(ViewStoreError(Some(elapsed.into())))) {
            Ok(()) => {
                self.shared.heads.noted(&heads);
                self.heads_noted = true;
            }
            Err(error) => {
                if std::mem::take(&mut self.heads_noted) {
                    let error = &error as &dyn Error;
                    tracing::warn!(topic, error, "heads of partitions are not noted; tried again");
                }
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    ViewStore(#[from] ViewStoreError),
}

impl RepairError {
    /// Logs a failure of the ledger. The breaker logs those of the view store.
    fn log(&self, what: &str) {
        if let RepairError::Ledger(error) = self {
            tracing::warn!(error = error as &dyn Error, "{what}");
        }
    }
}

/// Repairs views of one partition. Returns whether none was left. A view that changes meanwhile
/// keeps its mark, so that only a pass without views is the last one.
async fn repair(
    shared: &RunnerContext,
    partition: PartitionId,
    partition_count: u32,
) -> Result<bool, RepairError> {
    let (ledger, counters) = (&shared.backends.ledger, &shared.settings.counters);
    let names = answered(ledger.dirty(partition, partition_count, REPAIRS)).await?;
    let mut left = names.len();
    let report = |left| {
        counters.report(shared.settings.topic, partition, |status| status.dirty_views = left);
    };
    report(left);
    let mut failed = None;
    for name in &names {
        match repair_view(shared, name).await {
            Ok(()) => {
                counters.repaired.fetch_add(1, Relaxed);
                left -= 1;
                report(left);
            }
            // One view that fails holds up no other; a store or a ledger that fails does.
            Err(error) if failed.is_some() => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(names.is_empty()),
    }
}

async fn repair_view(shared: &RunnerContext, name: &ViewName) -> Result<(), RepairError> {
    let ledger = &shared.backends.ledger;
    let position = match answered(ledger.view(name)).await? {
        Some((view, keep_s)) => {
            let replaced = shared.backends.views.replace(&name.0, &name.1, &view, keep_s);
            shared.breaker.judge(replaced).await?;
            view.position
        }
        None => Position::default(), // no longer kept, and not in the store either
    };
    Ok(answered(ledger.mark_repaired(name, position)).await?)
}
