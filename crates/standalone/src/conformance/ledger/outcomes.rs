//! Conformance of the ledger: the outcomes of commands, and how long their keys are kept.

use processors::{
    fixtures::{Clinic, issue, leave},
    ledger::{Batch, JournalEntry, Ledger, LedgerError, OutcomeRow, PartNames, PartitionClaim},
    runner::batch::KEY_LIFETIME,
};
use schemas::{
    Millis,
    codes::Code,
    command::{CommandResult, Verdict},
    identity::CommandIdentity,
    ids::{Aggregate, CommandId, Fingerprint, LocationId, TenantId},
    record::WireRecord,
};

use super::{super::fresh, opened, other};

const LIFETIME: Millis = KEY_LIFETIME.as_millis() as Millis;

async fn held(ledger: &dyn Ledger, command: &CommandIdentity) -> Option<OutcomeRow> {
    let commands = std::slice::from_ref(command);
    ledger.outcomes(commands).await.expect("the ledger answers").pop()
}

/// Commits a batch with exactly these outcomes, and moves the claim behind it.
async fn commit(
    ledger: &dyn Ledger,
    clinic: &mut Clinic,
    claim: &mut PartitionClaim,
    outcomes: Vec<OutcomeRow>,
) {
    let batch = Batch { outcomes, ..clinic.batch_of(*claim, Vec::new()) };
    let to = claim.next_offset.next();
    ledger.commit(&Batch { to, ..batch }).await.expect("the ledger commits");
    claim.next_offset = to;
}

/// Tries a batch with exactly this outcome, which must be refused because an outcome is kept.
async fn repeats(ledger: &dyn Ledger, clinic: &mut Clinic, claim: PartitionClaim, row: OutcomeRow) {
    let batch = Batch { outcomes: vec![row], ..clinic.batch_of(claim, Vec::new()) };
    let batch = Batch { to: claim.next_offset.next(), ..batch };
    assert!(matches!(ledger.commit(&batch).await, Err(LedgerError::Repeated)));
}

/// A clinic, its claim, and the outcome of its last command.
async fn decided(ledger: &dyn Ledger) -> (Clinic, PartitionClaim, OutcomeRow) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let batch = clinic.batch(claim, vec![issue(1)]);
    ledger.commit(&batch).await.expect("the ledger commits");
    let row = batch.outcomes[0].clone();
    (clinic, PartitionClaim { next_offset: batch.to, ..claim }, row)
}

/// A clinic, its claim, and the outcome of a command that waits for another location.
async fn moving(ledger: &dyn Ledger) -> (Clinic, PartitionClaim, OutcomeRow) {
    let (mut clinic, mut claim, mut row) = decided(ledger).await;
    row.identity.command = CommandId::new("moving").expect("an id");
    row.outcome.verdict =
        Verdict::Moving { epoch: 1, version: 1, result: CommandResult::default() };
    commit(ledger, &mut clinic, &mut claim, vec![row.clone()]).await;
    (clinic, claim, row)
}

pub async fn outcome_is_found_by_its_whole_identity(ledger: &dyn Ledger) {
    let (_, _, row) = decided(ledger).await;
    let found = held(ledger, &row.identity).await.expect("the outcome is there");
    assert!(found.outcome == row.outcome && found.aggregate == row.aggregate);
    assert_eq!((found.fingerprint, found.first_at), (row.fingerprint, row.first_at));
    let stranger = TenantId::new(fresh()).expect("a slug");
    for other in [
        CommandIdentity { tenant: stranger, ..row.identity.clone() },
        CommandIdentity { source: "clinicwire-bridge/his".to_owned(), ..row.identity.clone() },
        CommandIdentity { subject: "kiosk-2".to_owned(), ..row.identity.clone() },
    ] {
        let both = [other.clone(), row.identity.clone()];
        let rows = ledger.outcomes(&both).await.expect("the ledger answers");
        let found: Vec<_> = rows.iter().map(|row| &row.identity).collect();
        assert_eq!(found, [&row.identity], "{other:?}");
    }
}

pub async fn later_outcome_keeps_first_content_and_time(ledger: &dyn Ledger) {
    let (mut clinic, mut claim, first) = moving(ledger).await;
    let mut later = OutcomeRow {
        fingerprint: None,
        settles: Some(1),
        first_at: first.first_at + 5,
        ..first.clone()
    };
    later.outcome.verdict = Verdict::Refused { code: Code::QueueEmpty };
    commit(ledger, &mut clinic, &mut claim, vec![later.clone()]).await;
    let found = held(ledger, &first.identity).await.expect("the outcome is there");
    assert!(found.outcome == later.outcome);
    assert_eq!((found.fingerprint, found.first_at), (first.fingerprint, first.first_at));
    // A second one comes too late, and so does one whose command is forgotten.
    let mut second = later.clone();
    second.outcome.verdict = Verdict::Refused { code: Code::QueueUnknown };
    let mut forgotten = second.clone();
    forgotten.identity.command = CommandId::new("forgotten").expect("an id");
    let absent = forgotten.identity.clone();
    commit(ledger, &mut clinic, &mut claim, vec![second, forgotten]).await;
    assert!(held(ledger, &first.identity).await.expect("it is kept").outcome == later.outcome);
    assert!(held(ledger, &absent).await.is_none());
}

