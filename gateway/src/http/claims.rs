//! Routes of claims files: uploads, runs, findings and rules.

pub(crate) mod files;
pub(super) mod findings;
pub(super) mod rules;
pub(super) mod runs;
