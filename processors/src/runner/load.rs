//! Bringing in what a batch needs to decide: its aggregates, ended tickets it names, outcomes of repeats.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::{
    codes::Code,
    command::Command,
    ids::{Aggregate, TicketId},
    record::CommandRecord,
};

use super::{
    Runner, answered,
    batch::{Weighed, Working, identity},
};
use crate::{
    aggregate::State,
    ledger::{Ledger, LedgerError},
};

/// Aggregates loaded side by side: about what the ledger's pool of connections serves at once.
const LOADS_AT_ONCE: usize = 8;

impl Runner {
    /// Takes the aggregates of these commands out of the cache, or loads them.
    pub(super) async fn load(
        &mut self,
        read: &[Result<CommandRecord, Code>],
    ) -> Result<Working, LedgerError> {
        let commands: Vec<&CommandRecord> = read.iter().filter_map(|read| read.as_ref().ok()).collect();
        let ids: Vec<_> = commands.iter().map(|command| identity(command)).collect();
        let known =
            if ids.is_empty() { Vec::new() } else { answered(self.seams.ledger.outcomes(&ids)).await? };
        let outcomes = known
            .into_iter()
            .map(|row| ((row.tenant, row.source, row.outcome.command.clone()), row.outcome))
            .collect();

        let mut named: HashMap<&Aggregate, HashSet<&TicketId>> = HashMap::new();
        for command in commands {
            named.entry(&command.aggregate).or_default().extend(tickets_of(&command.command));
        }
        let mut loads = Vec::with_capacity(named.len());
        for (aggregate, tickets) in named {
            let cached = self.cache.take(aggregate);
            loads.push(aggregate_of(&*self.seams.ledger, aggregate, tickets, cached));
        }
        let aggregates = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE).try_collect().await?;
        Ok(Working { aggregates, outcomes })
    }
}

/// The aggregate with every ticket the batch names in reach.
async fn aggregate_of(
    ledger: &dyn Ledger,
    aggregate: &Aggregate,
    named: HashSet<&TicketId>,
    cached: Option<Weighed>,
) -> Result<(Aggregate, Weighed), LedgerError> {
    let mut weighed = match cached {
        Some(weighed) => weighed,
        None => match answered(ledger.load(aggregate)).await? {
            Some(loaded) => Weighed { tickets: loaded.tickets.len(), state: State::load(loaded) },
            None => {
                let epoch = answered(ledger.next_epoch()).await?;
                Weighed { state: State::new(aggregate.kind(), epoch), tickets: 0 }
            }
        },
    };
    if let Some(location) = weighed.state.location_mut() {
        let absent: Vec<TicketId> =
            named.into_iter().filter(|ticket| location.ticket(ticket).is_none()).cloned().collect();
        // A location without a version has no tickets.
        if !absent.is_empty() && location.pair().version > 0 {
            location.add_ended(answered(ledger.ended(aggregate, &absent)).await?);
        }
    }
    Ok((aggregate.clone(), weighed))
}

fn tickets_of(command: &Command) -> Vec<&TicketId> {
    match command {
        Command::ReorderQueue { tickets, .. } => tickets.iter().collect(),
        command => command.ticket().into_iter().collect(),
    }
}
