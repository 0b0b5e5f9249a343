//! Checks of claims files, followed by their clerk.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::json;
use testing::claims_files::planted;
use testing::{follower::ChannelFollower, http::ApiRequest};

use crate::{
    clerk::{Clerk, export, is_over},
    stream::{self, Stream},
    world::World,
};

/// Follows a run to its end and checks every published state against the contract.
async fn watch(world: &World, token: &str, run: &str) -> ChannelFollower {
    let mut clerk = ChannelFollower::start(world.here(), token, &format!("run:{run}")).await;
    let mut shown = (0, 0);
    while !is_over(&clerk.entry("run")) {
        clerk.next().await.expect("the socket stays");
        let now =
            (clerk.entry("run")["attempt"].as_u64(), clerk.entry("progress")["permille"].as_u64());
        let now = (now.0.unwrap_or(0), now.1.unwrap_or(0));
        assert!(now.0 > shown.0 || now.1 >= shown.1, "the percent fell: {now:?} after {shown:?}");
        shown = now;
    }
    clerk
}

pub async fn clerk_watches_claims_check(world: &World) {
    let clerk = Clerk::with_all_rules(world).await;
    let export = export(6_000, 1);
    let run = clerk.check(&export.bytes).await;
    let shown = watch(world, &clerk.editor, &run).await;
    let head = shown.entry("run");
    assert_eq!((&head["state"], &head["attempt"]), (&json!("completed"), &json!(1)), "{head}");
    assert_eq!(head["summary"]["rows"], 6_000);
    assert_eq!(shown.entry("progress")["permille"], 1000);
    assert_eq!(head["summary"]["counts"], shown.entry("counts"));

    let findings = clerk.findings(&run, "").await;
    let missing = export.planted.iter().filter(|one| one.outcome.as_str().contains("pass")).count();
    let listed: Vec<_> = export
        .planted
        .iter()
        .filter(|one| !one.outcome.as_str().contains("pass"))
        .cloned()
        .collect();
    let difference = planted::compare(&listed, &findings);
    assert!(difference.is_empty() && missing > 0, "{}", difference.describe());
    let count = |severity: &str| shown.entry("counts")[severity].as_u64().unwrap();
    assert_eq!(findings.len() as u64, count("error") + count("warning") + count("optimisation"));
    let places: Vec<_> = findings.iter().map(schemas::finding::Finding::sort_key).collect();
    assert!(places.is_sorted(), "errors first, then optimisations by gain");
    let first = shown.view.entries.keys().filter(|key| key.starts_with("finding:")).count();
    assert_eq!(first, findings.len().min(100));
    for rule in testing::claims_files::rules::planted().iter().filter(|rule| rule.enabled) {
        assert!(
            shown.entry(&format!("rule:{}", rule.id))["took_us"].is_u64(),
            "{} never ended",
            rule.id
        );
    }
    let again = clerk.get(&clerk.viewer, &format!("/v1/runs/{run}")).await;
    assert_eq!(again.body, shown.as_snapshot(), "the end is readable later");
}

pub async fn repeated_run_request_starts_one_run(world: &World) {
    let clerk = Clerk::new(world);
    let file = clerk.upload(&export(50, 2).bytes).await;
    let body = json!({"file": file});
    let first = clerk.request(body.clone(), Some("march")).await;
    let again = clerk.request(body, Some("march")).await;
    assert_eq!((first.status, again.status), (202, 202), "{} {}", first.body, again.body);
    assert_eq!(first.body, again.body);
    let run = first.body["run"].as_str().unwrap();
    clerk.head(run, is_over).await;
    let list = clerk.get(&clerk.editor, "/v1/runs").await;
    assert_eq!(list.body["runs"].as_array().map(Vec::len), Some(1), "{}", list.body);
    assert_eq!(list.body["runs"][0]["run"], run);
}

