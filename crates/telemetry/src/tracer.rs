//! The tracer of a process: which traces are recorded, and the queue of their spans.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc;

use crate::{CallerContext, Span, TraceContext, TraceId};

/// Spans that wait for their export. A span has some 300 bytes, so these are about a megabyte, and
/// a second of 200 traced commands. Past it, spans are dropped and counted.
const QUEUE: usize = 2_048;
/// Most traces a second that are recorded because their callers ask for it. Anybody may send a
/// `traceparent`, and a trace costs more than its request. Past it, the ratio alone decides.
const MAX_ASKED: u64 = 20;

/// Spans by what became of them.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub exported: AtomicU64,
    /// Dropped because the queue was full.
    pub dropped: AtomicU64,
    /// Lost because the collector did not answer, or refused them.
    pub failed: AtomicU64,
}

impl SpanCounts {
    /// The counts with their names in metrics.
    pub fn by_result(&self) -> [(&'static str, &AtomicU64); 3] {
        [("exported", &self.exported), ("dropped", &self.dropped), ("failed", &self.failed)]
    }
}

/// Decides which traces are recorded, and takes their spans. Clones share the queue.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<TracerState>>);

struct TracerState {
    /// A trace is recorded when the lower 63 bits of its id are below this number, so that all
    /// processes decide alike.
    threshold: u64,
    queue: mpsc::Sender<Span>,
    counts: Arc<SpanCounts>,
    /// The second of the last traces that callers asked for, and their number in its lower bits.
    asked: AtomicU64,
}

/// The receiving end of a tracer's queue, for an exporter or a test.
pub struct SpanQueue {
    /// The spans, in the order of their ends.
    pub spans: mpsc::Receiver<Span>,
    /// Where the exporter counts.
    pub counts: Arc<SpanCounts>,
}

/// Bits of [`TracerState::asked`] that count.
const COUNT_BITS: u32 = 20;

impl Tracer {
    /// A tracer that records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// A tracer that records this share of the traces, between 0 and 1, and those that their
    /// callers record.
    pub fn with_ratio(ratio: f64) -> (Self, SpanQueue) {
        let (queue, spans) = mpsc::channel(QUEUE);
        let counts = Arc::new(SpanCounts::default());
        let threshold = threshold(ratio);
        let state =
            TracerState { threshold, queue, counts: counts.clone(), asked: AtomicU64::new(0) };
        (Self(Some(Arc::new(state))), SpanQueue { spans, counts })
    }

    /// Whether anything can be recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The counts of the spans. `None` when nothing is recorded.
    pub fn counts(&self) -> Option<&Arc<SpanCounts>> {
        self.0.as_ref().map(|state| &state.counts)
    }

    /// Whether a request is recorded. `asked` is what its caller says.
    pub fn samples(&self, trace: TraceId, asked: bool) -> bool {
        let Some(state) = &self.0 else { return false };
        let second =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        state.has_ratio(trace) || (asked && state.may_ask(second()))
    }

    /// The context of a new span for a request, when the request is recorded.
    pub fn begin(&self, trace: TraceId, caller: Option<&CallerContext>) -> Option<TraceContext> {
        let asked = caller.is_some_and(|caller| caller.is_sampled);
        let state = caller.and_then(|caller| caller.state.clone());
        let context = || TraceContext { trace, span: crate::SpanId::random(), state };
        self.samples(trace, asked).then(context)
    }

    /// Hands over a finished span. Never waits: a span that finds no room is dropped.
    pub fn record(&self, span: Span) {
        let Some(state) = &self.0 else { return };
        if state.queue.try_send(span).is_err() {
            state.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl TracerState {
    fn has_ratio(&self, trace: TraceId) -> bool {
        let lower = u64::try_from(trace.0 & u128::from(u64::MAX >> 1)).unwrap_or(u64::MAX);
        lower < self.threshold
    }

    /// Whether one more trace may be recorded in the second `now` because its caller asks for it.
    fn may_ask(&self, now: u64) -> bool {
        let count = |asked: u64| asked & ((1 << COUNT_BITS) - 1);
        let next = |asked: u64| match asked >> COUNT_BITS == now {
            true if count(asked) >= MAX_ASKED => None,
            true => Some(asked + 1),
            false => Some((now << COUNT_BITS) | 1),
        };
        self.asked.fetch_update(SeqCst, SeqCst, next).is_ok()
    }
}

/// The ids below which a trace is recorded. All of them are 63 bits, as the sampler
/// `traceidratio` of OpenTelemetry takes them.
fn threshold(ratio: f64) -> u64 {
    let all = 1_u64 << 63;
    match ratio {
        ratio if ratio >= 1.0 => all,
        ratio => (ratio.max(0.0) * all as f64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{OpenSpan, SpanKind};

    fn caller(is_sampled: bool) -> CallerContext {
        let flag = u8::from(is_sampled);
        let parent = format!("00-{}-00f067aa0ba902b7-0{flag}", TraceId::random());
        CallerContext::parse(&parent, None).unwrap()
    }

    #[test]
    fn tracer_without_settings_records_nothing() {
        let caller = caller(true);
        assert_eq!(Tracer::off().begin(caller.trace, Some(&caller)), None);
    }

    #[test]
    fn ratio_decides_by_id_alone() {
        let all = u128::from(u64::MAX >> 1);
        for (ratio, id, is_sampled) in [
            (0.0, 1, false),
            (1.0, all, true),
            (0.5, all / 2, true),
            (0.5, all / 2 + 2_000, false),
            (0.25, all / 4, true),
        ] {
            let (tracer, _queue) = Tracer::with_ratio(ratio);
            for upper in [0, 7_u128 << 64] {
                assert_eq!(tracer.samples(TraceId(upper | id), false), is_sampled, "{ratio} {id}");
            }
        }
    }

    #[test]
    fn callers_may_ask_for_a_bounded_number_of_traces() {
        let (tracer, _queue) = Tracer::with_ratio(0.0);
        let state = tracer.0.as_ref().unwrap();
        for second in [7, 8] {
            let recorded = (0..100).filter(|_| state.may_ask(second)).count();
            assert_eq!(recorded as u64, MAX_ASKED);
        }
        let asks = caller(true);
        let context = tracer.begin(asks.trace, Some(&asks)).unwrap();
        assert_eq!(context.trace, asks.trace);
        assert_eq!(tracer.begin(TraceId::random(), Some(&caller(false))), None);
    }

    #[test]
    fn full_queue_drops_and_counts_spans() {
        let (tracer, mut queue) = Tracer::with_ratio(1.0);
        let context = tracer.begin(TraceId::random(), None).unwrap();
        for _ in 0..QUEUE + 3 {
            let context = context.child();
            drop(OpenSpan::begin(tracer.clone(), context, None, "test", SpanKind::Internal));
        }
        assert_eq!(queue.counts.dropped.load(Relaxed), 3);
        let first = queue.spans.try_recv().unwrap();
        assert_eq!((first.name.as_ref(), first.context.trace), ("test", context.trace));
        assert!(first.took < Duration::from_secs(60));
    }
}
