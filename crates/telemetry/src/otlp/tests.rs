//! Tests of the export over real sockets.

use std::time::UNIX_EPOCH;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{Attribute, SpanId, SpanKind, TraceContext, TraceId, Tracer};

/// The same request as the Python package `opentelemetry-proto` 1.45.2 writes it, whose code is
/// generated from the specification.
const BY_THE_SPECIFICATION: &str = "0ab7020a630a240a0c736572766963652e6e616d6512140a12636c696e696\
    3776972652d676174657761790a1a0a0f736572766963652e76657273696f6e12070a05312e322e330a1f0a13736\
    572766963652e696e7374616e63652e696412080a066e6f64652d3112cf010a130a0a636c696e696377697265120\
    5312e322e3312b7010a104bf92f3577b34da6a3ce929d0e0e4736120800f067aa0ba902b71a06726f6a6f3d31220\
    800000000000000ff2a20504f5354202f76312f7175657565732f7b71756575657d2f7b616374696f6e7d3002390\
    1002a36fe9c97174181b21045fe9c97174a2b0a0a687474702e726f757465121d0a1b2f76312f7175657565732f7\
    b71756575657d2f7b616374696f6e7d4a200a19687474702e726573706f6e73652e7374617475735f636f6465120\
    318f7037a021802";

fn settings(endpoint: &str) -> OtlpSettings {
    OtlpSettings {
        endpoint: parse_endpoint(endpoint).unwrap(),
        headers: parse_headers("authorization=Bearer 7,x-team=clinic").unwrap(),
        service: "clinicwire-gateway",
        version: "1.2.3",
        instance: "node-1".to_owned(),
    }
}

fn span() -> Span {
    let route = "/v1/queues/{queue}/{action}";
    Span {
        context: TraceContext {
            trace: TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
            span: SpanId(0x00f0_67aa_0ba9_02b7),
            state: Some("rojo=1".into()),
        },
        parent: Some(SpanId(0xff)),
        name: format!("POST {route}").into(),
        kind: SpanKind::Server,
        begin: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001),
        took: Duration::from_millis(250),
        attributes: vec![Attribute::Route(route.to_owned()), Attribute::Status(503)],
        has_failed: true,
    }
}

#[test]
fn request_is_what_the_specification_says() {
    let body = messages::request(&settings("http://collector:4318"), &[span()]).encode_to_vec();
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, BY_THE_SPECIFICATION);
}

#[test]
fn address_of_traces_is_below_the_endpoint() {
    for (endpoint, url) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://otlp.example/clinic/", "https://otlp.example/clinic/v1/traces"),
    ] {
        assert_eq!(traces_url(&parse_endpoint(endpoint).unwrap()).as_str(), url);
    }
    for wrong in ["", "collector:4318", "ftp://collector"] {
        assert!(parse_endpoint(wrong).is_err(), "{wrong}");
    }
    assert!(parse_headers("no value").is_err());
    assert!(parse_headers("").unwrap().is_empty());
}

/// Reads one request, answers it with `status`, and returns its head and body.
async fn take_request(listener: &TcpListener, status: &str) -> (String, Vec<u8>) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    loop {
        socket.read_buf(&mut read).await.unwrap();
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let body = read.split_off(end + 4);
        let mut body = body;
        while body.len() < length {
            socket.read_buf(&mut body).await.unwrap();
        }
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        return (head, body);
    }
}

#[tokio::test]
async fn last_spans_leave_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tracer, queue) = Tracer::with_ratio(1.0);
    let counts = queue.counts.clone();
    let exporter = Exporter::start(settings(&address), queue).unwrap();
    tracer.record(span());
    let ((head, body), ()) = tokio::join!(take_request(&listener, "200 OK"), exporter.finish());
    assert!(head.starts_with("post /v1/traces"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.contains("authorization: bearer 7"), "{head}");
    let request = messages::ExportRequest::decode(&*body).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans.len(), 1);
    assert_eq!(counts.exported.load(Relaxed), 1);
}

#[tokio::test]
async fn refused_and_unreachable_spans_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    for (refuses, lost) in [(true, 1), (false, 2)] {
        let (tracer, queue) = Tracer::with_ratio(1.0);
        let counts = queue.counts.clone();
        let endpoint = if refuses { &address } else { "http://127.0.0.1:1" };
        let exporter = Exporter::start(settings(endpoint), queue).unwrap();
        (0..lost).for_each(|_| tracer.record(span()));
        if refuses {
            tokio::join!(take_request(&listener, "503 No"), exporter.finish());
        } else {
            exporter.finish().await;
        }
        assert_eq!(counts.failed.load(Relaxed), lost);
        assert_eq!(counts.exported.load(Relaxed), 0);
    }
}
