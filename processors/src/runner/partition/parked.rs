//! The log of parked records: one line with a count, however many there are.

use std::{collections::BTreeMap, time::Duration};

use schemas::codes::Code;
use tokio::time::Instant;

use super::timers::TICK_ID;
use crate::{
    ledger::{JournalEntry, JournalRow},
    log::{LogOffset, PartitionId},
};

/// The pause between two lines of one partition.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Records of one partition that were parked since the last line.
#[derive(Default)]
pub(in crate::runner) struct ParkedRecords {
    counts: BTreeMap<&'static str, (u64, LogOffset)>,
    not_before: Option<Instant>,
    /// By how much parked records exceed a tenth of the decided ones, in tenths of a record.
    excess: u64,
}

impl ParkedRecords {
    /// Counts the parked records of a committed batch.
    pub(in crate::runner) fn committed(&mut self, journal: &[JournalRow]) {
        // Ticks come at any time, and say nothing about whether other records can be read.
        let is_tick = |row: &&JournalRow| {
            row.command.as_ref().is_some_and(|(_, id, _)| id.as_str().starts_with(TICK_ID))
        };
        for row in journal.iter().filter(|row| !is_tick(row)) {
            let JournalEntry::Parked { code, .. } = &row.entry else {
                self.excess = self.excess.saturating_sub(1);
                continue;
            };
            // Facts of a suspended tenant could be read.
            if *code != Code::TenantSuspended {
                self.excess += 10;
            }
            self.counts.entry(code.as_str()).or_insert((0, row.offset)).0 += 1;
        }
    }

    /// Continues the count of an earlier claim of the partition.
    pub(in crate::runner) fn resume(&mut self, excess: u64) {
        self.excess = excess;
    }

    pub(in crate::runner) fn excess(&self) -> u64 {
        self.excess
    }

    /// Whether the partition must stop, because `limit` records more than tolerable were parked.
    pub(in crate::runner) fn is_storm(&self, limit: u64) -> bool {
        limit > 0 && self.excess >= limit.saturating_mul(10)
    }

    /// When the next line is written, if there is something to write.
    pub(in crate::runner) fn due(&self) -> Option<Instant> {
        (!self.counts.is_empty()).then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// Writes a line per code when it is time.
    pub(in crate::runner) fn log(&mut self, topic: &'static str, partition: PartitionId) {
        let now = Instant::now();
        if self.not_before.is_some_and(|at| at > now) {
            return;
        }
        for (code, (records, first)) in std::mem::take(&mut self.counts) {
            let reason = match code {
                code if code == Code::RecordFromFuture.as_str() => {
                    "their append time is ahead of this machine's clock"
                }
                code if code == Code::TenantSuspended.as_str() => {
                    "their tenant is suspended; they are appended again once it is resumed"
                }
                _ => "they cannot be applied",
            };
            tracing::warn!(
                topic,
                partition = partition.0,
                first_offset = first.0,
                records,
                code,
                "records were parked: {reason}"
            );
        }
        self.not_before = Some(now + LINE_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use schemas::record::WireRecord;

    use super::*;

    fn parked(offset: i64) -> JournalRow {
        let record = WireRecord { key: String::new(), headers: Vec::new(), value: "{".into() };
        let entry = JournalEntry::Parked { code: Code::RecordMalformed, record };
        JournalRow { offset: LogOffset(offset), at: 0, decided_at: 0, command: None, entry }
    }

    fn decided(offset: i64) -> JournalRow {
        JournalRow { entry: JournalEntry::Repeated, ..parked(offset) }
    }

    /// A program of a wrong version reads some records, and a broken source sends some.
    #[test]
    fn storm_is_a_share_of_records() {
        let stops_after = |parked_of_ten: i64| {
            let mut records = ParkedRecords::default();
            (0..100_000).find(|offset| {
                let is_parked = offset % 10 < parked_of_ten;
                records.committed(&[if is_parked { parked(*offset) } else { decided(*offset) }]);
                records.is_storm(1_000)
            })
        };
        assert_eq!(stops_after(10), Some(999));
        assert_eq!(stops_after(9), Some(1_123));
        assert_eq!(stops_after(5), Some(2_220));
        assert_eq!(stops_after(0), None);
        let mut few = ParkedRecords::default();
        for offset in 0..100_000 {
            few.committed(&[if offset % 12 == 0 { parked(offset) } else { decided(offset) }]);
            assert!(!few.is_storm(1_000), "every twelfth record is broken");
        }
    }

    #[test]
    fn parked_records_share_one_line() {
        let mut records = ParkedRecords::default();
        let rows: Vec<JournalRow> = (7..20_007).map(parked).collect();
        for batch in rows.chunks(500) {
            records.committed(batch);
        }
        let code = Code::RecordMalformed.as_str();
        assert_eq!(records.counts, [(code, (20_000, LogOffset(7)))].into());
        assert!(records.due().is_some_and(|due| due <= Instant::now()));
        records.log("care", PartitionId(0));
        assert_eq!(records.due(), None, "every parked record is in a line");
        let told_at = Instant::now();
        records.committed(&rows[..1]);
        records.log("care", PartitionId(0));
        assert!(records.due().is_some_and(|due| due > told_at), "the next line waits");
    }
}
