//! Runs: requesting, listing, reading, cancelling and retrying them, and their findings.

mod findings;

use std::collections::BTreeMap;

use schemas::{
    attempt::AttemptNumber,
    finding::{FindingOutcome as Found, Param},
    ids::RuleId,
    rule::Severity,
    run::{RunHead, RunState},
};

use super::*;

const REQUEST: &str = "/v1/runs";

fn own(role: Role) -> RunId {
    RunId::from_parts(claims_of("demo", "subject-1", role).owner_tag(), 1)
}

fn stranger(n: u128) -> RunId {
    RunId::from_parts(claims_of("demo", "subject-2", Role::Editor).owner_tag(), n)
}

fn head(state: RunState, requested_at: i64) -> RunHead {
    RunHead {
        state,
        name: "mars.csv".into(),
        bytes: 7,
        requested_at,
        attempt: AttemptNumber(1),
        ahead: None,
        cancelling: false,
        started_at: None,
        ended_at: None,
        failure: None,
        summary: None,
    }
}

fn finding(severity: Severity, rule: &str, cents: i64, row: u64) -> Finding {
    let rule = RuleId::new(rule).unwrap();
    let params = BTreeMap::from([("gain_cents".to_owned(), Param::Number(cents))]);
    Finding { row, rule, severity, outcome: Found::FeeMissing, params, cents }
}

impl Node {
    /// Adds a run: the view of its channel, its entry in lists, and its findings.
    fn knows(&self, run: &RunId, head: RunHead, findings: Vec<Finding>) {
        let view = View {
            position: Position { epoch: 7, version: 3 },
            at: 1_000,
            entries: [("run".to_owned(), raw(&head))].into(),
        };
        self.fakes.views.lock().unwrap().insert(format!("run:{run}"), view);
        let mut runs = self.fakes.runs.lock().unwrap();
        runs.push(ListedRun { run: run.clone(), head });
        runs.sort_by_key(|listed| {
            std::cmp::Reverse((listed.head.requested_at, listed.run.clone()))
        });
        let mut placed: Vec<_> = findings
            .into_iter()
            .zip(1..)
            .map(|(finding, n)| (FindingPlace { place: finding.sort_key(), n }, finding))
            .collect();
        placed.sort_by_key(|(place, _)| *place);
        self.fakes.findings.lock().unwrap().insert(run.clone(), placed);
    }

    async fn start(&self, token: &str, file: &str, key: Option<&str>) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers =
            vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.send("POST", REQUEST, &headers, &json!({ "file": file }).to_string()).await
    }

    fn appended(&self) -> usize {
        self.fakes.appended.lock().unwrap().len()
    }
}

fn run_in(answer: &Answer) -> RunId {
    RunId::new(answer.json()["run"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn run_request_answers_its_channel() {
    let node = node();
    let file = node.uploaded("a;b").await;
    let body = json!({"file": file, "list_passes": true}).to_string();
    let answer = node.ask(Role::Editor, "POST", REQUEST, &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let run = run_in(&answer);
    assert_eq!(
        answer.json(),
        json!({"run": run, "state": "queued", "channel": format!("run:{run}")})
    );
    assert_eq!(answer.header("location"), format!("/v1/runs/{run}"));
    let claims = claims_of("demo", "subject-1", Role::Editor);
    assert!(claims.owns(&run));
    let record = node.last();
    assert_eq!(record.aggregate, Aggregate::run(&claims.tenant, &run));
    assert_eq!(record.actor.unwrap().subject, "subject-1");
    let Command::RequestRun { file: of, list_passes, keep_s } = record.command else {
        panic!("no request")
    };
    assert_eq!((of.file.as_str(), of.name.as_str(), of.bytes), (file.as_str(), "mars.csv", 3));
    assert_eq!((of.sha256.len(), list_passes, keep_s), (64, true, 3_600));

    let again = node.start(&token(Role::Editor), &file, None).await;
    assert_ne!(run_in(&again), run, "without a key each request is a run of its own");
}

#[tokio::test(start_paused = true)]
async fn undecided_run_request_is_accepted() {
    let node = node();
    let file = node.uploaded("a;b").await;
    node.decide(Decision::Nothing);
    let answer = node.start(&token(Role::Editor), &file, None).await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("queued")));
}

#[tokio::test]
async fn same_key_gives_same_run_per_caller() {
    let node = node();
    let file = node.uploaded("a;b").await;
    let first = node.start(&token(Role::Editor), &file, Some("click-1")).await;
    let record = node.last();
    node.decide(Decision::Refused(Code::RunExists));
    let again = node.start(&token(Role::Editor), &file, Some("click-1")).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(node.last().id, record.id, "the same command");
    node.decide(Decision::Applied(CommandResult::default()));
    let other_key = node.start(&token(Role::Editor), &file, Some("click-2")).await;
    let subject_2 = token_of("demo", "subject-2", Role::Editor);
    let foreign = node.start(&subject_2, &file, Some("click-1")).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "file_unknown"), "not its file");
    let other_file = node.uploaded_by(&subject_2, "a;b").await;
    let other_subject = node.start(&subject_2, &other_file, Some("click-1")).await;
    assert_ne!(
        node.last().identity(),
        record.identity(),
        "else it would get the outcome of the first"
    );
    let runs: std::collections::HashSet<_> =
        [&first, &other_key, &other_subject].map(run_in).into_iter().collect();
    assert_eq!(runs.len(), 3);

    // The run has completed, and its file was removed.
    node.knows(&run_in(&first), head(RunState::Completed, 5), vec![]);
    let path = |end| object_store::path::Path::from(format!("demo/{file}{end}"));
    for end in ["", ".json"] {
        object_store::ObjectStoreExt::delete(&*node.store, &path(end)).await.unwrap();
    }
    let appended = node.appended();
    let again = node.start(&token(Role::Editor), &file, Some("click-1")).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    let answer = node.start(&token(Role::Editor), &file, Some("click-3")).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "file_unknown"));
    assert_eq!(node.appended(), appended);
}

