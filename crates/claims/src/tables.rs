//! The tables a deployment brings: what codes mean and pay, and which establishments are family medicine groups (GMF).
//!
//! Both are CSV with a header row, separated by `,`, `;` or a tab, in UTF-8 or Windows-1252. Columns are found by name,
//! in any order, among others:
//!
//! - codes: `code` (4 or 5 digits), `leaf` (its description), `group` (its level-1 group), `top` (its top level),
//!   `cents` (its amount, empty where it has none);
//! - establishments: `place` (5 digits), `gmf` (yes or no, oui or non, true or false, 1 or 0).
//!
//! An empty input is an empty table. Of two lines about the same code or place, the later one counts.

use std::io::{self, Read};

use csv::StringRecord;
use encoding_rs::WINDOWS_1252;
use rustc_hash::{FxHashMap, FxHashSet};

/// What is known of codes and places. Held whole: a table of codes has thousands of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    codes: FxHashMap<u32, CodeEntry>,
    gmf: FxHashSet<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeEntry {
    /// The code's own description.
    pub leaf: String,
    /// Its level-1 group.
    pub group: String,
    /// Its top level.
    pub top: String,
    /// What it pays, where that is fixed.
    pub cents: Option<i64>,
}

/// Which table is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Codes,
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

#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    #[error("the table of {table} cannot be read")]
    Io { table: Table, source: io::Error },
    #[error("the table of {table} lacks the column \"{column}\"")]
    ColumnMissing { table: Table, column: &'static str },
    #[error("line {line} of the table of {table} has no usable \"{column}\"")]
    Value { table: Table, line: u64, column: &'static str },
    #[error("line {line} of the table of {table} has not as many cells as its header")]
    Cells { table: Table, line: u64 },
}

impl Tables {
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads both tables.
    ///
    /// # Errors
    /// The reader's, or the table, line and column that cannot be used.
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
                _ => return Err(line.without("gmf")),
            }
            Ok(())
        })?;
        Ok(tables)
    }

    pub fn add_code(&mut self, code: u32, entry: CodeEntry) {
        self.codes.insert(code, entry);
    }

    /// Flags a place as a family medicine group.
    pub fn add_gmf(&mut self, place: u32) {
        self.gmf.insert(place);
    }

    pub fn code(&self, code: u32) -> Option<&CodeEntry> {
        self.codes.get(&code)
    }

    /// All codes, in no order.
    pub fn codes(&self) -> impl Iterator<Item = (u32, &CodeEntry)> {
        self.codes.iter().map(|(code, entry)| (*code, entry))
    }

    pub fn is_gmf(&self, place: u32) -> bool {
        self.gmf.contains(&place)
    }
}

/// The wanted cells of one line, trimmed.
struct Line<'a, const N: usize> {
    table: Table,
    line: u64,
    cells: [&'a str; N],
}

impl<const N: usize> Line<'_, N> {
    fn without(&self, column: &'static str) -> TablesError {
        TablesError::Value { table: self.table, line: self.line, column }
    }

    fn number<T: std::str::FromStr>(
        &self,
        column: &'static str,
        cell: &str,
    ) -> Result<T, TablesError> {
        cell.parse().map_err(|_| self.without(column))
    }
}

/// Hands over each line of a table by the columns wanted.
fn read<const N: usize>(
    table: Table,
    mut source: impl Read,
    wanted: [&'static str; N],
    mut take: impl FnMut(Line<'_, N>) -> Result<(), TablesError>,
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
        // The reader refuses a line whose cells are not as many as the header's.
        take(Line { table, line, cells: positions.map(|position: usize| &record[position]) })?;
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
