//! A claims file: an export's rows, typed, one at a time, in memory that does not grow with the file.
//!
//! What is read: records separated by `;`, `,` or a tab, quoted by `"` at will, lines ended by LF or CRLF; UTF-8 with
//! or without a byte-order mark, or Windows-1252, of which Latin-1's text is a part. Each cell is decoded for itself,
//! so that a file put together from both encodings reads well too. UTF-16 is refused at its first byte.
//!
//! Columns are found by their titles, in any order, among others; [`REQUIRED`] ones must be there. A row that has not
//! as many cells as the header, or a cell without its column's form, is [`Read::Unreadable`] and the next one is
//! read. Empty lines count for nothing. What cannot be told apart row by row refuses the file: see [`Refusal`].

mod cell;
mod header;
mod input;
mod record;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
};

use bumpalo::Bump;
use csv_core::ReadRecordResult;
use schemas::{codes::Code, finding::Param, rule::Column};

pub use self::header::REQUIRED;
use self::{header::Layout, input::Input, record::Record};
use crate::row::Row;

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// Found from the header row when `None`: the one of `;`, `,` and tab that shows the most columns.
    pub delimiter: Option<u8>,
    /// Found cell by cell when `None`: what is UTF-8 is UTF-8, the rest Windows-1252.
    pub encoding: Option<Encoding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Windows1252,
}

/// An export being read.
pub struct File<R: io::Read> {
    input: Input<R>,
    parser: csv_core::Reader,
    record: Record,
    /// Upper-case contexts of one row; emptied, not freed, for the next.
    scratch: Bump,
    delimiter: u8,
    /// The line on which the record begins.
    line: u64,
    number: u64,
    /// Why nothing more will be read.
    over: Option<Over>,
}

enum Over {
    Refused(Refusal),
    Io(ErrorKind),
}

/// A row, or that one was there.
pub enum Read<'a> {
    Row(Row<'a>),
    Unreadable(Unreadable),
}

/// A row whose cells are too few, too many, or not of their columns' forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable {
    /// 1 is the first row after the header.
    pub number: u64,
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The first in the file's order that is missing, has not its form, or is followed by a cell too many.
    pub column: Column,
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    #[error("the file is refused")]
    Refused(#[from] Refusal),
}

/// Why a file is no export that could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("its first row has not the titles of an export's columns")]
    NoHeader,
    #[error("the column \"{}\" is missing", column.title())]
    ColumnMissing { column: Column },
    #[error("the column \"{}\" is there twice", column.title())]
    ColumnTwice { column: Column },
    /// The byte, from 0, that no text in these encodings has.
    #[error("it is not text: byte {byte}")]
    NotText { byte: u64 },
    /// The record that begins on this line is larger than any row: a quote that is never closed, mostly.
    #[error(
        "the row that begins on line {line} has more than {} bytes or {} cells",
        record::MAX_BYTES,
        record::MAX_CELLS
    )]
    TooWide { line: u64 },
    /// The quote in the record that begins on this line is not closed before the file ends.
    #[error("a quote in the row that begins on line {line} is never closed")]
    QuoteOpen { line: u64 },
}

impl Refusal {
    /// For machines, the same wherever a file is refused.
    pub fn code(&self) -> Code {
        match self {
            Refusal::NoHeader | Refusal::ColumnMissing { .. } | Refusal::ColumnTwice { .. } => {
                Code::FileNotAnExport
            }
            Refusal::NotText { .. } => Code::FileNotText,
            Refusal::TooWide { .. } | Refusal::QuoteOpen { .. } => Code::FileMalformed,
        }
    }

