//! One record of a file: its raw cells, and the typed row that they give.

use std::borrow::Cow;

use bumpalo::Bump;
use encoding_rs::WINDOWS_1252;
use schemas::rule::Column;

use super::{
    ParsedRow, TextEncoding, UnreadableRow,
    cell::{self, CellResult},
    header::Layout,
    other_forms::OtherForms,
};
use crate::row::{Cells, ColumnSet, Row};

/// Most bytes of a record without its quotes. A row of an export has a few hundred. A larger record
/// comes from a quote that is never closed, and the file is refused before the rest of it becomes
/// one cell.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most cells of a record. An export has 23 columns; a file with more cells than this is refused.
pub const MAX_CELLS: usize = 512;

pub struct Record {
    layout: Layout,
    encoding: Option<TextEncoding>,
    /// The cells without their quotes, one after the other.
    pub text: Box<[u8]>,
    /// The end of each cell in `text`.
    pub ends: Box<[usize]>,
    pub cells: usize,
}

impl Record {
    pub fn new(layout: Layout, encoding: Option<TextEncoding>) -> Self {
        let (text, ends) =
            (vec![0; MAX_BYTES].into_boxed_slice(), vec![0; MAX_CELLS].into_boxed_slice());
        Self { layout, encoding, text, ends, cells: 0 }
    }

    fn cell(&self, position: usize) -> Option<&[u8]> {
        let end = *self.ends[..self.cells].get(position)?;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    /// Whether the record is a claim, well formed or not. Empty rows, headers that are repeated on
    /// each page, and rows of totals are none.
    pub fn is_claim(&self) -> bool {
        let cell = |column| self.layout.position(column).and_then(|position| self.cell(position));
        let cell = |column| cell(column).map(cell::trim).unwrap_or_default();
        // Nearly every record is a claim and ends here.
        if cell(Column::ServiceDate).first().is_some_and(u8::is_ascii_digit) {
            return true;
        }
        let mut cells = (0..self.cells).filter_map(|position| self.cell(position));
        if cells.all(|cell| cell::trim(cell).is_empty()) {
            return false;
        }
        let title = |position| Some(decode(self.cell(position)?, self.encoding));
        !self.layout.is_repeated(title) && !self.is_total(cell)
    }

    /// Whether the record has no number and nothing that says who claimed what, and when: a row of
    /// totals or a line of text.
    fn is_total<'a>(&'a self, cell: impl Fn(Column) -> &'a [u8]) -> bool {
        let number = cell(Column::Number);
        let is_numbered = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        let claims =
            [Column::Invoice, Column::ServiceDate, Column::Code, Column::Doctor, Column::Patient];
        !is_numbered && claims.into_iter().all(|column| cell(column).is_empty())
    }

    /// The first position where the record has a cell too few or too many. Empty cells at the end
    /// are not too many.
    fn misfit(&self) -> Option<usize> {
        if self.cells < self.layout.titled {
            return Some(self.cells);
        }
        let mut surplus = (self.layout.width..self.cells).filter_map(|at| self.cell(at));
        surplus.any(|cell| !cell::trim(cell).is_empty()).then_some(self.layout.width)
    }

