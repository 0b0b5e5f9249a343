//! The files that are sent, and what each holds.

use anyhow::Result;
use hyper::body::Bytes;

use crate::claims::{
    export::{Columns, Delimiter, Encoding, Format},
    generate::{Plan, generate},
    planted::Planted,
};

/// An export, and what a check must find in it.
pub struct ClaimsFile {
    pub bytes: Bytes,
    pub planted: Vec<Planted>,
}

/// As the exports in use come.
const FORMAT: Format = Format {
    encoding: Encoding::Windows1252,
    delimiter: Delimiter::Semicolon,
    columns: Columns::All,
};

/// Makes a file of so many rows with `rate` planted cases for each.
///
/// # Errors
/// When the rate is none.
pub fn generated(rows: u64, seed: u64, rate: f64) -> Result<ClaimsFile> {
    let mut planted = Vec::new();
    let plan = Plan { rows, seed, rate, violations: true };
    let bytes = generate(plan, FORMAT, Vec::new(), &mut |one| {
        planted.push(one);
        Ok(())
    })?;
    Ok(ClaimsFile { bytes: bytes.into(), planted })
}