/// The key of a move is forgotten, and a newer move with the same key waits for its own outcome.
pub async fn outcome_of_an_older_move_is_left_out(ledger: &dyn Ledger) {
    let (mut clinic, mut claim, newer) = moving(ledger).await;
    for (began, taken) in [(7, false), (1, true)] {
        let mut settled = OutcomeRow { fingerprint: None, settles: Some(began), ..newer.clone() };
        settled.outcome.verdict = Verdict::Refused { code: Code::QueueEmpty };
        commit(ledger, &mut clinic, &mut claim, vec![settled.clone()]).await;
        let found = held(ledger, &newer.identity).await.expect("the outcome is there");
        assert!((found.outcome == settled.outcome) == taken, "{began}");
    }
}

/// Two partitions may decide commands with one identity at the same time: the first to commit
/// decides, and the second one decides again.
pub async fn first_of_two_aggregates_decides(ledger: &dyn Ledger) {
    let (mut clinic, mut claim, first) = moving(ledger).await;
    let north = LocationId::new("north").expect("a slug");
    let north = Aggregate::location(&first.identity.tenant, &north);
    let mut second = OutcomeRow { aggregate: north, ..first.clone() };
    second.fingerprint = Some(Fingerprint::from_parts([b"PUT".as_slice()]));
    second.outcome.verdict = Verdict::Refused { code: Code::QueueEmpty };
    repeats(ledger, &mut clinic, claim, second.clone()).await;
    // An outcome that settles a move of another aggregate is not stored.
    let settles = OutcomeRow { settles: Some(1), fingerprint: None, ..second };
    commit(ledger, &mut clinic, &mut claim, vec![settles]).await;
    let found = held(ledger, &first.identity).await.expect("the outcome is there");
    assert!(found.outcome == first.outcome && found.aggregate == first.aggregate);
}

pub async fn forgotten_outcome_is_replaced(ledger: &dyn Ledger) {
    let (mut clinic, mut claim, first) = decided(ledger).await;
    let mut next = OutcomeRow { first_at: first.first_at + LIFETIME - 1, ..first.clone() };
    next.fingerprint = Some(Fingerprint::from_parts([b"PUT".as_slice()]));
    next.outcome.verdict = Verdict::Refused { code: Code::QueueEmpty };
    repeats(ledger, &mut clinic, claim, next.clone()).await;
    next.first_at += 1;
    commit(ledger, &mut clinic, &mut claim, vec![next.clone()]).await;
    let found = held(ledger, &first.identity).await.expect("the outcome is there");
    assert!(found.outcome == next.outcome);
    assert_eq!((found.fingerprint, found.first_at), (next.fingerprint, next.first_at));
}

/// A batch that was decided without a look at outcomes is committed if its commands are new.
pub async fn batch_of_new_commands_has_no_known_one(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let new = Batch { all_new: true, ..clinic.batch(claim, vec![issue(1), issue(2)]) };
    ledger.commit(&new).await.expect("the ledger commits");
    let claim = PartitionClaim { next_offset: new.to, ..claim };

    let mut next = Batch { all_new: true, ..clinic.batch(claim, vec![issue(3), leave(1)]) };
    let fresh = next.outcomes.clone();
    let known = &new.outcomes[1];
    let soon = known.first_at + LIFETIME - 1;
    next.outcomes[0] = OutcomeRow { first_at: soon, ..known.clone() };
    assert!(matches!(ledger.commit(&next).await, Err(LedgerError::Repeated)));
    let found = ledger.checkpoint(claim.partition).await.expect("the ledger answers");
    assert_eq!(found, claim, "nothing is committed");
    assert!(held(ledger, &fresh[1].identity).await.is_none());
    assert_eq!(held(ledger, &known.identity).await.expect("it is kept").first_at, known.first_at);
    let name = (next.views[0].aggregate.clone(), next.views[0].step.view.clone());
    let view = ledger.view(&name).await.expect("the ledger answers");
    assert!(view.is_none_or(|(view, _)| view.position.version < next.views[0].step.delta.to));

    // The outcomes of the batch that was decided anew are looked up, and a forgotten key is new.
    let looked_up = Batch { all_new: false, outcomes: fresh.clone(), ..next.clone() };
    ledger.commit(&looked_up).await.expect("the ledger commits");
    let claim = PartitionClaim { next_offset: next.to, ..claim };
    let mut last = Batch { all_new: true, ..clinic.batch(claim, vec![issue(4)]) };
    last.outcomes[0] = OutcomeRow { first_at: known.first_at + LIFETIME, ..known.clone() };
    ledger.commit(&last).await.expect("the key is forgotten");
    let found = held(ledger, &known.identity).await.expect("the newer outcome");
    assert_eq!(found.first_at, known.first_at + LIFETIME);
}

