//! The swarm is a judge: these tests show that it acquits a server that keeps its promises, and names what one
//! that does not has broken.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests: what is missing fails the test, which shows the table"
)]

use std::{
    os::unix::process::ExitStatusExt,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

#[path = "scripted/clinic.rs"]
mod clinic;
#[path = "scripted/protobuf.rs"]
mod protobuf;
#[path = "scripted/server.rs"]
mod server;

use clinic::{Fault, LOCATION};
use server::{Script, serve};

const PHONES: [&str; 7] = ["phones", "--phones", "12", "--calls", "6", "--rate", "40"];
const FANOUT: [&str; 7] = ["fanout", "--listeners", "12", "--changes", "12", "--rate", "40"];
const WIDTH: [&str; 9] =
    ["width", "--dashboards", "6", "--patients", "12", "--rate", "80", "--seconds", "0.25"];
const RECONNECT: [&str; 7] = ["reconnect", "--clients", "12", "--missed", "3", "--rounds", "2"];
const TRANSPORTS: [&str; 4] = ["ws", "ws-protobuf", "sse", "socketio"];
/// Seconds until a client that is never told counts as never told.
const SHORT: [&str; 2] = ["--patience", "5"];

/// Runs the swarm; returns its exit status and the document it wrote.
async fn swarm(url: &str, args: &[&str]) -> (i32, Value) {
    let json = std::env::temp_dir().join(format!("swarm-{:x}.json", fastrand::u128(..)));
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_swarm"))
        .args([
            "--url",
            url,
            "--url",
            url,
            "--token",
            "t",
            "--location",
            LOCATION,
            "--sources",
            "2",
        ])
        .args(["--json".as_ref(), json.as_os_str()])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.signal(), None);
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let document =
        std::fs::read(&json).map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default();
    let _ = std::fs::remove_file(json);
    (output.status.code().unwrap(), document)
}

async fn against(fault: Fault, args: &[&str]) -> (i32, Value) {
    let url = serve(Script { fault, processor_runs: Box::new(|| true) }).await;
    swarm(&url, args).await
}

async fn assert_found(fault: Fault, args: &[&[&str]], breach: &str) {
    let (status, document) = against(fault, &args.concat()).await;
    assert_eq!(status, 1, "{fault:?}");
    assert!(
        document["breaches"][breach].as_u64() > Some(0),
        "{breach} is not among {}",
        document["breaches"]
    );
    assert_eq!(document["kept"], false);
}

fn figure(document: &Value, name: &str) -> f64 {
    document["figures"][name].as_f64().unwrap_or_else(|| panic!("no figure {name}"))
}

#[tokio::test]
async fn phones_of_an_honest_server_break_nothing_and_each_change_is_counted() {
    let (status, document) = against(Fault::None, &PHONES).await;
    assert_eq!((status, &document["kept"]), (0, &Value::Bool(true)));
    // 12 phones, 6 calls: the call concerns the one called and all behind.
    assert_eq!(figure(&document, "deliveries"), f64::from(12 + 11 + 10 + 9 + 8 + 7));
    assert_eq!(figure(&document, "records_seen"), 6.0);
    assert_eq!(figure(&document, "duplicates"), 0.0);
}

#[tokio::test]
async fn phones_over_sse_that_complete_their_visits_break_nothing() {
    let (status, document) =
        against(Fault::None, &[&PHONES[..], &["--complete", "--transport", "sse"]].concat()).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "calls_applied"), 6.0);
}

#[tokio::test]
async fn a_falling_offset_is_found() {
    assert_found(Fault::OffsetFalls, &[&PHONES, &SHORT], "version_fell").await;
}

#[tokio::test]
async fn a_rising_position_is_found() {
    assert_found(Fault::PositionRises, &[&PHONES], "position_rose").await;
}

#[tokio::test]
async fn a_phone_that_is_not_told_of_the_last_call_is_found() {
    assert_found(Fault::LastCallsUntold, &[&PHONES, &SHORT], "wrong_last_state").await;
}

#[tokio::test]
async fn a_publication_that_shows_nothing_new_is_found() {
    assert_found(Fault::NothingNew, &[&PHONES], "nothing_new").await;
}

#[tokio::test]
async fn a_call_out_of_order_is_found() {
    assert_found(Fault::CallsTheSecond, &[&PHONES, &SHORT], "wrong_call").await;
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_double_its_call() {
    let (status, document) = against(Fault::LosesAnswers, &PHONES).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "commands_sent_again"), 6.0);
}

#[tokio::test]
async fn a_server_that_doubles_a_repeated_call_is_found() {
    assert_found(Fault::DoublesCommands, &[&PHONES, &SHORT], "wrong_call").await;
}

#[tokio::test]
async fn refused_subscriptions_end_the_run_with_the_reason() {
    let (status, document) =
        against(Fault::RefusesSubscriptions, &[&PHONES[..], &["--patience", "1"]].concat()).await;
    assert_eq!((status, document), (2, Value::Null));
}

