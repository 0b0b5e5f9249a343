//! A fault during an attempt.

use std::error::Error;

/// A fault that stops an attempt; another attempt may succeed.
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