pub async fn foreign_file_fails_with_evidence(world: &World) {
    let clerk = Clerk::new(world);
    for (bytes, code) in [
        (&b"Nom;Adresse\nA;B\n"[..], "file_not_an_export"),
        (&b"\x00\x01\x02\x03;\x00\n"[..], "file_not_text"),
    ] {
        let run = clerk.check(bytes).await;
        let head = watch(world, &clerk.editor, &run).await.entry("run");
        assert_eq!(
            (&head["state"], &head["failure"]["code"]),
            (&json!("failed"), &json!(code)),
            "{head}"
        );
        assert_eq!(
            (&head["failure"]["retryable"], &head["attempt"]),
            (&json!(false), &json!(1)),
            "{head}"
        );
        let params = head["failure"]["params"].as_object().expect("it says where");
        assert!(!params.is_empty(), "{head}");
        let retry =
            ApiRequest::post(&format!("/v1/runs/{run}/retry")).token(&clerk.editor).json(json!({}));
        let answer = world.api.settle(world.there(), retry).await;
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("run_not_retryable")));
    }
    let unknown = clerk.request(json!({"file": format!("f_{:032x}", 7)}), None).await;
    assert_eq!(
        (unknown.status, &unknown.body["code"]),
        (404, &json!("file_unknown")),
        "{}",
        unknown.body
    );
}

pub async fn unreadable_row_does_not_stop_check(world: &World) {
    let clerk = Clerk::new(world);
    let mut text = String::from_utf8_lossy(&export(20, 3).bytes).into_owned();
    text.push_str("too;few;cells\n");
    let run = clerk.check(text.as_bytes()).await;
    let head = watch(world, &clerk.editor, &run).await.entry("run");
    assert_eq!(head["state"], "completed", "{head}");
    let findings = clerk.findings(&run, "&rule=file").await;
    assert_eq!(
        findings.iter().map(|finding| finding.outcome.as_str()).collect::<Vec<_>>(),
        ["row_unreadable"]
    );
}

pub async fn running_check_can_be_cancelled(world: &World) {
    let clerk = Clerk::with_all_rules(world).await;
    let run = clerk.check(&export(60_000, 4).bytes).await;
    let mut shown =
        ChannelFollower::start(world.here(), &clerk.editor, &format!("run:{run}")).await;
    shown
        .until("the check to begin", |shown| {
            shown.entry("progress")["rows_done"].as_u64() > Some(0)
        })
        .await;
    let path = format!("/v1/runs/{run}/cancel");
    world.apply(&clerk.editor, Method::POST, path.clone(), json!({})).await;
    shown.until("the end", |shown| is_over(&shown.entry("run"))).await;
    assert_eq!(shown.entry("run")["state"], "cancelled");
    assert_eq!(
        clerk.findings(&run, "").await.len(),
        0,
        "a run that did not complete has no findings to list"
    );
    let again = world
        .api
        .settle(world.there(), ApiRequest::post(&path).token(&clerk.editor).json(json!({})))
        .await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("run_over")));
}

pub async fn run_is_visible_to_clerk_viewers_and_admins(world: &World) {
    let clerk = Clerk::new(world);
    let run = clerk.check(&export(50, 5).bytes).await;
    clerk.head(&run, is_over).await;
    let in_tenant =
        |role: &str, sub: &str| world.token(role, json!({"tenant": clerk.tenant, "sub": sub}));
    let stranger = Clerk::new(world);
    let paths = ["", "/findings", "/findings.csv"].map(|rest| format!("/v1/runs/{run}{rest}"));
    for (who, token, status) in [
        ("its clerk", &clerk.editor, 200),
        ("a viewer", &clerk.viewer, 200),
        ("an admin", &clerk.admin, 200),
        ("another clerk", &in_tenant("editor", "another"), 403),
        ("a doctor", &in_tenant("doctor", "doctor"), 403),
        ("a patient", &in_tenant("patient", "patient"), 403),
        ("another tenant's admin", &stranger.admin, 404),
        ("another tenant's viewer", &stranger.viewer, 404),
    ] {
        for path in &paths {
            assert_eq!(clerk.get(token, path).await.status, status, "{who} {path}");
        }
        let opened = ChannelFollower::try_start(world.here(), token, &format!("run:{run}")).await;
        assert_eq!(opened.is_ok(), status == 200, "{who}");
    }
    for (who, token, status) in
        [("a viewer", &clerk.viewer, 403), ("another clerk", &in_tenant("editor", "another"), 403)]
    {
        let cancel =
            ApiRequest::post(&format!("/v1/runs/{run}/cancel")).token(token).json(json!({}));
        assert_eq!(world.api.call(world.there(), cancel).await.status, status, "{who}");
    }
    let list = clerk.get(&in_tenant("editor", "another"), "/v1/runs").await;
    assert_eq!(list.body["runs"], json!([]), "a clerk lists its own runs");
}

