//! The context of a trace, as W3C Trace Context level 1 writes it in headers.

use std::{fmt, sync::Arc};

/// The header with the ids of a trace.
pub const TRACE_PARENT: &str = "traceparent";
/// The header with the entries of other tracing systems, which are passed on unread.
pub const TRACE_STATE: &str = "tracestate";
/// Characters of a `traceparent` of version 00.
const PARENT_CHARS: usize = 55;
/// Most characters of a `tracestate` that are passed on, as the standard asks for. A longer one is
/// dropped.
const MAX_STATE: usize = 512;
/// Most bytes of both headers, with their names.
pub const MAX_CONTEXT_BYTES: usize =
    TRACE_PARENT.len() + PARENT_CHARS + TRACE_STATE.len() + MAX_STATE;

/// The id of a trace, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// The id of a span within its trace, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl TraceId {
    /// A new id. Ids are unique and no secrets, so a fast source of random bits is enough.
    pub fn random() -> Self {
        Self(fastrand::u128(1..))
    }
}

impl SpanId {
    /// A new id.
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The trace that the headers of a request name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerContext {
    /// The trace of the caller.
    pub trace: TraceId,
    /// The span of the caller, under which the request is.
    pub span: SpanId,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
    /// The entries of other tracing systems.
    pub state: Option<Arc<str>>,
}

impl CallerContext {
    /// Reads the values of both headers. Later versions of `traceparent` begin like version 00.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_formed = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && (version != "00" || parent.len() == PARENT_CHARS);
        if !is_formed {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        let state = state.filter(|state| is_state(state)).map(Arc::from);
        Some(Self { trace: TraceId(trace), span: SpanId(span), is_sampled, state })
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether the text may be a list of `key=value`. What the entries mean is for others to know.
fn is_state(text: &str) -> bool {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
    (1..=MAX_STATE).contains(&text.len())
        && text.bytes().all(is_printable)
        && text.split(',').all(|entry| entry.contains('='))
}

/// A span of a trace that is recorded: the parent of the spans and records that it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The entries of other tracing systems.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads the context in the headers of a record. `None` when its trace is not recorded, which
    /// takes one look through the names of the headers.
    pub fn from_headers(headers: &[(String, String)]) -> Option<Self> {
        let value = |name: &str| {
            headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let caller = CallerContext::parse(value(TRACE_PARENT)?, value(TRACE_STATE))?;
        let CallerContext { trace, span, is_sampled, state } = caller;
        is_sampled.then_some(Self { trace, span, state })
    }

    /// Adds the context to the headers of a record.
    pub fn add_to(&self, headers: &mut Vec<(String, String)>) {
        headers.push((TRACE_PARENT.to_owned(), self.parent_text()));
        if let Some(state) = &self.state {
            headers.push((TRACE_STATE.to_owned(), state.to_string()));
        }
    }

    /// The context of a new span under this one.
    pub fn child(&self) -> Self {
        Self { span: SpanId::random(), ..self.clone() }
    }

    fn parent_text(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn read(parent: &str, state: Option<&str>) -> Option<TraceContext> {
        let mut headers = vec![(TRACE_PARENT.to_owned(), parent.to_owned())];
        headers.extend(state.map(|state| (TRACE_STATE.to_owned(), state.to_owned())));
        TraceContext::from_headers(&headers)
    }

    #[test]
    fn context_survives_headers() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let context = read(&parent, Some("rojo=00f067aa0ba902b7,congo=t61")).unwrap();
        assert_eq!(context.trace.to_string(), TRACE);
        let child = context.child();
        assert_eq!((child.trace, &child.state), (context.trace, &context.state));
        assert_ne!(child.span, context.span);
        let mut headers = Vec::new();
        child.add_to(&mut headers);
        assert_eq!(TraceContext::from_headers(&headers), Some(child));
    }

    #[test]
    fn record_of_unsampled_trace_has_no_context() {
        assert_eq!(read(&format!("00-{TRACE}-00f067aa0ba902b7-00"), None), None);
        assert_eq!(TraceContext::from_headers(&[]), None);
    }

    #[test]
    fn malformed_context_is_ignored() {
        for parent in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(CallerContext::parse(parent, None), None, "{parent}");
        }
        let later = format!("01-{TRACE}-00f067aa0ba902b7-00-more");
        assert!(CallerContext::parse(&later, None).is_some());
    }

    #[test]
    fn malformed_state_is_dropped() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for state in ["", "no entry", "a=\u{e9}", &"a=".repeat(300)] {
            assert_eq!(read(&parent, Some(state)).unwrap().state, None, "{state}");
        }
    }
}
