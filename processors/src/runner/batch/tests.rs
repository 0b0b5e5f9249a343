use std::collections::BTreeSet;

use schemas::{
    command::{Command, CommandOutcome, Verdict},
    ids::AggregateKind,
    record::{CARE_TOPIC, VIEWS_TOPIC, ViewsRecord},
};
use testing::records::{command_record, riverside};

use super::{builder::MAX_ROWS, *};
use crate::{
    ledger::{JournalEntry, JournalRow, OwnerEpoch},
    log::LogOffset,
};

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

/// The log of a location from which ticket 1 moves, and the answer about it.
fn moving_log() -> (Vec<LogRecord>, LogRecord) {
    let queue = schemas::ids::QueueId::new("hillside.lab").unwrap();
    let ticket = riverside::ticket(1);
    let transfer = Command::TransferTicket { ticket: ticket.clone(), queue: queue.clone() };
    let commands =
        riverside::opening().into_iter().chain([riverside::issue("general", 1), transfer]);
    let records = log(commands.collect());
    let successor = ticket.successor(&queue.location(), 1);
    let answer = schemas::handover::HandoverAnswer::Accepted;
    let settle =
        command_record(&aggregate(), "settle", Command::SettleTicket { ticket, successor, answer });
    let last = records.last().unwrap();
    let answer =
        LogRecord { offset: last.offset.next(), at: last.at + 1, record: settle.to_wire() };
    (records, answer)
}

/// The outcome that a record of `views` publishes for a command.
fn published(batch: &Batch, identity: &CommandIdentity) -> Option<CommandOutcome> {
    let told = batch.outbox.iter().filter(|row| row.topic == VIEWS_TOPIC);
    let told = told.filter_map(|row| ViewsRecord::from_value(&row.record.value).unwrap().outcome);
    told.map(|told| told.outcome).last().filter(|told| told.command == identity.command)
}

#[test]
fn answer_settles_only_its_own_move() {
    type Change = fn(&mut OutcomeRow);
    let elsewhere: Change = |row| row.aggregate = testing::records::aggregate("demo", "hillside");
    let newer: Change = |row| {
        if let Verdict::Moving { version, .. } = &mut row.outcome.verdict {
            *version += 1;
        }
    };
    let ended: Change = |row| row.outcome.verdict = Verdict::Refused { code: Code::MoveTimedOut };
    let cases: [(&str, Option<Change>, bool); 5] = [
        ("its own", Some(|_| {}), true),
        ("of another location", Some(elsewhere), false),
        ("of a newer move with the same key", Some(newer), false),
        ("settled before", Some(ended), false),
        ("of a forgotten key", None, false),
    ];
    for (name, change, settles) in cases {
        let (records, answer) = moving_log();
        let mut state = empty_state();
        let BuiltBatch { batch, .. } = build_from(claim(), &records, &mut state);
        let first = batch.outcomes.last().expect("the transfer has an outcome").clone();
        state.outcomes.clear();
        if let Some(change) = change {
            let mut held = first.clone();
            change(&mut held);
            state.outcomes.insert(held.identity.clone(), held);
        }
        let next = PartitionClaim { next_offset: batch.to, ..claim() };
        let batch = build_from(next, std::slice::from_ref(&answer), &mut state).batch;
        let settled = batch.outcomes.iter().find(|row| row.identity == first.identity);
        assert_eq!(settled.is_some(), settles, "{name}");
        assert_eq!(published(&batch, &first.identity).is_some(), settles, "{name}");
        let Some(row) = settled else { continue };
        let began = |version| row.settles == Some(version);
        assert!(matches!(first.outcome.verdict, Verdict::Moving { version, .. } if began(version)));
        assert!(matches!(&row.outcome.verdict, Verdict::Applied { .. }));
        assert_eq!(state.outcomes[&first.identity].fingerprint, first.fingerprint);
    }
}

#[test]
fn outcome_settled_within_its_batch_is_stored_once() {
    let (mut records, answer) = moving_log();
    records.push(answer);
    let batch = build_from(claim(), &records, &mut empty_state()).batch;
    let ids: BTreeSet<_> = batch.outcomes.iter().map(|row| &row.identity).collect();
    assert_eq!(ids.len(), batch.outcomes.len());
    let transfer = &batch.outcomes[batch.outcomes.len() - 2];
    assert!(matches!(transfer.outcome.verdict, Verdict::Applied { .. }));
    assert!(transfer.fingerprint.is_some() && transfer.settles.is_none());
}
