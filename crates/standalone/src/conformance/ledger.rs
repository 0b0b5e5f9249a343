//! Conformance of the ledger: fencing, and all or nothing of a batch.

use processors::{
    aggregate::AggregateHeader,
    fixtures::{Clinic, PARTITION_COUNT, call_next, issue, leave, opening, ticket},
    ledger::{
        Batch, JournalEntry, Ledger, LedgerError, OutboxRow, PartNames, PartitionClaim, ViewName,
    },
    location::Ticket,
    log::{LogOffset, PartitionId},
    views::ViewStep,
};
use schemas::{
    codes::Code,
    command::{Command, CommandOutcome, Verdict},
    record::{CARE_TOPIC, EVENTS_TOPIC, VIEWS_TOPIC},
    view::{Fold, Position, View},
};

use super::fresh;

mod appointments;
mod outcomes;
mod together;

pub use appointments::*;
pub use outcomes::*;
pub use together::*;

/// The view after its first step.
pub(super) fn view_of(step: &ViewStep) -> View {
    let mut view = View::empty(step.epoch);
    assert_eq!(view.fold(&step.step.delta), Fold::Applied);
    view
}

/// # Panics
/// When the views differ. Entries are compared as values: a store may format JSON in its own way.
pub(super) fn same_view(left: &View, right: &View) {
    assert_eq!((left.position, left.at), (right.position, right.at));
    let values = |view: &View| -> Vec<(String, serde_json::Value)> {
        let value = |text: &str| serde_json::from_str(text).expect("an entry is JSON");
        view.entries.iter().map(|(key, entry)| (key.clone(), value(entry.get()))).collect()
    };
    assert_eq!(values(left), values(right));
}

/// Another partition.
fn other(partition: PartitionId) -> PartitionId {
    PartitionId((partition.0 + 1) % PARTITION_COUNT)
}

/// Makes a clinic whose open queue holds tickets 1 to `tickets`, and the claim to continue with.
async fn opened(ledger: &dyn Ledger, tickets: u128) -> (Clinic, PartitionClaim) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = clinic.open(ledger, tickets).await;
    (clinic, claim)
}

pub async fn newer_claim_fences_older(ledger: &dyn Ledger) {
    let partition = Clinic::new(ledger).await.partition();
    let first = ledger.claim(partition).await.expect("the ledger claims");
    let second = ledger.claim(partition).await.expect("the ledger claims");
    assert_eq!((first.partition, first.next_offset), (partition, LogOffset::START));
    assert_eq!(second.next_offset, LogOffset::START);
    assert!(second.owner_epoch > first.owner_epoch);
    assert_eq!(ledger.checkpoint(partition).await.expect("the ledger answers"), second);
}

pub async fn commit_moves_everything_together(ledger: &dyn Ledger) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    assert!(ledger.restore(&clinic.aggregate).await.expect("the ledger answers").is_none());
    let commands = opening().into_iter().chain([issue(1), issue(2), call_next()]).collect();
    let batch = clinic.batch(claim, commands);
    ledger.commit(&batch).await.expect("the ledger commits");

    let checkpoint = ledger.checkpoint(claim.partition).await.expect("the ledger answers");
    assert_eq!(checkpoint, PartitionClaim { next_offset: LogOffset(7), ..claim });
    holds_the_location(ledger, &clinic).await;
    for step in &batch.views {
        let name = (step.aggregate.clone(), step.step.view.clone());
        let (view, keep_s) =
            ledger.view(&name).await.expect("the ledger answers").expect("the view is there");
        same_view(&view, &view_of(step));
        assert_eq!(keep_s.is_some(), step.step.keep_s.is_some());
    }
    let ids: Vec<_> = batch.outcomes.iter().map(|row| row.identity.clone()).collect();
    assert_eq!(
        sorted(
            ledger
                .outcomes(&ids)
                .await
                .expect("the ledger answers")
                .into_iter()
                .map(|row| row.outcome)
        )
        .len(),
        7
    );
    let outbox = ledger.outbox(claim.partition, 100).await.expect("the ledger answers");
    assert!(keys(&outbox) == keys(&batch.outbox));
    assert!(
        outbox
            .iter()
            .zip(&batch.outbox)
            .all(|(held, put)| held.record == put.record && held.topic == put.topic)
    );

    // A second batch continues where the first ended and folds into the same views.
    clinic.forget_ended();
    let next = clinic.batch(checkpoint, vec![issue(3), leave(2)]);
    ledger.commit(&next).await.expect("the ledger commits");
    holds_the_location(ledger, &clinic).await;
    for step in &next.views {
        let name = (step.aggregate.clone(), step.step.view.clone());
        let (view, _) =
            ledger.view(&name).await.expect("the ledger answers").expect("the view is there");
        let before = batch.views.iter().find(|before| before.step.view == step.step.view);
        let mut expected = before.map_or_else(|| View::empty(step.epoch), view_of);
        assert_eq!(expected.fold(&step.step.delta), Fold::Applied);
        same_view(&view, &expected);
    }
}

