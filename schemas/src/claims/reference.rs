//! The reference data of claims: what billing codes mean and pay, which establishments are family
//! medicine groups (GMF), and which billing contexts exist. A tenant keeps its own tables in its
//! rule book. A tenant without a table of its own uses the one of the installation.

use serde::{Deserialize, Serialize};

/// Most entries of one table: several times the billing codes of a province. More are refused as
/// `invalid_value`.
pub const MAX_REFERENCE_ENTRIES: usize = 20_000;
/// Most bytes of a table that is loaded at once: the command has to fit one record with its
/// headers. A larger table is loaded in several parts. More is `too_large`.
pub const MAX_REFERENCE_BYTES: usize = 768 * 1024;
/// Longest text of an entry in characters. Descriptions of codes are sentences.
pub const MAX_REFERENCE_TEXT: usize = 300;
/// Longest context in characters. Contexts are abbreviations.
const MAX_CONTEXT: usize = 32;
/// The largest code or establishment. Both have at most five digits.
const MAX_NUMBER: u32 = 99_999;

/// A table of reference data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReferenceTable {
    /// The billing codes.
    Codes,
    /// The establishments.
    Establishments,
    /// The billing contexts.
    Contexts,
}

impl ReferenceTable {
    /// Every table.
    pub const ALL: [Self; 3] = [Self::Codes, Self::Establishments, Self::Contexts];

    /// The name of the table, as paths and JSON spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Codes => "codes",
            Self::Establishments => "establishments",
            Self::Contexts => "contexts",
        }
    }

    /// The table with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }

    /// The name of the view with the entries of the table.
    pub fn view(self) -> &'static str {
        match self {
            Self::Codes => "table:codes",
            Self::Establishments => "table:establishments",
            Self::Contexts => "table:contexts",
        }
    }

    /// The columns of the table as CSV. The first one is the key.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Codes => &["code", "leaf", "group", "top", "cents"],
            Self::Establishments => &["place", "gmf"],
            Self::Contexts => &["context", "description"],
        }
    }

    /// The key in its only form: a number without leading zeros, or a context in upper case without
    /// its `#`. `None` for a text that is no key of this table.
    pub fn key(self, text: &str) -> Option<String> {
        let text = text.trim();
        if self == Self::Contexts {
            let context = text.trim_start_matches('#').trim().to_uppercase();
            let length = context.chars().count();
            let is_context = (1..=MAX_CONTEXT).contains(&length)
                && context.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != ',');
            return is_context.then_some(context);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|number| (1..=MAX_NUMBER).contains(number));
        number.filter(|_| is_number).map(|number| number.to_string())
    }

    /// The form of a key, in words for the person who wrote another one.
    pub fn key_form(self) -> &'static str {
        match self {
            Self::Codes => "a number of 1 to 99999",
            Self::Establishments => "a number of 1 to 99999",
            Self::Contexts => "1 to 32 characters without spaces and commas",
        }
    }
}

impl std::fmt::Display for ReferenceTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry of a table, without its key. The fields tell the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ReferenceEntry {
    /// A billing code.
    Code {
        /// The description of the code.
        leaf: String,
        /// The level-1 group.
        group: String,
        /// The top level.
        top: String,
        /// The amount in cents, where it is fixed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cents: Option<i64>,
    },
    /// An establishment.
    Establishment {
        /// Whether it is a family medicine group.
        gmf: bool,
    },
    /// A billing context.
    Context {
        /// The description of the context.
        description: String,
    },
}

impl ReferenceEntry {
    /// The table to which the entry belongs.
    pub fn table(&self) -> ReferenceTable {
        match self {
            Self::Code { .. } => ReferenceTable::Codes,
            Self::Establishment { .. } => ReferenceTable::Establishments,
            Self::Context { .. } => ReferenceTable::Contexts,
        }
    }

    /// The field that is outside its bounds, and these bounds in words.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        const TEXT: &str = "at most 300 characters, without control characters";
        let is_text = |text: &str| {
            text.chars().count() <= MAX_REFERENCE_TEXT && !text.chars().any(char::is_control)
        };
        match self {
            Self::Code { leaf, .. } if !is_text(leaf) => Some(("leaf", TEXT)),
            Self::Code { group, .. } if !is_text(group) => Some(("group", TEXT)),
            Self::Code { top, .. } if !is_text(top) => Some(("top", TEXT)),
            Self::Code { cents: Some(cents), .. } if !(0..=100_000_000).contains(cents) => {
                Some(("cents", "0 to 100000000"))
            }
            Self::Context { description } if !is_text(description) => Some(("description", TEXT)),
            _ => None,
        }
    }
}

