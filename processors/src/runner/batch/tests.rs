use schemas::{command::Command, ids::AggregateKind, record::CARE_TOPIC};
use testing::records::{command_record, riverside};

use super::*;
use crate::ledger::OwnerEpoch;

mod sizes;

const COUNT: u32 = 1;

fn claim() -> PartitionClaim {
    PartitionClaim {
        partition: PartitionId(0),
        owner_epoch: OwnerEpoch(1),
        next_offset: LogOffset(7),
    }
}

fn aggregate() -> Aggregate {
    testing::records::aggregate("demo", "riverside")
}

/// A location that no record has configured yet.
fn empty_state() -> BatchState {
    let mut state = BatchState::default();
    state.aggregates.insert(aggregate(), AggregateState::new(AggregateKind::Location, 7));
    state
}

/// One record for each command, from the offset of [`claim`] on.
fn log(commands: Vec<Command>) -> Vec<LogRecord> {
    let record = |(offset, command)| {
        let record = command_record(&aggregate(), &format!("c-{offset}"), command).to_wire();
        LogRecord { offset: LogOffset(offset), at: 1_700_000_000_000 + offset, record }
    };
    (7..).zip(commands).map(record).collect()
}

fn build_from(claim: PartitionClaim, records: &[LogRecord], state: &mut BatchState) -> BuiltBatch {
    let read = |record: &LogRecord| read(&record.record, CARE_TOPIC, PartitionId(0), COUNT);
    let read = records.iter().map(read).collect();
    build(claim, &records.iter().collect::<Vec<_>>(), read, state)
}

#[test]
fn full_batch_leaves_records_for_next() {
    let issues = (0..3_000).map(|number| riverside::issue("general", number));
    let records = log(riverside::opening().into_iter().chain(issues).collect());
    let (mut state, mut claim, mut sizes) = (empty_state(), claim(), Vec::new());
    let mut left = records.as_slice();
    while !left.is_empty() {
        let BuiltBatch { batch, records, tally } = build_from(claim, left, &mut state);
        assert_eq!(batch.to, left[records - 1].offset.next());
        assert_eq!(batch.journal.len(), records);
        assert_eq!(tally.applied, records as u64, "no record is decided twice");
        assert!(batch.tickets.len() + batch.views.len() <= MAX_ROWS + 10, "one step more at most");
        sizes.push(records);
        left = &left[records..];
        claim.next_offset = batch.to;
    }
    assert!(sizes.len() > 1 && sizes[0] >= 500, "{sizes:?}");
    let location = state.aggregates[&aggregate()].location().unwrap();
    assert_eq!(location.parts(), 3_000);
}

#[test]
fn parked_record_needs_no_aggregate() {
    let records = log(riverside::opening());
    let built = park(claim(), &records[1], Code::RecordPanicked, 9);
    assert_eq!((built.records, built.tally.parked), (1, 1));
    assert_eq!(built.batch.to, records[1].offset.next());
    let [JournalRow { entry: JournalEntry::Parked { code, record }, decided_at: 9, .. }] =
        built.batch.journal.as_slice()
    else {
        panic!("the record is parked");
    };
    assert!(*code == Code::RecordPanicked && *record == records[1].record);
    let told = ViewsRecord::from_value(&built.batch.outbox[0].record.value).unwrap();
    let verdict = told.outcome.map(|published| published.outcome.verdict);
    assert!(verdict == Some(Verdict::Refused { code: Code::RecordPanicked }));
    assert!(built.batch.outcomes.is_empty(), "a released record is no repeat");
}

/// A state that lacks the aggregate of a record makes the decision panic.
#[test]
fn panic_in_decision_leaves_other_states_alone() {
    let records = log(riverside::opening());
    let fails = || build_from(claim(), &records, &mut BatchState::default());
    assert!(std::panic::catch_unwind(fails).is_err());
    let built = build_from(claim(), &records, &mut empty_state());
    assert_eq!(built.tally.applied, records.len() as u64);
}
