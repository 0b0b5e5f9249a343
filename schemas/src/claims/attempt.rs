//! The number of an attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of an attempt at a run, counted from 1, or of the repetition of a question, where 0
/// is the question itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "json-schema"), schemars(inline))]
pub struct AttemptNumber(pub u32);

impl AttemptNumber {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_is_written_as_its_number() {
        assert_eq!(AttemptNumber(3).next().to_string(), "4");
        assert_eq!(AttemptNumber(u32::MAX).next(), AttemptNumber(u32::MAX));
    }
}
