//! The tables of a deployment: what codes mean and pay, and which establishments are family
//! medicine groups (GMF).
//!
//! Both are CSV with a header row, separated by `,`, `;` or a tab, in UTF-8 or Windows-1252.
//! Columns are found by name, in any order and among others:
//!
//! - codes: `code` (4 or 5 digits), `leaf` (the description), `group` (the level-1 group), `top`
//!   (the top level), `cents` (the amount, empty where there is none);
//! - establishments: `place` (5 digits), `gmf` (yes or no, oui or non, true or false, 1 or 0).
//!
//! An empty input is an empty table. The later of two lines about the same code or place counts.

use std::io::{self, Read};

use csv::StringRecord;
use encoding_rs::WINDOWS_1252;
use rustc_hash::{FxHashMap, FxHashSet};

/// The code table and the table of establishments, both in memory: a code table has thousands of
/// lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    codes: FxHashMap<u32, CodeEntry>,
    gmf: FxHashSet<u32>,
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

/// The name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The code table.
    Codes,
    /// The table of establishments.
    Establishments,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Table::Codes => "codes",
            Table::Establishments => "establishments",
        })
    }
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TablesError {
    #[error("the table of {table} cannot be read")]
    Io { table: Table, source: io::Error },
    #[error("the table of {table} has no column \"{column}\"")]
    ColumnMissing { table: Table, column: &'static str },
    #[error("line {line} of the table of {table} has an invalid \"{column}\"")]
    Value { table: Table, line: u64, column: &'static str },
    #[error("line {line} of the table of {table} has more or fewer cells than its header")]
    Cells { table: Table, line: u64 },
}

impl Tables {
    /// Two empty tables.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads both tables.
    ///
    /// # Errors
    /// The error of a reader, or the table, line and column that cannot be used.
    pub fn read(codes: impl Read, establishments: impl Read) -> Result<Self, TablesError> {
        let mut tables = Self::empty();
        read(Table::Codes, codes, ["code", "leaf", "group", "top", "cents"], |line| {
            let code = line.number("code", line.cells[0])?;
            let cents = match line.cells[4] {
                "" => None,
                cents => Some(line.number("cents", cents)?),
            };
            let [leaf, group, top] = [1, 2, 3].map(|at| line.cells[at].to_owned());
            tables.add_code(code, CodeEntry { leaf, group, top, cents });
            Ok(())
        })?;
        read(Table::Establishments, establishments, ["place", "gmf"], |line| {
            let place = line.number("place", line.cells[0])?;
            match line.cells[1].to_lowercase().as_str() {
                "yes" | "oui" | "true" | "vrai" | "1" => tables.add_gmf(place),
                "no" | "non" | "false" | "faux" | "0" | "" => {
                    tables.gmf.remove(&place);
                }
                _ => return Err(line.invalid("gmf")),
            }
            Ok(())
        })?;
        Ok(tables)
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
}

/// The wanted cells of one line of a table, trimmed.
struct TableLine<'a, const N: usize> {
    table: Table,
    line: u64,
    cells: [&'a str; N],
}

impl<const N: usize> TableLine<'_, N> {
    fn invalid(&self, column: &'static str) -> TablesError {
        TablesError::Value { table: self.table, line: self.line, column }
    }

    fn number<T: std::str::FromStr>(
        &self,
        column: &'static str,
        cell: &str,
    ) -> Result<T, TablesError> {
        cell.parse().map_err(|_| self.invalid(column))
    }
}

/// Calls `take` with the wanted columns of each line of a table.
fn read<const N: usize>(
    table: Table,
    mut source: impl Read,
    wanted: [&'static str; N],
    mut take: impl FnMut(TableLine<'_, N>) -> Result<(), TablesError>,
) -> Result<(), TablesError> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|source| TablesError::Io { table, source })?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(&bytes).0,
    };
    let Some(header) = text.lines().find(|line| !line.is_empty()) else { return Ok(()) };
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    let delimiter = b",;\t".iter().copied().max_by_key(count).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut positions = None;
    loop {
        let more = reader.read_record(&mut record).map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            TablesError::Cells { table, line }
        })?;
        if !more {
            return Ok(());
        }
        let Some(positions) = positions else {
            positions = Some(find(table, &record, wanted)?);
            continue;
        };
        let line = record.position().map_or(0, csv::Position::line);
        // The CSV reader has checked that the line has as many cells as the header.
        take(TableLine { table, line, cells: positions.map(|position: usize| &record[position]) })?;
    }
}

fn find<const N: usize>(
    table: Table,
    header: &StringRecord,
    wanted: [&'static str; N],
) -> Result<[usize; N], TablesError> {
    let mut positions = [0; N];
    for (position, column) in positions.iter_mut().zip(wanted) {
        *position = header
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))
            .ok_or(TablesError::ColumnMissing { table, column })?;
    }
    Ok(positions)
}

#[cfg(test)]
mod tests;
