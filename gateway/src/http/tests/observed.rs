//! What operators see of requests: spans, exemplars and pseudonyms in log lines.

use std::io;

use telemetry::{SpanKind, Tracer};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::access::pseudonyms::PseudonymKey;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn sampled_command_has_spans_and_exemplar() {
    let (tracer, mut queue) = Tracer::with_ratio(0.0);
    let node = node_of(Settings { tracer, limits: LimitSettings::off(), ..test_settings() });
    let path = format!("/v1/tickets/{TICKET}/start");
    let bearer = format!("Bearer {}", token(Role::Reception));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("authorization", bearer.as_str()), ("traceparent", parent.as_str())];
    let answer = node.send("POST", &path, &headers, "").await;
    assert!(answer.header("traceparent").starts_with(&format!("00-{TRACE}-")));
    let (sent, served) = (queue.spans.try_recv().unwrap(), queue.spans.try_recv().unwrap());
    assert_eq!(served.name, "POST /v1/tickets/{ticket}/{action}");
    assert_eq!(served.parent.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!((sent.name.as_ref(), sent.kind), ("send clinicwire.care.v1", SpanKind::Producer));
    assert_eq!(sent.parent, Some(served.context.span));
    assert_eq!(sent.context.trace.to_string(), TRACE);

    let accept = [("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain")];
    let metrics = node.send("GET", "/metrics", &accept, "").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let is_exemplar = |line: &str| {
        line.starts_with(
            "clinicwire_http_request_seconds_bucket{class=\"2xx\",route=\"/v1/tickets/",
        ) && line.contains(&format!(" # {{trace_id=\"{TRACE}\"}} "))
    };
    assert_eq!(metrics.text.lines().filter(|line| is_exemplar(line)).count(), 1);
    for line in metrics.text.lines().filter(|line| line.ends_with(" counter")) {
        assert!(!line.contains("_total"), "{line}");
    }
    assert!(metrics.text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn request_without_sampling_has_no_span_and_no_mark() {
    let (tracer, mut queue) = Tracer::with_ratio(0.0);
    let node = node_of(Settings { tracer, limits: LimitSettings::off(), ..test_settings() });
    let answer =
        node.ask(Role::Reception, "POST", &format!("/v1/tickets/{TICKET}/start"), "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("traceparent").ends_with("-00"));
    assert!(queue.spans.try_recv().is_err());
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines of a node that finds a view which it cannot read.
async fn lines_of(settings: Settings) -> String {
    let lines = Lines::default();
    let node = node_of(settings);
    let broken = View {
        position: Position { epoch: 7, version: 17 },
        at: 1_000,
        entries: [(TICKET_KEY.to_owned(), raw(&json!("no place")))].into_iter().collect(),
    };
    node.fakes.views.lock().unwrap().insert(format!("ticket:{TICKET}"), broken);
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let _captured = tracing::subscriber::set_default(subscriber);
    let answer = node.ask(Role::Patient, "GET", &format!("/v1/tickets/{TICKET}"), "").await;
    assert_eq!(answer.status, 500);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn lines_name_a_caller_by_pseudonym_if_there_is_a_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a key of at least 32 characters, for a test").unwrap();
    let key = PseudonymKey::read(file.path()).unwrap();
    let caller = format!("\"caller\":\"{}\"", key.pseudonym("demo", "subject-1"));
    let pseudonym_key_file = Some(file.path().to_owned());
    let settings = || Settings { limits: LimitSettings::off(), ..test_settings() };
    let named = lines_of(Settings { pseudonym_key_file, ..settings() }).await;
    assert!(named.contains(&caller) && named.contains("\"request_id\""), "{named}");
    assert!(!named.contains("subject-1") && !named.contains(TICKET), "{named}");
    let unnamed = lines_of(settings()).await;
    assert!(unnamed.contains("\"request_id\"") && !unnamed.contains("\"caller\""), "{unnamed}");
}
