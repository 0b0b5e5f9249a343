//! Checks of what the rows of a group come to over a period.

use std::{mem, vec};

use rustc_hash::FxHashMap;
use schemas::{
    finding::FindingOutcome,
    rule::{Column, GroupKey, Period, SumTerm, TermAmount, Unit},
};

use super::{
    filter::{Codes, Rows},
    judge::{Found, Judge, NO_ROW, Seen, packed},
};
use crate::row::Row;

#[cfg(test)]
mod tests;

/// A group and its period. Parts that the rule does not group by are 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group([u32; 5]);

/// How rows are put into groups.
pub(super) struct Grouping {
    per: Vec<GroupKey>,
    period: Period,
}

impl Grouping {
    pub fn new(per: &[GroupKey], period: Period) -> Self {
        Self { per: per.to_vec(), period }
    }

    /// The row's group; `None` when it lacks a key or the date.
    fn of(&self, seen: &Seen<'_>) -> Option<Group> {
        let day = packed(seen.row.date?);
        let mut group = [0; 5];
        group[0] = match self.period {
            Period::Day => day,
            Period::Month => day >> 5,
            Period::Year => day >> 9,
        };
        for (part, key) in group[1..].iter_mut().zip(&self.per) {
            *part = match key {
                GroupKey::Patient => seen.patient?,
                GroupKey::Doctor => seen.doctor?,
                GroupKey::Code => seen.row.code?,
                GroupKey::Place => seen.row.place?,
            };
        }
        Some(Group(group))
    }
}

/// Groups told in one go: findings are a hundred times what a rule keeps of a group, so that all at once could be more
/// than everything else in memory.
const TOLD: usize = 4096;

/// What a rule keeps of each group: gathered by group, then told by row.
struct Groups<S> {
    gathered: FxHashMap<Group, S>,
    to_tell: Option<vec::IntoIter<S>>,
}

/// A group of which a row stands for the whole.
trait Stands {
    /// The row at which the group is told.
    fn row(&self) -> u32;
}

impl<S: Stands> Groups<S> {
    fn new() -> Self {
        Self { gathered: FxHashMap::default(), to_tell: None }
    }

    fn entry(&mut self, group: Group, new: S) -> &mut S {
        self.gathered.entry(group).or_insert(new)
    }

    /// Tells the next groups. False when there are no more.
    fn tell(&mut self, tell: impl FnMut(S)) -> bool {
        let gathered = &mut self.gathered;
        let to_tell = self.to_tell.get_or_insert_with(|| {
            let mut groups: Vec<S> = mem::take(gathered).into_values().collect();
            groups.sort_unstable_by_key(Stands::row);
            groups.into_iter()
        });
        to_tell.by_ref().take(TOLD).for_each(tell);
        to_tell.len() > 0
    }
}

pub(super) struct Once<'r> {
    grouping: Grouping,
    cents: i64,
    when: Rows<'r>,
    groups: Groups<Billed>,
}

#[derive(Clone, Copy)]
struct Billed {
    count: u32,
    paid: u32,
    first_paid: u32,
    first_unpaid: u32,
}

impl Billed {
    /// What is to be told; `None` when it was billed once.
    fn outcome(&self) -> Option<FindingOutcome> {
        match (self.count, self.paid) {
            (1, _) => None,
            (_, 0) => Some(FindingOutcome::OnceNonePaid),
            (_, 1) => Some(FindingOutcome::OnceOnePaid),
            _ => Some(FindingOutcome::OnceSeveralPaid),
        }
    }
}

impl Stands for Billed {
    fn row(&self) -> u32 {
        match self.outcome() {
            None => self.first_paid.min(self.first_unpaid),
            Some(FindingOutcome::OnceSeveralPaid) => self.first_paid,
            Some(_) => self.first_unpaid,
        }
    }
}

impl<'r> Once<'r> {
    pub fn new(grouping: Grouping, cents: i64, when: Rows<'r>) -> Self {
        Self { grouping, cents, when, groups: Groups::new() }
    }
}