/// A batch that was decided without a look at ended tickets replaces none of them.
pub async fn batch_of_new_commands_issues_new_tickets(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let new = Batch { all_new: true, ..clinic.batch(claim, vec![issue(1), leave(1), issue(2)]) };
    ledger.commit(&new).await.expect("the ledger commits");
    let claim = PartitionClaim { next_offset: new.to, ..claim };
    let ended = new.tickets.iter().find(|row| !row.ticket.is_unfinished()).expect("one has left");

    let mut next = Batch { all_new: true, ..clinic.batch(claim, vec![issue(3)]) };
    let issued = next.tickets[0].ticket.clone();
    next.tickets[0].ticket.id = ended.ticket.id.clone();
    assert!(matches!(ledger.commit(&next).await, Err(LedgerError::Repeated)));
    let names = PartNames { tickets: vec![ended.ticket.id.clone()], ..PartNames::default() };
    let found = ledger.location_parts(&ended.aggregate, &names).await.expect("an answer");
    assert_eq!(found.tickets[0].issued_at, ended.ticket.issued_at, "nothing is committed");

    // The right ticket is new, and one that ended may come back.
    next.tickets[0].ticket = issued;
    let mut back = ended.clone();
    back.ticket.standing = next.tickets[0].ticket.standing.clone();
    next.tickets.push(back);
    ledger.commit(&next).await.expect("the ledger commits");
    let found = ledger.location_parts(&ended.aggregate, &names).await.expect("an answer");
    assert!(found.tickets.is_empty(), "it is in the line again");
}

pub async fn old_outcomes_are_deleted_in_slices(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let partition = clinic.partition();
    let batch = clinic.batch(claim, (1..=6).map(issue).collect());
    ledger.commit(&batch).await.expect("the ledger commits");
    let times: Vec<_> = batch.outcomes.iter().map(|row| row.first_at).collect();
    let delete = async |partition, before, limit| {
        ledger.delete_outcomes(partition, before, limit).await.expect("the ledger answers")
    };
    assert_eq!(delete(other(partition), Millis::MAX, 100).await, 0, "each partition has its own");
    // The commands that opened the clinic are four older ones.
    assert_eq!(delete(partition, times[3], 5).await, 5);
    assert_eq!(delete(partition, times[3], 5).await, 2);
    assert_eq!(delete(partition, times[3], 5).await, 0);
    for (number, row) in batch.outcomes.iter().enumerate() {
        assert_eq!(held(ledger, &row.identity).await.is_some(), number >= 3, "{number}");
    }
}

/// The entries of the journal about the records of a batch.
fn entries(batch: &Batch) -> Vec<&'static str> {
    let word = |entry: &JournalEntry| match entry {
        JournalEntry::Applied { .. } => "applied",
        JournalEntry::Repeated => "repeated",
        JournalEntry::Refused { code, .. } => code.as_str(),
        JournalEntry::Parked { .. } => "parked",
    };
    batch.journal.iter().map(|row| word(&row.entry)).collect()
}

/// Append times decide how long a key is kept, whether the first record is in the same batch or its
/// outcome comes from the ledger.
pub async fn key_lifetime_is_counted_by_append_times(ledger: &dyn Ledger) {
    for in_one_batch in [true, false] {
        let (mut clinic, mut claim) = opened(ledger, 0).await;
        let (record, other) = (clinic.record(issue(1)), clinic.record(leave(2)));
        let reused = with_id_of(&record, &other);
        let start = clinic.now();
        let records = [
            (start, &record, "applied"),
            (start + LIFETIME - 1, &record, "repeated"),
            (start + LIFETIME - 1, &reused, "idempotency_key_reused"),
            // Decided again: the ticket is there already.
            (start + LIFETIME, &record, "ticket_exists"),
            (start + LIFETIME + 1, &record, "repeated"),
            (start + LIFETIME + 2, &reused, "idempotency_key_reused"),
            (start + 2 * LIFETIME, &reused, "ticket_unknown"),
        ];
        let batches = if in_one_batch { vec![&records[..]] } else { records.chunks(1).collect() };
        for part in batches {
            let commands: Vec<_> =
                clinic.identities(part.iter().map(|(_, record, _)| *record)).collect();
            clinic.read_outcomes(ledger, &commands).await;
            let stamped = part.iter().map(|(at, record, _)| (*at, (*record).clone())).collect();
            let batch = clinic.batch_at(claim, stamped);
            let expected: Vec<_> = part.iter().map(|(.., word)| *word).collect();
            assert_eq!(entries(&batch), expected, "in one batch: {in_one_batch}");
            ledger.commit(&batch).await.expect("the ledger commits");
            claim.next_offset = batch.to;
        }
        let command = clinic.identities([&record]).next().expect("one command");
        let row = held(ledger, &command).await.expect("the outcome is there");
        assert_eq!(row.first_at, start + 2 * LIFETIME);
    }
}

/// The content of `other` under the id of `record`.
fn with_id_of(record: &WireRecord, other: &WireRecord) -> WireRecord {
    let id = record.header("ce_id").expect("a command has an id").to_owned();
    let mut reused = other.clone();
    for (name, value) in &mut reused.headers {
        if name == "ce_id" {
            value.clone_from(&id);
        }
    }
    reused
}
