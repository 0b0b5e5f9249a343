//! Bringing in what a batch needs to decide: its aggregates, the days their clocks reach, ended tickets and appointments
//! it names, outcomes of repeats.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::{
    Millis,
    codes::Code,
    command::Command,
    ids::{Aggregate, AppointmentId, TicketId},
    record::CommandRecord,
};

use super::{
    Runner, answered,
    batch::{BatchState, identity, is_answered},
};
use crate::{
    aggregate::AggregateState,
    ledger::{Ledger, LedgerError, PartNames},
    location::Location,
    log::LogRecord,
};

/// Aggregates loaded side by side: about what the ledger's pool of connections serves at once.
const LOADS_AT_ONCE: usize = 8;

impl Runner {
    /// Takes the aggregates of these commands out of the cache, or loads them.
    pub(super) async fn load(
        &mut self,
        records: &[&LogRecord],
        read: &[Result<CommandRecord, Code>],
    ) -> Result<BatchState, LedgerError> {
        let commands: Vec<&CommandRecord> =
            read.iter().filter_map(|read| read.as_ref().ok()).collect();
        let answered_ones = commands.iter().filter(|command| is_answered(&command.command));
        let ids: Vec<_> = answered_ones.map(|command| identity(command)).collect();
        let known = if ids.is_empty() {
            Vec::new()
        } else {
            answered(self.backends.ledger.outcomes(&ids)).await?
        };
        let outcomes = known
            .into_iter()
            .map(|row| ((row.tenant, row.source, row.outcome.command.clone()), row.outcome))
            .collect();

        let mut asked: HashMap<&Aggregate, AggregateNeeds<'_>> = HashMap::new();
        for (record, read) in records.iter().zip(read) {
            if let Ok(command) = read {
                let asked = asked.entry(&command.aggregate).or_default();
                asked.at = asked.at.max(record.at);
                asked.commands.push(&command.command);
            }
        }
        let mut loads = Vec::with_capacity(asked.len());
        for (aggregate, asked) in asked {
            let cached = self.cache.take(aggregate);
            loads.push(aggregate_of(&*self.backends.ledger, aggregate, asked, cached));
        }
        let aggregates = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE).try_collect().await?;
        Ok(BatchState { aggregates, outcomes })
    }
}

/// What a batch asks of one aggregate.
#[derive(Default)]
struct AggregateNeeds<'a> {
    /// The latest append time of its records.
    at: Millis,
    commands: Vec<&'a Command>,
}

/// The aggregate with everything the batch needs of it in reach.
async fn aggregate_of(
    ledger: &dyn Ledger,
    aggregate: &Aggregate,
    asked: AggregateNeeds<'_>,
    cached: Option<AggregateState>,
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
        if let Some((after, until)) = location.lacks_days(asked.at) {
            let days = answered(ledger.appointments(aggregate, after, &until)).await?;
            location.add_days(until, days);
        }
        let names = lacking(location, &asked.commands);
        if !names.is_empty() {
            let named = answered(ledger.location_parts(aggregate, &names)).await?;
            location.add_ended(named.tickets);
            location.add_appointments(named.appointments);
        }
    }
    Ok((aggregate.clone(), state))
}

/// What the commands name and the location has not in memory.
fn lacking(location: &Location, commands: &[&Command]) -> PartNames {
    let (mut tickets, mut appointments, mut keys) =
        (HashSet::new(), HashSet::new(), HashSet::new());
    for command in commands {
        let mut ids: Vec<AppointmentId> = command.appointment().into_iter().cloned().collect();
        for ticket in tickets_of(command) {
            // A ticket that is moved moves its appointment along.
            match location.ticket(&ticket) {
                Some(held) => ids.extend(held.appointment.clone()),
                None => {
                    ids.push(ticket.appointment());
                    tickets.insert(ticket);
                }
            }
        }
        appointments.extend(ids.into_iter().filter(|id| location.appointment(id).is_none()));
        if let Command::ReportAppointment { fact, .. } = command
            && location.appointment_of(&fact.source, &fact.key).is_none()
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

fn tickets_of(command: &Command) -> Vec<TicketId> {
    match command {
        Command::ReorderQueue { tickets, .. } => tickets.clone(),
        Command::CheckIn { appointment, .. } => vec![appointment.ticket()],
        command => command.ticket().into_iter().cloned().collect(),
    }
}