impl Judge for Once<'_> {
    fn row(&mut self, seen: &Seen<'_>, _found: &mut Found<'_>) {
        if !self.when.meets(seen.row) {
            return;
        }
        let Some(group) = self.grouping.of(seen) else {
            return;
        };
        let none = Billed { count: 0, paid: 0, first_paid: NO_ROW, first_unpaid: NO_ROW };
        let billed = self.groups.entry(group, none);
        billed.count = billed.count.saturating_add(1);
        if seen.row.is_paid() {
            billed.paid = billed.paid.saturating_add(1);
            billed.first_paid = billed.first_paid.min(seen.at);
        } else {
            billed.first_unpaid = billed.first_unpaid.min(seen.at);
        }
    }

    fn conclude(&mut self, found: &mut Found<'_>) -> bool {
        self.groups.tell(|billed| {
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
    /// With the codes of each; any when absent.
    terms: Vec<(Option<Codes>, TermAmount)>,
    limit: i64,
    when: Rows<'r>,
    groups: Groups<Sum>,
}

#[derive(Clone, Copy)]
struct Sum {
    /// Wide enough for every sum of amounts, so that their order cannot matter.
    total: i128,
    first: u32,
}

impl Stands for Sum {
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
        when: Rows<'r>,
    ) -> Self {
        let term = |term: &SumTerm| {
            ((!term.codes.is_empty()).then(|| Codes::of(&term.codes)), term.amount)
        };
        let terms = terms.iter().map(term).collect();
        Self { grouping, unit, terms, limit, when, groups: Groups::new() }
    }

    /// What the row adds; `None` when no term names its code, or the term's column is empty.
    fn adds(&self, row: &Row<'_>) -> Option<i64> {
        let named = |codes: &Option<Codes>| match codes {
            None => true,
            Some(codes) => row.code.is_some_and(|code| codes.has(code)),
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

impl Judge for SumLimit<'_> {
    fn row(&mut self, seen: &Seen<'_>, _found: &mut Found<'_>) {
        let Some(amount) = self.adds(seen.row) else {
            return;
        };
        if !self.when.meets(seen.row) {
            return;
        }
        if let Some(group) = self.grouping.of(seen) {
            let sum = self.groups.entry(group, Sum { total: 0, first: NO_ROW });
            sum.total += i128::from(amount);
            sum.first = sum.first.min(seen.at);
        }
    }

    fn conclude(&mut self, found: &mut Found<'_>) -> bool {
        let (limit, unit) = (self.limit, self.unit);
        self.groups.tell(|sum| {
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
    due: Rows<'r>,
    missing: Rows<'r>,
    gain_cents: i64,
    groups: Groups<Due>,
}

#[derive(Clone, Copy)]
struct Due {
    first: u32,
    billed: bool,
}

impl Stands for Due {
    fn row(&self) -> u32 {
        self.first
    }
}

impl<'r> MissingThoughDue<'r> {
    pub fn new(grouping: Grouping, due: Rows<'r>, missing: Rows<'r>, gain_cents: i64) -> Self {
        Self { grouping, due, missing, gain_cents, groups: Groups::new() }
    }
}

impl Judge for MissingThoughDue<'_> {
    fn row(&mut self, seen: &Seen<'_>, _found: &mut Found<'_>) {
        let (due, billed) = (self.due.meets(seen.row), self.missing.meets(seen.row));
        if !due && !billed {
            return;
        }
        if let Some(group) = self.grouping.of(seen) {
            let state = self.groups.entry(group, Due { first: NO_ROW, billed: false });
            state.billed |= billed;
            if due {
                state.first = state.first.min(seen.at);
            }
        }
    }

    fn conclude(&mut self, found: &mut Found<'_>) -> bool {
        let gain = self.gain_cents;
        self.groups.tell(|state| match state.first {
            // Billed, and nothing was due.
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
