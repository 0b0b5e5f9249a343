//! The ids that tie a request to the lines of logs: `X-Request-Id`, and `traceparent` of W3C Trace
//! Context. Every answer has both. A request that is sampled has a span, under which its handler
//! finds itself.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use telemetry::{
    Attribute, CallerContext, OpenSpan, SpanId, SpanKind, TRACE_STATE, TraceContext, TraceId,
    Tracer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static(telemetry::TRACE_PARENT);
/// The lengths of a request's id. A shorter id is not unique, and a longer text is no id: both are
/// replaced.
const ID_CHARS: std::ops::RangeInclusive<usize> = 8..=64;

tokio::task_local! {
    /// The span of the request that the task answers.
    static CURRENT: ActiveSpan;
}

/// The span of a sampled request, as what it causes sees it.
#[derive(Clone)]
pub(crate) struct ActiveSpan {
    tracer: Tracer,
    context: TraceContext,
}

impl ActiveSpan {
    /// The span of the request that this task answers, if it is sampled.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs a task of the request under the span.
    pub(crate) async fn scope<T>(this: Option<Self>, work: impl Future<Output = T>) -> T {
        match this {
            Some(span) => CURRENT.scope(span, work).await,
            None => work.await,
        }
    }

    /// Begins a span under this one.
    pub(crate) fn child(&self, name: &'static str, kind: SpanKind) -> OpenSpan {
        let (context, parent) = (self.context.child(), Some(self.context.span));
        OpenSpan::begin(self.tracer.clone(), context, parent, name, kind)
    }
}

/// The ids of one request.
pub(crate) struct RequestTrace {
    request: HeaderValue,
    trace: TraceId,
    /// The part of the trace that this node does.
    span: SpanId,
    caller: Option<CallerContext>,
    /// Whether the trace is recorded: by the caller, as long as this node has not decided.
    is_sampled: bool,
}

impl RequestTrace {
    /// Takes the ids that the caller sent, and makes those that are missing or malformed.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let state = text(HeaderName::from_static(TRACE_STATE));
        let caller = text(TRACE_PARENT).and_then(|parent| CallerContext::parse(parent, state));
        let trace = caller.as_ref().map_or_else(TraceId::random, |caller| caller.trace);
        let is_sampled = caller.as_ref().is_some_and(|caller| caller.is_sampled);
        let given = headers.get(REQUEST_ID).filter(|id| is_id(id.as_bytes()));
        let request = given.cloned().unwrap_or_else(|| {
            HeaderValue::from_str(&trace.to_string()).expect("hex digits make a header")
        });
        Self { request, trace, span: SpanId::random(), caller, is_sampled }
    }

    /// Begins the span of the request, if it is sampled. Without a tracer the caller's mark stays.
    pub(crate) fn begin(
        &mut self,
        tracer: &Tracer,
        method: &Method,
        route: Option<&str>,
    ) -> Option<OpenSpan> {
        if !tracer.is_on() {
            return None;
        }
        let context = tracer.begin(self.trace, self.caller.as_ref());
        self.is_sampled = context.is_some();
        let context = context?;
        self.span = context.span;
        let (method, route) = (method_name(method), route.unwrap_or("none"));
        let parent = self.caller.as_ref().map(|caller| caller.span);
        let name = format!("{method} {route}");
        let mut span = OpenSpan::begin(tracer.clone(), context, parent, name, SpanKind::Server);
        span.add(Attribute::Method(method));
        span.add(Attribute::Route(route.to_owned()));
        Some(span)
    }

    /// Adds the ids to an answer.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request.clone());
        let flags = u8::from(self.is_sampled);
        let parent = format!("00-{}-{}-{flags:02x}", self.trace, self.span);
        let parent = HeaderValue::from_str(&parent).expect("hex digits make a header");
        headers.insert(TRACE_PARENT, parent);
    }

    /// The span whose log lines have the ids, and the pseudonym of the caller once it is known.
    pub(crate) fn log_span(&self) -> tracing::Span {
        let request = self.request.to_str().unwrap_or_default();
        let caller = tracing::field::Empty;
        tracing::info_span!("request", request_id = request, trace_id = %self.trace, caller)
    }
}

/// The trace in the headers of an answer, if the request is sampled.
pub(in crate::http) fn sampled_trace(answer: &HeaderMap) -> Option<TraceId> {
    let parent = answer.get(TRACE_PARENT)?.to_str().ok()?;
    let context = CallerContext::parse(parent, None)?;
    context.is_sampled.then_some(context.trace)
}

/// What the handlers of a request see of its span.
pub(crate) fn active(span: &OpenSpan) -> ActiveSpan {
    ActiveSpan { tracer: span.tracer().clone(), context: span.context().clone() }
}

/// Notes the answer in the span of its request.
pub(crate) fn note_answer(span: &mut OpenSpan, status: StatusCode) {
    span.add(Attribute::Status(status.as_u16()));
    if status.is_server_error() {
        span.fail();
    }
}

/// The method, as long as it is a usual one: a caller may make up any other.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Whether the text may be an id: letters, digits and hyphens, as UUIDs and ULIDs have. Nothing
/// else may reach a log from a header.
fn is_id(text: &[u8]) -> bool {
    ID_CHARS.contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
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
