//! The spans of sampled records in a shard: one for each slice of listeners of a view that such a
//! record changes, and one for each of the first tickets of a queue. Other records cost one look at
//! an empty table for each changed view, and nothing for each frame.

use std::collections::HashMap;

use gateway_core::subscription::HotViewId;
use telemetry::{Attribute, OpenSpan, SpanKind, TraceContext, TraceId};

use super::{
    Shard,
    hot_view::{HotView, HotViewKind},
};

/// Most tickets of a queue that have a span of their own. Past it, tickets are served without: a
/// line of 10,000 tickets would fill the queue of spans.
const MAX_TICKETS: usize = 8;

/// Views that sampled records changed since they were last sent, each with its newest record. An
/// entry leaves with its view, so there are no more than views.
#[derive(Default)]
pub struct TracedViews(HashMap<HotViewId, TraceContext>);

impl TracedViews {
    pub fn add(&mut self, id: HotViewId, record: &TraceContext) {
        self.0.insert(id, record.clone());
    }

    pub fn take(&mut self, id: HotViewId) -> Option<TraceContext> {
        if self.0.is_empty() { None } else { self.0.remove(&id) }
    }
}

/// The delivery of one view to a slice of its listeners, under way.
pub struct TracedDelivery {
    span: OpenSpan,
    record: TraceContext,
    sent_before: u64,
}

impl TracedDelivery {
    pub(super) fn trace(&self) -> TraceId {
        self.record.trace
    }
}

impl Shard {
    /// Begins the delivery of a changed view, if its record is sampled.
    pub(super) fn begin_delivery(&mut self, id: HotViewId) {
        let Some(record) = self.views.take_trace(id) else { return };
        let kind = match self.views.find(id).map(|view| &view.kind) {
            Some(HotViewKind::Keyed(keyed)) => keyed.channel.kind(),
            Some(HotViewKind::Ticket(_)) => "ticket",
            None => return,
        };
        let tracer = self.context.node.tracer.clone();
        let (context, parent) = (record.child(), Some(record.span));
        let name = format!("deliver {kind}");
        let mut span = OpenSpan::begin(tracer, context, parent, name, SpanKind::Internal);
        span.add(Attribute::Channel(kind));
        let sent_before = self.connections.frames_sent();
        self.delivery = Some(TracedDelivery { span, record, sent_before });
    }

    /// Ends the delivery. What is left of the view is delivered later: its other listeners, a step
    /// that its pace holds back, and the tickets of a queue.
    pub(super) fn end_delivery(&mut self, id: HotViewId) {
        let Some(TracedDelivery { mut span, record, sent_before }) = self.delivery.take() else {
            return;
        };
        let frames = self.connections.frames_sent() - sent_before;
        if frames == 0 {
            span.discard();
        } else {
            span.add(Attribute::Frames(frames));
            drop(span);
        }
        let Some(keyed) = self.views.find(id).and_then(HotView::keyed) else { return };
        let later = match keyed.fanout.is_some() || keyed.step.is_some() {
            true => vec![id],
            false => keyed.tickets.iter().take(MAX_TICKETS).copied().collect(),
        };
        for id in later {
            self.views.add_trace(id, &record);
        }
    }
}