/// Whether the ledger returns the clinic as it is in memory.
async fn holds_the_location(ledger: &dyn Ledger, clinic: &Clinic) {
    let loaded = ledger
        .restore(&clinic.aggregate)
        .await
        .expect("the ledger answers")
        .expect("the location is there");
    let location = clinic.location();
    assert_eq!(loaded.position, location.position());
    let AggregateHeader::Location(header) = &loaded.header else {
        panic!("a location has a location's header")
    };
    assert!(**header == *location.header(), "the header is what was committed");
    assert!(loaded.tickets.iter().all(Ticket::is_live), "ended tickets stay behind");
    for loaded in &loaded.tickets {
        assert!(location.ticket(&loaded.id) == Some(loaded), "a ticket is what was committed");
    }
    let live = (1..100)
        .filter_map(|number| location.ticket(&ticket(number)))
        .filter(|ticket| ticket.is_live());
    assert_eq!(live.count(), loaded.tickets.len());
}

fn sorted(outcomes: impl Iterator<Item = CommandOutcome>) -> Vec<String> {
    let mut ids: Vec<_> = outcomes.map(|outcome| outcome.command.to_string()).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn keys(rows: &[OutboxRow]) -> Vec<(LogOffset, i16)> {
    rows.iter().map(|row| (row.offset, row.part)).collect()
}

pub async fn fenced_commit_changes_nothing(ledger: &dyn Ledger) {
    let mut clinic = Clinic::new(ledger).await;
    let older = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let newer = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let batch = clinic.batch(older, opening());
    assert!(matches!(ledger.commit(&batch).await, Err(LedgerError::Fenced)));
    let elsewhere =
        Batch { claim: PartitionClaim { next_offset: LogOffset(3), ..newer }, ..batch.clone() };
    assert!(matches!(ledger.commit(&elsewhere).await, Err(LedgerError::Fenced)));

    assert_eq!(ledger.checkpoint(newer.partition).await.expect("the ledger answers"), newer);
    assert!(ledger.restore(&clinic.aggregate).await.expect("the ledger answers").is_none());
    let name = (clinic.aggregate.clone(), batch.views[0].step.view.clone());
    assert!(ledger.view(&name).await.expect("the ledger answers").is_none());
    assert!(ledger.outbox(newer.partition, 10).await.expect("the ledger answers").is_empty());
    let id = batch.outcomes[0].identity.clone();
    assert!(ledger.outcomes(&[id]).await.expect("the ledger answers").is_empty());

    ledger
        .commit(&Batch { claim: newer, ..batch })
        .await
        .expect("the newer owner commits the same");
}

/// The answer of a commit is lost: the owner does not know whether the commit took effect.
pub async fn lost_commit_answer_is_in_checkpoint(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let batch = clinic.batch(claim, vec![issue(1), issue(2)]);
    drop(ledger.commit(&batch).await);
    let found = ledger.checkpoint(claim.partition).await.expect("the ledger answers");
    assert_eq!(
        found,
        PartitionClaim { next_offset: batch.to, ..claim },
        "our own epoch: it had happened"
    );
    assert!(
        matches!(ledger.commit(&batch).await, Err(LedgerError::Fenced)),
        "again it would happen twice"
    );
    holds_the_location(ledger, &clinic).await;
}

pub async fn one_of_two_commits_of_a_claim_succeeds(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let batch = clinic.batch(claim, vec![issue(1)]);
    let (one, other) = tokio::join!(ledger.commit(&batch), ledger.commit(&batch));
    let fenced = |result: &Result<(), LedgerError>| matches!(result, Err(LedgerError::Fenced));
    assert!(one.is_ok() && fenced(&other) || other.is_ok() && fenced(&one));
    holds_the_location(ledger, &clinic).await;
}

pub async fn foreign_move_of_location_stops_batch(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 1).await;
    let good = clinic.batch(claim, vec![issue(2)]);
    let mut stale = good.clone();
    stale.aggregates[0].from -= 1;
    assert!(matches!(ledger.commit(&stale).await, Err(LedgerError::Diverged)));
    let mut foreign = good.clone();
    foreign.aggregates[0].epoch += 1;
    assert!(matches!(ledger.commit(&foreign).await, Err(LedgerError::Diverged)));
    let mut new = good.clone();
    new.aggregates[0].from = 0;
    assert!(matches!(ledger.commit(&new).await, Err(LedgerError::Diverged)));
    assert_eq!(ledger.checkpoint(claim.partition).await.expect("the ledger answers"), claim);
    ledger.commit(&good).await.expect("the ledger commits what follows");
    holds_the_location(ledger, &clinic).await;
}

