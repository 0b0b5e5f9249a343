//! The scenario `runs` against a scripted claims service: it finds no breach of an honest one, and
//! names the breach of each dishonest one.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::{
    bureau::{Fault, serve},
    figure, swarm,
};

const RUNS: [&str; 7] = ["runs", "--rows", "600", "--runs", "6", "--violations", "0.05"];

/// Runs the scenario with tokens of several tenants.
async fn judge(url: &str, args: &[&str]) -> (i32, Value) {
    let target = ["--url", url, "--url", url, "--insecure-development-key=any words"];
    swarm(&[&target[..], &RUNS, args].concat()).await
}

async fn against(fault: Fault, args: &[&str]) -> (i32, Value) {
    let (url, _) = serve(fault, (0, 1)).await;
    judge(&url, args).await
}

async fn assert_found(fault: Fault, args: &[&str], breach: &str) {
    let (status, document) = against(fault, args).await;
    assert_eq!(status, 1, "{fault:?}");
    let counted = document["breaches"][breach].as_u64();
    assert_eq!(counted, Some(6), "{breach} of each run is not in {}", document["breaches"]);
    let others = document["breaches"].as_object().unwrap().len();
    assert_eq!(others, 1, "nothing but {breach} is broken: {}", document["breaches"]);
}

#[tokio::test]
async fn honest_runs_are_measured() {
    let (status, document) = against(Fault::None, &["--tenants", "3"]).await;
    assert_eq!((status, &document["kept"]), (0, &Value::Bool(true)), "{document}");
    assert_eq!(figure(&document, "runs_over"), 6.0);
    assert_eq!(figure(&document, "rules_not_planted_for"), 0.0);
    assert_eq!(figure(&document, "mean_place_if_fair"), 3.5);
    assert_eq!(figure(&document, "records_of_a_run_max"), 5.0);
    let places: f64 =
        (1..=3).map(|tenant| figure(&document, &format!("mean_place_t-{tenant}"))).sum();
    assert_eq!(places, 3.0 * 3.5, "each tenant has two of the six places");
    let first = |what: &str| figure(&document, &format!("accepted_to_{what}_max_ms"));
    assert!(first("first_progress") <= first("first_finding"));
    assert!(first("first_finding") <= first("end"));
}

#[tokio::test]
async fn at_once_limits_open_runs() {
    let (url, bureau) = serve(Fault::None, (0, 1)).await;
    let (status, document) = judge(&url, &["--tenants", "1", "--at-once", "1"]).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(bureau.most_open.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn viewers_see_what_the_clerk_sees() {
    let (url, _) = serve(Fault::None, (6, 1 + 20)).await;
    let viewers = ["--tenants", "2", "--viewers", "20", "--at-once", "1"];
    let (status, document) = judge(&url, &viewers).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "viewed_run_records"), 5.0);
    assert_eq!(figure(&document, "viewed_run_deliveries_to_its_clerk"), 4.0);
    for end in ["min", "max"] {
        assert_eq!(figure(&document, &format!("viewed_run_deliveries_to_a_viewer_{end}")), 4.0);
    }
}

#[tokio::test]
async fn refused_request_is_repeated_with_one_effect() {
    let (status, document) = against(Fault::RefusesOnce, &["--tenants", "2"]).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "commands_sent_again"), 12.0);
    assert_eq!(figure(&document, "runs_over"), 6.0);
}

#[tokio::test]
async fn second_attempt_is_counted_and_no_breach() {
    let (status, document) = against(Fault::SecondAttempt, &["--tenants", "2"]).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "attempts_made_again"), 6.0);
}

#[tokio::test]
async fn falling_progress_is_found() {
    assert_found(Fault::ProgressFalls, &[], "progress_fell").await;
}

#[tokio::test]
async fn second_end_is_found() {
    let (status, document) = against(Fault::EndsTwice, &[]).await;
    assert_eq!(
        (status, document["breaches"]["changed_after_end"].as_u64()),
        (1, Some(6)),
        "{document}"
    );
}

#[tokio::test]
async fn missing_end_is_found() {
    assert_found(Fault::NeverEnds, &["--within", "2"], "never_arrived").await;
}

#[tokio::test]
async fn failed_run_is_found() {
    assert_found(Fault::Fails, &[], "not_completed").await;
}

#[tokio::test]
async fn different_snapshot_is_found() {
    assert_found(Fault::SnapshotDiffers, &[], "wrong_view").await;
}

#[tokio::test]
async fn omitted_finding_is_found() {
    let (status, document) = against(Fault::OmitsFinding, &[]).await;
    assert_eq!(status, 1);
    let breaches = document["breaches"].as_object().unwrap();
    assert_eq!(breaches.keys().collect::<Vec<_>>(), ["wrong_findings"]);
    let missed = |example: &Value| example.as_str().unwrap().contains("1 missed, 0 invented");
    assert!(document["examples"].as_array().unwrap().iter().any(missed), "{document}");
}

#[tokio::test]
async fn refused_runs_are_found() {
    assert_found(Fault::RefusesRuns, &[], "command_failed").await;
}

#[tokio::test]
async fn missing_tokens_error_names_the_option() {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_swarm"))
        .args(["--url", "http://127.0.0.1:1", "runs"])
        .env_remove("CLINICWIRE_INSECURE_DEVELOPMENT_KEY")
        .env_remove("READY_FILE")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--insecure-development-key"));
}
