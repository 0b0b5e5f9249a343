//! Each breach of the server, simulated by a proxy, and the swarm's verdict.

use std::{
    os::unix::process::ExitStatusExt,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

use crate::{
    assert_breach,
    clinic::Clinic,
    figure,
    proxy::{Fault, Proxy},
};

const PHONES: [&str; 7] = ["phones", "--phones", "12", "--calls", "6", "--rate", "40"];
const FANOUT: [&str; 7] = ["fanout", "--listeners", "12", "--changes", "12", "--rate", "40"];
const RECONNECT: [&str; 7] = ["reconnect", "--clients", "12", "--missed", "3", "--rounds", "2"];
/// Seconds until a client that gets no publication counts as missing one.
const SHORT: [&str; 2] = ["--patience", "5"];

async fn judge(fault: Fault, args: &[&[&str]]) -> (i32, Value) {
    let clinic = Clinic::start().await;
    let verdict = clinic.judge_through(Proxy::new(fault), &args.concat()).await;
    clinic.stop().await;
    verdict
}

macro_rules! breaches {
    ($($test:ident: $fault:ident, $scenario:expr, $breach:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (status, document) = judge(Fault::$fault, &[&$scenario, &SHORT]).await;
            assert_breach(status, &document, $breach);
        }
    )*};
}

breaches! {
    falling_offset_is_found: OffsetFalls, PHONES, "version_fell";
    rising_position_is_found: PositionRises, PHONES, "position_rose";
    missing_last_publication_is_found: LastCallsMissing, PHONES, "wrong_last_state";
    publication_without_news_is_found: NothingNew, PHONES, "nothing_new";
    call_out_of_order_is_found: WrongCall, PHONES, "wrong_call";
    doubled_command_is_found: DoubledCommands, PHONES, "wrong_call";
    missing_delta_is_found: MissingDelta, FANOUT, "gap";
    forgotten_publications_are_found: MissedIsForgotten, RECONNECT, "wrong_view";
    resuming_below_held_position_is_found: ResumesBelow, RECONNECT, "version_fell";
    new_epoch_is_found: NewEpochOnResume, RECONNECT, "epoch_changed";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answer_does_not_double_its_call() {
    let (status, document) = judge(Fault::LostAnswers, &[&PHONES]).await;
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "commands_sent_again"), 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_subscriptions_end_the_run() {
    let (status, document) = judge(Fault::RefusedSubscriptions, &[&PHONES, &SHORT]).await;
    assert_eq!((status, document), (2, Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processor_is_restarted_and_loses_nothing() {
    let mut processor = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = processor.id();
    let restarted = std::env::temp_dir().join(format!("restarted-{pid}"));
    let (path, asked) = (restarted.clone(), AtomicBool::new(false));
    let runs = move || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The first command after the kill meets no processor, however fast the restart is.
        !stat.contains(") Z ") || (asked.swap(true, Ordering::Relaxed) && path.exists())
    };
    let clinic = Clinic::start().await;
    let (pid, restart) = (pid.to_string(), format!("touch {}", restarted.display()));
    let outage = ["--kill-after", "2", "--processor-pid", &pid, "--restart-cmd", &restart];
    let proxy = Proxy::with_processor(runs);
    let (status, document) = clinic.judge_through(proxy, &[&PHONES[..], &outage].concat()).await;
    clinic.stop().await;
    assert_eq!(processor.wait().unwrap().signal(), Some(9));
    std::fs::remove_file(restarted).unwrap();
    assert_eq!(status, 0, "{document}");
    assert_eq!(figure(&document, "calls_applied"), 6.0);
    assert!(figure(&document, "commands_answered_202") > 0.0);
}