pub async fn ended_ticket_is_read_on_request(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 3).await;
    let batch = clinic.batch(claim, vec![leave(2)]);
    ledger.commit(&batch).await.expect("the ledger commits");
    let names =
        PartNames { tickets: vec![ticket(1), ticket(2), ticket(77)], ..PartNames::default() };
    let named = ledger.location_parts(&clinic.aggregate, &names).await.expect("the ledger answers");
    let (ended, appointments) = (named.tickets, named.appointments);
    assert!(appointments.is_empty(), "a ticket's name names no appointment");
    assert_eq!(ended.len(), 1, "neither live nor unknown tickets come");
    assert!(Some(&ended[0]) == clinic.location().ticket(&ticket(2)));
    holds_the_location(ledger, &clinic).await;

    let claim = PartitionClaim { next_offset: batch.to, ..claim };
    let batch = clinic.batch(claim, vec![Command::RevertTicket { ticket: ticket(2) }]);
    ledger.commit(&batch).await.expect("the ledger commits");
    let named = ledger.location_parts(&clinic.aggregate, &names).await.expect("the ledger answers");
    assert!(named.tickets.is_empty());
    holds_the_location(ledger, &clinic).await;
}

/// The events of timers are committed with the record that was refused after them, under their own
/// version.
pub async fn refused_record_carries_timer_events(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 2).await;
    let mut batch = clinic.batch(claim, vec![leave(1)]);
    let row = &mut batch.journal[0];
    let JournalEntry::Applied { position, events } = row.entry.clone() else {
        panic!("leaving is applied")
    };
    let code = Code::NothingDue;
    row.entry = JournalEntry::Refused { code, timers: Some((position, events)) };
    batch.outcomes[0].outcome.verdict = Verdict::Refused { code };
    ledger.commit(&batch).await.expect("the ledger commits");
    holds_the_location(ledger, &clinic).await;
    let id = batch.outcomes[0].identity.clone();
    let known = ledger.outcomes(&[id]).await.expect("the ledger answers");
    assert!(matches!(known[0].outcome.verdict, Verdict::Refused { code: Code::NothingDue }));
    let outbox = ledger.outbox(claim.partition, 100).await.expect("the ledger answers");
    assert_eq!(outbox.iter().filter(|row| row.topic == VIEWS_TOPIC).count(), 4 + 2 + 1);

    let claim = PartitionClaim { next_offset: batch.to, ..claim };
    let next = clinic.batch(claim, vec![leave(2)]);
    assert_eq!(next.aggregates[0].from, position.version, "the version is used up");
    ledger.commit(&next).await.expect("the ledger commits what follows");
    holds_the_location(ledger, &clinic).await;
}

pub async fn due_times_are_listed_by_partition(ledger: &dyn Ledger) {
    let (mut clinic, mut claim) = opened(ledger, 0).await;
    let (partition, aggregate) = (clinic.partition(), clinic.aggregate.clone());
    for (number, expected) in
        [(1, Some(1_700_000_060_000)), (2, Some(1_700_000_030_000)), (3, None)]
    {
        let mut batch = clinic.batch(claim, vec![issue(number)]);
        batch.aggregates[0].due = expected;
        ledger.commit(&batch).await.expect("the ledger commits");
        claim.next_offset = batch.to;
        let of = async |partition| {
            let mut due = ledger.due(partition).await.expect("the ledger answers");
            due.retain(|(of, _)| *of == aggregate);
            due
        };
        let expected: Vec<_> = expected.map(|at| (aggregate.clone(), at)).into_iter().collect();
        assert!(of(partition).await == expected, "as of the last commit");
        assert!(of(other(partition)).await.is_empty(), "each partition's owner has its own");
    }
}

