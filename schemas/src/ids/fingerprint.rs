//! Fingerprints: digests of contents.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::InvalidId;

/// The first 128 bits of a SHA-256 digest of a command's content. The text is 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
pub struct Fingerprint(u128);

/// Hex digits of a fingerprint.
const DIGITS: usize = 32;

impl Fingerprint {
    /// The fingerprint of these parts. Each part is hashed with its length, so no two lists of
    /// parts are hashed as the same bytes.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(u128::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes")))
    }

    /// The 128 bits.
    pub fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId("fingerprint");
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != DIGITS || !is_hex {
            return Err(invalid);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| invalid)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_with_their_bounds() {
        let of = |parts: &[&str]| Fingerprint::from_parts(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["PUT", "/a"]), of(&["PUT", "/a"]));
        assert_ne!(of(&["PUT", "/a"]), of(&["PUT/", "a"]));
        assert_ne!(of(&["PUT", "/a"]), of(&["PUT", "/a", ""]));
    }

    #[test]
    fn fingerprint_text_round_trips() {
        for bits in [0, 1, u128::MAX] {
            let fingerprint = Fingerprint(bits);
            assert_eq!(fingerprint.bits(), bits);
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            let json = serde_json::to_string(&fingerprint).unwrap();
            assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
        }
        for text in ["", "0", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