#[tokio::test(start_paused = true)]
async fn key_of_another_file_starts_no_run() {
    let node = node();
    let (first, second) = (node.uploaded("a;b").await, node.uploaded("c;d").await);
    let editor = token(Role::Editor);
    assert_eq!(node.start(&editor, &first, Some("click-1")).await.status, 202);
    node.record(&node.last(), Verdict::Refused { code: Code::RunExists });
    let gone = "f_00000000000000000000000000000007";
    // A processor refuses the request, at once or late, and one without its file is never sent.
    for (file, decision) in [
        (second.as_str(), Decision::Refused(Code::IdempotencyKeyReused)),
        (&second, Decision::Nothing),
        (gone, Decision::Nothing),
    ] {
        node.decide(decision);
        let answer = node.start(&editor, file, Some("click-1")).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "idempotency_key_reused"));
    }
}

#[tokio::test]
async fn invalid_run_request_answers_code() {
    let node = node();
    let file = node.uploaded("a;b").await;
    let unknown = "f_00000000000000000000000000000007";
    let table = [
        (json!({ "file": unknown }), 404, "file_unknown"),
        (json!({ "file": "../demo" }), 400, "invalid_id"),
        (json!({}), 400, "malformed"),
        (json!({ "file": file, "passes": true }), 400, "malformed"),
    ];
    for (body, status, code) in table {
        let answer = node.ask(Role::Editor, "POST", REQUEST, &body.to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    let foreign = node.start(&token_of("north", "subject-1", Role::Admin), &file, None).await;
    assert_eq!(
        (foreign.status, foreign.code().as_str()),
        (404, "file_unknown"),
        "another tenant's file"
    );
    assert_eq!(node.appended(), 0);
    node.decide(Decision::Refused(Code::CommandExpired));
    let answer = node.start(&token(Role::Editor), &file, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "command_expired"));
}

#[tokio::test]
async fn roles_reach_only_their_routes() {
    use Role as R;
    const WATCH: &[Role] = &[R::Viewer, R::Editor, R::FinanceBilling, R::Admin, R::SuperAdmin];
    const WATCH_ALL: &[Role] = &[R::Viewer, R::Admin, R::SuperAdmin];
    const WORK: &[Role] = &[R::Editor, R::FinanceBilling, R::Admin, R::SuperAdmin];
    let node = node();
    let (own, other) = (own(R::Editor), stranger(1));
    let file = node.uploaded("a;b").await;
    for run in [&own, &other] {
        node.knows(run, head(RunState::Completed, 1), vec![]);
    }
    let body = json!({ "file": file }).to_string();
    let table: [(&str, String, &str, u16, &[Role]); 13] = [
        ("POST", "runs".into(), &body, 202, WORK),
        ("GET", "runs".into(), "", 200, WATCH),
        ("GET", "runs?mine=true".into(), "", 200, WATCH),
        ("GET", format!("runs/{own}"), "", 200, WATCH),
        ("GET", format!("runs/{other}"), "", 200, WATCH_ALL),
        ("GET", format!("runs/{own}/findings"), "", 200, WATCH),
        ("GET", format!("runs/{other}/findings"), "", 200, WATCH_ALL),
        ("GET", format!("runs/{own}/findings.csv"), "", 200, WATCH),
        ("GET", format!("runs/{other}/findings.csv"), "", 200, WATCH_ALL),
        ("POST", format!("runs/{own}/cancel"), "{}", 200, WORK),
        ("POST", format!("runs/{other}/cancel"), "{}", 200, &[R::Admin, R::SuperAdmin]),
        ("POST", format!("runs/{own}/retry"), "", 200, WORK),
        ("POST", format!("runs/{other}/retry"), "", 200, &[R::Admin, R::SuperAdmin]),
    ];
    for (method, path, body, status, allowed) in table {
        let path = format!("/v1/{path}");
        for role in R::ALL {
            let answer = node.ask(role, method, &path, body).await;
            let expected = if allowed.contains(&role) { status } else { 403 };
            assert_eq!(answer.status, expected, "{role:?} {method} {path}: {}", answer.text);
        }
        let answer = node.send(method, &path, &[("content-type", "application/json")], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
    }
}

#[tokio::test]
async fn tenants_never_meet() {
    let node = node();
    let run = stranger(1);
    node.knows(&run, head(RunState::Completed, 1), vec![finding(Severity::Error, "a", 1, 1)]);
    let admin = token_of("north", "subject-2", Role::Admin);
    assert_eq!(node.ask_as(&admin, "GET", "/v1/runs", "").await.json(), json!({ "runs": [] }));
    for path in ["", "/findings", "/findings.csv"] {
        let answer = node.ask_as(&admin, "GET", &format!("/v1/runs/{run}{path}"), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    node.ask_as(&admin, "POST", &format!("/v1/runs/{run}/cancel"), "").await;
    assert_eq!(
        node.last().aggregate.as_str(),
        format!("north/{run}"),
        "the token's tenant, whatever the id says"
    );
    assert!(node.audited().iter().all(|(tenant, _)| tenant == "north"));
}

#[tokio::test]
async fn runs_are_listed_newest_first_page_by_page() {
    let node = node();
    for n in 1..=5 {
        let state = if n % 2 == 0 { RunState::Failed } else { RunState::Completed };
        node.knows(&stranger(n), head(state, n as i64 / 2), vec![]);
    }
    node.knows(&own(Role::Editor), head(RunState::Queued, 9), vec![]);
    let list = async |role, query: &str| {
        let answer = node.ask(role, "GET", &format!("/v1/runs?{query}"), "").await;
        assert_eq!(answer.status, 200, "{query} {}", answer.text);
        let body = answer.json();
        let runs = body["runs"].as_array().unwrap().clone();
        (runs, body["next"].as_str().map(str::to_owned))
    };
    let (all, next) = list(Role::Viewer, "").await;
    assert_eq!((all.len(), next), (6, None));
    let first = &all[0];
    assert_eq!(
        *first,
        json!({
            "run": own(Role::Editor), "requested_by_me": true, "state": "queued",
            "name": "mars.csv", "bytes": 7, "requested_at": 9, "attempt": 1,
        })
    );
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = list(Role::Viewer, &format!("limit=2{cursor}")).await;
        assert!(page.len() <= 2);
        paged.extend(page);
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, all);
    assert_eq!(list(Role::Viewer, "state=failed").await.0.len(), 2);
    assert_eq!(list(Role::Viewer, "mine=true").await.0, std::slice::from_ref(first));
    assert_eq!(list(Role::Editor, "").await.0, std::slice::from_ref(first));
    assert_eq!(list(Role::Editor, "mine=false").await.0, std::slice::from_ref(first));
    for (query, status, code) in [
        ("cursor=abc", 400, "malformed"),
        ("cursor=", 400, "malformed"),
        ("limit=0", 422, "invalid_value"),
        ("limit=501", 422, "invalid_value"),
        ("limit=x", 400, "malformed"),
        ("state=done", 422, "invalid_value"),
        ("stat=queued", 400, "malformed"),
    ] {
        let answer = node.ask(Role::Viewer, "GET", &format!("/v1/runs?{query}"), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn run_snapshot_equals_channel() {
    let node = node();
    let run = own(Role::Editor);
    node.knows(&run, head(RunState::Running, 5), vec![]);
    let view = node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}"), "").await.json();
    assert_eq!((&view["epoch"], &view["version"]), (&json!("7"), &json!(3)));
    assert_eq!(view["entries"]["run"]["state"], "running");
    let gone = RunId::from_parts(run.owner(), 99);
    let answer = node.ask(Role::Editor, "GET", &format!("/v1/runs/{gone}"), "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert_eq!(node.ask(Role::Editor, "GET", "/v1/runs/r_1", "").await.code(), "invalid_id");
    let answer = node.ask(Role::Editor, "POST", &format!("/v1/runs/{run}/explode"), "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn cancel_and_retry_are_commands_to_the_run() {
    let node = node();
    let run = own(Role::Editor);
    for (action, kind) in [("cancel", "run.cancel"), ("retry", "run.retry")] {
        let path = format!("/v1/runs/{run}/{action}");
        let answer = node.ask(Role::Editor, "POST", &path, "{}").await;
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("applied")));
        assert_eq!(
            (node.last().command.kind(), node.last().aggregate.run_id()),
            (kind, Some(run.clone()))
        );
        assert_eq!(node.ask(Role::Editor, "POST", &path, r#"{"why":1}"#).await.code(), "malformed");
    }
    for (action, code) in [("cancel", Code::RunOver), ("retry", Code::RunNotRetryable)] {
        node.decide(Decision::Refused(code));
        let answer = node.ask(Role::Editor, "POST", &format!("/v1/runs/{run}/{action}"), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (409, code.as_str()));
    }
}

/// The requests of an admin about somebody else's run, each with its action in the audit.
fn of_others(run: &RunId) -> Vec<(&'static str, String, String, &'static str)> {
    let ticket = json!({ "channels": [format!("run:{run}")] }).to_string();
    vec![
        ("GET", format!("/v1/runs/{run}"), String::new(), "run.read"),
        ("GET", format!("/v1/runs/{run}/findings"), String::new(), "run.findings"),
        ("GET", format!("/v1/runs/{run}/findings.csv"), String::new(), "run.findings.csv"),
        ("POST", format!("/v1/runs/{run}/cancel"), String::new(), "run.cancel"),
        ("POST", format!("/v1/runs/{run}/retry"), String::new(), "run.retry"),
        ("POST", "/v1/stream-tickets".to_owned(), ticket, "stream-ticket.create"),
    ]
}

#[tokio::test]
async fn access_to_a_run_is_audited() {
    let node = node();
    let other = stranger(1);
    node.knows(&other, head(RunState::Completed, 5), vec![]);
    for (method, path, body, action) in of_others(&other) {
        let answer = node.ask(Role::Admin, method, &path, &body).await;
        assert_eq!(answer.status, 200, "{path} {}", answer.text);
        let audited = node.audited();
        let [(tenant, entry)] = &audited[..] else { panic!("{path}: {} entries", audited.len()) };
        assert_eq!((tenant.as_str(), &*entry.action), ("demo", action));
        assert_eq!((&*entry.subject, &*entry.role), ("subject-1", "admin"));
        let [name] = &entry.what[..] else { panic!("{path}: {} names", entry.what.len()) };
        assert_eq!(name.trim_start_matches("run:"), other.as_str());
        assert_eq!(entry.code, None);
    }
    node.ask(Role::Admin, "GET", "/v1/runs", "").await;
    let audited = node.audited();
    let (action, what) = (&audited[0].1.action, &audited[0].1.what);
    assert_eq!((audited.len(), &**action, what.len()), (1, "run.list", 0));
}

#[tokio::test]
async fn own_runs_and_viewers_are_audited_too() {
    let node = node();
    let run = own(Role::Admin);
    node.knows(&run, head(RunState::Completed, 5), vec![]);
    let mut asked = 0;
    for role in [Role::Admin, Role::Editor] {
        for (method, path, body, _) in of_others(&run) {
            assert_eq!(node.ask(role, method, &path, &body).await.status, 200, "{path}");
            asked += 1;
        }
        assert_eq!(node.ask(role, "GET", "/v1/runs?mine=true", "").await.status, 200);
        asked += 1;
    }
    let other = stranger(1);
    node.knows(&other, head(RunState::Completed, 5), vec![]);
    assert_eq!(node.ask(Role::Viewer, "GET", &format!("/v1/runs/{other}"), "").await.status, 200);
    assert_eq!(node.ask(Role::Viewer, "GET", "/v1/runs", "").await.status, 200);
    assert_eq!(node.audited().len(), asked + 2);
}

#[tokio::test]
async fn failed_audit_blocks_the_action() {
    let node = node();
    let other = stranger(1);
    node.knows(
        &other,
        head(RunState::Completed, 5),
        vec![finding(Severity::Error, "office", 1, 1)],
    );
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    let mut asked = of_others(&other);
    asked.push(("GET", "/v1/runs".to_owned(), String::new(), "run.list"));
    for (method, path, body, _) in asked {
        let answer = node.ask(Role::Admin, method, &path, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"), "{path}");
    }
    assert_eq!(node.appended(), 0);
    assert!(node.fakes.keys.lock().unwrap().is_empty(), "no stream ticket");
}

#[tokio::test]
async fn problems_and_metrics_name_no_file_or_run() {
    let node = node();
    let run = own(Role::Editor);
    node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}"), "").await;
    node.ask(Role::Editor, "GET", "/v1/runs?cursor=Tremblay", "").await;
    let file = node.uploaded("a;b").await;
    node.start(&token(Role::Editor), &file, None).await;
    let text = node.send("GET", "/metrics", &[], "").await.text;
    assert!(
        text.contains(r#"clinicwire_commands_total{kind="run.request",result="applied"} 1"#),
        "{text}"
    );
    for secret in [run.as_str(), file.as_str(), "mars", "Tremblay"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
