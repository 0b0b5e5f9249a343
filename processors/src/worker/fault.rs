//! A fault in the midst of an attempt.

use std::error::Error;

/// What an attempt cannot go on from, and another perhaps can.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct AttemptFault {
    what: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl AttemptFault {
    pub fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what, source: source.into() }
    }
}
