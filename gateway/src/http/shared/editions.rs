//! Editions as HTTP shows them: the `ETag` of what was read, and the `If-Match` of a change.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemas::command::Command;

use super::headers::only_text;
use crate::http::Problem;

/// The edition as the header of an answer.
pub(in crate::http) fn tag(edition: u64) -> [(HeaderName, HeaderValue); 1] {
    let text = HeaderValue::try_from(format!("\"{edition}\""));
    [(header::ETAG, text.expect("digits in quotes are a header's value"))]
}

/// The edition that `If-Match` names. `*` and no header stand for any.
///
/// # Errors
/// `malformed` for a header that is not the tag of one answer.
pub(in crate::http) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(text) = only_text(headers, header::IF_MATCH).map(str::trim) else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let edition = digits.and_then(|digits| digits.parse().ok());
    let bad = || Problem::malformed("If-Match is not the ETag of an answer, such as \"17\"");
    edition.map(Some).ok_or_else(bad)
}

/// Adds the edition of `If-Match` to a command.
///
/// # Errors
/// `malformed` when the body names another edition, or the thing has none.
pub(in crate::http) fn apply(command: &mut Command, edition: Option<u64>) -> Result<(), Problem> {
    let Some(edition) = edition else { return Ok(()) };
    match command.edition_mut() {
        Some(named) if named.is_none_or(|named| named == edition) => {
            *named = Some(edition);
            Ok(())
        }
        Some(_) => Err(Problem::malformed("If-Match and the body name two editions")),
        None => Err(Problem::malformed(
            "this request changes nothing that has editions: leave \
                                        out If-Match",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))])
    }

    #[test]
    fn tag_of_an_answer_is_read_back() {
        let [(_, value)] = tag(17);
        assert_eq!(value, "\"17\"");
        assert_eq!(if_match(&headers("\"17\"")).ok(), Some(Some(17)));
        assert_eq!(if_match(&headers("*")).ok(), Some(None));
        assert_eq!(if_match(&HeaderMap::new()).ok(), Some(None));
        for bad in ["17", "W/\"17\"", "\"a\"", "\"1\", \"2\"", ""] {
            assert!(if_match(&headers(bad)).is_err(), "{bad}");
        }
        let mut two = headers("\"1\"");
        two.append(header::IF_MATCH, HeaderValue::from_static("\"2\""));
        assert!(if_match(&two).is_err());
    }
}
