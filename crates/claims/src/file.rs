//! A claims file: the typed rows of an export, one at a time, in memory that does not grow with the
//! file.
//!
//! The format: cells separated by `;`, `,` or a tab, optionally quoted by `"`; lines that end in
//! LF, CRLF or a lone CR; UTF-8 with or without a byte-order mark, or Windows-1252, which includes
//! the text of Latin-1. Each cell is decoded alone, so a file with both encodings is read too.
//! UTF-16 is refused at its first byte. A first line `sep=;`, by which spreadsheets name the
//! delimiter, is skipped.
//!
//! Columns are found by their titles, in any order and among others; all of [`REQUIRED`] must
//! exist. A row with more or fewer cells than the header is [`ParsedRow::Unreadable`], and reading
//! goes on; empty cells at the end of the header or of a row do not count. A row with a cell that
//! does not have the format of its column is [`ParsedRow::Partial`]. Empty rows, rows of totals and
//! repeated headers are no claims and are skipped. A file whose rows cannot be told apart is
//! refused: see [`FileRefusal`].

mod cell;
mod header;
mod input;
mod lines;
mod other_forms;
mod record;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
};

use bumpalo::Bump;
use csv_core::ReadRecordResult;
use schemas::{codes::Code, finding::Param, rule::Column};

use self::{header::Layout, input::Input, lines::LineCounter, record::Record};
pub use self::{
    header::REQUIRED,
    other_forms::{OtherForm, OtherForms},
};
use crate::row::Row;

/// The format of a file as its sender states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileFormat {
    /// The byte between cells. `None`: the one of `;`, `,` and tab that gives the most columns in
    /// the header row.
    pub delimiter: Option<u8>,
    /// The encoding. `None`: UTF-8 for each cell that is valid UTF-8, otherwise Windows-1252.
    pub encoding: Option<TextEncoding>,
}

/// The encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// Windows-1252, and so Latin-1.
    Windows1252,
}

/// An export that is being read.
pub struct File<R: io::Read> {
    input: Input<R>,
    parser: csv_core::Reader,
    record: Record,
    /// The upper-case contexts of one row. Emptied, but not freed, for the next row.
    scratch: Bump,
    delimiter: u8,
    lines: LineCounter,
    /// The line of the file on which the record begins.
    line: u64,
    number: u64,
    other_forms: OtherForms,
    /// The error that every later call returns.
    over: Option<StopReason>,
}

enum StopReason {
    Refused(FileRefusal),
    Io(ErrorKind),
}

/// A row of the file, readable or not.
pub enum ParsedRow<'a> {
    /// A row whose cells all have the formats of their columns, or are dates and times in another
    /// form ([`File::other_forms`]).
    Row(Row<'a>),
    /// A row with a cell that does not have the format of its column. The other cells are read.
    Partial(Row<'a>, UnreadableRow),
    /// A row with too few or too many cells: it is unknown which cell belongs to which column.
    Unreadable(UnreadableRow),
}

/// The fault of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableRow {
    /// The number of the row. 1 is the first row after the header.
    pub number: u64,
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The first column, in the order of the file, that is missing, has the wrong format, or is
    /// followed by a surplus cell.
    pub column: Column,
}

/// Why a file, or the rest of it, cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The reader failed.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The file is no claims export.
    #[error("the file was refused")]
    Refused(#[from] FileRefusal),
}