    /// What shows it: `column`, `byte` or `line`.
    pub fn params(&self) -> BTreeMap<String, Param> {
        let param = match self {
            Refusal::NoHeader => ("line", Param::Number(1)),
            Refusal::ColumnMissing { column } | Refusal::ColumnTwice { column } => {
                ("column", Param::Word(column.as_str().into()))
            }
            Refusal::NotText { byte } => ("byte", Param::Number(*byte as i64)),
            Refusal::TooWide { line } | Refusal::QuoteOpen { line } => {
                ("line", Param::Number(*line as i64))
            }
        };
        BTreeMap::from([(param.0.into(), param.1)])
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// In either byte order. Nothing else begins with these bytes that has a header.
const UTF_16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

impl<R: io::Read> File<R> {
    /// Reads the header row, and with it up to [`input::BUFFER`] bytes.
    ///
    /// # Errors
    /// The reader's, or why this is no export.
    pub fn open(reader: R, format: &Format) -> Result<Self, FileError> {
        let mut input = Input::begin(reader)?;
        if UTF_16.iter().any(|mark| input.buffered().starts_with(mark)) {
            return Err(Refusal::NotText { byte: 0 }.into());
        }
        if let Some(byte) = input.nul() {
            return Err(Refusal::NotText { byte }.into());
        }
        if input.buffered().starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let (delimiter, layout) = find_header(input.buffered(), format)?;
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let record = Record::new(layout, format.encoding);
        let (scratch, over) = (Bump::new(), None);
        let mut file = Self { input, parser, record, scratch, delimiter, line: 1, number: 0, over };
        file.advance()?;
        Ok(file)
    }

    /// The next row. An error stays: asking again gives it again.
    ///
    /// # Errors
    /// The reader's, or why the file is no export after all.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<Read<'_>>, FileError> {
        match self.over {
            Some(Over::Refused(refusal)) => return Err(refusal.into()),
            Some(Over::Io(kind)) => return Err(FileError::Io(kind.into())),
            None => {}
        }
        let there = self.advance().inspect_err(|error| {
            self.over = Some(match error {
                FileError::Refused(refusal) => Over::Refused(*refusal),
                FileError::Io(error) => Over::Io(error.kind()),
            });
        })?;
        if !there {
            return Ok(None);
        }
        self.number += 1;
        self.scratch.reset();
        Ok(Some(self.record.typed(self.number, self.line, &self.scratch)))
    }

    /// Bytes of the file that are behind the rows given so far.
    pub fn bytes_done(&self) -> u64 {
        self.input.done()
    }

    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Reads the next record's cells. False at the end.
    fn advance(&mut self) -> Result<bool, FileError> {
        if !self.skip_empty_lines()? {
            return Ok(false);
        }
        self.line = self.parser.line();
        let (mut bytes, mut cells) = (0, 0);
        loop {
            let input = self.input.bytes()?;
            let at_end = input.is_empty();
            // A line's end behind the last byte ends every record but one whose quote is open.
            let input = if at_end { b"\n" } else { input };
            let (text, ends) = (&mut self.record.text[bytes..], &mut self.record.ends[cells..]);
            let (result, read, written, ended) = self.parser.read_record(input, text, ends);
            (bytes, cells) = (bytes + written, cells + ended);
            if !at_end {
                self.input.consume(read);
            } else if let Some(byte) = self.input.nul() {
                return Err(Refusal::NotText { byte }.into());
            }
            match result {
                ReadRecordResult::Record => {
                    self.record.cells = cells;
                    return Ok(true);
                }
                ReadRecordResult::InputEmpty if at_end => {
                    return Err(Refusal::QuoteOpen { line: self.line }.into());
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(Refusal::TooWide { line: self.line }.into());
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Goes on to the first byte of a record. The parser would skip empty lines too, but not say on which line the
    /// record then begins.
    fn skip_empty_lines(&mut self) -> Result<bool, FileError> {
        loop {
            let input = self.input.bytes()?;
            if input.is_empty() {
                return match self.input.nul() {
                    Some(byte) => Err(Refusal::NotText { byte }.into()),
                    None => Ok(false),
                };
            }
            let empty = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let lines = input[..empty].iter().filter(|byte| **byte == b'\n').count();
            let found = empty < input.len();
            self.parser.set_line(self.parser.line() + lines as u64);
            self.input.consume(empty);
            if found {
                return Ok(true);
            }
        }
    }
}

/// The delimiter under which the first row shows the most columns, and where these are.
fn find_header(start: &[u8], format: &Format) -> Result<(u8, Layout), Refusal> {
    let candidates = format.delimiter.map_or(b";,\t".to_vec(), |given| vec![given]);
    let mut best = (0, b';', Err(Refusal::NoHeader));
    for delimiter in candidates {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(start);
        let mut titles = csv::ByteRecord::new();
        // Bytes at hand can always be read, and any bytes are a record.
        if !reader.read_byte_record(&mut titles).unwrap_or(false) {
            continue;
        }
        let titles: Vec<_> =
            titles.iter().map(|title| record::decode(title, format.encoding)).collect();
        let (found, layout) = Layout::find(titles.iter().map(AsRef::as_ref));
        if found > best.0 {
            best = (found, delimiter, layout);
        }
    }
    Ok((best.1, best.2?))
}

#[cfg(test)]
mod tests;