pub async fn repeated_and_parked_records_have_no_version(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let first = clinic.record(issue(1));
    let mut broken = clinic.record(issue(2));
    broken.value = b"{".as_slice().into();
    let mut unnamed = broken.clone();
    // Databases refuse such text: the record must be parked and must not stop the partition.
    unnamed.key = "\u{0}".into();
    unnamed.headers = vec![("x".into(), "y\u{0}z".into())];
    let refused = clinic.record(issue(1));
    let batch =
        clinic.batch_of(claim, vec![first.clone(), first.clone(), broken, unnamed, refused]);
    let entries: Vec<&JournalEntry> = batch.journal.iter().map(|row| &row.entry).collect();
    assert!(matches!(
        entries[..],
        [
            JournalEntry::Applied { .. },
            JournalEntry::Repeated,
            JournalEntry::Parked { code: Code::RecordMalformed, .. },
            JournalEntry::Parked { code: Code::RecordWrongPartition, .. },
            JournalEntry::Refused { code: Code::TicketExists, timers: None }
        ]
    ));
    ledger.commit(&batch).await.expect("the ledger commits");
    let checkpoint = ledger.checkpoint(claim.partition).await.expect("the ledger answers");
    assert_eq!(checkpoint.next_offset, LogOffset(claim.next_offset.0 + 5));
    holds_the_location(ledger, &clinic).await;

    // A repeat in a later batch gets the first outcome.
    let first = &batch.outcomes[0];
    let ids = std::slice::from_ref(&first.identity);
    let known = ledger.outcomes(ids).await.expect("the ledger answers");
    assert!(known[0].outcome == first.outcome);
    assert!(matches!(known[0].outcome.verdict, Verdict::Applied { version: 5, .. }));
}

pub async fn outbox_keeps_order_until_published(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 0).await;
    let mut batch = clinic.batch(claim, vec![issue(1), issue(2)]);
    let follow_up = clinic.record(issue(3));
    let offset = claim.next_offset;
    let first = batch.outbox.iter().filter(|row| row.offset == offset).count();
    let follow_up = OutboxRow { offset, part: 100, topic: CARE_TOPIC, record: follow_up };
    batch.outbox.insert(first, follow_up);
    ledger.commit(&batch).await.expect("the ledger commits");
    let held = ledger.outbox(claim.partition, 100).await.expect("the ledger answers");
    let (old, new) = held.split_at(4);
    assert!(keys(new) == keys(&batch.outbox), "oldest first, and parts in order");
    let topics = new.iter().map(|row| row.topic).filter(|topic| *topic != EVENTS_TOPIC);
    assert!(topics.eq([VIEWS_TOPIC, CARE_TOPIC, VIEWS_TOPIC]));
    assert!(new.iter().zip(&batch.outbox).all(|(held, put)| held.record == put.record));
    let page = ledger.outbox(claim.partition, 2).await.expect("the ledger answers");
    assert!(keys(&page) == keys(&old[..2]));

    ledger.delete_published(claim.partition, &keys(old)).await.expect("the ledger answers");
    ledger.delete_published(claim.partition, &keys(&new[..1])).await.expect("the ledger answers");
    ledger.delete_published(claim.partition, &keys(&new[..1])).await.expect("again is harmless");
    let left = ledger.outbox(claim.partition, 100).await.expect("the ledger answers");
    assert!(keys(&left) == keys(&new[1..]));
}

pub async fn dirty_view_is_listed_until_repaired(ledger: &dyn Ledger) {
    let (mut clinic, claim) = opened(ledger, 1).await;
    let partition = clinic.partition();
    let dirty = async |limit| {
        ledger.dirty(partition, PARTITION_COUNT, limit).await.expect("the ledger answers")
    };
    assert!(dirty(10).await.is_empty());
    let board = (clinic.aggregate.clone(), "board:riverside".to_owned());
    let queue = (clinic.aggregate.clone(), "queue:riverside.general".to_owned());
    for _ in 0..2 {
        ledger.mark_dirty(&[board.clone(), queue.clone()]).await.expect("the ledger answers");
    }
    assert_eq!(dirty(10).await.len(), 2, "marked twice is marked once");
    assert_eq!(dirty(1).await.len(), 1);
    let elsewhere =
        ledger.dirty(other(partition), PARTITION_COUNT, 100).await.expect("the ledger answers");
    assert!(!elsewhere.contains(&board));

    let (view, _) =
        ledger.view(&queue).await.expect("the ledger answers").expect("the view is there");
    let batch = clinic.batch(claim, vec![issue(2)]);
    ledger.commit(&batch).await.expect("the ledger commits");
    ledger.mark_repaired(&queue, view.position).await.expect("the ledger answers");
    assert!(dirty(10).await.contains(&queue), "the view moved on while it was repaired");
    let (view, _) =
        ledger.view(&queue).await.expect("the ledger answers").expect("the view is there");
    ledger.mark_repaired(&queue, view.position).await.expect("the ledger answers");
    assert!(dirty(10).await == [board.clone()]);

    let gone = (clinic.aggregate.clone(), format!("queue:riverside.{}", fresh()));
    ledger.mark_dirty(std::slice::from_ref(&gone)).await.expect("the ledger answers");
    assert!(ledger.view(&gone).await.expect("the ledger answers").is_none());
    ledger.mark_repaired(&gone, Position::default()).await.expect("the ledger answers");
    let (view, _) =
        ledger.view(&board).await.expect("the ledger answers").expect("the view is there");
    ledger.mark_repaired(&board, view.position).await.expect("the ledger answers");
    assert!(dirty(10).await.is_empty());
}

