//! The ids that tie a request to the lines of logs: `X-Request-Id`, and `traceparent` of W3C Trace
//! Context. Every answer has both.

use http::{HeaderMap, HeaderName, HeaderValue};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The lengths of a request's id. A shorter id is not unique, and a longer text is no id: both are
/// replaced.
const ID_CHARS: std::ops::RangeInclusive<usize> = 8..=64;
/// Characters of a `traceparent` of version 00.
const PARENT_CHARS: usize = 55;

/// The ids of one request.
pub(crate) struct RequestTrace {
    request: HeaderValue,
    trace: u128,
    /// The id of the part of the trace that this node does.
    span: u64,
    /// Whether the caller records the trace.
    is_sampled: bool,
}

impl RequestTrace {
    /// Takes the ids that the caller sent, and makes those that are missing or malformed. Ids are
    /// unique and no secrets, so a fast source of random bits is enough.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let parent = headers.get(TRACE_PARENT).and_then(|parent| parse(parent.to_str().ok()?));
        let (trace, is_sampled) = parent.unwrap_or_else(|| (fastrand::u128(1..), false));
        let given = headers.get(REQUEST_ID).filter(|id| is_id(id.as_bytes()));
        let request = given.cloned().unwrap_or_else(|| {
            HeaderValue::from_str(&format!("{trace:032x}")).expect("hex digits make a header")
        });
        Self { request, trace, span: fastrand::u64(1..), is_sampled }
    }

    /// Adds the ids to an answer.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request.clone());
        let flags = u8::from(self.is_sampled);
        let parent = format!("00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span);
        let parent = HeaderValue::from_str(&parent).expect("hex digits make a header");
        headers.insert(TRACE_PARENT, parent);
    }

    /// The span whose log lines have the ids.
    pub(crate) fn span(&self) -> tracing::Span {
        let request = self.request.to_str().unwrap_or_default();
        let trace = format_args!("{:032x}", self.trace);
        tracing::info_span!("request", request_id = request, trace_id = %trace)
    }
}

/// Whether the text may be an id: letters, digits and hyphens, as UUIDs and ULIDs have. Nothing
/// else may reach a log from a header.
fn is_id(text: &[u8]) -> bool {
    ID_CHARS.contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Reads the id of the trace, and whether it is recorded. Later versions begin like version 00.
fn parse(parent: &str) -> Option<(u128, bool)> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits| {
        text.len() == digits
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_formed = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && (version != "00" || parent.len() == PARENT_CHARS);
    if !is_formed || u64::from_str_radix(span, 16).ok()? == 0 {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    Some((trace, u8::from_str_radix(flags, 16).ok()? & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn answered(headers: &[(&'static str, &str)]) -> (String, String) {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let mut answer = HeaderMap::new();
        RequestTrace::from_headers(&headers.collect()).set(&mut answer);
        let text = |name: HeaderName| answer[name].to_str().unwrap().to_owned();
        (text(REQUEST_ID), text(TRACE_PARENT))
    }

    #[test]
    fn given_ids_are_kept() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let (id, answer) = answered(&[("x-request-id", "order-4711"), ("traceparent", &parent)]);
        assert_eq!(id, "order-4711");
        assert!(answer.starts_with(&format!("00-{TRACE}-")) && answer.ends_with("-01"));
        assert!(!answer.contains("00f067aa0ba902b7"), "this node's part has an id of its own");
        assert_eq!(answered(&[("traceparent", &parent)]).0, TRACE);
    }

    #[test]
    fn malformed_ids_are_replaced() {
        for id in ["", "short", "with space 1234", "semi;colon-1234", &"x".repeat(65)] {
            assert_eq!(answered(&[("x-request-id", id)]).0.len(), 32, "{id}");
        }
        for parent in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!answered(&[("traceparent", parent)]).1.contains(TRACE), "{parent}");
        }
        let later = format!("01-{TRACE}-00f067aa0ba902b7-00-more");
        assert!(answered(&[("traceparent", &later)]).1.contains(TRACE));
    }
}
