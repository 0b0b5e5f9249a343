//! `clinicwire-check`: the check of a claims file alone, without any server.
#![expect(clippy::print_stderr, reason = "it talks to a person at a terminal, or to a pipe")]

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
    check::{Checking, Options, Step},
    file::{FileError, Format},
    rules::{self, Rules},
    tables::Tables,
};
use clap::Parser;
use schemas::{rule::Rule, run::FindingCounts};

use self::{args::Args, output::Output, progress::Progress};

/// The worst that was found.
const CLEAN: u8 = 0;
const ADVICE: u8 = 1;
const ERRORS: u8 = 2;
/// Nothing was judged to its end.
const REFUSED: u8 = 3;
/// `EX_USAGE` of sysexits.h: the command line itself is wrong.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => {
            // Where even this cannot be written there is nobody to tell.
            let _ = told.print();
            return if told.use_stderr() { USAGE.into() } else { CLEAN.into() };
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
    let json = fs::read(path).context("the file of rules cannot be read")?;
    serde_json::from_slice(&json).context("the file of rules is no JSON array of rules")
}

/// The table's file, or an empty one.
fn table(path: Option<&Path>) -> Result<Box<dyn Read>> {
    match path {
        Some(path) => Ok(Box::new(fs::File::open(path).context("a table cannot be opened")?)),
        None => Ok(Box::new(io::empty())),
    }
}

/// Checks to the end and tells what is found as it is found.
fn follow(
    args: &Args,
    file: impl Read,
    bytes: Option<u64>,
    rules: &Rules,
    tables: &Tables,
) -> Result<ExitCode> {
    let mut output = Output::new(args);
    let format = Format { delimiter: args.delimiter, encoding: args.encoding() };
    let options = Options { list_passes: args.list_passes, ..Options::default() };
    let mut checking = match Checking::begin(file, &format, rules, tables, options) {
        Ok(checking) => checking,
        Err(error) => return refuse(&mut output, error),
    };
    let mut progress = Progress::new(args, bytes);
    let mut found = Vec::new();
    let told = loop {
        let step = checking.step(&mut found);
        // Also what was found before an error.
        let told = progress
            .beside(!found.is_empty() && io::stdout().is_terminal(), || output.findings(&found));
        found.clear();
        match (step, told) {
            (Err(error), _) => {
                progress.end();
                return refuse(&mut output, error);
            }
            (_, Err(error)) => break Err(error),
            (Ok(Step::Done(summary)), _) => {
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
    match told {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        told => told.context("the findings cannot be written")?,
    }
    Ok(status(checking.counts()).into())
}

fn refuse(output: &mut Output, error: FileError) -> Result<ExitCode> {
    if let FileError::Refused(refusal) = &error {
        // The sentence on stderr is what counts; a reader that went away does not miss this one.
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
