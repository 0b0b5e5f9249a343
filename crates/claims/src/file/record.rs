//! One record of a file: its raw cells, and the typed row that they give.

use std::borrow::Cow;

use bumpalo::Bump;
use encoding_rs::WINDOWS_1252;
use schemas::rule::Column;

use super::{
    ParsedRow, TextEncoding, UnreadableRow,
    cell::{self, Parsed},
    header::Layout,
};
use crate::row::{Cells, Row};

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

    /// The typed row, or the first column that cannot be read.
    pub fn typed<'a>(&'a self, number: u64, line: u64, scratch: &'a Bump) -> ParsedRow<'a> {
        let (is, must) = (self.cells, self.layout.width);
        let mut forms = Forms { record: self, bad: (is != must).then_some(is.min(must)) };
        let end = forms.read(Column::End, cell::time);
        let row = Row {
            number,
            date: forms.read(Column::ServiceDate, cell::date),
            start: forms
                .read(Column::Start, cell::time)
                .filter(|start| *start > 0 || end.is_some()),
            end,
            place: forms.read(Column::Place, cell::place),
            code: forms.read(Column::Code, cell::code),
            units: forms.read(Column::Units, cell::units),
            preliminary: forms.read(Column::Preliminary, cell::money),
            paid: forms.read(Column::Paid, cell::money),
            doctor: forms.read(Column::Doctor, cell::doctor),
            patient: forms.read(Column::Patient, cell::patient),
            contexts: self.contexts(scratch),
            cells: self,
        };
        match forms.bad {
            Some(bad) => ParsedRow::Unreadable(UnreadableRow {
                number,
                line,
                column: self.layout.column_at(bad),
            }),
            None => ParsedRow::Row(row),
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
        let contexts = text.split(',').map(|context| context.trim().trim_start_matches('#').trim());
        let contexts = contexts.filter(|context| !context.is_empty());
        bumpalo::collections::Vec::from_iter_in(contexts, scratch).into_bump_slice()
    }
}

/// Reads cells by the formats of their columns, and keeps the first position, in the order of the
/// file, that fails.
struct Forms<'a> {
    record: &'a Record,
    bad: Option<usize>,
}

impl Forms<'_> {
    fn read<T>(&mut self, column: Column, form: fn(&[u8]) -> Parsed<T>) -> Option<T> {
        let position = self.record.layout.position(column)?;
        let cell = self.record.cell(position)?;
        form(cell::trim(cell)).unwrap_or_else(|cell::Malformed| {
            self.bad = Some(self.bad.map_or(position, |bad| bad.min(position)));
            None
        })
    }
}

impl Cells for Record {
    fn get(&self, column: Column) -> Option<Cow<'_, str>> {
        let cell = self.cell(self.layout.position(column)?)?;
        Some(match decode(cell, self.encoding) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
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
