//! Verification of the chains: every kept row is hashed again.

use std::fmt;

use schemas::{Millis, audit::AuditEntry, ids::TenantId};

use super::{
    chain::{Anchor, ChainHash, ChainHead, Day, EntryNumber, RowColumns},
    store::{AuditStore, ChainEnds, StoredRow},
};
use crate::ledger::LedgerError;

/// Rows and tenants that are read at once: a few megabytes.
const PAGE: u32 = 1_000;

/// A fault of a chain at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The hash of the row is not that of its content after the row before. The row, or one before
    /// it, was changed.
    Hash,
    /// The number of the row does not follow: rows were removed or inserted.
    Number,
    /// The columns by which the row is found are not those of its entry.
    Columns,
    /// The row is earlier than the row before, or on another day than its partition.
    Time,
    /// The day has no anchor, or another one; or there is an anchor that no entry needs.
    Anchor,
    /// The rows of a day are missing, although its retention is not over.
    MissingDay,
    /// The last row is not the one that the head names: rows at the end were removed, or the head
    /// was changed.
    Head,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash => "the row or one before it was changed",
            Self::Number => "rows are missing or were inserted",
            Self::Columns => "the row's columns are not those of its entry",
            Self::Time => "the row is in the wrong place",
            Self::Anchor => "the anchor of the day is missing, was changed or was added",
            Self::MissingDay => "the rows of the day are missing",
            Self::Head => "the last row is not the one that the head names",
        })
    }
}

/// The result for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of the first row that is kept.
    pub first: Option<EntryNumber>,
    /// The last row that was verified.
    pub head: Option<ChainHead>,
    /// The number of verified rows.
    pub rows: u64,
    /// Whether the store has anything of the tenant: a row, a head or an anchor.
    pub is_known: bool,
    /// The first place where the chain is broken: the day, the row where there is one, and why.
    pub broken: Option<(Day, Option<EntryNumber>, Break)>,
}