#[tokio::test]
async fn listeners_of_an_honest_server_fold_the_same_view() {
    for transport in TRANSPORTS {
        let (status, document) =
            against(Fault::None, &[&FANOUT[..], &["--transport", transport]].concat()).await;
        assert_eq!(status, 0, "{document}");
        assert_eq!(figure(&document, "deliveries"), 12.0 * 12.0);
    }
}

#[tokio::test]
async fn a_gap_between_two_deltas_is_found() {
    for transport in TRANSPORTS {
        assert_found(Fault::SkipsADelta, &[&FANOUT, &["--transport", transport]], "gap").await;
    }
}

#[tokio::test]
async fn clients_that_are_cut_resume_by_delta_from_an_honest_server() {
    for (transport, channel) in [
        ("ws", "queue"),
        ("sse", "board"),
        ("ws", "tickets"),
        ("ws-protobuf", "tickets"),
        ("ws-protobuf", "queue"),
        ("socketio", "load"),
        ("socketio", "tickets"),
    ] {
        let more = ["--transport", transport, "--channel", channel];
        let (status, document) = against(Fault::None, &[&RECONNECT[..], &more].concat()).await;
        assert_eq!(status, 0, "{document}");
        assert_eq!(figure(&document, "resumed_by_delta"), 24.0);
    }
}

#[tokio::test]
async fn a_server_that_forgets_what_was_missed_is_found() {
    for transport in ["ws", "ws-protobuf", "socketio"] {
        let over = ["--transport", transport];
        assert_found(Fault::ForgetsWhatWasMissed, &[&RECONNECT, &SHORT, &over], "wrong_view").await;
    }
}

#[tokio::test]
async fn a_position_below_the_one_held_is_found() {
    for transport in ["ws", "ws-protobuf", "socketio"] {
        let over = ["--transport", transport];
        assert_found(Fault::ResumesBelow, &[&RECONNECT, &SHORT, &over], "version_fell").await;
    }
}

#[tokio::test]
async fn a_new_epoch_is_found() {
    assert_found(Fault::NewEpochOnResume, &[&RECONNECT], "epoch_changed").await;
}

#[tokio::test]
async fn idle_clients_are_held_and_their_process_is_read() {
    let own = std::process::id().to_string();
    let more = ["idle", "--clients", "50", "--hold", "1", "--pid", &own];
    let (status, document) = against(Fault::None, &more).await;
    assert_eq!(status, 0, "{document}");
    let figures = document["figures"].as_object().unwrap();
    for part in ["rss_held_", "heap_", "anonymous_", "files_", "kernel_buffers_"] {
        assert!(
            figures.keys().any(|name| name.starts_with(part) && name.ends_with("_kib")),
            "{part}"
        );
    }
}

#[tokio::test]
async fn all_transports_side_by_side_break_nothing_and_each_change_is_seen() {
    let (status, document) = against(Fault::None, &WIDTH).await;
    assert_eq!(status, 0, "{document}");
    // 5 visits: each call concerns the one called and all behind, then the one called starts and ends.
    let phones = ["ws", "ws-protobuf", "sse"]
        .map(|name| figure(&document, &format!("ticket_{name}_deliveries")));
    assert_eq!(phones.iter().sum::<f64>(), f64::from(12 + 11 + 10 + 9 + 8 + 2 * 5));
    assert_eq!(figure(&document, "changes_applied"), 20.0);
    // To start a service changes nothing of this server's load.
    assert_eq!(figure(&document, "load_socketio_frames"), f64::from(6 * 3 * 5));
    assert!(figure(&document, "load_socketio_call_p50_ms") >= 0.0);
    assert!(figure(&document, "load_socketio_other_p50_ms") >= 0.0);
}

#[tokio::test]
async fn among_all_transports_a_lie_to_one_is_found() {
    assert_found(Fault::SkipsADelta, &[&WIDTH], "gap").await;
    assert_found(Fault::CallsTheSecond, &[&WIDTH, &SHORT], "wrong_call").await;
}

#[tokio::test]
async fn a_processor_that_is_killed_and_started_again_doubles_and_loses_nothing() {
    let mut processor = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = processor.id();
    let again = std::env::temp_dir().join(format!("again-{pid}"));
    let (runs, asked) = (again.clone(), AtomicBool::new(false));
    let alive = move || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The first command after the kill finds nobody, however fast the restart is.
        !stat.contains(") Z ") || (asked.swap(true, Ordering::Relaxed) && runs.exists())
    };
    let url = serve(Script { fault: Fault::None, processor_runs: Box::new(alive) }).await;
    let restart = format!("touch {}", again.display());
    let pid = pid.to_string();
    let more = ["--kill-after", "2", "--processor-pid", &pid, "--restart-cmd", &restart];
    let (status, document) = swarm(&url, &[&PHONES[..], &more].concat()).await;
    assert_eq!(processor.wait().unwrap().signal(), Some(9));
    std::fs::remove_file(again).unwrap();
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "calls_applied"), 6.0);
    assert!(figure(&document, "commands_answered_202") > 0.0);
}
