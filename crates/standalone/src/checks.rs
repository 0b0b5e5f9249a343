//! Rules and reference tables for claims files, from given files or from the sample.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use claims::{rules, tables::Tables};
use schemas::rule::Rule;

use crate::cli::Cli;

/// The codes and establishments of the sample file. All of them are synthetic.
const CODES: &str = include_str!("checks/codes.csv");
const ESTABLISHMENTS: &str = include_str!("checks/establishments.csv");

/// The word in place of a file for all shipped rules.
const SHIPPED: &str = "shipped";

/// Reads the reference tables.
///
/// # Errors
/// When a given file is not such a table.
pub fn tables(cli: &Cli) -> Result<Tables> {
    match (&cli.codes, &cli.establishments) {
        (Some(codes), Some(establishments)) => Tables::read(open(codes)?, open(establishments)?)
            .context("the reference tables cannot be read"),
        _ => Ok(Tables::read(CODES.as_bytes(), ESTABLISHMENTS.as_bytes())?),
    }
}

/// Reads the rules to store: those of the given file, otherwise all shipped rules; none for an
/// empty clinic.
///
/// # Errors
/// When the file does not contain rules.
pub fn rules(cli: &Cli) -> Result<Option<Vec<Rule>>> {
    match &cli.rules {
        Some(path) if path.as_os_str() == SHIPPED => Ok(Some(rules::shipped())),
        Some(path) => {
            let rules = serde_json::from_reader(std::io::BufReader::new(open(path)?));
            Ok(Some(
                rules.with_context(|| format!("{} is no JSON array of rules", path.display()))?,
            ))
        }
        None => Ok((!cli.empty).then(rules::shipped)),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}
