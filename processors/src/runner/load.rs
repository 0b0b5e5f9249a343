//! Bringing in what a batch needs to decide: its locations, ended tickets it names, outcomes of repeats.

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
    ledger::{Ledger, LedgerError},
    location::Location,
};

/// Locations loaded side by side: about what the ledger's pool of connections serves at once.
const LOADS_AT_ONCE: usize = 8;

impl Runner {
    /// Takes the locations of these commands out of the cache, or loads them.
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
            let cached = self.locations.take(aggregate);
            loads.push(location(&*self.seams.ledger, aggregate, tickets, cached));
        }
        let locations = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE).try_collect().await?;
        Ok(Working { locations, outcomes })
    }
}

/// The location with every ticket the batch names in reach.
async fn location(
    ledger: &dyn Ledger,
    aggregate: &Aggregate,
    named: HashSet<&TicketId>,
    cached: Option<Weighed>,
) -> Result<(Aggregate, Weighed), LedgerError> {
    let mut weighed = match cached {
        Some(weighed) => weighed,
        None => match answered(ledger.load(aggregate)).await? {
            Some(loaded) => {
                let tickets = loaded.tickets.len();
                Weighed { location: Location::load(loaded.pair, loaded.header, loaded.tickets), tickets }
            }
            None => Weighed { location: Location::new(answered(ledger.next_epoch()).await?), tickets: 0 },
        },
    };
    let absent: Vec<TicketId> =
        named.into_iter().filter(|ticket| weighed.location.ticket(ticket).is_none()).cloned().collect();
    // A location without a version has no tickets.
    if !absent.is_empty() && weighed.location.pair().version > 0 {
        weighed.location.add_ended(answered(ledger.ended(aggregate, &absent)).await?);
    }
    Ok((aggregate.clone(), weighed))
}

fn tickets_of(command: &Command) -> Vec<&TicketId> {
    match command {
        Command::ReorderQueue { tickets, .. } => tickets.iter().collect(),
        command => command.ticket().into_iter().collect(),
    }
}
