//! `clinicwire-check`: checks a claims file on the command line, without a server.
#![expect(clippy::print_stderr, reason = "a command-line program reports on standard error")]

#[path = "clinicwire-check/args.rs"]
mod args;
#[path = "clinicwire-check/output.rs"]
mod output;
#[path = "clinicwire-check/progress.rs"]
mod progress;

use std::{
    fs,
    io::{self, ErrorKind, IsTerminal, Read},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use claims::{
    check::{CheckOptions, CheckStep, FileCheck},
    file::{FileError, FileFormat},
    rules::{self, Rules},
    tables::Tables,
};
use clap::Parser;
use schemas::{rule::Rule, run::FindingCounts};

use self::{args::Args, output::Output, progress::ProgressReporter};

/// Exit statuses, by the worst finding.
const CLEAN: u8 = 0;
const ADVICE: u8 = 1;
const ERRORS: u8 = 2;
/// The check could not be completed.
const REFUSED: u8 = 3;
/// `EX_USAGE` of sysexits.h: the command line is wrong.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // When the usage cannot be written either, there is no place to report it.
            let _ = usage.print();
            return if usage.use_stderr() { USAGE.into() } else { CLEAN.into() };
        }
    };
    check(&args).unwrap_or_else(|error| {
        eprintln!("clinicwire-check: {error:#}");
        REFUSED.into()
    })
}

fn check(args: &Args) -> Result<ExitCode> {
    let rules = match &args.rules {
        Some(path) => read_rules(path)?,
        None => rules::shipped(),
    };
    let rules = Rules::compile(&rules).context("the rules cannot be applied")?;
    let tables =
        Tables::read(table(args.codes.as_deref())?, table(args.establishments.as_deref())?);
    let tables = tables.context("a table cannot be used")?;
    if args.is_stdin() {
        return follow(args, io::stdin().lock(), None, &rules, &tables);
    }
    let file = fs::File::open(&args.file).context("the claims file cannot be opened")?;
    let about = file.metadata().context("the claims file cannot be opened")?;
    follow(args, file, about.is_file().then_some(about.len()), &rules, &tables)
}

fn read_rules(path: &Path) -> Result<Vec<Rule>> {
    let json = fs::read(path).context("the rules file cannot be read")?;
    serde_json::from_slice(&json).context("the rules file must be a JSON array of rules")
}

/// Opens the file of a table, or an empty one.
fn table(path: Option<&Path>) -> Result<Box<dyn Read>> {
    match path {
        Some(path) => Ok(Box::new(fs::File::open(path).context("a table cannot be opened")?)),
        None => Ok(Box::new(io::empty())),
    }
}

/// Checks the file to the end and writes findings as they are found.
fn follow(
    args: &Args,
    file: impl Read,
    bytes: Option<u64>,
    rules: &Rules,
    tables: &Tables,
) -> Result<ExitCode> {
    let mut output = Output::new(args);
    let format = FileFormat { delimiter: args.delimiter, encoding: args.encoding() };
    let options = CheckOptions { list_passes: args.list_passes, ..CheckOptions::default() };
    let mut checking = match FileCheck::new(file, &format, rules, tables, options) {
        Ok(checking) => checking,
        Err(error) => return refuse(&mut output, error),
    };
    let mut progress = ProgressReporter::new(args, bytes);
    let mut found = Vec::new();
    let written = loop {
        let step = checking.step(&mut found);
        // Findings before an error are written too.
        let written = progress
            .beside(!found.is_empty() && io::stdout().is_terminal(), || output.findings(&found));
        found.clear();
        match (step, written) {
            (Err(error), _) => {
                progress.end();
                return refuse(&mut output, error);
            }
            (_, Err(error)) => break Err(error),
            (Ok(CheckStep::Done(summary)), _) => {
                progress.end();
                break output.summary(&summary, checking.tallies());
            }
            (Ok(step), _) => {
                progress.show(
                    &step,
                    checking.rows_done(),
                    checking.bytes_done(),
                    checking.counts(),
                );
            }
        }
    };
    progress.end();
    match written {
        // The reader closed the pipe, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.context("the findings cannot be written")?,
    }
    Ok(status(checking.counts()).into())
}

fn refuse(output: &mut Output, error: FileError) -> Result<ExitCode> {
    if let FileError::Refused(refusal) = &error {
        // The message on standard error is what matters. A closed pipe needs no line of JSON.
        let _ = output.refusal(refusal);
    }
    Err(error.into())
}

fn status(counts: FindingCounts) -> u8 {
    match counts {
        FindingCounts { error: 1.., .. } => ERRORS,
        FindingCounts { warning: 1.., .. } | FindingCounts { optimisation: 1.., .. } => ADVICE,
        _ => CLEAN,
    }
}
