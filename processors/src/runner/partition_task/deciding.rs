//! Decides the next batch of a partition, and finds the record that makes this impossible.

use std::{collections::HashMap, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use schemas::codes::Code;

use super::{PartitionError, PartitionTask};
use crate::{
    log::LogRecord,
    runner::{batch, decided_batch::DecidedBatch, traces::BatchTraces},
};

impl PartitionTask {
    /// Decides the next records. `None` when no record waits. A panic is a fault of one record: it
    /// is caught, and what was decided is dropped.
    pub(super) async fn decide(&self) -> Result<Option<DecidedBatch>, PartitionError> {
        let records = self.partition.next_batch();
        if records.is_empty() {
            return Ok(None);
        }
        let claim = self.partition.claim;
        let traces = BatchTraces::begin(&self.shared.settings.tracer, &records);
        if let Some(code) = self.partition.culprit {
            let decided_at = (self.shared.settings.clock)();
            let built = batch::park(claim, records[0], code, decided_at);
            return Ok(Some(DecidedBatch::new(built, &records, HashMap::new(), traces)));
        }
        // Everything that the future owns is dropped with it, so nothing half-decided remains.
        match AssertUnwindSafe(self.restore_and_build(&records, traces)).catch_unwind().await {
            Ok(decided) => decided.map(Some),
            Err(_) => {
                Err(PartitionError::Culprit { records: records.len(), code: Code::RecordPanicked })
            }
        }
    }

    async fn restore_and_build(
        &self,
        records: &[&LogRecord],
        traces: BatchTraces,
    ) -> Result<DecidedBatch, PartitionError> {
        let (claim, settings) = (self.partition.claim, &self.shared.settings);
        let owner = (settings.clock)();
        let partition_count = self.partition.partition_count;
        let tenants = settings.tenants.now();
        let read: Vec<_> = records
            .iter()
            .map(|record| {
                batch::check_time(record.at, owner)?;
                let (partition, topic) = (claim.partition, settings.topic);
                let command = batch::read(&record.record, topic, partition, partition_count)?;
                tenants.check_fact(&command)?;
                Ok(command)
            })
            .collect();
        // State that the ledger cannot read is no fault of these records, so none is parked for it.
        let mut state = self.restore(records, &read, tenants).await?;
        let built = batch::build(claim, records, read, &mut state);
        Ok(DecidedBatch::new(built, records, state.aggregates, traces))
    }
}