pub async fn changed_rule_applies_to_next_run(world: &World) {
    let clerk = Clerk::with_all_rules(world).await;
    let export = export(2_000, 6);
    let rules_of = async || {
        let run = clerk.check(&export.bytes).await;
        clerk.head(&run, is_over).await;
        let findings = clerk.findings(&run, "").await;
        findings.iter().map(|finding| finding.rule.to_string()).collect::<BTreeSet<_>>()
    };
    let before = rules_of().await;
    assert!(before.contains("office-fee"), "{before:?}");
    let path = "/v1/rules/office-fee/disable".to_owned();
    world.apply(&clerk.admin, Method::POST, path, json!({})).await;
    let mut expected = before.clone();
    expected.remove("office-fee");
    assert_eq!(rules_of().await, expected);
}

pub async fn returning_clerk_gets_one_merged_step(world: &World) {
    let clerk = Clerk::with_all_rules(world).await;
    let run = clerk.check(&export(20_000, 7).bytes).await;
    let mut shown =
        ChannelFollower::start(world.here(), &clerk.editor, &format!("run:{run}")).await;
    shown.until("some progress", |shown| !shown.entry("progress").is_null()).await;
    clerk.head(&run, is_over).await;
    let resumed = shown.resume(world.there(), &clerk.editor).await;
    assert!(resumed.recovered && resumed.missed <= 1, "{} {}", resumed.recovered, resumed.missed);
    let mut shown = resumed.follower;
    shown.until("the end", |shown| is_over(&shown.entry("run"))).await;
    assert_eq!(
        clerk.get(&clerk.viewer, &format!("/v1/runs/{run}")).await.body,
        shown.as_snapshot()
    );
}

pub async fn stream_shows_run_to_its_end(world: &World) {
    let clerk = Clerk::new(world);
    let run = clerk.check(&export(3_000, 8).bytes).await;
    let path = stream::path_for(world, &clerk.viewer, &[&format!("run:{run}")]).await;
    let mut screen = Stream::open(world.here(), &path, None).await;
    let mut head = screen.expect("snapshot").await["data"]["entries"]["run"].clone();
    while !is_over(&head) {
        let delta = screen.expect("delta").await;
        if let Some(newer) = delta["data"]["set"].get("run") {
            head = newer.clone();
        }
    }
    assert_eq!(head["state"], "completed");
}

pub async fn findings_export_in_both_languages(world: &World) {
    let clerk = Clerk::with_all_rules(world).await;
    let run = clerk.check(&export(2_000, 9).bytes).await;
    clerk.head(&run, is_over).await;
    let all = clerk.findings(&run, "").await;
    for language in ["fr", "en"] {
        let path = format!("/v1/runs/{run}/findings.csv?language={language}");
        let table = clerk.get(&clerk.viewer, &path).await;
        assert!(table.text.starts_with('\u{feff}'), "spreadsheets then read it as UTF-8");
        assert_eq!(table.text.lines().count(), all.len() + 1, "{language}");
    }
    let errors = clerk.findings(&run, "&severity=error").await;
    assert!(!errors.is_empty() && errors.len() < all.len());
    assert!(errors.iter().all(|finding| finding.severity == schemas::rule::Severity::Error));
}
