//! The checks of a run at rest. Each fault names its invariant, I1 to I10: one effect (I1), dense
//! versions (I2), read models (I3), the store (I4), clients (I5), no way back (I6), tenants (I7),
//! the audit (I8), log lines (I9) and one line for each person (I10).

use std::collections::BTreeMap;

use processors::{
    ledger::{JournalEntry, JournalRow},
    log::{LogRecord, PartitionId},
};
use schemas::{
    command::{CommandOutcome, Verdict},
    event::Event,
    ids::Aggregate,
    record::CARE_TOPIC,
};
use serde_json::Value;

use crate::{
    model::Model,
    views::{clients, published, read_models, store},
    world::World,
};

type Journal = [(PartitionId, JournalRow)];

/// Checks every invariant of a run at rest.
pub async fn everything(world: &World, when: &str) {
    world.trace.note("CHECK", when);
    let journal = world.memory.ledger.journal();
    let mut model = Model::of(&journal);
    model.check_at_rest();
    let log = world.broker.all(CARE_TOPIC);
    let mut faults = std::mem::take(&mut model.faults);
    faults.extend(one_effect(&log, &journal));
    faults.extend(decided_in_time(&log, &journal));
    faults.extend(answers(world, &journal));
    faults.extend(newest_facts(&log, &journal, &model));
    faults.extend(read_models(world, &model).await);
    faults.extend(published(world));
    faults.extend(store(world).await);
    faults.extend(timers(world, &model));
    faults.extend(log_lines(world));
    faults.into_iter().for_each(|fault| world.fault(format!("{when}: {fault}")));
    clients(world, when).await;
}

/// The identity of a record: tenant, source, subject and key.
type Identity = [String; 4];

fn identity(record: &LogRecord) -> Option<Identity> {
    let header = |name| record.record.header(name).map(str::to_owned);
    let tenant = record.record.key.split('/').next()?.to_owned();
    Some([tenant, header("ce_source")?, header("ce_actor").unwrap_or_default(), header("ce_id")?])
}

fn is_tick(record: &LogRecord) -> bool {
    record.record.header("ce_type") == Some("clinicwire.location.tick.v1")
}

