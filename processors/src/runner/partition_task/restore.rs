//! Restores what a batch needs in order to decide: its aggregates, the days that their clocks
//! reach, the ended tickets and appointments that it names, and the outcomes of repeated commands.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::{
    Millis,
    codes::Code,
    command::Command,
    identity::CommandIdentity,
    ids::{Aggregate, AppointmentId, TicketId},
    record::CommandRecord,
};

use super::PartitionTask;
use crate::{
    aggregate::AggregateState,
    ledger::{Ledger, LedgerError, OutcomeRow, PartNames},
    location::{Location, Ticket},
    log::LogRecord,
    runner::{
        answered,
        batch::{BatchState, is_answered},
    },
    tenants::TenantTable,
};

/// Aggregates restored at the same time: about as many as the ledger's connection pool serves.
const RESTORES_AT_ONCE: usize = 8;

impl PartitionTask {
    /// Takes the aggregates of these commands out of the cache, or restores them.
    pub(super) async fn restore(
        &self,
        records: &[&LogRecord],
        read: &[Result<CommandRecord, Code>],
        tenants: Arc<TenantTable>,
    ) -> Result<BatchState, LedgerError> {
        let commands: Vec<&CommandRecord> =
            read.iter().filter_map(|read| read.as_ref().ok()).collect();
        let ledger = &*self.shared.backends.ledger;
        // Almost all commands are new, and the commit detects one that is not.
        let all_new = !self.partition.expects_repeats();
        let mut outcomes = HashMap::new();
        if !all_new {
            let with_outcome = commands.iter().filter(|command| is_answered(&command.command));
            let ids: Vec<_> = with_outcome.map(|command| command.identity()).collect();
            outcomes = read_outcomes(ledger, &ids).await?;
        }

        // In order of their keys, so that a simulated run is repeatable.
        let mut needs: BTreeMap<&Aggregate, AggregateNeeds<'_>> = BTreeMap::new();
        for (record, read) in records.iter().zip(read) {
            if let Ok(command) = read {
                let aggregate_needs = needs.entry(&command.aggregate).or_default();
                aggregate_needs.at = aggregate_needs.at.max(record.at);
                aggregate_needs.commands.push(&command.command);
            }
        }
        let mut restores = Vec::with_capacity(needs.len());
        for (aggregate, needs) in needs {
            let cached = self.shared.take_cached(aggregate);
            let counters = &self.shared.settings.counters;
            let counter = if cached.is_some() { &counters.cached } else { &counters.restored };
            counter.fetch_add(1, Relaxed);
            restores.push(async move {
                // The semaphore is never closed.
                let _permit = match cached {
                    Some(_) => None,
                    None => self.shared.restores.acquire().await.ok(),
                };
                restore_aggregate(ledger, aggregate, needs, cached, all_new).await
            });
        }
        let aggregates: HashMap<Aggregate, AggregateState> =
            stream::iter(restores).buffer_unordered(RESTORES_AT_ONCE).try_collect().await?;
        let settled: Vec<_> = commands
            .iter()
            .filter_map(|command| settled_by(&aggregates, command))
            .filter(|command| !outcomes.contains_key(command))
            .collect();
        outcomes.extend(read_outcomes(ledger, &settled).await?);
        let key_lifetime = self.shared.settings.key_lifetime_ms();
        // Read last, since restoring may take seconds.
        let decided_at = (self.shared.settings.clock)();
        Ok(BatchState { aggregates, outcomes, all_new, key_lifetime, decided_at, tenants })
    }
}

async fn read_outcomes(
    ledger: &dyn Ledger,
    commands: &[CommandIdentity],
) -> Result<HashMap<CommandIdentity, OutcomeRow>, LedgerError> {
    if commands.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = answered(ledger.outcomes(commands)).await?;
    Ok(rows.into_iter().map(|row| (row.identity.clone(), row)).collect())
}

/// The earlier command whose outcome this one settles.
fn settled_by(
    aggregates: &HashMap<Aggregate, AggregateState>,
    command: &CommandRecord,
) -> Option<CommandIdentity> {
    aggregates.get(&command.aggregate)?.location()?.settled_by(&command.command)
}

