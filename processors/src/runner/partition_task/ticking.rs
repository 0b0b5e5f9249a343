//! Ticks tell locations the time. A location knows no time except that of its records, so the owner
//! of a partition appends a tick when a timer is due by the owner's clock and no record has moved
//! the location past that time.
//!
//! A tick that comes too early, too late or twice changes nothing, so no step waits for one. A tick
//! without a commit after it is written again.

use std::{error::Error, sync::atomic::Ordering::Relaxed};

use schemas::{
    command::Command,
    ids::{Aggregate, CommandId},
    record::{CommandRecord, WireRecord, topic_for},
};
use tokio::time::{Instant, timeout};

use super::PartitionTask;
use crate::{
    log::AppendError,
    runner::{
        FailureKind, PATIENCE,
        partition::{PartitionStage, TICK_ID},
    },
};

/// Most ticks written at once: about one transaction. Further ticks wait for the next pass.
const TICKS: usize = 500;
/// The source of ticks.
const SOURCE: &str = "clinicwire-processors";

impl PartitionTask {
    /// When a tick must be written. Waiting records carry the time themselves, so that no tick is
    /// needed before them.
    pub(super) fn timers_due(&self) -> Option<Instant> {
        let (wall, now) = ((self.shared.settings.clock)(), Instant::now());
        self.partition.is_idle().then(|| self.partition.timers.next(wall, now)).flatten()
    }

    /// Writes the ticks that are due. Ticks that are lost or not acknowledged are written again
    /// later.
    pub(super) async fn tick(&mut self) {
        let ticks = self.take_ticks();
        if ticks.is_empty() {
            return;
        }
        let appended = timeout(PATIENCE, self.shared.backends.log.append(&ticks)).await;
        match appended.unwrap_or_else(|elapsed| Err(AppendError::unknown(elapsed))) {
            Ok(()) => {
                self.shared.settings.counters.ticks.fetch_add(ticks.len() as u64, Relaxed);
                if self.partition.is_idle() {
                    self.works();
                }
            }
            Err(error) => {
                tracing::warn!(
                    partition = self.partition.claim.partition.0,
                    ticks = ticks.len(),
                    error = &error as &dyn Error,
                    "the log did not acknowledge ticks; they are written again"
                );
                self.fails(FailureKind::Publish);
            }
        }
    }

    fn take_ticks(&mut self) -> Vec<(&'static str, WireRecord)> {
        if self.partition.stage != PartitionStage::Ready {
            return Vec::new();
        }
        let (wall, now) = ((self.shared.settings.clock)(), Instant::now());
        let timers = &mut self.partition.timers;
        let mut aggregates = timers.take_unfinished(now, TICKS);
        if self.partition.pending.is_empty() {
            aggregates.extend(timers.take_due(wall, now, TICKS - aggregates.len()));
        }
        let claim = self.partition.claim;
        let ticks = aggregates.into_iter().map(|aggregate| {
            let number = timers.next_number();
            let id = format!("{TICK_ID}{}.{}.{number}", claim.partition, claim.owner_epoch);
            (topic_for(aggregate.kind()), tick(aggregate, &id).to_wire())
        });
        ticks.collect()
    }
}

fn tick(aggregate: Aggregate, id: &str) -> CommandRecord {
    CommandRecord {
        aggregate,
        id: CommandId::new(id).expect("two numbers of 20 digits and one of 10 are short enough"),
        source: SOURCE.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: None,
        command: Command::Tick {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_id_is_a_command_id() {
        let id = format!("{TICK_ID}{}.{}.{}", u32::MAX, i64::MAX, u64::MAX);
        let aggregate = testing::records::aggregate("demo", "a");
        assert!(tick(aggregate, &id).id.as_str().starts_with(TICK_ID));
    }
}
