//! Counts lines by their ends: LF, CRLF, or a lone CR.

/// The lines that have ended so far.
#[derive(Default)]
pub struct LineCounter {
    ended: u64,
    /// The last byte was a CR. A LF then belongs to the same end.
    after_cr: bool,
}

impl LineCounter {
    /// The line of the next byte, from 1.
    pub fn line(&self) -> u64 {
        self.ended + 1
    }

    /// Counts the ends in the next bytes of the file.
    pub fn pass(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        for at in memchr::memchr2_iter(b'\r', b'\n', bytes) {
            let follows_cr = match at.checked_sub(1) {
                Some(before) => bytes[before] == b'\r',
                None => self.after_cr,
            };
            self.ended += u64::from(bytes[at] == b'\r' || !follows_cr);
        }
        self.after_cr = *last == b'\r';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        for (text, line) in
            [("", 1), ("a", 1), ("a\n", 2), ("a\r", 2), ("a\r\n", 2), ("\n\r\n\r\r\n", 5)]
        {
            for cut in 0..=text.len() {
                let mut lines = LineCounter::default();
                lines.pass(&text.as_bytes()[..cut]);
                lines.pass(&text.as_bytes()[cut..]);
                assert_eq!(lines.line(), line, "{text:?} in two pieces, cut at {cut}");
            }
        }
    }
}
