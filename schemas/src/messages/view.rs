//! Views and deltas: the state behind a channel, and the one rule by which server and client fold
//! it.
//!
//! Versions are dense per aggregate, and all views of the aggregate share them. A delta names the
//! version of its view before (`from`) and after (`to`). A delta applies when `from ≤ held < to`,
//! is dropped when `to ≤ held`, and is a gap otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Millis;

/// The position of an aggregate. Epochs only grow; versions within an epoch are 1, 2, 3 …
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Position {
    /// The epoch. A decimal string in JSON, because it can pass 2^53.
    #[serde(with = "decimal")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
    pub epoch: u64,
    /// The version within the epoch.
    pub version: u64,
}

/// The entries of a view by key. Each is a JSON text that is passed on without parsing.
pub type Entries = BTreeMap<String, Box<RawValue>>;

/// The whole state behind a keyed channel, at one position.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct View {
    /// The position of the aggregate.
    #[serde(flatten)]
    pub position: Position,
    /// Time of the record behind `version`.
    pub at: Millis,
    /// The entries by key.
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
    /// The version of the view before this step. 0 when the view did not exist.
    pub from: u64,
    /// The version of the view after this step.
    pub to: u64,
    /// Time of the record behind `to`.
    pub at: Millis,
    /// Entries that are new or changed, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
    pub set: Entries,
    /// Keys of the entries that are gone. None of them is in `set`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove: BTreeSet<String>,
    /// The entries were too large for one record and are left out, so `set` and `remove` are empty.
    /// For a reader that lacks the step it is a gap. Clients never get such a step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omitted: bool,
}

/// The result of folding a delta into a view, or into another delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// The delta was the next step and is now part of the view.
    Applied,
    /// The view already contained the delta.
    Dropped,
    /// Steps are missing between the view and the delta. The reader must load a snapshot.
    Gap,
}

/// Applies the rule of gaps and duplicates to a reader that holds version `held` of a view.
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

    /// Applies `delta` when it is the next step. The view changes only when the result is
    /// [`Fold::Applied`].
    pub fn fold(&mut self, delta: &Delta) -> Fold {
        let verdict = delta.judge_from(self.position.version);
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
    /// The step without its entries.
    #[must_use]
    pub fn without_entries(&self) -> Self {
        let Self { from, to, at, .. } = *self;
        Self { from, to, at, omitted: true, ..Self::default() }
    }

    /// Judges the step for a reader that holds version `held`.
    fn judge_from(&self, held: u64) -> Fold {
        match judge(held, self.from, self.to) {
            Fold::Applied if self.omitted => Fold::Gap,
            verdict => verdict,
        }
    }

    /// Merges `next`, the step that follows, into this one: `from` of this delta, `to` of `next`.
    /// Changes nothing unless the result is [`Fold::Applied`].
    pub fn merge(&mut self, next: &Delta) -> Fold {
        let verdict = if self.omitted { Fold::Gap } else { next.judge_from(self.to) };
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

    /// Sets the entry of `key`.
    pub fn put(&mut self, key: impl Into<String>, entry: &impl Serialize) {
        let key = key.into();
        self.remove.remove(&key);
        self.set.insert(key, raw(entry));
    }

    /// Removes the entry of `key`.
    pub fn drop_key(&mut self, key: impl Into<String>) {
        let key = key.into();
        self.set.remove(&key);
        self.remove.insert(key);
    }

    /// Whether the delta changes no entry.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// The JSON text of an entry.
///
/// # Panics
/// When the type has no JSON form, which none of this crate's types lacks.
pub fn raw(entry: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(entry).expect("our own types always have a JSON form")
}

/// Serde support for a `u64` as a decimal string.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the number as a string.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads the number from a string.
    ///
    /// # Errors
    /// The deserializer's, or an error for a text that is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("an epoch must be a decimal number in a string"))
    }
}

#[cfg(test)]
mod tests;
