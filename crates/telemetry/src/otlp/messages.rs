//! The messages of OTLP that are sent: `opentelemetry/proto/trace/v1/trace.proto` of version 1, and
//! what it imports. Fields that are never set are left out.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};

use super::OtlpSettings;
use crate::{Attribute, AttributeValue, Span};

/// The body of a request.
#[derive(Clone, PartialEq, Message)]
pub struct ExportRequest {
    /// Spans by process; a process sends its own alone.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The spans of one process.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// The process.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Spans by the library that made them.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// A process.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Its names.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The spans that one library made.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The library.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<WireSpan>,
}

/// A library.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// A span.
#[derive(Clone, PartialEq, Message)]
pub struct WireSpan {
    /// The 16 bytes of the id of the trace.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// The 8 bytes of the id of the span.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// The `tracestate`.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// The 8 bytes of the id of the parent, or none.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// What was done.
    #[prost(string, tag = "5")]
    pub name: String,
    /// The number of a [`SpanKind`](crate::SpanKind).
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// The attributes.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Absent unless the span failed.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// The status of a span.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// 2 is an error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// The value.
    #[prost(oneof = "Value", tags = "1, 3")]
    pub value: Option<Value>,
}

/// The values that are used.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// A number.
    #[prost(int64, tag = "3")]
    Number(i64),
}

const ERROR: i32 = 2;

/// The request with these spans.
pub(super) fn request(settings: &OtlpSettings, spans: &[Span]) -> ExportRequest {
    let attributes = [
        ("service.name", settings.service),
        ("service.version", settings.version),
        ("service.instance.id", settings.instance.as_str()),
    ];
    let attributes = attributes.map(|(name, value)| key_value(name, AttributeValue::Text(value)));
    let scope = Scope { name: "clinicwire".to_owned(), version: settings.version.to_owned() };
    let spans = spans.iter().map(wire_span).collect();
    let resource_spans = vec![ResourceSpans {
        resource: Some(Resource { attributes: attributes.to_vec() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    }];
    ExportRequest { resource_spans }
}

fn wire_span(span: &Span) -> WireSpan {
    let attribute = |attribute: &Attribute| key_value(attribute.name(), attribute.value());
    let parent = span.parent.map(|parent| parent.0.to_be_bytes().to_vec());
    WireSpan {
        trace_id: span.context.trace.0.to_be_bytes().to_vec(),
        span_id: span.context.span.0.to_be_bytes().to_vec(),
        trace_state: span.context.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent.unwrap_or_default(),
        name: span.name.clone().into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: nanos(span.begin),
        end_time_unix_nano: nanos(span.begin + span.took),
        attributes: span.attributes.iter().map(attribute).collect(),
        status: span.has_failed.then_some(Status { code: ERROR }),
    }
}

fn key_value(name: &str, value: AttributeValue<'_>) -> KeyValue {
    let value = match value {
        AttributeValue::Text(text) => Value::Text(text.to_owned()),
        AttributeValue::Number(number) => Value::Number(number),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// Nanoseconds since 1970, which fit until the year 2554.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
