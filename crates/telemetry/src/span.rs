//! Spans. Names and attributes come from a closed set, so that no id of a patient can reach one.

use std::{
    borrow::Cow,
    mem,
    time::{Duration, Instant, SystemTime},
};

use crate::{SpanId, TraceContext, Tracer};

/// The role of a span, as OpenTelemetry names them. The numbers are those of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A part of the work of one process.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// The append of a record.
    Producer = 4,
    /// The work that a record causes.
    Consumer = 5,
}

/// One attribute of a span. Values are numbers, texts of the program, and patterns of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// The method of a request, or `other` for one that the routes do not know.
    Method(&'static str),
    /// The pattern of a route, never a path: paths have ids.
    Route(String),
    /// The status of an answer.
    Status(u16),
    /// The topic of a record, by its standard name.
    Topic(&'static str),
    /// The partition of a record.
    Partition(u32),
    /// The offset of a record.
    Offset(i64),
    /// The number of records that were worked on together.
    Records(u64),
    /// The result of a record: `applied`, `repeated`, or the code of its refusal.
    Result(&'static str),
    /// The kind of a channel.
    Channel(&'static str),
    /// The number of frames that were written to sockets.
    Frames(u64),
    /// The number of shards that were sent a record.
    Shards(u64),
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(i64),
}

impl Attribute {
    /// The name, by the semantic conventions of OpenTelemetry where they have one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Method(_) => "http.request.method",
            Self::Route(_) => "http.route",
            Self::Status(_) => "http.response.status_code",
            Self::Topic(_) => "messaging.destination.name",
            Self::Partition(_) => "messaging.destination.partition.id",
            Self::Offset(_) => "messaging.kafka.offset",
            Self::Records(_) => "messaging.batch.message_count",
            Self::Result(_) => "clinicwire.result",
            Self::Channel(_) => "clinicwire.channel",
            Self::Frames(_) => "clinicwire.frames",
            Self::Shards(_) => "clinicwire.shards",
        }
    }

    /// The value.
    pub fn value(&self) -> AttributeValue<'_> {
        let number =
            |number: u64| AttributeValue::Number(i64::try_from(number).unwrap_or(i64::MAX));
        match self {
            Self::Method(text) | Self::Topic(text) | Self::Result(text) | Self::Channel(text) => {
                AttributeValue::Text(text)
            }
            Self::Route(pattern) => AttributeValue::Text(pattern),
            Self::Status(status) => AttributeValue::Number(i64::from(*status)),
            Self::Partition(partition) => AttributeValue::Number(i64::from(*partition)),
            Self::Offset(offset) => AttributeValue::Number(*offset),
            Self::Records(count) | Self::Frames(count) | Self::Shards(count) => number(*count),
        }
    }
}

/// A finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace and the id of the span.
    pub context: TraceContext,
    /// The span that caused this one.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: Cow<'static, str>,
    /// The role of the span.
    pub kind: SpanKind,
    /// When the work began.
    pub begin: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The attributes.
    pub attributes: Vec<Attribute>,
    /// Whether the work failed by a fault of the installation.
    pub has_failed: bool,
}

/// A span under way. It ends when it is dropped.
pub struct OpenSpan {
    tracer: Tracer,
    span: Span,
    begun: Instant,
}

impl OpenSpan {
    /// Begins a span with this context.
    pub fn begin(
        tracer: Tracer,
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
    ) -> Self {
        let span = Span {
            context,
            parent,
            name: name.into(),
            kind,
            begin: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            has_failed: false,
        };
        Self { tracer, span, begun: Instant::now() }
    }

    /// Begins a span under this one.
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Self {
        let context = self.span.context.child();
        Self::begin(self.tracer.clone(), context, Some(self.span.context.span), name, kind)
    }

    /// The context for what this span causes.
    pub fn context(&self) -> &TraceContext {
        &self.span.context
    }

    /// The tracer that records the span.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Adds an attribute.
    pub fn add(&mut self, attribute: Attribute) {
        self.span.attributes.push(attribute);
    }

    /// Ends the span without recording it.
    pub fn discard(mut self) {
        self.tracer = Tracer::off();
    }

    /// Notes that the work failed.
    pub fn fail(&mut self) {
        self.span.has_failed = true;
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.span.took = self.begun.elapsed();
        let attributes = mem::take(&mut self.span.attributes);
        let name = mem::take(&mut self.span.name);
        self.tracer.record(Span { attributes, name, ..self.span.clone() });
    }
}
