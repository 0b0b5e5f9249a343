//! The tables of reference data: what codes mean and pay, which establishments are family medicine
//! groups (GMF), and which contexts exist.
//!
//! Each is CSV with a header row, separated by `,`, `;` or a tab, in UTF-8 or Windows-1252. Columns
//! are found by name, in any order and among others:
//!
//! - codes: `code` (4 or 5 digits), `leaf` (the description), `group` (the level-1 group), `top`
//!   (the top level), `cents` (the amount, empty where there is none);
//! - establishments: `place` (5 digits), `gmf` (yes or no, oui or non, true or false, 1 or 0);
//! - contexts: `context`, `description`.
//!
//! An empty input is an empty table. The later of two lines with the same key counts.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read},
};

use csv::StringRecord;
use encoding_rs::WINDOWS_1252;
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::{
    reference::{ReferenceEntry, ReferenceTable, StoredReference},
    view::Entries,
};

/// The tables of codes, establishments and contexts in memory: a code table has thousands of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    codes: FxHashMap<u32, CodeEntry>,
    gmf: FxHashSet<u32>,
    contexts: FxHashSet<String>,
}

/// A line of the code table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeEntry {
    /// The description of the code.
    pub leaf: String,
    /// The level-1 group.
    pub group: String,
    /// The top level.
    pub top: String,
    /// The amount in cents, where it is fixed.
    pub cents: Option<i64>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TablesError {
    #[error("the table of {table} cannot be read")]
    Io { table: ReferenceTable, source: io::Error },
    #[error("the table of {table} has no column \"{column}\"")]
    ColumnMissing { table: ReferenceTable, column: &'static str },
    #[error("line {line} of the table of {table} has an invalid \"{column}\": it is {wanted}")]
    Value { table: ReferenceTable, line: u64, column: &'static str, wanted: &'static str },
    #[error("line {line} of the table of {table} has more or fewer cells than its header")]
    Cells { table: ReferenceTable, line: u64 },
}

impl Tables {
    /// Empty tables.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the tables of codes and establishments.
    ///
    /// # Errors
    /// The error of a reader, or the table, line and column that cannot be used.
    pub fn read(codes: impl Read, establishments: impl Read) -> Result<Self, TablesError> {
        let mut tables = Self::empty();
        tables.set(ReferenceTable::Codes, read(ReferenceTable::Codes, codes)?);
        let places = read(ReferenceTable::Establishments, establishments)?;
        tables.set(ReferenceTable::Establishments, places);
        Ok(tables)
    }

    /// Replaces a table by these entries. An entry of another table is left out.
    fn set(
        &mut self,
        table: ReferenceTable,
        entries: impl IntoIterator<Item = (String, ReferenceEntry)>,
    ) {
        match table {
            ReferenceTable::Codes => self.codes.clear(),
            ReferenceTable::Establishments => self.gmf.clear(),
            ReferenceTable::Contexts => self.contexts.clear(),
        }
        for (key, entry) in entries.into_iter().filter(|(_, entry)| entry.table() == table) {
            match (entry, key.parse()) {
                (ReferenceEntry::Code { leaf, group, top, cents }, Ok(code)) => {
                    self.add_code(code, CodeEntry { leaf, group, top, cents });
                }
                (ReferenceEntry::Establishment { gmf: true }, Ok(place)) => self.add_gmf(place),
                (ReferenceEntry::Context { .. }, _) => drop(self.contexts.insert(key)),
                _ => {}
            }
        }
    }

    /// Replaces a table by the entries of its view.
    ///
    /// # Errors
    /// When an entry cannot be read.
    pub fn set_stored(&mut self, table: ReferenceTable, view: &Entries) -> serde_json::Result<()> {
        let mut entries = Vec::with_capacity(view.len());
        for (key, entry) in view {
            let stored: StoredReference = serde_json::from_str(entry.get())?;
            entries.push((key.clone(), stored.entry));
        }
        self.set(table, entries);
        Ok(())
    }

    /// Replaces a table by that of `other`.
    pub fn copy_from(&mut self, table: ReferenceTable, other: &Self) {
        match table {
            ReferenceTable::Codes => self.codes.clone_from(&other.codes),
            ReferenceTable::Establishments => self.gmf.clone_from(&other.gmf),
            ReferenceTable::Contexts => self.contexts.clone_from(&other.contexts),
        }
    }

    /// The entries of a table by key.
    pub fn entries(&self, table: ReferenceTable) -> BTreeMap<String, ReferenceEntry> {
        match table {
            ReferenceTable::Codes => {
                let entry = |(code, entry): (u32, &CodeEntry)| {
                    let CodeEntry { leaf, group, top, cents } = entry.clone();
                    (code.to_string(), ReferenceEntry::Code { leaf, group, top, cents })
                };
                self.codes().map(entry).collect()
            }
            ReferenceTable::Establishments => {
                let entry =
                    |place: &u32| (place.to_string(), ReferenceEntry::Establishment { gmf: true });
                self.gmf.iter().map(entry).collect()
            }
            ReferenceTable::Contexts => {
                let entry = |context: &String| {
                    let description = String::new();
                    (context.clone(), ReferenceEntry::Context { description })
                };
                self.contexts.iter().map(entry).collect()
            }
        }
    }

    /// Adds a code, or replaces it.
    pub fn add_code(&mut self, code: u32, entry: CodeEntry) {
        self.codes.insert(code, entry);
    }

    /// Marks a place as a family medicine group.
    pub fn add_gmf(&mut self, place: u32) {
        self.gmf.insert(place);
    }

    /// The entry of a code.
    pub fn code(&self, code: u32) -> Option<&CodeEntry> {
        self.codes.get(&code)
    }

    /// All codes, in no particular order.
    pub fn codes(&self) -> impl Iterator<Item = (u32, &CodeEntry)> {
        self.codes.iter().map(|(code, entry)| (*code, entry))
    }

    /// Whether a place is a family medicine group.
    pub fn is_gmf(&self, place: u32) -> bool {
        self.gmf.contains(&place)
    }

    /// The known contexts in upper case; `None` without a table.
    pub fn contexts(&self) -> Option<&FxHashSet<String>> {
        (!self.contexts.is_empty()).then_some(&self.contexts)
    }
}

/// Reads the entries of a table by key.
///
/// # Errors
/// The error of the reader, or the line and column that cannot be used.
pub fn read(
    table: ReferenceTable,
    mut source: impl Read,
) -> Result<BTreeMap<String, ReferenceEntry>, TablesError> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|source| TablesError::Io { table, source })?;
    parse(table, &decode(&bytes))
}