/// Why a verification did not end.
#[derive(Debug, thiserror::Error)]
#[error("the store of the audit could not be read to its end")]
pub struct VerifyError(#[from] LedgerError);

/// Verifies the chain of every tenant, or of the one that is asked for, and passes each report to
/// `report`.
///
/// # Errors
/// [`VerifyError`] when the store does not answer.
pub async fn verify_tenants(
    store: &dyn AuditStore,
    mut report: impl FnMut(ChainReport),
) -> Result<(), VerifyError> {
    let mut after: Option<TenantId> = None;
    loop {
        let tenants = store.tenants(after.as_ref(), PAGE).await?;
        let Some(last) = tenants.last().cloned() else { return Ok(()) };
        for tenant in tenants {
            report(verify_tenant(store, tenant).await?);
        }
        after = Some(last);
    }
}

/// Verifies the chain of one tenant. Entries that are stored meanwhile are not part of it.
///
/// # Errors
/// [`VerifyError`] when the store does not answer.
pub async fn verify_tenant(
    store: &dyn AuditStore,
    tenant: TenantId,
) -> Result<ChainReport, VerifyError> {
    // The head first: all rows up to it are stored, and later ones are left out.
    let ends = store.ends(&tenant).await?;
    let days = store.days().await?;
    let mut check = ChainCheck::new(tenant.clone(), ends);
    for day in days.iter().copied() {
        let mut after = None;
        loop {
            let rows = store.rows(&tenant, day, after, PAGE).await?;
            after = rows.last().map(|row| (row.logged_at, row.number));
            let is_last = rows.len() < PAGE as usize;
            for row in rows {
                check.row(day, &row);
            }
            if is_last {
                break;
            }
        }
        check.end_day(day);
    }
    let latest = store.ends(&tenant).await?.head;
    Ok(check.end(&days, latest))
}

/// The check of one chain, row by row.
struct ChainCheck {
    ends: ChainEnds,
    /// The anchors that are not before the head. A later entry can have begun a day since the head
    /// was read.
    late_anchors: Vec<Anchor>,
    /// The place after which the next row must follow.
    place: Option<(EntryNumber, ChainHash, Millis)>,
    /// The last day that had a row.
    day: Option<Day>,
    /// The greatest number that is later than the head, with its day.
    later: Option<(EntryNumber, Day)>,
    report: ChainReport,
}

impl ChainCheck {
    fn new(tenant: TenantId, mut ends: ChainEnds) -> Self {
        let is_known = ends.head.is_some() || !ends.anchors.is_empty();
        let mut late_anchors = Vec::new();
        if let Some(head) = ends.head {
            let is_late = |anchor: &mut Anchor| anchor.before >= head.number;
            late_anchors = ends.anchors.extract_if(.., is_late).collect();
        }
        let report =
            ChainReport { tenant, first: None, head: None, rows: 0, is_known, broken: None };
        Self { ends, late_anchors, place: None, day: None, later: None, report }
    }

    fn anchor(&self, day: Day) -> Option<Anchor> {
        self.ends.anchors.iter().find(|anchor| anchor.day == day).copied()
    }

    fn broken(&mut self, day: Day, number: Option<EntryNumber>, why: Break) {
        self.report.broken.get_or_insert((day, number, why));
    }

    fn row(&mut self, day: Day, row: &StoredRow) {
        self.report.is_known = true;
        if self.ends.head.is_some_and(|head| row.number > head.number) {
            self.later = self.later.max(Some((row.number, day)));
            return;
        }
        if self.report.broken.is_some() {
            return;
        }
        match self.judge(day, row) {
            Err(why) => self.broken(day, Some(row.number), why),
            Ok(()) => {
                self.day = Some(day);
                self.place = Some((row.number, row.hash, row.logged_at));
                self.report.first.get_or_insert(row.number);
                self.report.rows += 1;
                let StoredRow { number, logged_at, hash, .. } = *row;
                self.report.head = Some(ChainHead { number, logged_at, hash });
            }
        }
    }

    fn judge(&self, day: Day, row: &StoredRow) -> Result<(), Break> {
        if Day::of(row.logged_at) != day {
            return Err(Break::Time);
        }
        let (before, hash) = match (self.place, self.day == Some(day)) {
            (Some((number, hash, _)), true) => (number, hash),
            (place, _) => {
                let anchor = self.anchor(day).ok_or(Break::Anchor)?;
                let follows = place
                    .is_none_or(|(number, hash, _)| (number, hash) == (anchor.before, anchor.hash));
                // Rows between the place and the anchor are missing, or the anchor is wrong.
                if !follows {
                    return Err(Break::Anchor);
                }
                (anchor.before, anchor.hash)
            }
        };
        if row.number != before.next() {
            return Err(Break::Number);
        }
        if self.place.is_some_and(|(_, _, at)| row.logged_at < at) {
            return Err(Break::Time);
        }
        if hash.next(&self.report.tenant, row.number, row.logged_at, &row.body) != row.hash {
            return Err(Break::Hash);
        }
        let entry: AuditEntry = serde_json::from_str(&row.body).map_err(|_| Break::Columns)?;
        if RowColumns::of(&entry) != row.columns {
            return Err(Break::Columns);
        }
        Ok(())
    }

    /// Ends a kept day. One with an anchor has had rows.
    fn end_day(&mut self, day: Day) {
        if self.day == Some(day) {
            return;
        }
        if self.anchor(day).is_some() {
            self.broken(day, None, Break::MissingDay);
        }
    }

    /// An anchor that no entry can have made. Those of dropped days have no rows any more, so only
    /// their order tells.
    fn forged_anchor(&self, days: &[Day], latest: Option<ChainHead>) -> Option<Day> {
        let anchors = &self.ends.anchors;
        let reversed = anchors.windows(2).find(|pair| pair[1].before <= pair[0].before);
        let is_misplaced = |anchor: &&Anchor| {
            let is_dropped = days.first().is_none_or(|first| anchor.day < *first);
            let is_after_head = self.ends.head.is_some_and(|it| Day::of(it.logged_at) < anchor.day);
            is_after_head || !is_dropped && !days.contains(&anchor.day)
        };
        let is_unmade =
            |anchor: &&Anchor| latest.is_none_or(|latest| anchor.before >= latest.number);
        reversed
            .map(|pair| pair[1].day)
            .or_else(|| anchors.iter().find(is_misplaced).map(|anchor| anchor.day))
            .or_else(|| self.late_anchors.iter().find(is_unmade).map(|anchor| anchor.day))
    }

    /// Ends the check. `days` are the kept days, and `latest` is the head after all rows were read.
    fn end(mut self, days: &[Day], latest: Option<ChainHead>) -> ChainReport {
        if let Some(day) = self.forged_anchor(days, latest) {
            self.broken(day, None, Break::Anchor);
        }
        // Anchors are never dropped, so the first one stands at the start of the chain.
        if let Some(first) = self.ends.anchors.first().copied()
            && (first.before, first.hash) != (EntryNumber(0), ChainHash::START)
        {
            self.broken(first.day, None, Break::Anchor);
        }
        if let Some((number, day)) = self.later
            && latest.is_none_or(|head| number > head.number)
        {
            self.broken(day, Some(number), Break::Head);
        }
        match (self.ends.head, self.report.head) {
            (Some(head), Some(last)) if head != last => {
                self.broken(Day::of(head.logged_at), Some(head.number), Break::Head);
            }
            // Rows without a head are never later than it, so they were judged.
            (None, Some(last)) => {
                self.broken(Day::of(last.logged_at), Some(last.number), Break::Head);
            }
            // A chain whose days are all dropped has its head and its anchors only. The day of the
            // head has an anchor, so that rows missing from a kept day were noticed.
            (Some(head), None) if self.anchor(Day::of(head.logged_at)).is_none() => {
                self.broken(Day::of(head.logged_at), Some(head.number), Break::Anchor);
            }
            _ => {}
        }
        self.report
    }
}
