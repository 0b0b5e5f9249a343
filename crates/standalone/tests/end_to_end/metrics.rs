//! Every exported series of a node moves when the product is used.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testing::{http::ApiRequest, patience::eventually};

use crate::{one_process::on_one_process, scenarios, world::World};

/// The limit for the last series to move.
const PATIENCE: Duration = Duration::from_secs(30);

/// Series that this test cannot move, each with its reason.
const EXCUSED: [(&str, &str); 15] = [
    ("clinicwire_intake_refused_total", "needs an unreadable record; stream/intake/tests.rs"),
    // In memory a record is read in the millisecond of its append.
    ("clinicwire_intake_lag_seconds", "needs a log that lags; stream/intake/tests.rs"),
    ("clinicwire_view_fetches_total{source=\"authority\"}", "needs an emptied view store"),
    (
        "clinicwire_view_fetches_total{source=\"remembered\"}",
        "needs a missing view asked for in a loop; hostile_sockets/loads.rs",
    ),
    ("clinicwire_intake_missed_total", "needs a record that got lost; stream/intake/tests.rs"),
    // In memory a note is written in the millisecond of its end.
    ("clinicwire_audit_notes_waiting", "needs a log that is slow; access/audit/tests.rs"),
    ("clinicwire_audit_notes_lost_total", "needs a log that refuses; access/audit/tests.rs"),
    ("clinicwire_tls_certificate_ends_seconds", "needs a certificate; certificates/tests.rs"),
    ("clinicwire_tls_reloads_total", "needs another certificate; certificates/tests.rs"),
    ("clinicwire_accept_failures_total", "needs exhausted descriptors; program.rs"),
    ("clinicwire_condition", "needs servers that fail or a node that stops; stopping.rs"),
    (
        "clinicwire_spans_total",
        "needs a collector of traces; traces.rs, telemetry/src/otlp/tests.rs",
    ),
    ("clinicwire_tenants", "needs a super admin; gateway/src/http/tests/tenants.rs"),
    // One series for each limit.
    ("clinicwire_limited_total", "needs clients past a limit; hostile_{requests,sockets}"),
    // One series for each reason of a close. Scenarios test the reasons one by one.
    ("clinicwire_closes_total", "the sum over its reasons is checked instead"),
];

/// The largest value of each series over all samples.
#[derive(Default)]
struct Samples(BTreeMap<String, f64>);

impl Samples {
    async fn take(&mut self, world: &World) {
        let text = world.api.call(world.here(), ApiRequest::get("/metrics")).await.text;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series has a value");
            let value: f64 = value.parse().expect("a value is a number");
            // A bucket of a histogram may stay empty; its count may not.
            if !series.contains("_bucket{") {
                let largest = self.0.entry(series.to_owned()).or_default();
                *largest = largest.max(value);
            }
        }
    }

    /// The series that never had a value other than zero.
    fn unmoved(&self) -> Vec<&str> {
        let excused = |series: &str| EXCUSED.iter().any(|(name, _)| series.starts_with(name));
        let still = self.0.iter().filter(|(series, value)| **value == 0.0 && !excused(series));
        still.map(|(series, _)| series.as_str()).collect()
    }

    fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum()
    }
}

/// Uses every transport, kind of channel and route that a metric distinguishes.
async fn use_the_product(world: &World) {
    scenarios::appointment_and_ticket_agree_until_end(world).await;
    scenarios::patient_follows_ticket_to_its_end(world).await;
    scenarios::folded_steps_equal_server_snapshot(world).await;
    scenarios::settings_are_read_as_they_were_written(world).await;
    scenarios::stream_begins_with_snapshot_then_steps(world).await;
    scenarios::stream_shows_run_to_its_end(world).await;
    scenarios::clerk_watches_claims_check(world).await;
    scenarios::client_ahead_of_authority_gets_snapshot(world).await;
    scenarios::invalid_channel_name_is_unknown(world).await;
    scenarios::invalid_command_closes_socket(world).await;
    follow_by_polling(world).await;
    revoke(world).await;
}

async fn revoke(world: &World) {
    let site = world.site().await;
    let body = json!({"kind": "subject", "id": "nobody"});
    let request = ApiRequest::post("/v1/revocations").token(&site.admin).json(body);
    assert!(world.api.call(world.here(), request).await.is_success());
}

/// Follows a board and settings by Socket.IO over long polling until a change arrives.
async fn follow_by_polling(world: &World) {
    let site = world.site().await;
    let base = "/socket.io/?EIO=4&transport=polling";
    let opened = world.api.call(world.here(), ApiRequest::get(base)).await.text;
    let opened: Value = serde_json::from_str(&opened[1..]).expect("an open packet");
    let session = format!("{base}&sid={}", opened["sid"].as_str().expect("a session id"));
    let send = async |packet: String| {
        let request = ApiRequest::post(&session).text(&packet);
        assert_eq!(world.api.call(world.here(), request).await.status, 200);
    };
    let poll_for = async |text: &str| {
        eventually("a packet", || async {
            let packets = world.api.call(world.here(), ApiRequest::get(&session)).await.text;
            packets.contains(text).then_some(())
        })
        .await;
    };
    send(format!("40{}", json!({"token": site.reception}))).await;
    poll_for("40{").await;
    // The settings rarely change: a follower of them alone would be gone before a sample is taken.
    for kind in ["settings", "board"] {
        let channel = format!("{kind}:{}", site.location);
        send(format!("42{}", json!(["subscribe", {"channel": channel}]))).await;
        poll_for(&channel).await;
    }
    let issued = world.issue(&site, &site.general).await;
    world.call_next(&site, &site.general, &site.room_1).await;
    poll_for(&issued.label).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exported_series_moves() {
    on_one_process(async |world| {
        let mut samples = Samples::default();
        samples.take(world).await;
        let mut using = std::pin::pin!(use_the_product(world));
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                () = &mut using => break,
                _ = every.tick() => samples.take(world).await,
            }
        }
        // Shards add up what they sent once a second.
        let deadline = Instant::now() + PATIENCE;
        while !samples.unmoved().is_empty() && Instant::now() < deadline {
            every.tick().await;
            samples.take(world).await;
        }
        let unmoved = samples.unmoved();
        assert!(unmoved.is_empty(), "these series never moved: {unmoved:#?}");
        assert!(samples.sum("clinicwire_closes_total") > 0.0);
    })
    .await;
}
