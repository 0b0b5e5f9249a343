//! Decides and applies the changes of reference tables. The rule book keeps the editions of their
//! entries only; the entries themselves are in the journal and in the view of each table.

use std::collections::BTreeMap;

use claims::tables;
use schemas::{
    Millis,
    codes::Code,
    command::Command,
    event::Event,
    record::ViewDelta,
    reference::{MAX_REFERENCE_ENTRIES, ReferenceTable, StoredReference},
    view::Delta,
};
use serde::{Deserialize, Serialize};

use super::check_edition;

/// The tables of a tenant.
pub(super) type Tables = BTreeMap<ReferenceTable, TableState>;

/// The editions that the rule book keeps of one reference table and of its entries.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TableState {
    /// The version at which the table last changed, which is the edition of the table.
    edition: u64,
    /// The edition of each entry by its key.
    entries: BTreeMap<String, u64>,
}

/// Decides a command about a table. `None` when the command is about something else.
pub(super) fn decide(tables: &Tables, command: &Command) -> Option<Result<Event, Code>> {
    let table_of = |table| tables.get(table);
    let entry = |table, key: &str| table_of(table).and_then(|state| state.entries.get(key));
    Some(match command {
        Command::PutReference { table, key, entry: new, edition } => {
            let held = entry(table, key).copied();
            let is_key = table.key(key).is_some_and(|form| form == *key);
            let has_room = held.is_some() || count(table_of(table)) < MAX_REFERENCE_ENTRIES;
            if !is_key || !has_room || new.table() != *table || new.fault().is_some() {
                Err(Code::InvalidValue)
            } else {
                check_edition(held.unwrap_or_default(), *edition).map(|()| Event::ReferencePut {
                    table: *table,
                    key: key.clone(),
                    entry: new.clone(),
                })
            }
        }
        Command::DeleteReference { table, key, edition } => entry(table, key)
            .ok_or(Code::ReferenceUnknown)
            .and_then(|held| check_edition(*held, *edition))
            .map(|()| Event::ReferenceDeleted { table: *table, key: key.clone() }),
        Command::LoadReference { table, csv, keep_others, edition } => {
            load(table_of(table), *table, csv, *keep_others, *edition)
        }
        Command::ClearReference { table, edition } => table_of(table)
            .filter(|state| !state.entries.is_empty())
            .ok_or(Code::ReferenceUnknown)
            .and_then(|state| check_edition(state.edition, *edition))
            .map(|()| Event::ReferenceCleared { table: *table }),
        _ => return None,
    })
}

fn count(state: Option<&TableState>) -> usize {
    state.map_or(0, |state| state.entries.len())
}

fn load(
    state: Option<&TableState>,
    table: ReferenceTable,
    csv: &str,
    keep_others: bool,
    edition: Option<u64>,
) -> Result<Event, Code> {
    check_edition(state.map_or(0, |state| state.edition), edition)?;
    let entries = tables::parse(table, csv).map_err(|_| Code::TableInvalid)?;
    let kept = |state: &TableState| {
        state.entries.keys().filter(|key| keep_others && !entries.contains_key(*key)).count()
    };
    // A table without lines would be taken for none: it is cleared by a command of its own.
    if entries.is_empty() {
        return Err(Code::TableInvalid);
    }
    if entries.len() + state.map_or(0, kept) > MAX_REFERENCE_ENTRIES {
        return Err(Code::InvalidValue);
    }
    Ok(Event::ReferenceLoaded { table, entries, keep_others })
}

/// Applies an event of a table under `version`, and returns the change of its view. `None` for an
/// event about something else.
pub(super) fn replay(
    tables: &mut Tables,
    version: u64,
    at: Millis,
    event: &Event,
) -> Option<ViewDelta> {
    let (Event::ReferencePut { table, .. }
    | Event::ReferenceDeleted { table, .. }
    | Event::ReferenceLoaded { table, .. }
    | Event::ReferenceCleared { table }) = event
    else {
        return None;
    };
    let state = tables.entry(*table).or_default();
    let mut delta = Delta { from: state.edition, to: version, at, ..Delta::default() };
    let put = |state: &mut TableState, delta: &mut Delta, key: &String, entry| {
        delta.put(key.as_str(), &StoredReference { entry, edition: version });
        state.entries.insert(key.clone(), version);
    };
    match event {
        Event::ReferencePut { key, entry, .. } => put(state, &mut delta, key, entry.clone()),
        Event::ReferenceDeleted { key, .. } => {
            state.entries.remove(key);
            delta.drop_key(key.as_str());
        }
        Event::ReferenceLoaded { entries, keep_others, .. } => {
            if !keep_others {
                let gone = state.entries.keys().filter(|key| !entries.contains_key(*key));
                gone.for_each(|key| delta.drop_key(key.as_str()));
                state.entries.clear();
            }
            entries.iter().for_each(|(key, entry)| put(state, &mut delta, key, entry.clone()));
        }
        _ => {
            state.entries.keys().for_each(|key| delta.drop_key(key.as_str()));
            state.entries.clear();
        }
    }
    state.edition = version;
    let view = table.view().to_owned();
    Some(ViewDelta { view, keep_s: None, urgent: false, delta })
}
