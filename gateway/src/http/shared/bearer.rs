//! The token of a request, as its `Authorization` has it (RFC 6750).

use gateway_core::access::Claims;
use http::{HeaderMap, HeaderValue, header};
use schemas::{Millis, codes::Code};

use super::headers::only_text;
use crate::{context::NodeContext, http::now};

/// The claims of the token in the headers.
pub(in crate::http) fn verified(node: &NodeContext, headers: &HeaderMap) -> Result<Claims, Code> {
    bearer(headers).and_then(|token| node.verifier.verify(token, now()))
}

/// The end of the crossing whose token is in this header, if it is one. Costs a hash.
pub(in crate::http) fn crossing_end(
    node: &NodeContext,
    authorization: &HeaderValue,
) -> Option<Millis> {
    node.verifier.crossing_end(bearer_of(authorization.to_str().ok()?).ok()?, now())
}

/// The token in the headers. With a second header nobody could say which of both counts.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Result<&str, Code> {
    bearer_of(only_text(headers, header::AUTHORIZATION).ok_or(Code::TokenMissing)?)
}

fn bearer_of(value: &str) -> Result<&str, Code> {
    let (scheme, token) = value.split_once(' ').ok_or(Code::TokenInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Code::TokenInvalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_has_one_token() {
        let headers = |values: &[&'static str]| -> HeaderMap {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            headers
        };
        for (values, expected) in [
            (&["Bearer one"][..], Ok("one")),
            (&["bearer  one "], Ok("one")),
            (&[], Err(Code::TokenMissing)),
            (&["Basic one"], Err(Code::TokenInvalid)),
            (&["Bearer one", "Bearer two"], Err(Code::TokenInvalid)),
        ] {
            assert_eq!(bearer(&headers(values)), expected, "{values:?}");
        }
    }
}
