//! What the server says, read with as little work as possible: text stays borrowed, and only the fields that are
//! checked or measured are parsed.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// One message of the Centrifugal JSON protocol, from the server.
#[derive(Deserialize)]
pub struct Reply<'a> {
    #[serde(default)]
    pub id: u32,
    #[serde(borrow)]
    pub error: Option<ErrorReply<'a>>,
    pub connect: Option<ConnectResult>,
    #[serde(borrow)]
    pub subscribe: Option<SubscribeResult<'a>>,
    #[serde(borrow)]
    pub push: Option<Push<'a>>,
}

#[derive(Deserialize)]
pub struct ErrorReply<'a> {
    pub code: u32,
    #[serde(default, borrow)]
    pub message: Cow<'a, str>,
    #[serde(default)]
    pub temporary: bool,
}

#[derive(Deserialize)]
pub struct ConnectResult {
    /// Seconds between pings; 0 or absent means none.
    #[serde(default)]
    pub ping: u64,
    #[serde(default)]
    pub pong: bool,
}

#[derive(Deserialize)]
pub struct SubscribeResult<'a> {
    #[serde(default, borrow)]
    pub epoch: Cow<'a, str>,
    #[serde(default)]
    pub offset: u64,
    #[serde(default)]
    pub recoverable: bool,
    #[serde(default)]
    pub recovered: bool,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub publications: Vec<Publication<'a>>,
}

#[derive(Deserialize)]
pub struct Push<'a> {
    #[serde(rename = "pub", borrow)]
    pub publication: Option<Publication<'a>>,
    #[serde(borrow)]
    pub unsubscribe: Option<Unsubscribe<'a>>,
}

#[derive(Deserialize)]
pub struct Publication<'a> {
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(default)]
    pub offset: u64,
}

#[derive(Deserialize)]
pub struct Unsubscribe<'a> {
    pub code: u32,
    #[serde(default, borrow)]
    pub reason: Cow<'a, str>,
}

/// `data:` of an SSE frame that carries a view; what a Socket.IO event tells, too.
#[derive(Deserialize)]
pub struct StreamData<'a> {
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    pub offset: u64,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// `data:` of an SSE `error` frame.
#[derive(Deserialize)]
pub struct StreamError {
    pub code: u32,
    #[serde(default)]
    pub retry: bool,
}

/// States of a ticket as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    Waiting,
    Called,
    InService,
    OnHold,
    Absent,
    Completed,
    NoShow,
    Cancelled,
    Left,
    Transferred,
}

impl TicketState {
    /// How far along a ticket is: in a line that only moves forward this never falls.
    #[must_use]
    pub fn stage(self) -> u8 {
        match self {
            Self::Waiting | Self::OnHold | Self::Absent => 0,
            Self::Called => 1,
            Self::InService => 2,
            Self::Completed | Self::NoShow | Self::Cancelled | Self::Left | Self::Transferred => 3,
        }
    }
}

/// What a patient sees of their own ticket.
#[derive(Deserialize)]
pub struct TicketData<'a> {
    pub at: i64,
    pub state: TicketState,
    pub position: Option<u32>,
    pub ahead: Option<u32>,
    #[serde(borrow)]
    estimate: Option<&'a RawValue>,
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
    /// Equal for two publications that look the same to the patient, whatever their record.
    #[must_use]
    pub fn looks(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.state, self.position, self.ahead).hash(&mut hasher);
        let texts = [
            self.estimate,
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

/// The entries of a view as a client holds them.
pub type Entries = BTreeMap<String, Value>;

impl KeyedData<'_> {
    /// Folds this snapshot or delta into `entries`.
    ///
    /// # Errors
    /// When the entries are not the JSON objects and keys that they should be.
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
