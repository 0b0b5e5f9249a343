//! The anchor of a partition: the last record that was applied and can be recognized in the log. A
//! log that was truncated or created again is found by it before anything of that log is applied.

use std::fmt;

use schemas::{
    ids::{Aggregate, CommandId},
    record::WireRecord,
};

use crate::log::{LogOffset, LogState};

/// How the log of a partition continues the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogAnchor {
    /// The difference between an offset of the ledger and that of the same record in the log: 0
    /// until an operator accepts another log. Offsets of the ledger never repeat.
    pub base: i64,
    /// The last record of this log whose command the journal names. Of the last records of the
    /// partition, [`ANCHOR_RECORDS`] at most are looked at.
    pub last: Option<AnchorRecord>,
    /// The epoch that older aggregates of the partition begin before a record is applied, if there
    /// is one.
    pub epoch_floor: Option<u64>,
}

/// Records before the checkpoint among which the anchor is looked for. Only records that could not
/// be read have no command, and so many stop a partition at some point anyway.
pub const ANCHOR_RECORDS: i64 = 100;

/// A record that the journal names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorRecord {
    /// The offset in the ledger.
    pub offset: LogOffset,
    /// The key of the record.
    pub aggregate: Aggregate,
    /// The id of the record.
    pub command: CommandId,
}

/// Why the records after a checkpoint cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFault {
    /// The log ends before the checkpoint.
    Short,
    /// The log begins after the checkpoint.
    Late,
    /// The log has another record at the offset of the anchor.
    Other,
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFault::Short => "the topic ends before the checkpoint",
            LogFault::Late => "the topic begins after the checkpoint",
            LogFault::Other => "the topic has another record before the checkpoint",
        })
    }
}

impl LogAnchor {
    /// The offset in the log of a record of the ledger.
    pub fn to_log(&self, offset: LogOffset) -> LogOffset {
        LogOffset(offset.0 - self.base)
    }

    /// The offset in the ledger of a record of the log.
    pub fn to_ledger(&self, offset: LogOffset) -> LogOffset {
        LogOffset(offset.0 + self.base)
    }

    /// The offset in the log of the record to compare.
    pub fn log_offset(&self) -> Option<LogOffset> {
        self.last.as_ref().map(|last| self.to_log(last.offset))
    }

    /// Checks that the log continues the journal at `next`, an offset of the ledger. A record of
    /// the anchor that the log no longer has, because of its age, proves nothing.
    ///
    /// # Errors
    /// [`LogFault`]
    pub fn check(&self, next: LogOffset, log: &LogState) -> Result<(), LogFault> {
        let next = self.to_log(next);
        if next > log.end {
            return Err(LogFault::Short);
        }
        if next < log.start {
            return Err(LogFault::Late);
        }
        match (&self.last, &log.record) {
            (Some(last), Some(record)) if !last.is(record) => Err(LogFault::Other),
            _ => Ok(()),
        }
    }
}

impl AnchorRecord {
    fn is(&self, record: &WireRecord) -> bool {
        record.key == self.aggregate.as_str()
            && record.header("ce_id") == Some(self.command.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> WireRecord {
        let headers = vec![("ce_id".to_owned(), id.to_owned())];
        WireRecord { key: "demo/a".to_owned(), headers, value: "{}".into() }
    }

    fn anchor(base: i64) -> LogAnchor {
        let last = AnchorRecord {
            offset: LogOffset(9),
            aggregate: testing::records::aggregate("demo", "a"),
            command: CommandId::new("c-9").unwrap(),
        };
        LogAnchor { base, last: Some(last), epoch_floor: None }
    }

    #[test]
    fn log_is_judged_by_bounds_and_anchor() {
        let next = LogOffset(10);
        let cases = [
            (0, 0..20, Some("c-9"), Ok(())),
            (0, 0..10, Some("c-9"), Ok(())),
            (0, 10..10, None, Ok(())),
            (0, 0..9, None, Err(LogFault::Short)),
            (0, 0..0, None, Err(LogFault::Short)),
            (0, 11..20, None, Err(LogFault::Late)),
            (0, 0..20, Some("c-8"), Err(LogFault::Other)),
            (7, 0..3, Some("c-9"), Ok(())),
            (7, 0..2, None, Err(LogFault::Short)),
        ];
        for (base, range, id, expected) in cases {
            let log = LogState {
                start: LogOffset(range.start),
                end: LogOffset(range.end),
                record: id.map(record),
            };
            assert_eq!(anchor(base).check(next, &log), expected, "{base} {range:?} {id:?}");
        }
        let log = LogState { start: LogOffset(0), end: LogOffset(20), record: Some(record("c-1")) };
        assert_eq!(LogAnchor::default().check(next, &log), Ok(()), "nothing to compare");
    }

    #[test]
    fn record_of_another_key_is_another_record() {
        let other = WireRecord { key: "demo/b".to_owned(), ..record("c-9") };
        let log = LogState { start: LogOffset(0), end: LogOffset(20), record: Some(other) };
        assert_eq!(anchor(0).check(LogOffset(10), &log), Err(LogFault::Other));
    }
}