/// I1: one row for each record, in order, and one decision for each command.
fn one_effect(log: &BTreeMap<PartitionId, Vec<LogRecord>>, journal: &Journal) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, records) in log {
        let rows: Vec<i64> =
            journal.iter().filter(|(of, _)| of == id).map(|(_, row)| row.offset.0).collect();
        if !rows.iter().copied().eq(0..records.len() as i64) {
            faults.push(format!("I1 partition {id}: {} records, rows {rows:?}", records.len()));
        }
    }
    let mut decided: BTreeMap<Identity, Value> = BTreeMap::new();
    for (id, row) in journal {
        let record = usize::try_from(row.offset.0).ok().and_then(|at| log.get(id)?.get(at));
        let Some(record) = record.filter(|record| !is_tick(record)) else { continue };
        let Some(identity) = identity(record) else { continue };
        let parked = matches!(row.entry, JournalEntry::Parked { .. });
        let content: Value = serde_json::from_slice(&record.record.value).unwrap_or(Value::Null);
        if parked != content.is_null() {
            faults.push(format!("I1 {id}/{}: parked without a reason", row.offset));
        }
        if parked {
            continue;
        }
        let is_repeat = matches!(row.entry, JournalEntry::Repeated);
        let is_reuse = matches!(&row.entry, JournalEntry::Refused { code, timers: None }
            if code.as_str() == "idempotency_key_reused");
        match decided.get(&identity) {
            None if is_repeat || is_reuse => {
                faults.push(format!("I1 {id}/{}: repeats nothing: {identity:?}", row.offset));
            }
            None => drop(decided.insert(identity, content)),
            Some(first) if is_same(first, &content) && !is_repeat => {
                faults.push(format!("I1 {id}/{}: decided again: {identity:?}", row.offset));
            }
            Some(first) if !is_same(first, &content) && !is_reuse => {
                faults.push(format!("I1 {id}/{}: another content: {identity:?}", row.offset));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Whether two contents of a key are the same. The random part of an appointment's id does not
/// count.
fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |content: &Value| {
        let mut content = content.clone();
        if content["type"] == "appointment.report" {
            content["appointment"] = Value::Null;
        }
        content
    };
    plain(one) == plain(other)
}

/// No command is applied after its end of validity.
fn decided_in_time(log: &BTreeMap<PartitionId, Vec<LogRecord>>, journal: &Journal) -> Vec<String> {
    let late = journal.iter().filter(|(id, row)| {
        let record = log.get(id).and_then(|records| records.get(row.offset.0 as usize));
        let until = record.and_then(|record| record.record.header("ce_validuntil")?.parse().ok());
        let applied = matches!(row.entry, JournalEntry::Applied { .. });
        applied && until.is_some_and(|until: i64| until < row.decided_at)
    });
    late.map(|(id, row)| format!("I1 {id}/{}: applied after its end", row.offset)).collect()
}

/// I3: of all facts about a booking that were applied or ignored, the one with the greatest
/// revision counts. Between equal revisions the last one counts.
fn newest_facts(
    log: &BTreeMap<PartitionId, Vec<LogRecord>>,
    journal: &Journal,
    model: &Model,
) -> Vec<String> {
    let mut newest: BTreeMap<_, Value> = BTreeMap::new();
    for (id, row) in journal {
        let record = log.get(id).and_then(|records| records.get(row.offset.0 as usize));
        let (JournalEntry::Applied { .. }, Some(record)) = (&row.entry, record) else { continue };
        let content: Value = serde_json::from_slice(&record.record.value).unwrap_or(Value::Null);
        if content["type"] != "appointment.report" {
            continue;
        }
        let fact = &content["fact"];
        let held = newest.entry((record.record.key.clone(), booking(fact))).or_default();
        if fact["revision"].as_u64() >= held["revision"].as_u64() {
            *held = fact.clone();
        }
    }
    let held: BTreeMap<_, _> = model
        .locations
        .iter()
        .flat_map(|(aggregate, location)| {
            let facts = location.appointments.values().map(|appointment| &appointment.fact);
            facts.map(|fact| ((aggregate.to_string(), booking(fact)), fact.clone()))
        })
        .collect();
    (held != newest)
        .then(|| format!("I3 facts {held:?} are held, the newest are {newest:?}"))
        .into_iter()
        .collect()
}

/// The identity of a booking: the source, and the key that the source gave the booking.
fn booking(fact: &Value) -> (String, String) {
    (fact["source"].to_string(), fact["key"].to_string())
}

/// Tenant, subject and id of a command.
type CommandName = (String, String, String);

/// I1: every caller was told the decision about its own command, and every acknowledged command is
/// in the journal.
fn answers(world: &World, journal: &Journal) -> Vec<String> {
    let mut faults = Vec::new();
    let desk = world.desk.borrow();
    let mut decided: BTreeMap<CommandName, Vec<(&JournalRow, &Aggregate)>> = BTreeMap::new();
    for (_, row) in journal {
        if let Some((aggregate, id, actor)) = &row.command {
            let subject = actor.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
            let name = (aggregate.tenant().to_string(), subject, id.to_string());
            decided.entry(name).or_default().push((row, aggregate));
        }
    }
    for name in desk.acknowledged.iter().filter(|name| !decided.contains_key(name)) {
        faults.push(format!("I1 {name:?} is acknowledged and has no effect"));
    }
    for answer in &desk.answers {
        let name = (answer.tenant.clone(), answer.subject.clone(), answer.command.clone());
        let rows = decided.get(&name).map(Vec::as_slice).unwrap_or_default();
        if !rows.iter().any(|(row, _)| is_told(&answer.outcome, row)) {
            faults.push(format!("I1 {name:?} was told what nobody decided"));
        }
    }
    // Callers of one command with one content were told the same, except that a move ends.
    let mut told: BTreeMap<_, &CommandOutcome> = BTreeMap::new();
    for answer in &desk.answers {
        let content =
            (&answer.tenant, &answer.subject, &answer.command, answer.fingerprint.to_string());
        let first = told.entry(content).or_insert(&answer.outcome);
        let moves = |outcome: &CommandOutcome| matches!(outcome.verdict, Verdict::Moving { .. });
        if first.verdict != answer.outcome.verdict && !moves(first) && !moves(&answer.outcome) {
            faults.push(format!("I1 {} was told two outcomes", answer.command));
        }
    }
    faults
}

/// Whether the row is the decision of this outcome. What a move came to is decided elsewhere.
fn is_told(outcome: &CommandOutcome, row: &JournalRow) -> bool {
    match (&outcome.verdict, &row.entry) {
        (
            Verdict::Applied { version, .. } | Verdict::Moving { version, .. },
            JournalEntry::Applied { position, events },
        ) => {
            position.version == *version
                || events.iter().any(|event| matches!(event, Event::TicketLeaving { .. }))
        }
        (Verdict::Refused { code }, JournalEntry::Refused { code: refused, .. }) => code == refused,
        (Verdict::Refused { code }, JournalEntry::Parked { code: parked, .. }) => code == parked,
        (Verdict::Refused { .. }, JournalEntry::Applied { events, .. }) => {
            events.iter().any(|event| matches!(event, Event::TicketLeaving { .. }))
        }
        _ => false,
    }
}

/// Timers fire: nobody is absent or on the way for much longer than the location allows.
fn timers(world: &World, model: &Model) -> Vec<String> {
    let now = world.log_time();
    let tickets = model.locations.values().flat_map(|location| &location.tickets);
    let overdue = tickets.filter(|(_, ticket)| {
        let allowed = match ticket.state {
            "absent" => 30_000,
            _ => 200_000,
        };
        // The clock of the log may have been ahead by two minutes, and a tick takes seconds.
        ticket.is_live() && ticket.since + allowed + 10_000 < now
    });
    overdue.map(|(id, ticket)| format!("I3 {id} is {} for too long", ticket.state)).collect()
}

/// I9: no id of a ticket, and no name of a person, is in a log line.
fn log_lines(world: &World) -> Vec<String> {
    let desk = world.desk.borrow();
    let hex: Vec<String> =
        desk.issued.iter().flatten().map(|number| format!("{number:032x}")).collect();
    let words = ["R.M.", "subject-"];
    let is_leak = |line: &String| {
        words.iter().any(|word| line.contains(word)) || hex.iter().any(|id| line.contains(id))
    };
    world.trace.logged().into_iter().filter(is_leak).map(|line| format!("I9 {line}")).collect()
}
