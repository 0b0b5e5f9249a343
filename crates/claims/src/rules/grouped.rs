//! Checks of groups of rows over a period.

use std::collections::hash_map::Entry;

use schemas::{
    finding::FindingOutcome,
    rule::{Column, SumTerm, TermAmount, Unit},
};

use super::{
    evaluator::{Evaluator, FindingSink, KeyedRow, NO_ROW, take_back},
    filter::{CodeSet, Match, RowMatcher},
};
use crate::row::Row;

mod groups;
#[cfg(test)]
mod tests;

pub(super) use groups::Grouping;
use groups::{Group, GroupState, Groups};

pub(super) struct BilledOnce<'r> {
    grouping: Grouping,
    cents: i64,
    when: RowMatcher<'r>,
    /// The first row of each group, and the other rows of the groups that have some.
    groups: Groups<Billing, Vec<Billing>>,
}

/// A row that bills what a rule allows once, or takes it back.
#[derive(Clone, Copy)]
struct Billing {
    row: u32,
    claim: u32,
    is_reversal: bool,
    is_paid: bool,
    /// Whether the row counts depends on a cell that cannot be read.
    is_unsure: bool,
    /// Whether it was paid depends on a cell that cannot be read.
    paid_unread: bool,
}

/// How often a group was billed, without what was taken back.
struct BillingCount {
    count: u32,
    paid: u32,
    first_paid: u32,
    first_unpaid: u32,
}

impl BillingCount {
    /// Counts rows. Those that are unsure, or paid only perhaps, count if `assumed`.
    fn new(rows: &[Billing], assumed: bool) -> Self {
        let mut counted = Self { count: 0, paid: 0, first_paid: NO_ROW, first_unpaid: NO_ROW };
        for billing in rows.iter().filter(|billing| assumed || !billing.is_unsure) {
            counted.count = counted.count.saturating_add(1);
            if billing.is_paid || (assumed && billing.paid_unread) {
                counted.paid = counted.paid.saturating_add(1);
                counted.first_paid = counted.first_paid.min(billing.row);
            } else {
                counted.first_unpaid = counted.first_unpaid.min(billing.row);
            }
        }
        counted
    }

    /// The outcome of the group. `None` when it was billed once or not at all.
    fn outcome(&self) -> Option<FindingOutcome> {
        match (self.count, self.paid) {
            (0 | 1, _) => None,
            (_, 0) => Some(FindingOutcome::OnceNonePaid),
            (_, 1) => Some(FindingOutcome::OnceOnePaid),
            _ => Some(FindingOutcome::OnceSeveralPaid),
        }
    }

    fn row(&self) -> u32 {
        match self.outcome() {
            None => self.first_paid.min(self.first_unpaid),
            Some(FindingOutcome::OnceSeveralPaid) => self.first_paid,
            Some(_) => self.first_unpaid,
        }
    }
}

/// The rows that count, in their order.
fn settled(first: Billing, others: &[Billing]) -> Vec<Billing> {
    let mut rows: Vec<Billing> = std::iter::once(first).chain(others.iter().copied()).collect();
    rows.sort_unstable_by_key(|billing| billing.row);
    take_back(&mut rows, |billing| (billing.claim, billing.is_reversal));
    rows
}

impl GroupState<Vec<Billing>> for Billing {
    fn row(&self, others: Option<&Vec<Billing>>) -> u32 {
        match others {
            Some(others) => BillingCount::new(&settled(*self, others), false).row(),
            None => self.row,
        }
    }
}

impl<'r> BilledOnce<'r> {
    pub fn new(grouping: Grouping, cents: i64, when: RowMatcher<'r>) -> Self {
        Self { grouping, cents, when, groups: Groups::new() }
    }
}

