//! Row filters in their compiled form: one set of codes, and contexts as the reader gives them.

use schemas::rule::{Column, RowFilter};

use crate::{row::Row, tables::Tables};

#[cfg(test)]
mod tests;

/// One past the largest code: codes have at most five digits.
const CODES: u32 = 100_000;

/// A set of codes with one bit for each possible code: always 12.5 kB.
pub(super) struct CodeSet(Box<[u64]>);

impl CodeSet {
    pub fn none() -> Self {
        Self(vec![0; CODES.div_ceil(64) as usize].into())
    }

    /// The texts that are codes.
    pub fn from_texts(texts: &[String]) -> Self {
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    pub fn contains(&self, code: u32) -> bool {
        self.0.get(code as usize / 64).is_some_and(|word| word >> (code % 64) & 1 == 1)
    }

    /// Combines two sets word by word.
    fn combine(&mut self, other: &Self, word: impl Fn(u64, u64) -> u64) {
        for (mine, other) in self.0.iter_mut().zip(&other.0) {
            *mine = word(*mine, *other);
        }
    }
}

impl FromIterator<u32> for CodeSet {
    fn from_iter<I: IntoIterator<Item = u32>>(codes: I) -> Self {
        let mut set = Self::none();
        for code in codes.into_iter().filter(|code| *code < CODES) {
            set.0[code as usize / 64] |= 1 << (code % 64);
        }
        set
    }
}

/// Whether a row matches a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    /// The answer depends on a cell that cannot be read.
    Unsure,
}

/// The compiled form of a [`RowFilter`]: matches the rows that a check looks at.
pub(super) struct RowMatcher<'r> {
    /// The codes that match. `None` when the code does not matter.
    codes: Option<CodeSet>,
    /// Whether a row without a code matches.
    without_code: bool,
    contexts: Vec<String>,
    contexts_not: Vec<String>,
    places: PlacePrefixes,
    gmf: Option<(bool, &'r Tables)>,
    paid: Option<bool>,
}

impl<'r> RowMatcher<'r> {
    pub fn resolve(filter: &RowFilter, tables: &'r Tables) -> Self {
        let (codes, without_code) = codes(filter, tables);
        Self {
            codes,
            without_code,
            contexts: contexts(&filter.contexts),
            contexts_not: contexts(&filter.contexts_not),
            places: PlacePrefixes::new(&filter.places),
            gmf: filter.gmf.map(|gmf| (gmf, tables)),
            paid: filter.paid,
        }
    }

    /// Whether the row matches. A condition on a cell that cannot be read leaves that open, unless
    /// another condition already excludes the row.
    pub fn judge(&self, row: &Row<'_>) -> Match {
        let conditions = [
            (Column::Code, self.codes.is_some(), self.matches_code(row.code)),
            (Column::Place, self.asks_place(), self.matches_place(row.place)),
            (Column::Paid, self.paid.is_some(), self.matches_paid(row)),
        ];
        if !self.matches_contexts(row) {
            return Match::No;
        }
        let mut whole = Match::Yes;
        for (column, is_asked, holds) in conditions {
            match is_asked && row.unread.contains(column) {
                true => whole = Match::Unsure,
                false if !holds => return Match::No,
                false => {}
            }
        }
        whole
    }

    /// Whether the row surely matches.
    pub fn matches(&self, row: &Row<'_>) -> bool {
        if row.unread.is_empty() {
            return self.matches_code(row.code)
                && self.matches_contexts(row)
                && self.matches_place(row.place)
                && self.matches_paid(row);
        }
        self.judge(row) == Match::Yes
    }

    fn matches_contexts(&self, row: &Row<'_>) -> bool {
        (self.contexts.is_empty() || carries(row, &self.contexts))
            && !carries(row, &self.contexts_not)
    }

    fn asks_place(&self) -> bool {
        !self.places.is_empty() || self.gmf.is_some()
    }

    fn matches_place(&self, place: Option<u32>) -> bool {
        (self.places.is_empty() || self.places.contains(place))
            && self
                .gmf
                .is_none_or(|(gmf, tables)| place.is_some_and(|place| tables.is_gmf(place)) == gmf)
    }

    fn matches_paid(&self, row: &Row<'_>) -> bool {
        self.paid.is_none_or(|paid| row.is_paid() == paid)
    }

    fn matches_code(&self, code: Option<u32>) -> bool {
        match (&self.codes, code) {
            (None, _) => true,
            (Some(_), None) => self.without_code,
            (Some(codes), Some(code)) => codes.contains(code),
        }
    }
}

/// The codes that a filter matches, and whether it matches a row without a code.
fn codes(filter: &RowFilter, tables: &Tables) -> (Option<CodeSet>, bool) {
    let mut conditions = Vec::new();
    if !filter.codes.is_empty() {
        conditions.push(CodeSet::from_texts(&filter.codes));
    }
    for (wanted, field) in [
        (&filter.leaves, (|entry| &entry.leaf) as fn(&crate::tables::CodeEntry) -> &String),
        (&filter.groups, |entry| &entry.group),
        (&filter.tops, |entry| &entry.top),
    ] {
        if !wanted.is_empty() {
            let wanted: Vec<String> = wanted.iter().map(|text| folded(text)).collect();
            let named = tables.codes().filter(|(_, entry)| wanted.contains(&folded(field(entry))));
            conditions.push(named.map(|(code, _)| code).collect());
        }
    }
    let without_code = conditions.is_empty();
    let met = conditions.into_iter().reduce(|mut met, next| {
        met.combine(&next, |a, b| if filter.any_of { a | b } else { a & b });
        met
    });
    if filter.codes_not.is_empty() {
        return (met, without_code);
    }
    let mut met = met.unwrap_or_else(|| (0..CODES).collect());
    met.combine(&CodeSet::from_texts(&filter.codes_not), |met, not| met & !not);
    (Some(met), without_code)
}

/// A text of the code table in the form in which texts are compared.
fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Contexts in the form that rows have.
pub(super) fn contexts(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| context(text)).collect()
}

/// One context in the form that rows have: upper case, without surrounding spaces and leading `#`.
pub(super) fn context(text: &str) -> String {
    text.trim().trim_start_matches('#').trim().to_uppercase()
}

/// Whether the row has one of these contexts.
pub(super) fn carries(row: &Row<'_>, contexts: &[String]) -> bool {
    row.contexts.iter().any(|context| contexts.iter().any(|wanted| wanted == context))
}

/// A set of first digits of places.
pub(super) struct PlacePrefixes(Vec<(u32, u32)>);

impl PlacePrefixes {
    pub fn new(prefixes: &[String]) -> Self {
        let cut = |prefix: &String| {
            let behind = 5u32.checked_sub(prefix.len() as u32)?;
            Some((10u32.pow(behind), prefix.parse().ok()?))
        };
        Self(prefixes.iter().filter_map(cut).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, place: Option<u32>) -> bool {
        place.is_some_and(|place| self.0.iter().any(|(divisor, prefix)| place / divisor == *prefix))
    }
}