/// Why a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    /// Too few titles of the first row are known.
    #[error("the first row isn't a claims-export header")]
    NoHeader,
    /// A required column is missing.
    #[error("the column \"{}\" is missing", column.title())]
    ColumnMissing {
        /// The column.
        column: Column,
    },
    /// Two columns have the same title.
    #[error("the column \"{}\" appears twice", column.title())]
    ColumnTwice {
        /// The column.
        column: Column,
    },
    /// A byte cannot be part of a text in these encodings.
    #[error("the file is not text: byte {byte}")]
    NotText {
        /// The offset of the byte, from 0.
        byte: u64,
    },
    /// A record is larger than any row, mostly because a quote is never closed.
    #[error(
        "the row that begins on line {line} has more than {} bytes or {} cells",
        record::MAX_BYTES,
        record::MAX_CELLS
    )]
    TooWide {
        /// The line on which the record begins.
        line: u64,
    },
    /// A quote is not closed before the file ends.
    #[error("a quote in the row that begins on line {line} is never closed")]
    QuoteOpen {
        /// The line on which the record begins.
        line: u64,
    },
}

impl FileRefusal {
    /// The error code.
    pub fn code(&self) -> Code {
        match self {
            FileRefusal::NoHeader
            | FileRefusal::ColumnMissing { .. }
            | FileRefusal::ColumnTwice { .. } => Code::FileNotAnExport,
            FileRefusal::NotText { .. } => Code::FileNotText,
            FileRefusal::TooWide { .. } | FileRefusal::QuoteOpen { .. } => Code::FileMalformed,
        }
    }

