//! The streams that a subcommand writes to, and the files that it reads.

use std::{
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context, Result};

/// The name of standard input in place of a file.
const STDIN: &str = "-";

/// Standard output for results, and standard error for notes to the operator.
pub struct Terminal<'a> {
    output: &'a mut (dyn Write + Send),
    notes: &'a mut (dyn Write + Send),
}

impl<'a> Terminal<'a> {
    /// A terminal that writes to these streams.
    pub fn new(output: &'a mut (dyn Write + Send), notes: &'a mut (dyn Write + Send)) -> Self {
        Self { output, notes }
    }

    /// Prints a result. Returns whether somebody still reads: `head` closes the pipe.
    pub(super) fn print(&mut self, line: &str) -> bool {
        writeln!(self.output, "{line}").and_then(|()| self.output.flush()).is_ok()
    }

    /// Writes a note, which no script reads.
    pub(super) fn note(&mut self, line: &str) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(self.notes, "clinicwire: {line}");
    }
}

/// Reads a whole file, or standard input for `-`.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str() == STDIN {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
