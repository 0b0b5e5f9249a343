//! Traces of OpenTelemetry. A request that is sampled has a context, which follows it in the
//! headers of HTTP and of records (W3C Trace Context). Each part of its way is a span. Spans go
//! through a bounded queue to an exporter, and nothing ever waits for either.
//!
//! A request that is not sampled has no context: it costs one look for a header.
//!
//! Also the part of metrics that all programs share.

mod context;
#[cfg(feature = "metrics")]
mod copied;
#[cfg(feature = "otlp")]
pub mod otlp;
mod span;
mod tracer;

pub use context::{
    CallerContext, MAX_CONTEXT_BYTES, SpanId, TRACE_PARENT, TRACE_STATE, TraceContext, TraceId,
};
#[cfg(feature = "metrics")]
pub use copied::Copied;
pub use span::{Attribute, AttributeValue, OpenSpan, Span, SpanKind};
pub use tracer::{SpanCounts, SpanQueue, Tracer};
