//! The branding of a location: its colour and its logo, on boards and patients' pages.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::Code;

/// The colour and the logo of a location. The pages choose readable text for any colour.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Branding {
    /// The name of the clinic's organisation, above the name of the location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// The logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<LogoName>,
}

impl Branding {
    /// Whether the location has no branding.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A colour as `#rrggbb`, in small hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    any(test, feature = "json-schema"),
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^#[0-9a-f]{6}$"))
)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(String);

/// The file name of a logo: 32 hex digits of the digest of its tenant and its bytes, and `.svg` or
/// `.png`. The digest makes the name unguessable without the logo.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    any(test, feature = "json-schema"),
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = r"^[0-9a-f]{32}\.(svg|png)$"))
)]
#[serde(try_from = "String", into = "String")]
pub struct LogoName(String);

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Colour {
    /// Checks the text of a colour.
    ///
    /// # Errors
    /// `invalid_value` for any other form than `#rrggbb`.
    pub fn new(text: impl Into<String>) -> Result<Self, Code> {
        let text = text.into();
        let good = text.len() == 7 && text.strip_prefix('#').is_some_and(is_hex);
        if good { Ok(Self(text)) } else { Err(Code::InvalidValue) }
    }
}

impl LogoName {
    /// Hex digits before the ending.
    pub const DIGITS: usize = 32;

    /// Checks the text of a name.
    ///
    /// # Errors
    /// `invalid_value` for any other form than 32 hex digits with `.svg` or `.png`.
    pub fn new(text: impl Into<String>) -> Result<Self, Code> {
        let text = text.into();
        let digits = text.strip_suffix(".svg").or_else(|| text.strip_suffix(".png"));
        let good = digits.is_some_and(|digits| digits.len() == Self::DIGITS && is_hex(digits));
        if good { Ok(Self(text)) } else { Err(Code::InvalidValue) }
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! from_text {
    ($($name:ident)*) => {
        $(
            impl TryFrom<String> for $name {
                type Error = Code;
                fn try_from(text: String) -> Result<Self, Code> {
                    Self::new(text)
                }
            }

            impl From<$name> for String {
                fn from(checked: $name) -> String {
                    checked.0
                }
            }
        )*
    };
}

from_text!(Colour LogoName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_has_one_form() {
        assert!(Colour::new("#0f62fe").is_ok());
        for bad in ["", "0f62fe", "#0F62FE", "#0f62f", "#0f62fe7", "#0f62f;", "red"] {
            assert_eq!(Colour::new(bad), Err(Code::InvalidValue), "{bad}");
        }
    }

    #[test]
    fn logo_name_has_one_form() {
        let digits = "0123456789abcdef0123456789abcdef";
        assert!(LogoName::new(format!("{digits}.svg")).is_ok());
        assert!(LogoName::new(format!("{digits}.png")).is_ok());
        for bad in [digits, "../x.svg", &format!("{digits}.html"), &format!("{digits}0.svg")] {
            assert_eq!(LogoName::new(bad), Err(Code::InvalidValue), "{bad}");
        }
    }

    #[test]
    fn logo_name_is_its_text_and_branding_is_empty_without_any_part() {
        let text = "0123456789abcdef0123456789abcdef.svg";
        let logo = LogoName::new(text).unwrap();
        assert_eq!((logo.as_str(), logo.to_string()), (text, text.to_owned()));
        assert!(Branding::default().is_empty());
        assert!(!Branding { logo: Some(logo), ..Branding::default() }.is_empty());
    }
}
