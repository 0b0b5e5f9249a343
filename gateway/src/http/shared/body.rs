//! Reading the JSON body of a request, and the problem of one that cannot be read.

use schemars::JsonSchema;
use schemas::{codes::Code, command::Command, ids::InvalidId};
use serde::{Deserialize, de::DeserializeOwned};

use crate::http::Problem;

pub(in crate::http) fn nothing(body: &[u8], command: Command) -> Result<Command, Problem> {
    read(body, "{}").map(|Nothing {}| command)
}

pub(in crate::http) fn not_an_id(error: InvalidId) -> Problem {
    Problem::from(Code::InvalidId).explained(error.to_string())
}

/// Reads a body; an empty one equals `{}`. The problem says where reading failed and what was
/// expected, but quotes nothing, because a body may name people.
pub(in crate::http) fn read<T: DeserializeOwned>(
    body: &[u8],
    expected: &str,
) -> Result<T, Problem> {
    parse(body).map_err(|unread| unread.expecting(expected))
}

/// The place at which a body could not be read.
pub(in crate::http) struct BodyError {
    /// The path of the field with the wrong type. It is never quoted, because it may contain any
    /// text.
    pub(in crate::http) field: Option<String>,
    /// Line and column; `None` for an unknown field.
    at: Option<(usize, usize)>,
}

impl BodyError {
    pub(in crate::http) fn expecting(self, expected: &str) -> Problem {
        Problem::malformed(match self.at {
            Some((line, column)) => {
                format!("expected {expected}; reading stopped at line {line}, column {column}")
            }
            None => format!("expected {expected}; there is an unknown field"),
        })
    }
}

/// Parses a body. An unknown field is refused at any depth: a misspelt timer would otherwise get
/// the default.
pub(in crate::http) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let (mut json, mut track) =
        (serde_json::Deserializer::from_slice(body), serde_path_to_error::Track::new());
    let mut unknown = false;
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = serde_ignored::deserialize(tracked, |_| unknown = true);
    let read = read.and_then(|value| json.end().map(|()| value));
    match read {
        Ok(_) if unknown => Err(BodyError { field: None, at: None }),
        Ok(value) => Ok(value),
        Err(error) => Err(BodyError {
            field: error.is_data().then(|| track.path().to_string()),
            at: Some((error.line(), error.column())),
        }),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Nothing {}
