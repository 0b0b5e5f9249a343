//! Views and deltas: what is behind a channel, and the one rule by which both ends fold it.
//!
//! A version is dense per aggregate and every view of the aggregate moves under it. A delta names the version
//! its view had before (`from`) and has after (`to`): it applies when `from ≤ held < to`, is dropped when
//! `to ≤ held`, and is a gap otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Millis;

/// An aggregate's position. Epochs only grow; within one, versions are 1, 2, 3 …
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Position {
    /// A decimal string on the wire: it may pass 2^53.
    #[serde(with = "decimal")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
    pub epoch: u64,
    pub version: u64,
}

/// Keyed entries by key, each a JSON text that is passed on unread.
pub type Entries = BTreeMap<String, Box<RawValue>>;

/// The whole state behind a keyed channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct View {
    #[serde(flatten)]
    pub position: Position,
    /// Time of the record behind `version`.
    pub at: Millis,
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
    pub entries: Entries,
}

/// A step of a view.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Delta {
    /// The view's version before this step; 0 when the view did not exist.
    pub from: u64,
    pub to: u64,
    pub at: Millis,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
    pub set: Entries,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove: BTreeSet<String>,
}

/// What became of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Applied,
    /// The view already contains it.
    Dropped,
    /// Steps are missing between the view and this delta: load a snapshot.
    Gap,
}

/// The rule of gaps and duplicates, for whoever holds version `held` of a view.
pub fn judge(held: u64, from: u64, to: u64) -> Fold {
    if to <= held {
        Fold::Dropped
    } else if from <= held {
        Fold::Applied
    } else {
        Fold::Gap
    }
}

impl View {
    /// A view before its first delta.
    pub fn empty(epoch: u64) -> Self {
        Self { position: Position { epoch, version: 0 }, at: 0, entries: Entries::new() }
    }

    /// Applies `delta` if it is the next step. The view is unchanged unless the answer is `Applied`.
    pub fn fold(&mut self, delta: &Delta) -> Fold {
        let verdict = judge(self.position.version, delta.from, delta.to);
        if verdict == Fold::Applied {
            for key in &delta.remove {
                self.entries.remove(key);
            }
            self.entries.extend(delta.set.iter().map(|(key, entry)| (key.clone(), entry.clone())));
            self.position.version = delta.to;
            self.at = delta.at;
        }
        verdict
    }
}

impl Delta {
    /// Joins the step that follows: first `from`, last `to`. Answers `Gap` and changes nothing when `next`
    /// does not follow.
    pub fn merge(&mut self, next: &Delta) -> Fold {
        let verdict = judge(self.to, next.from, next.to);
        if verdict == Fold::Applied {
            for key in &next.remove {
                self.set.remove(key);
                self.remove.insert(key.clone());
            }
            for (key, entry) in &next.set {
                self.remove.remove(key);
                self.set.insert(key.clone(), entry.clone());
            }
            self.to = next.to;
            self.at = next.at;
        }
        verdict
    }

    /// Puts `entry` under `key`.
    pub fn put(&mut self, key: impl Into<String>, entry: &impl Serialize) {
        let key = key.into();
        self.remove.remove(&key);
        self.set.insert(key, raw(entry));
    }

    /// Takes `key` away.
    pub fn drop_key(&mut self, key: impl Into<String>) {
        let key = key.into();
        self.set.remove(&key);
        self.remove.insert(key);
    }

    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// An entry as JSON text.
pub fn raw(entry: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(entry).expect("our own types always have a JSON form")
}

/// `u64` as a decimal string.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("an epoch is a decimal number in a string"))
    }
}

#[cfg(test)]
mod tests;
