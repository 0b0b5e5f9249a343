//! Keys that sources use for their appointments.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::Code;

/// Longest key in bytes that a source may use for an appointment. The key is part of an index.
pub const MAX_SOURCE_KEY: usize = 100;

/// The key that a source uses for an appointment. The key can identify a patient, so `Debug` hides
/// it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SourceKey(String);

impl SourceKey {
    /// Checks the text of a key.
    ///
    /// # Errors
    /// `invalid_value` for a text that is empty, is longer than [`MAX_SOURCE_KEY`] bytes, or has
    /// control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, Code> {
        let text = text.into();
        let good =
            (1..=MAX_SOURCE_KEY).contains(&text.len()) && !text.chars().any(char::is_control);
        if good { Ok(Self(text)) } else { Err(Code::InvalidValue) }
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceKey {
    type Error = Code;
    fn try_from(text: String) -> Result<Self, Code> {
        Self::new(text)
    }
}

impl From<SourceKey> for String {
    fn from(key: SourceKey) -> String {
        key.0
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        let key = SourceKey::new("ROYM80123456").unwrap();
        assert_eq!(format!("{key:?}"), "SourceKey(…)");
        assert_eq!(String::from(key), "ROYM80123456");
        for bad in ["", "a\nb", &"x".repeat(MAX_SOURCE_KEY + 1)] {
            assert_eq!(SourceKey::new(bad), Err(Code::InvalidValue));
        }
    }
}
