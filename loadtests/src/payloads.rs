//! Payloads of publications, read with little work: only the fields that are checked or measured
//! are parsed, and text stays borrowed.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use schemas::codes::Code;
use schemas::ticket::TicketState;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The data of an SSE event with a view. Socket.IO events are converted to it.
#[derive(Deserialize)]
pub struct StreamData<'a> {
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    pub offset: u64,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// The data of an SSE `problem` event.
#[derive(Deserialize)]
pub struct StreamError {
    pub code: Code,
    #[serde(default)]
    pub retry: bool,
}

/// The progress of a ticket in four stages. In a line that only moves forward, it never falls.
#[must_use]
pub fn stage(state: TicketState) -> u8 {
    match state {
        TicketState::Called => 1,
        // A called patient who did not come is marked as absent by the next call.
        TicketState::InService | TicketState::Absent => 2,
        state if state.is_end() => 3,
        _ => 0,
    }
}

/// A ticket as its patient sees it.
#[derive(Deserialize)]
pub struct TicketData<'a> {
    pub at: i64,
    pub state: TicketState,
    pub position: Option<u32>,
    pub ahead: Option<u32>,
    #[serde(borrow)]
    estimate: Option<&'a RawValue>,
    #[serde(borrow)]
    no_estimate: Option<&'a RawValue>,
    #[serde(borrow)]
    call: Option<&'a RawValue>,
    #[serde(borrow)]
    queue: Option<&'a RawValue>,
    #[serde(borrow)]
    queue_name: Option<&'a RawValue>,
    #[serde(borrow)]
    queue_state: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    successor: Option<&'a RawValue>,
}

impl TicketData<'_> {
    /// A hash of everything that the patient sees: equal for two publications that look the same.
    #[must_use]
    pub fn looks(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.state, self.position, self.ahead).hash(&mut hasher);
        let texts = [
            self.estimate,
            self.no_estimate,
            self.call,
            self.queue,
            self.queue_name,
            self.queue_state,
            self.reason,
            self.successor,
        ];
        for text in texts {
            text.map(RawValue::get).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// A snapshot or a delta of a queue or a board.
#[derive(Deserialize)]
pub struct KeyedData<'a> {
    pub at: i64,
    pub version: Option<u64>,
    pub from: Option<u64>,
    pub to: Option<u64>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
    #[serde(borrow)]
    set: Option<&'a RawValue>,
    #[serde(borrow)]
    remove: Option<&'a RawValue>,
}

/// The entries of a folded view.
pub type Entries = BTreeMap<String, Value>;

impl KeyedData<'_> {
    /// Folds this snapshot or delta into `entries`.
    ///
    /// # Errors
    /// When the entries are not JSON objects and keys.
    pub fn fold_into(&self, entries: &mut Entries) -> serde_json::Result<()> {
        if let Some(all) = self.entries {
            *entries = serde_json::from_str(all.get())?;
        }
        if let Some(set) = self.set {
            entries.extend(serde_json::from_str::<Entries>(set.get())?);
        }
        if let Some(remove) = self.remove {
            for key in serde_json::from_str::<Vec<String>>(remove.get())? {
                entries.remove(&key);
            }
        }
        Ok(())
    }
}
