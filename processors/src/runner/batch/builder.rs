//! Builds a transaction record by record.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemas::{
    Millis,
    codes::Code,
    command::{CommandOutcome, Verdict},
    event::Event,
    figures::{Figure, FigureKey, Tally},
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, AggregateKind, AppointmentId, TicketId},
    outward::{OutwardData, OutwardEvent},
    record::{
        ACCESS_TOPIC, CommandRecord, EVENTS_TOPIC, NamedCommand, PublishedOutcome, VIEWS_TOPIC,
        ViewsRecord, WireRecord, topic_for,
    },
    view::Position,
};

use super::{BatchState, BatchTally, ViewSteps, fit, is_answered};
use crate::{
    aggregate::AggregateState,
    alerts::AlertRow,
    effect::{RecordEffect, RecordTime, Settlement},
    ledger::{
        AggregateRow, AppointmentRow, Batch, FigureRow, JournalEntry, JournalRow, OutboxRow,
        OutcomeRow, PartitionClaim, StayRow, TicketRow,
    },
    location::History,
    log::{LogOffset, LogRecord},
    run,
    webhooks::{OutwardRow, WebhookRow},
};

/// Most rows that a batch changes before it takes no further record: tickets, appointments and
/// views. Rows cost about 20 µs each in PostgreSQL, so a transaction takes about 50 ms, and records
/// that wait for the next one are answered within 100 ms. A batch of 500 ordinary commands changes
/// fewer than 2,000. Past it, the remaining records go into the next batch.
pub(super) const MAX_ROWS: usize = 2_000;
/// Most bytes of published and parked records in a batch before it takes no further record, for the
/// same reason: 500 ordinary commands publish about 1 MB.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Adds records to a transaction, one after the other.
pub(super) struct BatchBuilder<'a> {
    state: &'a mut BatchState,
    journal: Vec<JournalRow>,
    outcomes: OutcomeRows,
    outbox: Vec<OutboxRow>,
    steps: ViewSteps,
    /// The version of each changed aggregate before the batch.
    from: BTreeMap<Aggregate, u64>,
    touched: BTreeSet<(Aggregate, TicketId)>,
    appointments: BTreeSet<(Aggregate, AppointmentId)>,
    /// Runs whose row changed.
    listed: BTreeSet<Aggregate>,
    alerts: Vec<AlertRow>,
    outward: Vec<OutwardRow>,
    webhooks: Vec<WebhookRow>,
    stays: BTreeMap<(Aggregate, TicketId, u32), Stay>,
    figures: BTreeMap<(Aggregate, FigureKey), Tally>,
    /// Bytes of the values in the outbox and of parked records.
    bytes: usize,
    tally: BatchTally,
}

impl<'a> BatchBuilder<'a> {
    pub(super) fn new(state: &'a mut BatchState, records: usize) -> Self {
        Self {
            state,
            journal: Vec::with_capacity(records),
            outcomes: OutcomeRows::default(),
            outbox: Vec::with_capacity(records),
            steps: ViewSteps::default(),
            from: BTreeMap::new(),
            touched: BTreeSet::new(),
            appointments: BTreeSet::new(),
            listed: BTreeSet::new(),
            alerts: Vec::new(),
            outward: Vec::new(),
            webhooks: Vec::new(),
            stays: BTreeMap::new(),
            figures: BTreeMap::new(),
            bytes: 0,
            tally: BatchTally::default(),
        }
    }

