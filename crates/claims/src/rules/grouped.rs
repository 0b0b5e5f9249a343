//! Checks of groups of rows over a period.

use std::{mem, vec};

use rustc_hash::FxHashMap;
use schemas::{
    finding::FindingOutcome,
    rule::{Column, GroupKey, Period, SumTerm, TermAmount, Unit},
};

use super::{
    evaluator::{Evaluator, FindingSink, KeyedRow, NO_ROW, packed},
    filter::{CodeSet, RowMatcher},
};
use crate::row::Row;

#[cfg(test)]
mod tests;

/// The key of a group and its period. Parts that the rule does not group by are 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group([u32; 5]);

/// Assigns rows to groups.
pub(super) struct Grouping {
    per: Vec<GroupKey>,
    period: Period,
}

impl Grouping {
    pub fn new(per: &[GroupKey], period: Period) -> Self {
        Self { per: per.to_vec(), period }
    }

    /// The group of the row. `None` when the row lacks a key or the date.
    fn group_of(&self, keyed: &KeyedRow<'_>) -> Option<Group> {
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
struct Groups<S> {
    gathered: FxHashMap<Group, S>,
    sorted: Option<vec::IntoIter<S>>,
}

/// A group whose findings name one of its rows.
trait Representative {
    /// The row that the group's finding names.
    fn row(&self) -> u32;
}

impl<S: Representative> Groups<S> {
    fn new() -> Self {
        Self { gathered: FxHashMap::default(), sorted: None }
    }

    fn entry(&mut self, group: Group, new: S) -> &mut S {
        self.gathered.entry(group).or_insert(new)
    }

    /// Concludes the next groups in the order of rows. False when none is left.
    fn drain_slice(&mut self, conclude: impl FnMut(S)) -> bool {
        let gathered = &mut self.gathered;
        let sorted = self.sorted.get_or_insert_with(|| {
            let mut groups: Vec<S> = mem::take(gathered).into_values().collect();
            groups.sort_unstable_by_key(Representative::row);
            groups.into_iter()
        });
        sorted.by_ref().take(CONCLUSION_SLICE).for_each(conclude);
        sorted.len() > 0
    }
}

pub(super) struct Once<'r> {
    grouping: Grouping,
    cents: i64,
    when: RowMatcher<'r>,
    groups: Groups<BillingCount>,
}

#[derive(Clone, Copy)]
struct BillingCount {
    count: u32,
    paid: u32,
    first_paid: u32,
    first_unpaid: u32,
}

impl BillingCount {
    /// The outcome of the group. `None` when it was billed once.
    fn outcome(&self) -> Option<FindingOutcome> {
        match (self.count, self.paid) {
            (1, _) => None,
            (_, 0) => Some(FindingOutcome::OnceNonePaid),
            (_, 1) => Some(FindingOutcome::OnceOnePaid),
            _ => Some(FindingOutcome::OnceSeveralPaid),
        }
    }
}

impl Representative for BillingCount {
    fn row(&self) -> u32 {
        match self.outcome() {
            None => self.first_paid.min(self.first_unpaid),
            Some(FindingOutcome::OnceSeveralPaid) => self.first_paid,
            Some(_) => self.first_unpaid,
        }
    }
}

impl<'r> Once<'r> {
    pub fn new(grouping: Grouping, cents: i64, when: RowMatcher<'r>) -> Self {
        Self { grouping, cents, when, groups: Groups::new() }
    }
}

impl Evaluator for Once<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        if !self.when.matches(keyed.row) {
            return;
        }
        let Some(group) = self.grouping.group_of(keyed) else {
            return;
        };
        let none = BillingCount { count: 0, paid: 0, first_paid: NO_ROW, first_unpaid: NO_ROW };
        let billed = self.groups.entry(group, none);
        billed.count = billed.count.saturating_add(1);
        if keyed.row.is_paid() {
            billed.paid = billed.paid.saturating_add(1);
            billed.first_paid = billed.first_paid.min(keyed.at);
        } else {
            billed.first_unpaid = billed.first_unpaid.min(keyed.at);
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        self.groups.drain_slice(|billed| {
            let row = billed.row().into();
            let Some(outcome) = billed.outcome() else {
                return found.pass(row);
            };
            let (count, paid) = (i64::from(billed.count), i64::from(billed.paid));
            let cents = self.cents.saturating_mul(count - 1);
            found.breach(row, outcome, cents, [("count", count.into()), ("paid", paid.into())]);
        })
    }
}

