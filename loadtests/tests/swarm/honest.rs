//! The real server keeps every promise in every scenario and over every transport.

use serde_json::Value;

use crate::{clinic::Clinic, figure};

async fn judge(args: &[&[&str]]) -> Value {
    let clinic = Clinic::start().await;
    let (status, document) = clinic.judge(&args.concat()).await;
    clinic.stop().await;
    assert_eq!((status, &document["kept"]), (0, &Value::Bool(true)), "{document}");
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_short_line_are_delivered() {
    // The first ten in line get every step. A call changes the called ticket and all behind it. The
    // calls after the fourth go to stations where somebody is still called, who becomes absent.
    let document = judge(&[&["phones", "--phones", "10", "--calls", "6", "--rate", "40"]]).await;
    // A busy server merges calls: then a phone gets one publication for several.
    let each = f64::from(10 + 9 + 8 + 7 + 6 + 5 + 2);
    assert!((10.0..=each).contains(&figure(&document, "deliveries")), "{document}");
    assert!((1.0..=6.0).contains(&figure(&document, "records_seen")), "{document}");
    assert_eq!(figure(&document, "duplicates"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_over_sse_see_completed_visits() {
    let phones = ["phones", "--phones", "12", "--calls", "6", "--rate", "40"];
    let document = judge(&[&phones, &["--complete", "--transport", "sse"]]).await;
    assert_eq!(figure(&document, "calls_applied"), 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_on_every_transport_fold_the_same_view() {
    let fanout = ["fanout", "--listeners", "12", "--changes", "12", "--rate", "40"];
    for transport in ["ws", "ws-protobuf", "sse", "socketio"] {
        let document = judge(&[&fanout, &["--transport", transport]]).await;
        // Every listener gets the last change, and a busy server merges others into it.
        let deliveries = figure(&document, "deliveries");
        assert!((12.0..=12.0 * 12.0).contains(&deliveries), "{transport} {document}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_clients_resume_by_delta() {
    let reconnect = ["reconnect", "--clients", "12", "--missed", "3", "--rounds", "2"];
    for (transport, channel) in [
        ("ws", "queue"),
        ("ws", "tickets"),
        ("ws-protobuf", "tickets"),
        ("ws-protobuf", "queue"),
        ("sse", "board"),
        ("socketio", "load"),
        ("socketio", "tickets"),
    ] {
        let over = ["--transport", transport, "--channel", channel];
        let document = judge(&[&reconnect, &over]).await;
        assert_eq!(figure(&document, "resumed_by_delta"), 24.0, "{transport} {channel}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_have_memory_figures() {
    let pid = std::process::id().to_string();
    let document = judge(&[&["idle", "--clients", "50", "--hold", "1", "--pid", &pid]]).await;
    let figures = document["figures"].as_object().unwrap();
    for part in ["rss_held_", "heap_", "anonymous_", "files_", "kernel_buffers_"] {
        let is_part = |name: &String| name.starts_with(part) && name.ends_with("_kib");
        assert!(figures.keys().any(is_part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn width_covers_all_transports() {
    let width =
        ["width", "--dashboards", "6", "--patients", "12", "--rate", "80", "--seconds", "0.25"];
    let document = judge(&[&width]).await;
    assert_eq!(figure(&document, "changes_applied"), 20.0);
    for transport in ["ws", "ws-protobuf", "sse"] {
        let deliveries = figure(&document, &format!("ticket_{transport}_deliveries"));
        assert!(deliveries > 0.0, "{transport}");
    }
    assert!(figure(&document, "load_socketio_frames") >= 6.0);
    assert!(figure(&document, "load_socketio_call_p50_ms") >= 0.0);
    assert!(figure(&document, "load_socketio_other_p50_ms") >= 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_of_a_short_day_is_served_once() {
    let shape = ["--seconds", "1", "--peak-seconds", "0.5", "--rate", "12", "--peak-rate", "40"];
    let document = judge(&[&["day", "--stations", "4"], &shape]).await;
    assert_eq!(figure(&document, "people"), f64::from(3 + 20 + 3));
    assert!(figure(&document, "peak_check_in_p95_ms") > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_have_figures_for_each_length_of_the_line() {
    let snapshots = ["reads", "--rate", "100", "--seconds", "0.2"];
    let tickets = ["--lines", "2,5", "--tickets", "4", "--ticket-rate", "100"];
    let document = judge(&[&snapshots, &tickets]).await;
    for name in ["snapshot_p95_ms", "ticket_of_2_p50_ms", "ticket_of_5_p95_ms"] {
        assert!(figure(&document, name) > 0.0, "{name}");
    }
}