pub async fn suspect_views_are_marked_in_slices(ledger: &dyn Ledger) {
    let (clinic, _) = opened(ledger, 3).await;
    let partition = clinic.partition();
    let of_clinic = |names: &[ViewName]| -> Vec<ViewName> {
        names.iter().filter(|(aggregate, _)| *aggregate == clinic.aggregate).cloned().collect()
    };
    let dirty = async || {
        of_clinic(&ledger.dirty(partition, PARTITION_COUNT, 10_000).await.expect("it answers"))
    };
    let mark_all = async |partition| {
        let (mut after, mut slices): (Option<ViewName>, _) = (None, 0);
        loop {
            let slice = ledger.mark_suspect(partition, PARTITION_COUNT, after.as_ref(), 2);
            slices += 1;
            after = slice.await.expect("the ledger answers");
            if after.is_none() {
                return slices;
            }
        }
    };
    mark_all(other(partition)).await;
    assert!(dirty().await.is_empty(), "another partition's views were marked");
    assert!(mark_all(partition).await > 3, "a board, a line, three tickets by two, and the end");
    let all = dirty().await;
    assert!(all.len() >= 5, "every view is marked");

    let last = all.last().expect("a view").clone();
    ledger.mark_dirty(std::slice::from_ref(&last)).await.expect("the ledger answers");
    let first = ledger.dirty(partition, PARTITION_COUNT, 1).await.expect("the ledger answers");
    assert!(first == [last], "a dirty view comes before the suspect ones");

    for name in &all {
        let (view, _) = ledger.view(name).await.expect("it answers").expect("the view is there");
        ledger.mark_repaired(name, view.position).await.expect("the ledger answers");
    }
    assert!(dirty().await.is_empty());
}

pub async fn epochs_only_grow(ledger: &dyn Ledger) {
    let mut last = 0;
    for _ in 0..5 {
        let next = ledger.next_epoch().await.expect("the ledger answers");
        assert!(next > last);
        last = next;
    }
    let start_of_2025 = 1_735_689_600;
    assert!(
        last > start_of_2025,
        "an epoch is at least the time, so that a restored ledger goes on above"
    );
}

pub async fn tenants_never_meet(ledger: &dyn Ledger) {
    let (one, _) = opened(ledger, 3).await;
    let (other, _) = opened(ledger, 1).await;
    assert_ne!(one.aggregate, other.aggregate);
    assert_eq!(one.aggregate.location_id(), other.aggregate.location_id());
    for clinic in [&one, &other] {
        holds_the_location(ledger, clinic).await;
    }
}

/// Calls `$run!` with the names of the promises of the ledger.
#[macro_export]
macro_rules! ledger_promises {
    ($run:ident) => {
        $run! {
            newer_claim_fences_older,
            commit_moves_everything_together,
            fenced_commit_changes_nothing,
            lost_commit_answer_is_in_checkpoint,
            one_of_two_commits_of_a_claim_succeeds,
            batches_that_share_a_transaction_end_alone,
            batch_shared_with_itself_has_one_effect,
            foreign_move_of_location_stops_batch,
            ended_ticket_is_read_on_request,
            refused_record_carries_timer_events,
            due_times_are_listed_by_partition,
            repeated_and_parked_records_have_no_version,
            outbox_keeps_order_until_published,
            dirty_view_is_listed_until_repaired,
            suspect_views_are_marked_in_slices,
            epochs_only_grow,
            tenants_never_meet,
            near_appointments_come_with_location,
            appointments_are_read_by_the_time_they_wake,
            renewal_reads_shown_appointments_in_slices,
            appointment_is_read_by_id_or_source_key,
            changed_appointment_replaces_itself,
            tenants_share_no_appointment,
            outcome_is_found_by_its_whole_identity,
            later_outcome_keeps_first_content_and_time,
            first_of_two_aggregates_decides,
            forgotten_outcome_is_replaced,
            batch_of_new_commands_has_no_known_one,
            batch_of_new_commands_issues_new_tickets,
            outcome_of_an_older_move_is_left_out,
            old_outcomes_are_deleted_in_slices,
            key_lifetime_is_counted_by_append_times,
        }
    };
}
