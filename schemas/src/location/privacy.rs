//! The privacy of a location: what lines and boards show of a person beside the label.

use serde::{Deserialize, Serialize};

/// What a location shows of a person beside the label. A clinic opts in to the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Privacy {
    /// The details that staff see in the lines.
    pub lines: LinePrivacy,
    /// The details that everybody in the waiting room sees on the boards.
    pub boards: BoardPrivacy,
}

/// The details of an appointment that staff see in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LinePrivacy {
    /// The start of the appointment. True by default.
    pub start: bool,
    /// The name of the doctor. True by default.
    pub doctor: bool,
    /// The name that staff use for the appointment, such as initials. False by default.
    pub name: bool,
}

impl Default for LinePrivacy {
    fn default() -> Self {
        Self { start: true, doctor: true, name: false }
    }
}

/// The details that a board shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BoardPrivacy {
    /// How many people wait in each queue. True by default.
    pub waiting: bool,
    /// Calls that are over. True by default.
    pub earlier: bool,
    /// The name of the doctor beside a call. False by default.
    pub doctor: bool,
    /// The name that staff use for the appointment, such as initials, beside a call. False by
    /// default.
    pub name: bool,
}

impl Default for BoardPrivacy {
    fn default() -> Self {
        Self { waiting: true, earlier: true, doctor: false, name: false }
    }
}

impl Privacy {
    /// The settings as words for the audit, such as `lines=start+doctor`.
    pub fn words(&self) -> [String; 2] {
        let Self { lines, boards } = self;
        let join = |kind: &str, fields: &[(&str, bool)]| {
            let shown: Vec<_> =
                fields.iter().filter(|(_, shown)| *shown).map(|(word, _)| *word).collect();
            format!("{kind}={}", if shown.is_empty() { "none".to_owned() } else { shown.join("+") })
        };
        [
            join(
                "lines",
                &[("start", lines.start), ("doctor", lines.doctor), ("name", lines.name)],
            ),
            join(
                "boards",
                &[
                    ("waiting", boards.waiting),
                    ("earlier", boards.earlier),
                    ("doctor", boards.doctor),
                    ("name", boards.name),
                ],
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_is_shown() {
        assert_eq!(
            Privacy::default().words(),
            ["lines=start+doctor", "boards=waiting+earlier"].map(str::to_owned)
        );
        let lines = LinePrivacy { start: false, doctor: false, name: false };
        assert_eq!(Privacy { lines, ..Privacy::default() }.words()[0], "lines=none");
    }
}