/// An entry of a table as its view has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct StoredReference {
    /// The entry.
    #[serde(flatten)]
    pub entry: ReferenceEntry,
    /// The version of the rule book at which the entry last changed.
    pub edition: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_has_one_form() {
        let codes = ReferenceTable::Codes;
        assert_eq!(codes.key(" 08857 "), Some("8857".to_owned()));
        assert_eq!(ReferenceTable::Contexts.key("# icep"), Some("ICEP".to_owned()));
        for bad in ["", "0", "+5", "8857a", "100000", "99999999999"] {
            assert_eq!(codes.key(bad), None, "{bad}");
        }
        for bad in ["", "#", "A B", "A,B"] {
            assert_eq!(ReferenceTable::Contexts.key(bad), None, "{bad}");
        }
    }

    #[test]
    fn fields_tell_the_table_of_an_entry() {
        for (table, json) in [
            (ReferenceTable::Codes, r#"{"leaf":"a","group":"b","top":"c","cents":5,"edition":7}"#),
            (ReferenceTable::Establishments, r#"{"gmf":false,"edition":7}"#),
            (ReferenceTable::Contexts, r#"{"description":"d","edition":7}"#),
        ] {
            let stored: StoredReference = serde_json::from_str(json).unwrap();
            assert_eq!((stored.entry.table(), stored.edition), (table, 7));
            assert_eq!(serde_json::to_string(&stored).unwrap(), json);
            assert_eq!(ReferenceTable::parse(table.as_str()), Some(table));
        }
    }

    #[test]
    fn table_is_known_by_its_name_view_and_columns() {
        for table in ReferenceTable::ALL {
            assert_eq!(serde_json::to_value(table).unwrap(), table.as_str());
            assert_eq!(table.view(), format!("table:{table}"));
        }
        let columns = |entry: ReferenceEntry| {
            let json = serde_json::to_value(entry).unwrap();
            json.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let text = || "a".to_owned();
        for entry in [
            ReferenceEntry::Code { leaf: text(), group: text(), top: text(), cents: Some(5) },
            ReferenceEntry::Establishment { gmf: true },
            ReferenceEntry::Context { description: text() },
        ] {
            let mut named = entry.table().columns()[1..].to_vec();
            named.sort_unstable();
            let mut fields = columns(entry);
            fields.sort_unstable();
            assert_eq!(named, fields);
        }
        let keys = ReferenceTable::ALL.map(|table| table.columns()[0]);
        assert_eq!(keys, ["code", "place", "context"]);
        for (table, form) in
            ReferenceTable::ALL.into_iter().zip(["99999", "99999", "32 characters"])
        {
            assert!(table.key_form().contains(form), "{table}");
        }
    }

    #[test]
    fn field_out_of_its_bounds_is_named() {
        let longest = "é".repeat(MAX_REFERENCE_TEXT);
        let long = format!("{longest}e");
        let code = |leaf: &str, group: &str, top: &str, cents| ReferenceEntry::Code {
            leaf: leaf.to_owned(),
            group: group.to_owned(),
            top: top.to_owned(),
            cents,
        };
        let context =
            |description: &str| ReferenceEntry::Context { description: description.into() };
        for (entry, field) in [
            (code("", &longest, "c", None), None),
            (code("a", "b", "c", Some(0)), None),
            (code("a", "b", "c", Some(100_000_000)), None),
            (ReferenceEntry::Establishment { gmf: true }, None),
            (context(&longest), None),
            (code(&long, "b", "c", None), Some("leaf")),
            (code("a\n", "b", "c", None), Some("leaf")),
            (code("a", &long, "c", Some(-1)), Some("group")),
            (code("a", "b", "c\u{7f}", None), Some("top")),
            (code("a", "b", "c", Some(-1)), Some("cents")),
            (code("a", "b", "c", Some(100_000_001)), Some("cents")),
            (context(&long), Some("description")),
        ] {
            assert_eq!(entry.fault().map(|(field, _)| field), field, "{entry:?}");
        }
    }
}