impl Evaluator for BilledOnce<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        let matches = self.when.judge(keyed.row);
        if matches == Match::No {
            return;
        }
        let Some(group) = self.grouping.group_of(keyed) else { return };
        let billing = Billing {
            row: keyed.at,
            claim: keyed.claim(),
            is_reversal: keyed.row.is_reversal(),
            is_paid: keyed.row.is_paid(),
            is_unsure: matches == Match::Unsure,
            paid_unread: keyed.row.unread.contains(Column::Paid),
        };
        match self.groups.gathered.entry(group) {
            Entry::Vacant(empty) if !billing.is_unsure => drop(empty.insert(billing)),
            _ => self.groups.extras.entry(group).or_default().push(billing),
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        self.groups.drain_slice(|first, others| {
            let rows = settled(first, &others.unwrap_or_default());
            let (billed, assumed) =
                (BillingCount::new(&rows, false), BillingCount::new(&rows, true));
            // All of the group was taken back.
            if billed.count == 0 {
                return;
            }
            let row = billed.row().into();
            if billed.outcome() != assumed.outcome()
                && let Some(unread) = rows.iter().find(|row| row.is_unsure || row.paid_unread)
            {
                return found.undecided(row, unread.row);
            }
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
    groups: Groups<GroupSum, UnsureSum>,
}

#[derive(Clone, Copy)]
struct GroupSum {
    /// Wide enough for every sum of amounts, so their order does not matter.
    total: i128,
    first: u32,
}

/// The rows of a group whose part of the sum depends on a cell that cannot be read.
struct UnsureSum {
    /// The first of them.
    row: u32,
    /// The amount that they could take off.
    less: i128,
    /// The amount that they could add. `None`: any amount.
    more: Option<i128>,
}

impl GroupState<UnsureSum> for GroupSum {
    fn row(&self, _unsure: Option<&UnsureSum>) -> u32 {
        self.first
    }
}

/// The amount that a row adds to the sum of its group.
enum Addend {
    Nothing,
    Amount(i64),
    /// The amount depends on a cell that cannot be read.
    Unread,
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

    /// The amount that the row adds to its group. A reversal takes it off.
    fn adds(&self, row: &Row<'_>) -> Addend {
        let unread = |column| row.unread.contains(column);
        if unread(Column::Code) && self.terms.iter().any(|(codes, _)| codes.is_some()) {
            return Addend::Unread;
        }
        let named = |codes: &Option<CodeSet>| match codes {
            None => true,
            Some(codes) => row.code.is_some_and(|code| codes.contains(code)),
        };
        let Some((_, amount)) = self.terms.iter().find(|(codes, _)| named(codes)) else {
            return Addend::Nothing;
        };
        let taken_back = |amount: i64| match row.is_reversal() {
            true => -amount.saturating_abs(),
            false => amount,
        };
        let amount = match *amount {
            TermAmount::Fixed(amount) => Some(taken_back(amount)),
            TermAmount::Column(column) if unread(column) => return Addend::Unread,
            TermAmount::Column(Column::Units) => row.units.map(taken_back),
            TermAmount::Column(Column::Preliminary) => row.preliminary,
            TermAmount::Column(Column::Paid) => row.paid,
            TermAmount::Column(_) => None,
        };
        amount.map_or(Addend::Nothing, Addend::Amount)
    }

    /// Counts a row whose part is not known. `amount` is known if only the match is not.
    fn note_unsure(&mut self, group: Group, row: u32, amount: Option<i64>) {
        let none = UnsureSum { row, less: 0, more: Some(0) };
        let unsure = self.groups.extras.entry(group).or_insert(none);
        let amount = amount.map(i128::from);
        unsure.less += amount.unwrap_or(0).min(0);
        unsure.more = unsure.more.zip(amount).map(|(more, amount)| more + amount.max(0));
    }
}

impl Evaluator for SumLimit<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        let amount = match self.adds(keyed.row) {
            Addend::Nothing => return,
            Addend::Amount(amount) => Some(amount),
            Addend::Unread => None,
        };
        let matches = self.when.judge(keyed.row);
        if matches == Match::No {
            return;
        }
        let Some(group) = self.grouping.group_of(keyed) else { return };
        match amount.filter(|_| matches == Match::Yes) {
            Some(amount) => {
                let sum = self.groups.entry(group, GroupSum { total: 0, first: NO_ROW });
                sum.total += i128::from(amount);
                sum.first = sum.first.min(keyed.at);
            }
            None => self.note_unsure(group, keyed.at, amount),
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        let (limit, unit) = (self.limit, self.unit);
        self.groups.drain_slice(|sum, unsure| {
            let row = sum.first.into();
            let exceeds = |total: i128| total > i128::from(limit);
            if let Some(UnsureSum { row: unread, less, more }) = unsure
                && (exceeds(sum.total + less) != exceeds(sum.total)
                    || more.is_none_or(|more| exceeds(sum.total + more)) != exceeds(sum.total))
            {
                return found.undecided(row, unread);
            }
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
    groups: Groups<DueFee, UnsureFee>,
}

/// Claims of a group, without those that were taken back. A group has a handful of each; past 127
/// the count stays there.
#[derive(Clone, Copy)]
struct DueFee {
    first: u32,
    due: i8,
    billed: i8,
}

/// The rows of a group as they would be if a cell that cannot be read had the right value.
struct UnsureFee {
    /// The first of them.
    row: u32,
    due: bool,
    billed: bool,
}

impl GroupState<UnsureFee> for DueFee {
    fn row(&self, _unsure: Option<&UnsureFee>) -> u32 {
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
        let (due, billed) = (self.due.judge(keyed.row), self.missing.judge(keyed.row));
        if due == Match::No && billed == Match::No {
            return;
        }
        let Some(group) = self.grouping.group_of(keyed) else { return };
        if due == Match::Yes || billed == Match::Yes {
            let step = if keyed.row.is_reversal() { -1 } else { 1 };
            let state = self.groups.entry(group, DueFee { first: NO_ROW, due: 0, billed: 0 });
            state.billed = state.billed.saturating_add(step * i8::from(billed == Match::Yes));
            if due == Match::Yes {
                state.due = state.due.saturating_add(step);
                state.first = state.first.min(keyed.at);
            }
        }
        if due == Match::Unsure || billed == Match::Unsure {
            let none = UnsureFee { row: keyed.at, due: false, billed: false };
            let unsure = self.groups.extras.entry(group).or_insert(none);
            unsure.due |= due == Match::Unsure;
            unsure.billed |= billed == Match::Unsure;
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        let gain = self.gain_cents;
        self.groups.drain_slice(|state, unsure| {
            let (due, billed) = (state.due > 0, state.billed > 0);
            if let Some(UnsureFee { row: unread, due: may_be_due, billed: may_be_billed }) = unsure
                && !billed
                && (due && may_be_billed || !due && may_be_due)
            {
                return found.undecided(state.first.min(unread).into(), unread);
            }
            match (due, billed) {
                // Billed although nothing was due, or everything was taken back.
                (false, _) => {}
                (true, true) => found.pass(state.first.into()),
                (true, false) => found.gain(
                    state.first.into(),
                    FindingOutcome::FeeMissing,
                    gain,
                    [("gain_cents", gain.into())],
                ),
            }
        })
    }
}
