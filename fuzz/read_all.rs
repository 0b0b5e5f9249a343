//! Properties of the reader that hold for any bytes. Shared by the fuzz target and the tests.

use std::io::{self, ErrorKind, Read};

use claims::{
    file::{File, FileError, FileFormat, ParsedRow, TextEncoding},
    row::Row,
};
use schemas::rule::Column;

/// Reads a file made from `data` in one piece and in many, and requires equal results: reading
/// ends, rows are numbered without a gap, and only existing bytes are counted.
///
/// The first byte chooses the format and whether a valid header comes first; the second, how the
/// pieces are cut.
pub fn read_all(data: &[u8]) {
    let [choice, cuts, rest @ ..] = data else { return };
    let delimiter = [None, Some(b';'), Some(b','), Some(b'\t')][usize::from(choice & 3)];
    let encoding = [None, None, Some(TextEncoding::Utf8), Some(TextEncoding::Windows1252)]
        [usize::from(choice >> 2 & 3)];
    let format = FileFormat { delimiter, encoding };
    let mut bytes = Vec::new();
    if choice & 16 == 0 {
        let titles: Vec<_> = Column::ALL.iter().map(|column| column.title()).collect();
        bytes.extend(titles.join(&char::from(delimiter.unwrap_or(b';')).to_string()).into_bytes());
        bytes.push(b'\n');
    }
    bytes.extend(rest);
    let whole = seen(&bytes[..], bytes.len(), &format);
    let pieces = Pieces { bytes: &bytes, state: u32::from(*cuts) + 1 };
    assert!(
        whole == seen(pieces, bytes.len(), &format),
        "the result depends on how the bytes arrive"
    );
}

/// The content of all rows and errors, as bytes that can be compared.
fn seen(reader: impl Read, length: usize, format: &FileFormat) -> Vec<u8> {
    let mut said = Vec::new();
    let failed = |said: &mut Vec<u8>, error| match error {
        FileError::Refused(refusal) => said.extend(format!("{refusal}").bytes()),
        FileError::Io(error) => panic!("the reader never fails: {error}"),
    };
    let mut file = match File::open(reader, format) {
        Ok(file) => file,
        Err(error) => {
            failed(&mut said, error);
            return said;
        }
    };
    let mut rows = 0;
    loop {
        let done = file.bytes_done();
        match file.next() {
            Ok(Some(found)) => {
                rows += 1;
                let number = match found {
                    ParsedRow::Unreadable(unreadable) => {
                        said.extend(format!("{unreadable:?}").bytes());
                        unreadable.number
                    }
                    ParsedRow::Partial(row, unreadable) => {
                        assert!(!row.unread.is_empty(), "a cell cannot be read");
                        said.extend(format!("{unreadable:?}").bytes());
                        tell(&row, &mut said)
                    }
                    ParsedRow::Row(row) => tell(&row, &mut said),
                };
                assert_eq!(number, rows, "rows are numbered without a gap");
                assert!(file.bytes_done() > done, "a row takes bytes");
            }
            Ok(None) => {
                assert_eq!(file.bytes_done(), length as u64, "all bytes are counted at the end");
                assert!(matches!(file.next(), Ok(None)), "the end is returned again");
                return said;
            }
            Err(error) => {
                assert!(file.bytes_done() <= length as u64);
                failed(&mut said, error);
                assert!(file.next().is_err(), "an error is returned again");
                return said;
            }
        }
    }
}

/// Adds the whole content of a row, and returns its number.
fn tell(row: &Row<'_>, said: &mut Vec<u8>) -> u64 {
    let minutes = (row.start, row.end, row.minutes());
    let numbers = (row.place, row.code, row.units, row.preliminary, row.paid);
    let keys = (row.doctor.map(|doctor| doctor.0), row.patient.map(|patient| patient.0));
    said.extend(format!("{:?} {minutes:?} {numbers:?} {keys:?}", row.date).bytes());
    for context in row.contexts {
        let is_trimmed = context.trim() == *context;
        assert!(!context.is_empty() && !context.contains(',') && is_trimmed);
        said.extend(context.bytes());
    }
    for column in Column::ALL {
        let cell = row.cells.get(*column).unwrap_or_default();
        assert_eq!(cell.trim(), cell, "cells are trimmed");
        said.extend(cell.bytes());
        said.push(0);
    }
    row.number
}

/// A reader that returns a few bytes at a time and is interrupted now and then.
struct Pieces<'a> {
    bytes: &'a [u8],
    /// State of a xorshift generator, never 0.
    state: u32,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        if self.state.is_multiple_of(7) {
            return Err(ErrorKind::Interrupted.into());
        }
        // Mostly single bytes, and pieces larger than the buffer.
        let most = if self.state.is_multiple_of(3) { 1 } else { self.state as usize >> 15 };
        let read = most.clamp(1, buffer.len().max(1)).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(read);
        buffer[..read].copy_from_slice(piece);
        self.bytes = rest;
        Ok(read)
    }
}
