//! What holds for the reader whatever bytes it is given. Shared by the fuzz target and the tests.

use std::io::{self, ErrorKind, Read};

use claims::file::{Encoding, File, FileError, Format, Read as Found};
use schemas::rule::Column;

/// Reads a file made from `data` in one piece and in many, and asks for the same both times: that it ends, that rows
/// are numbered without a gap, that no byte is counted that is not there.
///
/// The first byte chooses the format and whether a sound header stands before the rest; the second how the pieces
/// are cut.
pub fn read_all(data: &[u8]) {
    let [choice, cuts, rest @ ..] = data else { return };
    let delimiter = [None, Some(b';'), Some(b','), Some(b'\t')][usize::from(choice & 3)];
    let encoding = [None, None, Some(Encoding::Utf8), Some(Encoding::Windows1252)]
        [usize::from(choice >> 2 & 3)];
    let format = Format { delimiter, encoding };
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
        "how the bytes arrive changes what they say"
    );
}

/// Everything the file says, as bytes that can be compared.
fn seen(reader: impl Read, length: usize, format: &Format) -> Vec<u8> {
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
                    Found::Unreadable(unreadable) => {
                        said.extend(format!("{unreadable:?}").bytes());
                        unreadable.number
                    }
                    Found::Row(row) => {
                        let minutes = (row.start, row.end, row.minutes());
                        let numbers = (row.place, row.code, row.units, row.preliminary, row.paid);
                        let keys = (
                            row.doctor.map(|doctor| doctor.0),
                            row.patient.map(|patient| patient.0),
                        );
                        said.extend(
                            format!("{:?} {minutes:?} {numbers:?} {keys:?}", row.date).bytes(),
                        );
                        for context in row.contexts {
                            assert!(
                                !context.is_empty()
                                    && !context.contains(',')
                                    && context.trim() == *context
                            );
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
                };
                assert_eq!(number, rows, "rows are numbered without a gap");
                assert!(file.bytes_done() > done, "a row takes bytes");
            }
            Ok(None) => {
                assert_eq!(file.bytes_done(), length as u64, "the end is the end");
                assert!(matches!(file.next(), Ok(None)), "the end stays");
                return said;
            }
            Err(error) => {
                assert!(file.bytes_done() <= length as u64);
                failed(&mut said, error);
                assert!(file.next().is_err(), "an error stays");
                return said;
            }
        }
    }
}

/// A reader that gives a few bytes at a time, and now and then is interrupted.
struct Pieces<'a> {
    bytes: &'a [u8],
    /// Of a xorshift generator; never 0.
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
        // Single bytes mostly, and pieces larger than what is read at a time.
        let most = if self.state.is_multiple_of(3) { 1 } else { self.state as usize >> 15 };
        let read = most.clamp(1, buffer.len().max(1)).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(read);
        buffer[..read].copy_from_slice(piece);
        self.bytes = rest;
        Ok(read)
    }
}