pub(super) struct SumLimit<'r> {
    grouping: Grouping,
    unit: Unit,
    /// Each with its codes. `None` for any code.
    terms: Vec<(Option<CodeSet>, TermAmount)>,
    limit: i64,
    when: RowMatcher<'r>,
    groups: Groups<GroupSum>,
}

#[derive(Clone, Copy)]
struct GroupSum {
    /// Wide enough for every sum of amounts, so their order does not matter.
    total: i128,
    first: u32,
}

impl Representative for GroupSum {
    fn row(&self) -> u32 {
        self.first
    }
}

impl<'r> SumLimit<'r> {
    pub fn new(
        grouping: Grouping,
        unit: Unit,
        terms: &[SumTerm],
        limit: i64,
        when: RowMatcher<'r>,
    ) -> Self {
        let term = |term: &SumTerm| {
            ((!term.codes.is_empty()).then(|| CodeSet::from_texts(&term.codes)), term.amount)
        };
        let terms = terms.iter().map(term).collect();
        Self { grouping, unit, terms, limit, when, groups: Groups::new() }
    }

    /// The amount that the row adds to its group. `None` when no term names its code, or the column
    /// of the term is empty.
    fn adds(&self, row: &Row<'_>) -> Option<i64> {
        let named = |codes: &Option<CodeSet>| match codes {
            None => true,
            Some(codes) => row.code.is_some_and(|code| codes.contains(code)),
        };
        match self.terms.iter().find(|(codes, _)| named(codes))?.1 {
            TermAmount::Fixed(amount) => Some(amount),
            TermAmount::Column(Column::Units) => row.units,
            TermAmount::Column(Column::Preliminary) => row.preliminary,
            TermAmount::Column(Column::Paid) => row.paid,
            TermAmount::Column(_) => None,
        }
    }
}

impl Evaluator for SumLimit<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        let Some(amount) = self.adds(keyed.row) else {
            return;
        };
        if !self.when.matches(keyed.row) {
            return;
        }
        if let Some(group) = self.grouping.group_of(keyed) {
            let sum = self.groups.entry(group, GroupSum { total: 0, first: NO_ROW });
            sum.total += i128::from(amount);
            sum.first = sum.first.min(keyed.at);
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        let (limit, unit) = (self.limit, self.unit);
        self.groups.drain_slice(|sum| {
            let row = sum.first.into();
            let most = if sum.total < 0 { i64::MIN } else { i64::MAX };
            let total = i64::try_from(sum.total).unwrap_or(most);
            if total <= limit {
                return found.pass(row);
            }
            let excess = total - limit;
            if unit == Unit::Cents {
                let params = [
                    ("total_cents", total.into()),
                    ("limit_cents", limit.into()),
                    ("excess_cents", excess.into()),
                ];
                return found.breach(row, FindingOutcome::SumExceededCents, excess, params);
            }
            let params = [
                ("total", total.into()),
                ("limit", limit.into()),
                ("excess", excess.into()),
                ("unit", unit.as_str().into()),
            ];
            found.breach(row, FindingOutcome::SumExceeded, 0, params);
        })
    }
}

pub(super) struct MissingThoughDue<'r> {
    grouping: Grouping,
    due: RowMatcher<'r>,
    missing: RowMatcher<'r>,
    gain_cents: i64,
    groups: Groups<DueFee>,
}

#[derive(Clone, Copy)]
struct DueFee {
    first: u32,
    billed: bool,
}

impl Representative for DueFee {
    fn row(&self) -> u32 {
        self.first
    }
}

impl<'r> MissingThoughDue<'r> {
    pub fn new(
        grouping: Grouping,
        due: RowMatcher<'r>,
        missing: RowMatcher<'r>,
        gain_cents: i64,
    ) -> Self {
        Self { grouping, due, missing, gain_cents, groups: Groups::new() }
    }
}

impl Evaluator for MissingThoughDue<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        let (due, billed) = (self.due.matches(keyed.row), self.missing.matches(keyed.row));
        if !due && !billed {
            return;
        }
        if let Some(group) = self.grouping.group_of(keyed) {
            let state = self.groups.entry(group, DueFee { first: NO_ROW, billed: false });
            state.billed |= billed;
            if due {
                state.first = state.first.min(keyed.at);
            }
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        let gain = self.gain_cents;
        self.groups.drain_slice(|state| match state.first {
            // Billed although nothing was due.
            NO_ROW => {}
            first if state.billed => found.pass(first.into()),
            first => found.gain(
                first.into(),
                FindingOutcome::FeeMissing,
                gain,
                [("gain_cents", gain.into())],
            ),
        })
    }
}
