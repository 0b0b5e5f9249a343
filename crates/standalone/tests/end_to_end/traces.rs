//! The trace of one call, over the processes that it passes, as a collector gets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prost::Message;
use serde_json::json;
use telemetry::otlp::messages::{ExportRequest, KeyValue, Value, WireSpan};
use testing::{
    follower::ChannelFollower, http::ApiRequest, patience::eventually, receiver::Receiver,
};

use crate::{installation::Installation, real_servers::TURN, world::World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// A text that a caller puts wherever a careless span would copy it from.
const CANARY: &str = "Zq7Canary";

/// A span with the process that sent it.
#[derive(Clone)]
struct CollectedSpan {
    /// The program and the instance.
    process: (String, String),
    span: WireSpan,
}

impl CollectedSpan {
    fn attribute(&self, name: &str) -> Option<&Value> {
        find(&self.span.attributes, name)
    }
}

fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    match find(attributes, name) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of [`TRACE`] that the collector has.
fn collected(collector: &Receiver) -> Vec<CollectedSpan> {
    let mut spans = Vec::new();
    for request in collector.taken() {
        assert_eq!(request.path, "/v1/traces");
        for of_process in ExportRequest::decode(request.bytes).unwrap().resource_spans {
            let resource = of_process.resource.unwrap().attributes;
            let process = (text(&resource, "service.name"), text(&resource, "service.instance.id"));
            let all = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let ours = all.filter(|span| hex(&span.trace_id) == TRACE);
            spans.extend(ours.map(|span| CollectedSpan { process: process.clone(), span }));
        }
    }
    spans
}

/// The spans of the call, with their depth: what caused each is a line above it, less indented.
fn tree(spans: &[CollectedSpan]) -> Vec<String> {
    let mut below: BTreeMap<String, Vec<&CollectedSpan>> = BTreeMap::new();
    for span in spans {
        below.entry(hex(&span.span.parent_span_id)).or_default().push(span);
    }
    let mut lines = Vec::new();
    let mut open = vec![(0, CALLER.to_owned())];
    while let Some((depth, id)) = open.pop() {
        let mut children = below.remove(&id).unwrap_or_default();
        children.sort_by_key(|child| child.span.start_time_unix_nano);
        if depth > 0 {
            let span = spans.iter().find(|span| hex(&span.span.span_id) == id).unwrap();
            lines.push(format!("{}{} {}", "  ".repeat(depth - 1), span.process.0, span.span.name));
        }
        let children = children.iter().rev();
        open.extend(children.map(|child| (depth + 1, hex(&child.span.span_id))));
    }
    assert!(below.is_empty(), "these spans have no parent: {:?}", below.keys());
    lines
}

/// Each part of the way of a call that a phone sees.
const PARTS: [(&str, &str); 10] = [
    ("clinicwire-gateway", "POST /v1/queues/{queue}/{action}"),
    ("clinicwire-gateway", "send clinicwire.care.v1"),
    ("clinicwire-processors", "process clinicwire.care.v1"),
    ("clinicwire-processors", "decide"),
    ("clinicwire-processors", "commit"),
    ("clinicwire-processors", "store views"),
    ("clinicwire-processors", "send clinicwire.views.v1"),
    ("clinicwire-gateway", "receive clinicwire.views.v1"),
    ("clinicwire-gateway", "deliver queue"),
    ("clinicwire-gateway", "deliver ticket"),
];

fn parts(spans: &[CollectedSpan]) -> BTreeSet<(&str, &str)> {
    spans.iter().map(|span| (span.process.0.as_str(), span.span.name.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_is_one_trace_over_three_processes() {
    let _turn = TURN.lock().await;
    let collector = Receiver::serve().await;
    let mut installation = Installation::start_with(vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.clone()),
        // Every request is traced, so that the search for names below sees all of them.
        ("CLINICWIRE_TRACE_RATIO", "1".to_owned()),
    ])
    .await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let site = world.site().await;
    let mine = world.issue(&site, &site.general).await;
    let channel = format!("ticket:{}", mine.ticket);
    let mut phone = ChannelFollower::start(world.here(), &world.patient(&[&mine]), &channel).await;
    phone.until("its place", |phone| phone.state()["state"] == "waiting").await;
    let channel = format!("queue:{}", site.general);
    let mut desk = ChannelFollower::start(world.here(), &site.reception, &channel).await;
    desk.until("the line", |desk| desk.view.entries.contains_key(mine.ticket.as_str())).await;

    let path = format!("/v1/queues/{}/call-next?note={CANARY}", site.general);
    let call = ApiRequest::post(&path)
        .token(&site.reception)
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("tracestate", "rojo=00f067aa0ba902b7")
        .header("baggage", format!("patient={CANARY}"))
        .header("user-agent", CANARY)
        .json(json!({"station": site.room_1}));
    let answer = world.api.settle(world.there(), call).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    phone.until("the call", |phone| phone.state()["state"] == "called").await;

    let spans = eventually("the spans of the call", || async {
        let spans = collected(&collector);
        PARTS.iter().all(|part| parts(&spans).contains(part)).then_some(spans)
    })
    .await;
    let lines = tree(&spans);
    assert_eq!(lines.len(), spans.len(), "one tree has all spans: {lines:#?}");
    assert!(lines[0].ends_with(PARTS[0].1), "{lines:#?}");
    let processes: BTreeSet<_> = spans.iter().map(|span| &span.process).collect();
    assert_eq!(processes.len(), 3, "{processes:?}");
    for span in &spans {
        assert_eq!(span.span.trace_state, "rojo=00f067aa0ba902b7");
        assert!(span.span.end_time_unix_nano >= span.span.start_time_unix_nano);
    }
    let frame = spans.iter().find(|span| span.span.name == "deliver ticket").unwrap();
    assert_eq!(frame.attribute("clinicwire.frames"), Some(&Value::Number(1)));
    let decided = spans.iter().find(|span| span.span.name.starts_with("process")).unwrap();
    assert_eq!(decided.attribute("clinicwire.result"), Some(&Value::Text("applied".into())));

    installation.stop().await;
    // The last spans have left with their processes.
    let (_, bits) = mine.ticket.rsplit_once('.').unwrap();
    let named = [CANARY, bits, mine.label.as_str(), site.location.as_str(), "Testing", "eyJ"];
    for request in collector.taken() {
        let body = String::from_utf8_lossy(&request.bytes);
        let found: Vec<_> = named.iter().filter(|name| body.contains(**name)).collect();
        assert!(found.is_empty(), "a span names somebody or something: {found:?}");
    }
}
