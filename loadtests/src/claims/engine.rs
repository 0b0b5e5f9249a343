//! The engine of the product on a generated file, in this process and on one thread.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use claims::{
    check::{Checking, Options, Step},
    file::Format,
    rules::Rules,
    tables::Tables,
};
use schemas::{
    finding::Finding,
    ids::RuleId,
    rule::Rule,
    run::{RuleTally, RunSummary},
};

/// A rule may take as long as it likes: what it costs is what is asked.
const UNBOUNDED: Duration = Duration::from_secs(24 * 60 * 60);

/// The reference tables that a file was generated with.
#[derive(Debug, Clone)]
pub struct TablePaths {
    pub codes: PathBuf,
    pub establishments: PathBuf,
}

/// What a check came to, beside its findings.
pub struct Checked {
    pub tallies: Vec<(RuleId, RuleTally)>,
    pub summary: RunSummary,
}

/// Reads both tables.
///
/// # Errors
/// When one cannot be read.
pub fn tables(paths: &TablePaths) -> Result<Tables> {
    let open = |path: &Path| File::open(path).with_context(|| format!("open {}", path.display()));
    Tables::read(open(&paths.codes)?, open(&paths.establishments)?)
        .context("read the reference tables")
}

/// Checks a whole file; each finding is handed over as soon as it is found.
///
/// # Errors
/// When a rule is not valid, or the file is none that can be checked.
pub fn check(
    file: impl Read,
    rules: &[Rule],
    tables: &Tables,
    list_passes: bool,
    mut found: impl FnMut(Finding),
) -> Result<Checked> {
    let rules = Rules::compile(rules).context("compile the rules")?;
    let options = Options { list_passes, budget: UNBOUNDED };
    let mut checking =
        Checking::begin(file, &Format::default(), &rules, tables, options).context("begin")?;
    let mut findings = Vec::new();
    loop {
        let step = checking.step(&mut findings).context("check the file")?;
        findings.drain(..).for_each(&mut found);
        if let Step::Done(summary) = step {
            let tallies = checking.tallies().map(|(rule, tally)| (rule.clone(), *tally)).collect();
            return Ok(Checked { tallies, summary });
        }
    }
}
