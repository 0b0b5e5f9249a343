//! Reading the JSON body of a request, and the problem of one that cannot be read.

use schemars::JsonSchema;
use schemas::{codes::Code, command::Command, ids::InvalidId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

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
/// the default. `1.0` is an integer in JSON Schema, and so it is here.
pub(in crate::http) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    let body = if body.is_empty() { b"{}" } else { body };
    if body.trim_ascii_start().first() == Some(&b'[') {
        // Serde would take the items for the fields, in their order.
        return Err(BodyError { field: None, at: Some((1, 1)) });
    }
    parse_once(body).or_else(|error| match with_integers(body) {
        Some(body) => parse_once(&body).map_err(|_| error),
        None => Err(error),
    })
}

/// The body with `1` in place of `1.0`. `None` when it has no such number.
fn with_integers(body: &[u8]) -> Option<Vec<u8>> {
    /// Up to this number, every integer is a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    fn replace(value: &mut Value, replaced: &mut bool) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT);
                if let Some(whole) = whole {
                    *number = (whole as i64).into();
                    *replaced = true;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, replaced)),
            Value::Object(fields) => fields.values_mut().for_each(|item| replace(item, replaced)),
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(body).ok()?;
    let mut replaced = false;
    replace(&mut value, &mut replaced);
    replaced.then(|| value.to_string().into_bytes())
}

fn parse_once<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Body {
        count: u8,
        #[serde(default)]
        rate: Option<f64>,
    }

    #[test]
    fn body_is_an_object_and_whole_double_an_integer() {
        for (text, expected) in [
            (r#"{"count": 1.0}"#, Some((1, None))),
            (r#"{"count": 2e1, "rate": 0.5}"#, Some((20, Some(0.5)))),
            (r#"{"count": 1, "rate": 3.0}"#, Some((1, Some(3.0)))),
            (r#"{"count": 1.5}"#, None),
            (r#"{"count": 300.0}"#, None),
            (r#"{"count": -1.0}"#, None),
            (r#" [1, 0.5]"#, None),
        ] {
            let read = parse::<Body>(text.as_bytes()).ok();
            assert_eq!(read.map(|body| (body.count, body.rate)), expected, "{text}");
        }
    }
}