/// The text of a table in UTF-8 or Windows-1252, without its byte order mark.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Reads the entries of a table by key from its text.
///
/// # Errors
/// The line and column that cannot be used.
pub fn parse(
    table: ReferenceTable,
    text: &str,
) -> Result<BTreeMap<String, ReferenceEntry>, TablesError> {
    let mut entries = BTreeMap::new();
    lines(table, text, |line| {
        let (key, entry) = line.entry()?;
        entries.insert(key, entry);
        Ok(())
    })?;
    Ok(entries)
}

/// The cells of one line of a table in the order of its columns, trimmed.
struct TableLine<'a> {
    table: ReferenceTable,
    line: u64,
    cells: Vec<&'a str>,
}

impl TableLine<'_> {
    fn entry(&self) -> Result<(String, ReferenceEntry), TablesError> {
        let columns = self.table.columns();
        let key = self.table.key(self.cells[0]);
        let key = key.ok_or_else(|| self.invalid(columns[0], self.table.key_form()))?;
        let cell = |column: usize| self.cells[column].to_owned();
        let entry = match self.table {
            ReferenceTable::Codes => {
                let cents = match self.cells[4] {
                    "" => None,
                    cents => Some(
                        cents.parse().map_err(|_| self.invalid("cents", "a number, or empty"))?,
                    ),
                };
                ReferenceEntry::Code { leaf: cell(1), group: cell(2), top: cell(3), cents }
            }
            ReferenceTable::Establishments => {
                let gmf = match self.cells[1].to_lowercase().as_str() {
                    "yes" | "oui" | "true" | "vrai" | "1" => true,
                    "no" | "non" | "false" | "faux" | "0" | "" => false,
                    _ => return Err(self.invalid("gmf", "yes or no, or empty for no")),
                };
                ReferenceEntry::Establishment { gmf }
            }
            ReferenceTable::Contexts => ReferenceEntry::Context { description: cell(1) },
        };
        match entry.fault() {
            Some((column, wanted)) => Err(self.invalid(column, wanted)),
            None => Ok((key, entry)),
        }
    }

    fn invalid(&self, column: &'static str, wanted: &'static str) -> TablesError {
        TablesError::Value { table: self.table, line: self.line, column, wanted }
    }
}

/// Calls `take` with each line of a table after the header.
fn lines(
    table: ReferenceTable,
    text: &str,
    mut take: impl FnMut(TableLine<'_>) -> Result<(), TablesError>,
) -> Result<(), TablesError> {
    let Some(header) = text.lines().find(|line| !line.is_empty()) else { return Ok(()) };
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    let delimiter = b",;\t".iter().copied().max_by_key(count).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut positions: Option<Vec<usize>> = None;
    loop {
        let more = reader.read_record(&mut record).map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            TablesError::Cells { table, line }
        })?;
        if !more {
            return Ok(());
        }
        let Some(positions) = &positions else {
            positions = Some(find(table, &record)?);
            continue;
        };
        let line = record.position().map_or(0, csv::Position::line);
        // The CSV reader has checked that the line has as many cells as the header.
        let cells = positions.iter().map(|position| &record[*position]).collect();
        take(TableLine { table, line, cells })?;
    }
}

/// The position of each column of the table in the header.
fn find(table: ReferenceTable, header: &StringRecord) -> Result<Vec<usize>, TablesError> {
    let position = |column: &&'static str| {
        let found = header.iter().position(|name| name.eq_ignore_ascii_case(column));
        found.ok_or(TablesError::ColumnMissing { table, column })
    };
    table.columns().iter().map(position).collect()
}

#[cfg(test)]
mod tests;
