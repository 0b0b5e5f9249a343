//! Synthetic claims exports of any size, and the findings that a check must report for them.
//!
//! A file is a sequence of row groups. Most groups are a day of an invented practice, which breaks
//! no rule. Between them stand planted cases, each with its own doctor, day and patients, so that
//! no case affects another. The code that adds a row also states the findings expected there.
//! Nothing in this module judges a file, so a check is compared with intentions, not with a second
//! implementation.

pub mod cases;
pub mod check;
pub mod export;
pub mod generate;
pub mod group;
pub mod people;
pub mod planted;
pub mod practice;
pub mod row;
pub mod rules;
pub mod tables;

use anyhow::Result;
use bytes::Bytes;

use self::{
    export::{Columns, Delimiter, Encoding, Format},
    generate::{Plan, generate},
    planted::PlantedFinding,
};

/// The format in which clinics export most of their files.
pub const COMMON_FORMAT: Format = Format {
    encoding: Encoding::Windows1252,
    delimiter: Delimiter::Semicolon,
    columns: Columns::All,
};

/// A generated file in memory, and the findings that a check must report.
pub struct ClaimsFile {
    pub bytes: Bytes,
    pub planted: Vec<PlantedFinding>,
}

impl ClaimsFile {
    /// Generates a file in memory.
    ///
    /// # Errors
    /// When the plan's rate is not a rate.
    pub fn generate(plan: Plan, format: Format) -> Result<Self> {
        let mut planted = Vec::new();
        let bytes = generate(plan, format, Vec::new(), &mut |finding| {
            planted.push(finding);
            Ok(())
        })?;
        Ok(Self { bytes: bytes.into(), planted })
    }

    /// Generates a file in the common format, with `rate` planted cases for each row.
    ///
    /// # Errors
    /// When `rate` is not between 0 and 1.
    pub fn with_violations(rows: u64, seed: u64, rate: f64) -> Result<Self> {
        Self::generate(Plan { rows, seed, rate, violations: true }, COMMON_FORMAT)
    }
}
