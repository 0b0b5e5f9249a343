//! Runs the claims engine on a whole file, in the calling thread.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use claims::{
    check::{CheckOptions, CheckStep, FileCheck},
    file::FileFormat,
    rules::Rules,
    tables::Tables,
};
use schemas::{
    finding::Finding,
    ids::RuleId,
    rule::Rule,
    run::{RuleTally, RunSummary},
};

/// The time budget of a rule: one day, so that measurements see the whole cost of every rule.
const UNBOUNDED: Duration = Duration::from_secs(24 * 60 * 60);

/// The reference tables that a generated file relies on.
#[derive(Debug, Clone)]
pub struct TablePaths {
    pub codes: PathBuf,
    pub establishments: PathBuf,
}

/// The result of a check, without its findings.
pub struct CheckResult {
    pub tallies: Vec<(RuleId, RuleTally)>,
    pub summary: RunSummary,
}

/// Reads both tables.
///
/// # Errors
/// When a table cannot be read.
pub fn read_tables(paths: &TablePaths) -> Result<Tables> {
    let open = |path: &Path| File::open(path).with_context(|| format!("open {}", path.display()));
    Tables::read(open(&paths.codes)?, open(&paths.establishments)?)
        .context("read the reference tables")
}

/// Checks a whole file and passes each finding to `report` as soon as it is found.
///
/// # Errors
/// When a rule is not valid, or the file cannot be checked.
pub fn check_file(
    file: impl Read,
    rules: &[Rule],
    tables: &Tables,
    list_passes: bool,
    mut report: impl FnMut(Finding),
) -> Result<CheckResult> {
    let rules = Rules::compile(rules).context("compile the rules")?;
    let options = CheckOptions { list_passes, budget: UNBOUNDED };
    let mut checking = FileCheck::new(file, &FileFormat::default(), &rules, tables, options)
        .context("start the check")?;
    let mut findings = Vec::new();
    loop {
        let step = checking.step(&mut findings).context("check the file")?;
        findings.drain(..).for_each(&mut report);
        if let CheckStep::Done(summary) = step {
            let tallies = checking.tallies().map(|(rule, tally)| (rule.clone(), *tally)).collect();
            return Ok(CheckResult { tallies, summary });
        }
    }
}