    /// Where in the file the reason is: `column`, `byte` or `line`.
    pub fn params(&self) -> BTreeMap<String, Param> {
        let param = match self {
            FileRefusal::NoHeader => ("line", Param::Number(1)),
            FileRefusal::ColumnMissing { column } | FileRefusal::ColumnTwice { column } => {
                ("column", Param::Word(column.as_str().into()))
            }
            FileRefusal::NotText { byte } => ("byte", Param::Number(*byte as i64)),
            FileRefusal::TooWide { line } | FileRefusal::QuoteOpen { line } => {
                ("line", Param::Number(*line as i64))
            }
        };
        BTreeMap::from([(param.0.into(), param.1)])
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The byte-order marks of UTF-16. No other file with a header begins with these bytes.
const UTF_16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

impl<R: io::Read> File<R> {
    /// Opens a file and reads its header row, and with it up to 64 KiB.
    ///
    /// # Errors
    /// The error of the reader, or why the file is no claims export.
    pub fn open(reader: R, format: &FileFormat) -> Result<Self, FileError> {
        let mut input = Input::begin(reader)?;
        if UTF_16.iter().any(|mark| input.buffered().starts_with(mark)) {
            return Err(FileRefusal::NotText { byte: 0 }.into());
        }
        if let Some(byte) = input.nul() {
            return Err(FileRefusal::NotText { byte }.into());
        }
        if input.buffered().starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let mut lines = LineCounter::default();
        let named = separator_line(input.buffered());
        if let Some((_, length)) = named {
            lines.pass(&input.buffered()[..length]);
            input.consume(length);
        }
        let named = named.map(|(delimiter, _)| delimiter);
        let (delimiter, layout) = find_header(input.buffered(), format, named)?;
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let record = Record::new(layout, format.encoding);
        let mut file = Self {
            input,
            parser,
            record,
            scratch: Bump::new(),
            delimiter,
            lines,
            line: 1,
            number: 0,
            other_forms: OtherForms::default(),
            over: None,
        };
        file.advance()?;
        Ok(file)
    }

    /// Reads the next row. After an error, every later call returns the same error.
    ///
    /// # Errors
    /// The error of the reader, or why the file is refused after all.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<ParsedRow<'_>>, FileError> {
        match self.over {
            Some(StopReason::Refused(refusal)) => return Err(refusal.into()),
            Some(StopReason::Io(kind)) => return Err(FileError::Io(kind.into())),
            None => {}
        }
        let there = self.advance_to_claim().inspect_err(|error| {
            self.over = Some(match error {
                FileError::Refused(refusal) => StopReason::Refused(*refusal),
                FileError::Io(error) => StopReason::Io(error.kind()),
            });
        })?;
        if !there {
            return Ok(None);
        }
        self.number += 1;
        self.scratch.reset();
        let Self { record, scratch, other_forms, number, line, .. } = self;
        Ok(Some(record.typed(*number, *line, scratch, other_forms)))
    }

    /// The dates and times in another form that the rows so far have.
    pub fn other_forms(&self) -> &[OtherForm] {
        self.other_forms.as_slice()
    }

    /// Reads the cells of the next claim. False at the end of the file.
    fn advance_to_claim(&mut self) -> Result<bool, FileError> {
        while self.advance()? {
            if self.record.is_claim() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many bytes of the file have been consumed by the rows so far.
    pub fn bytes_done(&self) -> u64 {
        self.input.done()
    }

    /// The byte between cells, given or found.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Reads the cells of the next record. False at the end of the file.
    fn advance(&mut self) -> Result<bool, FileError> {
        if !self.skip_empty_lines()? {
            return Ok(false);
        }
        self.line = self.lines.line();
        let (mut bytes, mut cells) = (0, 0);
        loop {
            let input = self.input.bytes()?;
            let at_end = input.is_empty();
            // A line end after the last byte ends every record except one with an open quote.
            let input = if at_end { b"\n" } else { input };
            let (text, ends) = (&mut self.record.text[bytes..], &mut self.record.ends[cells..]);
            let (result, read, written, ended) = self.parser.read_record(input, text, ends);
            (bytes, cells) = (bytes + written, cells + ended);
            if !at_end {
                self.lines.pass(&input[..read]);
                self.input.consume(read);
            } else if let Some(byte) = self.input.nul() {
                return Err(FileRefusal::NotText { byte }.into());
            }
            match result {
                ReadRecordResult::Record => {
                    self.record.cells = cells;
                    return Ok(true);
                }
                ReadRecordResult::InputEmpty if at_end => {
                    return Err(FileRefusal::QuoteOpen { line: self.line }.into());
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(FileRefusal::TooWide { line: self.line }.into());
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Skips to the first byte of a record. The parser skips empty lines too, but then the line on
    /// which the record begins would not be known.
    fn skip_empty_lines(&mut self) -> Result<bool, FileError> {
        loop {
            let input = self.input.bytes()?;
            if input.is_empty() {
                return match self.input.nul() {
                    Some(byte) => Err(FileRefusal::NotText { byte }.into()),
                    None => Ok(false),
                };
            }
            let empty = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let found = empty < input.len();
            self.lines.pass(&input[..empty]);
            self.input.consume(empty);
            if found {
                return Ok(true);
            }
        }
    }
}

/// The delimiter that a first line `sep=;` names, and the length of the line with its end.
fn separator_line(start: &[u8]) -> Option<(u8, usize)> {
    let length = start.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let end = length + if start[length..].starts_with(b"\r\n") { 2 } else { 1 };
    let line = start[..length].trim_ascii_start();
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (name, rest) = line.split_at_checked(4)?;
    let (delimiter, rest) = rest.split_first()?;
    // A spreadsheet that saves the file again adds the delimiters of empty cells.
    let empty = rest.iter().all(|byte| matches!(byte, b'"' | b' ') || byte == delimiter);
    (name.eq_ignore_ascii_case(b"sep=") && empty).then_some((*delimiter, end))
}

/// Finds the delimiter that gives the most known columns in the first row, and their layout.
/// `named` is the delimiter that the file itself names.
fn find_header(
    start: &[u8],
    format: &FileFormat,
    named: Option<u8>,
) -> Result<(u8, Layout), FileRefusal> {
    let usual = || named.into_iter().chain(*b";,\t").collect();
    let candidates: Vec<u8> = format.delimiter.map_or_else(usual, |given| vec![given]);
    let mut best = (0, b';', Err(FileRefusal::NoHeader));
    for delimiter in candidates {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(start);
        let mut titles = csv::ByteRecord::new();
        // Reading from memory cannot fail, and any bytes are a record.
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
