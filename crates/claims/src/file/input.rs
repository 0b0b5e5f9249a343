//! Buffered reading of a file, up to the first NUL, which no text contains.

use std::io::{self, ErrorKind, Read};

/// Size of the buffer. The header must fit into it; a larger buffer reads no faster.
pub const BUFFER: usize = 64 * 1024;

pub struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    at: usize,
    filled: usize,
    /// Bytes consumed.
    done: u64,
    /// The source has ended.
    ended: bool,
    /// The buffer ends before a NUL. Nothing after the NUL is read.
    nul: bool,
}

impl<R: Read> Input<R> {
    /// Fills the whole buffer unless the source ends before, so the header does not depend on how
    /// the bytes arrive.
    pub fn begin(source: R) -> io::Result<Self> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let mut input =
            Self { source, buffer, at: 0, filled: 0, done: 0, ended: false, nul: false };
        while input.more()? {}
        Ok(input)
    }

    /// The bytes that are buffered and not consumed.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    /// The next bytes. Empty at the end and before a NUL.
    pub fn bytes(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            (self.at, self.filled) = (0, 0);
            self.more()?;
        }
        Ok(self.buffered())
    }

    pub fn consume(&mut self, bytes: usize) {
        self.at += bytes;
        self.done += bytes as u64;
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    /// The offset of the NUL that ends the buffer.
    pub fn nul(&self) -> Option<u64> {
        self.nul.then(|| self.done + self.buffered().len() as u64)
    }

    /// Reads once into the free part of the buffer. False when the buffer is full or nothing is
    /// left.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended || self.nul || self.filled == self.buffer.len() {
            return Ok(false);
        }
        let read = loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended = read == 0;
        let new = &self.buffer[self.filled..self.filled + read];
        // `contains` on bytes uses the fast search, `position` does not.
        self.nul = new.contains(&0);
        self.filled +=
            if self.nul { new.iter().position(|byte| *byte == 0).unwrap_or(read) } else { read };
        Ok(!self.ended && !self.nul)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, after an interruption each.
    struct Trickle(&'static [u8], bool);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[test]
    fn begin_does_not_depend_on_how_bytes_arrive() {
        let input = Input::begin(Trickle(b"code;patient", false)).unwrap();
        assert_eq!((input.buffered(), input.nul()), (&b"code;patient"[..], None));
        let input = Input::begin(Trickle(b"code\0patient", false)).unwrap();
        assert_eq!((input.buffered(), input.nul()), (&b"code"[..], Some(4)));
    }
}