    /// The typed row. `forms` notes dates and times in another form.
    pub fn typed<'a>(
        &'a self,
        number: u64,
        line: u64,
        scratch: &'a Bump,
        forms: &mut OtherForms,
    ) -> ParsedRow<'a> {
        let misfit = self.misfit();
        // Cells may have moved to other columns, and then have no form of their own.
        let mut none = OtherForms::default();
        let forms = if misfit.is_some() { &mut none } else { forms };
        let mut reader = CellReader::new(self, line, forms, misfit);
        let end = reader.read(Column::End, cell::time);
        let row = Row {
            number,
            date: reader.read(Column::ServiceDate, cell::date),
            start: reader
                .read(Column::Start, cell::time)
                .filter(|start| *start > 0 || end.is_some()),
            end,
            place: reader.read(Column::Place, cell::place),
            code: reader.read(Column::Code, cell::code),
            units: reader.read(Column::Units, cell::units),
            preliminary: reader.read(Column::Preliminary, cell::money),
            paid: reader.read(Column::Paid, cell::money),
            doctor: reader.read(Column::Doctor, cell::doctor),
            patient: reader.read(Column::Patient, cell::patient),
            contexts: self.contexts(scratch),
            unread: reader.unread,
            cells: self,
        };
        let Some(bad) = reader.bad else { return ParsedRow::Row(row) };
        let unreadable = UnreadableRow { number, line, column: self.layout.column_at(bad) };
        match misfit {
            Some(_) => ParsedRow::Unreadable(unreadable),
            None => ParsedRow::Partial(row, unreadable),
        }
    }

    fn contexts<'a>(&self, scratch: &'a Bump) -> &'a [&'a str] {
        let bytes = self.layout.position(Column::Contexts).and_then(|position| self.cell(position));
        let Some(bytes) = bytes.map(cell::trim).filter(|bytes| !bytes.is_empty()) else {
            return &[];
        };
        let text = decode(bytes, self.encoding);
        let text: &'a str = if text.is_ascii() {
            let text = scratch.alloc_str(&text);
            text.make_ascii_uppercase();
            text
        } else {
            scratch.alloc_str(&text.to_uppercase())
        };
        let trimmed = |context: &'a str| context.trim_matches(cell::is_space);
        let contexts =
            text.split(',').map(|context| trimmed(trimmed(context).trim_start_matches('#')));
        let contexts = contexts.filter(|context| !context.is_empty());
        bumpalo::collections::Vec::from_iter_in(contexts, scratch).into_bump_slice()
    }
}

/// Reads the cells of a record by the formats of their columns, and notes those that fail.
struct CellReader<'r, 'f> {
    record: &'r Record,
    line: u64,
    forms: &'f mut OtherForms,
    unread: ColumnSet,
    /// The first position, in the order of the file, that no other finding names.
    bad: Option<usize>,
}

impl<'r, 'f> CellReader<'r, 'f> {
    fn new(record: &'r Record, line: u64, forms: &'f mut OtherForms, bad: Option<usize>) -> Self {
        Self { record, line, forms, unread: ColumnSet::default(), bad }
    }

    fn read<T>(&mut self, column: Column, form: fn(&[u8]) -> CellResult<T>) -> Option<T> {
        let position = self.record.layout.position(column)?;
        let cell = cell::trim(self.record.cell(position)?);
        form(cell).unwrap_or_else(|cell::MalformedCell| {
            self.unread.insert(column);
            if !self.forms.note(column, cell, self.line) {
                self.bad = Some(self.bad.map_or(position, |bad| bad.min(position)));
            }
            None
        })
    }
}

impl Cells for Record {
    fn get(&self, column: Column) -> Option<Cow<'_, str>> {
        let cell = self.cell(self.layout.position(column)?)?;
        Some(match decode(cell, self.encoding) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(cell::is_space)),
            Cow::Owned(text) => Cow::Owned(text.trim_matches(cell::is_space).to_owned()),
        })
    }
}

/// The text of a cell in the given encoding. Without one, UTF-8 when the cell is valid UTF-8, else
/// Windows-1252. Never fails: bytes that the encoding does not have become U+FFFD.
pub fn decode(cell: &[u8], encoding: Option<TextEncoding>) -> Cow<'_, str> {
    match (encoding, std::str::from_utf8(cell)) {
        (None | Some(TextEncoding::Utf8), Ok(text)) => Cow::Borrowed(text),
        (Some(TextEncoding::Utf8), Err(_)) => String::from_utf8_lossy(cell),
        (None | Some(TextEncoding::Windows1252), _) => {
            WINDOWS_1252.decode_without_bom_handling(cell).0
        }
    }
}
