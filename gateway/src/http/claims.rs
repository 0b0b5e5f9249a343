//! Routes of claims files: uploads, runs, findings, rules and reference data.

pub(crate) mod files;
pub(super) mod findings;
pub(super) mod reference;
pub(super) mod rules;
pub(super) mod runs;
