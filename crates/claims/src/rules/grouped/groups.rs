//! Groups of rows over a period, and their conclusion in the order of rows.

use std::{iter::Peekable, mem, vec};

use rustc_hash::FxHashMap;
use schemas::rule::{GroupKey, Period};

use crate::rules::evaluator::{KeyedRow, packed};

/// The key of a group and its period. Parts that the rule does not group by are 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Group([u32; 5]);

/// Assigns rows to groups.
pub struct Grouping {
    per: Vec<GroupKey>,
    period: Period,
}

impl Grouping {
    pub fn new(per: &[GroupKey], period: Period) -> Self {
        Self { per: per.to_vec(), period }
    }

    /// The group of the row. `None` when the row lacks a key or the date.
    pub fn group_of(&self, keyed: &KeyedRow<'_>) -> Option<Group> {
        let day = packed(keyed.row.date?);
        let mut group = [0; 5];
        group[0] = match self.period {
            Period::Day => day,
            Period::Month => day >> 5,
            Period::Year => day >> 9,
        };
        for (part, key) in group[1..].iter_mut().zip(&self.per) {
            *part = match key {
                GroupKey::Patient => keyed.patient?,
                GroupKey::Doctor => keyed.doctor?,
                GroupKey::Code => keyed.row.code?,
                GroupKey::Place => keyed.row.place?,
            };
        }
        Some(Group(group))
    }
}

/// Groups that one call concludes. A finding takes a hundred times the memory of a group, so all
/// findings at once could exceed everything else in memory.
const CONCLUSION_SLICE: usize = 4096;

/// The state of a rule for each group: collected by group, then concluded in the order of rows.
///
/// Nearly every group needs only its small state `S`. `E` holds what the other groups need besides:
/// further rows, and rows that count only if a cell that cannot be read has the right value.
pub struct Groups<S, E> {
    pub gathered: FxHashMap<Group, S>,
    pub extras: FxHashMap<Group, E>,
    sorted: Option<SortedGroups<S, E>>,
}

/// Groups in the order of the rows that their findings name.
struct SortedGroups<S, E> {
    plain: Peekable<vec::IntoIter<S>>,
    with_extra: Peekable<vec::IntoIter<(u32, S, E)>>,
}

/// A group whose findings name one of its rows.
pub trait GroupState<E> {
    /// The row that the group's finding names.
    fn row(&self, extra: Option<&E>) -> u32;
}

impl<S: GroupState<E>, E> Groups<S, E> {
    pub fn new() -> Self {
        Self { gathered: FxHashMap::default(), extras: FxHashMap::default(), sorted: None }
    }

    pub fn entry(&mut self, group: Group, new: S) -> &mut S {
        self.gathered.entry(group).or_insert(new)
    }

    /// Sorts the groups. A group of which no row surely counts has no verdict, and is left out.
    fn sort(&mut self) -> SortedGroups<S, E> {
        let mut gathered = mem::take(&mut self.gathered);
        let mut with_extra: Vec<(u32, S, E)> = Vec::new();
        for (group, extra) in mem::take(&mut self.extras) {
            if let Some(state) = gathered.remove(&group) {
                with_extra.push((state.row(Some(&extra)), state, extra));
            }
        }
        with_extra.sort_unstable_by_key(|(row, ..)| *row);
        let mut plain: Vec<S> = gathered.into_values().collect();
        plain.sort_unstable_by_key(|state| state.row(None));
        SortedGroups {
            plain: plain.into_iter().peekable(),
            with_extra: with_extra.into_iter().peekable(),
        }
    }

    /// Concludes the next groups in the order of rows. False when none is left.
    pub fn drain_slice(&mut self, mut conclude: impl FnMut(S, Option<E>)) -> bool {
        let mut sorted = self.sorted.take().unwrap_or_else(|| self.sort());
        for _ in 0..CONCLUSION_SLICE {
            match sorted.next() {
                Some((state, extra)) => conclude(state, extra),
                None => break,
            }
        }
        let is_left = sorted.plain.len() + sorted.with_extra.len() > 0;
        self.sorted = Some(sorted);
        is_left
    }
}

impl<S: GroupState<E>, E> SortedGroups<S, E> {
    fn next(&mut self) -> Option<(S, Option<E>)> {
        let plain = self.plain.peek().map(|state| state.row(None));
        let with_extra = self.with_extra.peek().map(|(row, ..)| *row);
        match (plain, with_extra) {
            (Some(plain), Some(row)) if row < plain => {}
            (None, _) => {}
            (Some(_), _) => return self.plain.next().map(|state| (state, None)),
        }
        self.with_extra.next().map(|(_, state, extra)| (state, Some(extra)))
    }
}