/// The needs of a batch from one aggregate.
#[derive(Default)]
struct AggregateNeeds<'a> {
    /// The latest append time of its records.
    at: Millis,
    commands: Vec<&'a Command>,
}

/// Restores the aggregate with everything that the batch needs of it.
async fn restore_aggregate(
    ledger: &dyn Ledger,
    aggregate: &Aggregate,
    needs: AggregateNeeds<'_>,
    cached: Option<AggregateState>,
    all_new: bool,
) -> Result<(Aggregate, AggregateState), LedgerError> {
    let mut state = match cached {
        Some(state) => state,
        None => match answered(ledger.restore(aggregate)).await? {
            Some(loaded) => AggregateState::restore(loaded),
            None => AggregateState::new(aggregate.kind(), answered(ledger.next_epoch()).await?),
        },
    };
    // A location without a version has no parts.
    if let Some(location) = state.location_mut().filter(|location| location.exists()) {
        let commands = needs.commands.iter().copied();
        if let Some(wake) = location.missing_appointments(needs.at, commands) {
            let until = wake.end;
            let missing = answered(ledger.appointments(aggregate, wake)).await?;
            location.add_missing(until, missing);
        }
        if let Some(need) = location.renewal() {
            let found = answered(ledger.shown_appointments(aggregate, &need)).await?;
            location.add_renewal(found);
        }
        let mut commands = needs.commands;
        if all_new {
            // The commit finds out whether a ticket of this id has ended before.
            commands.retain(|command| !matches!(command, Command::IssueTicket { .. }));
        }
        let names = missing_parts(location, &commands);
        if !names.is_empty() {
            let named = answered(ledger.location_parts(aggregate, &names)).await?;
            location.add_appointments(named.appointments);
            let names = missing_appointments(location, &named.tickets);
            location.add_ended(named.tickets);
            if !names.is_empty() {
                let named = answered(ledger.location_parts(aggregate, &names)).await?;
                location.add_appointments(named.appointments);
            }
        }
    }
    Ok((aggregate.clone(), state))
}

/// The parts that the commands name and that the location does not have in memory.
fn missing_parts(location: &Location, commands: &[&Command]) -> PartNames {
    let (mut tickets, mut appointments, mut keys) =
        (HashSet::new(), HashSet::new(), HashSet::new());
    for command in commands {
        let mut ids: Vec<AppointmentId> = command.appointment().into_iter().cloned().collect();
        for ticket in tickets_of(location, command) {
            // A command that moves a ticket also changes its appointment.
            match location.ticket(&ticket) {
                Some(held) => ids.extend(held.appointment.clone()),
                None => drop(tickets.insert(ticket)),
            }
        }
        appointments.extend(ids.into_iter().filter(|id| location.appointment(id).is_none()));
        if let Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } =
            command
            && location.appointment_by_source(&fact.source, &fact.key).is_none()
        {
            keys.insert((fact.source.clone(), fact.key.clone()));
        }
    }
    PartNames {
        tickets: tickets.into_iter().collect(),
        appointments: appointments.into_iter().collect(),
        keys: keys.into_iter().collect(),
    }
}

fn tickets_of(location: &Location, command: &Command) -> Vec<TicketId> {
    match command {
        Command::ReorderQueue { tickets, .. } => tickets.clone(),
        // The ticket of the next visit exists already only if its 128 bits were chosen twice.
        Command::CheckIn { appointment, .. } | Command::OverrideCheckIn { appointment, .. } => {
            let visits = location.appointment(appointment).map_or(0, |held| held.visits.len());
            u8::try_from(visits).map(|next| appointment.visit_ticket(next)).into_iter().collect()
        }
        command => command.ticket().into_iter().cloned().collect(),
    }
}

/// The appointments of ended tickets that the location does not have in memory.
fn missing_appointments(location: &Location, tickets: &[Ticket]) -> PartNames {
    let ids: HashSet<AppointmentId> =
        tickets.iter().filter_map(|ticket| ticket.appointment.clone()).collect();
    let missing = ids.into_iter().filter(|id| location.appointment(id).is_none());
    PartNames { appointments: missing.collect(), ..PartNames::default() }
}
