//! The token of a request, as its `Authorization` has it (RFC 6750).

use gateway_core::access::Claims;
use http::{HeaderMap, HeaderValue, header};
use schemas::{Millis, codes::Code};

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
    node.verifier.crossing_end(bearer_of(authorization).ok()?, now())
}

/// The token in the headers.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Result<&str, Code> {
    bearer_of(headers.get(header::AUTHORIZATION).ok_or(Code::TokenMissing)?)
}

fn bearer_of(value: &HeaderValue) -> Result<&str, Code> {
    let value = value.to_str().map_err(|_| Code::TokenInvalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(Code::TokenInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Code::TokenInvalid) }
}