    /// Whether the batch takes no further record.
    pub(super) fn is_full(&self) -> bool {
        let rows = self.touched.len() + self.appointments.len() + self.steps.len();
        rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(super) fn command(&mut self, record: &LogRecord, command: CommandRecord) {
        let named = is_answered(&command.command).then(|| NamedCommand {
            identity: command.identity(),
            fingerprint: Some(command.effective_fingerprint()),
        });
        if let Some(named) = &named
            && let Some(first) = self.first(named, record.at)
        {
            let published = named.clone().publish(first.outcome.clone());
            let is_repeat = first.fingerprint.is_none_or(|held| named.fingerprint == Some(held));
            match is_repeat {
                true => self.repeat(record, command, published),
                false => self.reused(record, command, named.clone()),
            }
            return;
        }
        let state = self
            .state
            .aggregates
            .get_mut(&command.aggregate)
            .expect("every aggregate of the batch is restored");
        let before = state.position().version;
        let time = RecordTime { appended_at: record.at, decided_at: self.state.decided_at };
        let effect = match self.state.tenants.check_command(&command, state) {
            Ok(()) => state.handle(&command, time),
            Err(code) => RecordEffect::refused(state.position(), record.at, code),
        };
        if !effect.events.is_empty() {
            self.from.entry(command.aggregate.clone()).or_insert(before);
        }
        let outcome = named.map(|named| {
            let outcome = CommandOutcome {
                command: command.id.clone(),
                at: effect.at,
                verdict: effect.verdict.clone(),
            };
            self.keep_outcome(OutcomeRow {
                identity: named.identity.clone(),
                aggregate: command.aggregate.clone(),
                fingerprint: named.fingerprint,
                settles: None,
                first_at: record.at,
                outcome: outcome.clone(),
            });
            named.publish(outcome)
        });
        // Nobody waits for the outcome of an answer between locations, so the outcome that it
        // settles is published in its place.
        let settled = self.settle(record, &command.aggregate, &effect);
        self.record_effect(record, command, effect, settled.or(outcome));
    }

    /// Replaces the outcome `moving` of an earlier command, which the batch has read. If its key
    /// has been deleted or belongs to a newer move, nobody asks for the outcome, and it is left
    /// out.
    fn settle(
        &mut self,
        record: &LogRecord,
        aggregate: &Aggregate,
        effect: &RecordEffect,
    ) -> Option<PublishedOutcome> {
        let Settlement { command: identity, began, outcome: verdict } = effect.settles.clone()?;
        let held = self.state.outcomes.get_mut(&identity)?;
        if !held.is_settled_by(aggregate, began) {
            return None;
        }
        let outcome = CommandOutcome { command: identity.command.clone(), at: effect.at, verdict };
        let row = OutcomeRow {
            identity: identity.clone(),
            aggregate: aggregate.clone(),
            fingerprint: None,
            settles: Some(began),
            first_at: record.at,
            outcome: outcome.clone(),
        };
        held.replace(row.clone());
        self.outcomes.push(row);
        Some(NamedCommand { identity, fingerprint: None }.publish(outcome))
    }

    /// The outcome of an earlier command with the same identity, while its key is kept for a record
    /// that was appended at `at`.
    fn first(&self, named: &NamedCommand, at: Millis) -> Option<&OutcomeRow> {
        let held = self.state.outcomes.get(&named.identity)?;
        (!held.is_forgotten(at, self.state.key_lifetime)).then_some(held)
    }

    /// Stores the outcome with the batch. Later records of the batch find it.
    fn keep_outcome(&mut self, row: OutcomeRow) {
        self.outcomes.push(row.clone());
        match self.state.outcomes.get_mut(&row.identity) {
            Some(held) => held.replace(row),
            None => drop(self.state.outcomes.insert(row.identity.clone(), row)),
        }
    }

    /// Records the effect of a decision: the journal row, the record of `views`, and the follow-up
    /// command. A refused command may have changed the aggregate too, through timers that were due
    /// before it.
    fn record_effect(
        &mut self,
        record: &LogRecord,
        command: CommandRecord,
        effect: RecordEffect,
        outcome: Option<PublishedOutcome>,
    ) {
        let CommandRecord { aggregate, id, actor, .. } = command;
        if effect.events.iter().any(run::changes_run_row) {
            self.listed.insert(aggregate.clone());
        }
        let entry = self.count(effect.verdict, effect.position, effect.events);
        self.touched.extend(effect.touched.into_iter().map(|ticket| (aggregate.clone(), ticket)));
        self.appointments.extend(effect.appointments.into_iter().map(|id| (aggregate.clone(), id)));
        let tenant = aggregate.tenant();
        let row = |change| AlertRow { tenant: tenant.clone(), change };
        self.alerts.extend(effect.alerts.into_iter().map(row));
        let row = |change| WebhookRow { tenant: tenant.clone(), change };
        self.webhooks.extend(effect.webhooks.into_iter().map(row));
        self.add_history(&aggregate, effect.history);
        // No client follows the key of an appointment or asks for the outcome of a claim, and
        // gateways would keep a tail for each of these aggregates.
        let has_readers = aggregate.kind() != AggregateKind::AppointmentKey
            && (outcome.is_some() || entry.moved().is_some());
        let views = ViewsRecord {
            position: effect.position,
            at: effect.at,
            deltas: effect.deltas,
            reload: false,
            outcome,
        };
        if has_readers {
            let (wire, omitted) = fit::to_wire(&views, &aggregate);
            self.tally.omitted += omitted;
            self.publish(record.offset, 0, VIEWS_TOPIC, wire);
        }
        for delta in views.deltas {
            self.steps.add(&aggregate, effect.position.epoch, delta);
        }
        let mut parts = 1..;
        for (next, part) in effect.follow_ups.into_iter().zip(parts.by_ref()) {
            self.publish(record.offset, part, topic_for(next.aggregate.kind()), next.to_wire());
        }
        for (stored, part) in effect.tenant.into_iter().zip(parts.by_ref()) {
            let wire = stored.to_wire(&aggregate.tenant());
            self.publish(record.offset, part, ACCESS_TOPIC, wire);
        }
        for ((data, part), index) in effect.outward.into_iter().zip(parts).zip(0..) {
            let event = OutwardEvent::new(&aggregate, effect.position, index, effect.at, data);
            self.outward(record.offset, part, &aggregate, &event, effect.at);
        }
        let command = Some((aggregate, id, actor));
        self.journal.push(JournalRow {
            offset: record.offset,
            at: effect.at,
            decided_at: self.state.decided_at,
            command,
            entry,
        });
    }

    /// Adds an outward event for webhooks, and publishes it. The test of a webhook is not for
    /// others.
    fn outward(
        &mut self,
        offset: LogOffset,
        part: i16,
        aggregate: &Aggregate,
        event: &OutwardEvent,
        at: Millis,
    ) {
        let wire = event.to_wire(aggregate);
        let webhook = match &event.data {
            OutwardData::WebhookTest { webhook } => Some(webhook.clone()),
            _ => None,
        };
        let is_public = webhook.is_none();
        self.outward.push(OutwardRow::new(event, &wire, at, webhook));
        if is_public {
            self.publish(offset, part, EVENTS_TOPIC, wire);
        }
    }

    /// Merges the changes of a history: a later change of a stay replaces an earlier one, and
    /// changes of a figure are added up.
    fn add_history(&mut self, aggregate: &Aggregate, history: History) {
        for stay in history.stays {
            self.stays.insert((aggregate.clone(), stay.ticket.clone(), stay.number), stay);
        }
        for Figure { key, tally } in history.figures {
            self.figures.entry((aggregate.clone(), key)).or_default().add(tally);
        }
    }

    /// Counts a verdict, and returns it with its events as the journal keeps them.
    fn count(&mut self, verdict: Verdict, position: Position, events: Vec<Event>) -> JournalEntry {
        match verdict {
            Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => {
                self.tally.applied += 1;
                if let Some(change) = result.change {
                    *self.tally.facts.entry(change).or_default() += 1;
                }
                JournalEntry::Applied { position, events }
            }
            Verdict::Refused { code } => {
                self.tally.refused += 1;
                let timers = (!events.is_empty()).then_some((position, events));
                JournalEntry::Refused { code, timers }
            }
        }
    }

    /// Publishes the first outcome again, for a caller that sent its command again.
    fn repeat(&mut self, record: &LogRecord, command: CommandRecord, first: PublishedOutcome) {
        self.tally.repeated += 1;
        self.answer(record, command, first, JournalEntry::Repeated);
    }

    /// Refuses a command whose key was used for another content. The first outcome stays.
    fn reused(&mut self, record: &LogRecord, command: CommandRecord, named: NamedCommand) {
        self.tally.refused += 1;
        let code = Code::IdempotencyKeyReused;
        let outcome = CommandOutcome {
            command: command.id.clone(),
            at: record.at,
            verdict: Verdict::Refused { code },
        };
        let entry = JournalEntry::Refused { code, timers: None };
        self.answer(record, command, named.publish(outcome), entry);
    }

    /// Answers a command that the aggregate does not decide.
    fn answer(
        &mut self,
        record: &LogRecord,
        command: CommandRecord,
        outcome: PublishedOutcome,
        entry: JournalEntry,
    ) {
        let CommandRecord { aggregate, id, actor, .. } = command;
        let position = self
            .state
            .aggregates
            .get(&aggregate)
            .map_or(Position::default(), AggregateState::position);
        let views = ViewsRecord::of_outcome(position, record.at, outcome);
        self.publish(record.offset, 0, VIEWS_TOPIC, views.to_wire(&aggregate));
        self.journal.push(JournalRow {
            offset: record.offset,
            at: record.at,
            decided_at: self.state.decided_at,
            command: Some((aggregate, id, actor)),
            entry,
        });
    }

    /// Sets the record aside. A caller that can be identified gets a refusal at once. The outcome
    /// is not kept, because people may release the record later, and it must not count as a repeat
    /// then. The position is zero, because nothing was judged.
    pub(super) fn park(&mut self, record: &LogRecord, code: Code) {
        self.tally.parked += 1;
        self.bytes += record.record.value.len();
        let caller = NamedCommand::from_wire(&record.record);
        if let Some((aggregate, named)) = &caller {
            let outcome = CommandOutcome {
                command: named.identity.command.clone(),
                at: record.at,
                verdict: Verdict::Refused { code },
            };
            let outcome = named.clone().publish(outcome);
            let views = ViewsRecord::of_outcome(Position::default(), record.at, outcome);
            self.publish(record.offset, 0, VIEWS_TOPIC, views.to_wire(aggregate));
        }
        self.journal.push(JournalRow {
            offset: record.offset,
            at: record.at,
            decided_at: self.state.decided_at,
            command: caller.map(|(aggregate, named)| (aggregate, named.identity.command, None)),
            entry: JournalEntry::Parked { code, record: record.record.clone() },
        });
    }

    fn publish(&mut self, offset: LogOffset, part: i16, topic: &'static str, record: WireRecord) {
        self.bytes += record.value.len();
        self.outbox.push(OutboxRow { offset, part, topic, record });
    }

    pub(super) fn finish(self, claim: PartitionClaim, to: LogOffset) -> (Batch, BatchTally) {
        let aggregates = &self.state.aggregates;
        let row = |(aggregate, from): (Aggregate, u64)| {
            let state = &aggregates[&aggregate];
            let Position { epoch, version: to } = state.position();
            AggregateRow { epoch, from, to, header: state.header(), due: state.due(), aggregate }
        };
        let ticket = |(aggregate, id): (Aggregate, TicketId)| {
            let ticket =
                aggregates[&aggregate].location().and_then(|location| location.ticket(&id));
            let ticket = ticket.expect("a touched ticket is kept until the commit").clone();
            TicketRow { aggregate, ticket }
        };
        let appointment = |(aggregate, id): (Aggregate, AppointmentId)| {
            let location = aggregates[&aggregate].location();
            let appointment = location.and_then(|location| location.appointment(&id));
            let appointment =
                appointment.expect("a changed appointment is kept until the commit").clone();
            AppointmentRow { aggregate, appointment }
        };
        let stay = |((aggregate, ..), stay): ((Aggregate, TicketId, u32), Stay)| StayRow {
            aggregate,
            stay,
        };
        let figure = |((aggregate, key), tally): ((Aggregate, FigureKey), Tally)| {
            (!tally.is_empty()).then_some(FigureRow { aggregate, figure: Figure { key, tally } })
        };
        let run = |aggregate: &Aggregate| aggregates[aggregate].run(aggregate);
        let batch = Batch {
            claim,
            to,
            journal: self.journal,
            aggregates: self.from.into_iter().map(row).collect(),
            tickets: self.touched.into_iter().map(ticket).collect(),
            appointments: self.appointments.into_iter().map(appointment).collect(),
            runs: self.listed.iter().filter_map(run).collect(),
            alerts: self.alerts,
            outward: self.outward,
            webhooks: self.webhooks,
            stays: self.stays.into_iter().map(stay).collect(),
            figures: self.figures.into_iter().filter_map(figure).collect(),
            views: self.steps.into_vec(),
            outcomes: self.outcomes.rows,
            all_new: self.state.all_new,
            key_lifetime: self.state.key_lifetime,
            outbox: self.outbox,
            published: Vec::new(),
        };
        (batch, self.tally)
    }
}

/// The rows of outcomes, one for each command.
#[derive(Default)]
struct OutcomeRows {
    rows: Vec<OutcomeRow>,
    by_command: HashMap<CommandIdentity, usize>,
}

impl OutcomeRows {
    fn push(&mut self, row: OutcomeRow) {
        match self.by_command.get(&row.identity) {
            Some(index) => self.rows[*index].replace(row),
            None => {
                self.by_command.insert(row.identity.clone(), self.rows.len());
                self.rows.push(row);
            }
        }
    }
}
