//! Every route of the router with every method, as its source lists them: a new route is walked
//! without a word here, unless its path names something new.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use testing::http::{ApiRequest, ApiResponse};

use super::planted::{CANARY, LOCATION, PATIENT, Planted, Stranger, queue, station};

const ROUTER: &str = include_str!("../../../../../gateway/src/http.rs");
const REQUESTS: &str = include_str!("../../../../../gateway/src/http/location/requests.rs");

/// Routes that everybody may read, or that answer about the caller and name nothing planted.
const OWN: [&str; 29] = [
    "/health/live",
    "/health/ready",
    "/metrics",
    "/v1/asyncapi.json",
    "/v1/audit",
    "/v1/demo",
    "/v1/displays/pairings",
    "/v1/files",
    "/v1/limits",
    "/v1/messages",
    "/v1/openapi.json",
    "/v1/reference",
    "/v1/reference/{table}",
    "/v1/reference/{table}/{key}",
    "/v1/revocations",
    "/v1/rules",
    "/v1/runs",
    "/v1/scans/check-in",
    "/v1/scans/find",
    "/v1/scans/open",
    "/v1/scans/walk-in",
    "/v1/sessions",
    "/v1/stream-tickets",
    "/v1/tenants",
    "/v1/tenants/{tenant}",
    "/v1/tenants/{tenant}/crossings",
    "/v1/tokens/renew",
    "/v1/webhooks",
    // The public key of the installation, which is no secret.
    "/v1/tickets/{ticket}/alerts",
];
/// Routes whose body or query names something planted.
const NAMES_IN_BODY_OR_QUERY: [&str; 5] = [
    "/v1/check-ins",
    "/v1/check-in-points",
    "/v1/displays",
    "/v1/scans/flags",
    "/v1/ticket-links/exchange",
];
/// Parameters of things that belong to a tenant and to no location.
const OF_TENANT: [&str; 5] = ["{run}", "{rule}", "{command}", "{session}", "{webhook}"];

/// One request of the walk.
struct Step {
    route: String,
    method: Method,
    path: String,
    body: Value,
}

/// Walks all routes as every stranger: first those that read, then those that change something.
pub async fn walk(planted: &Planted) {
    let steps = steps(planted);
    assert!(steps.len() > 80, "{} requests: the routes are found", steps.len());
    let (reads, changes): (Vec<_>, Vec<_>) =
        steps.iter().partition(|step| step.method == Method::GET);
    let strangers = planted.strangers();
    for steps in [reads, changes] {
        join_all(strangers.iter().map(|stranger| take(planted, stranger, &steps))).await;
    }
}

async fn take(planted: &Planted, stranger: &Stranger, steps: &[&Step]) {
    for step in steps {
        let request = ApiRequest::new(step.method.clone(), &step.path).token(&stranger.token);
        let answer = match step.method {
            Method::GET => planted.send(request).await,
            _ => planted.send(request.json(step.body.clone())).await,
        };
        check(stranger, step, &answer);
    }
}

fn check(stranger: &Stranger, step: &Step, answer: &ApiResponse) {
    let Step { route, method, path, .. } = step;
    let said = format!("{} {method} {path}: {} {}", stranger.name, answer.status, answer.text);
    let is_own = OWN.contains(&route.as_str())
        || stranger.is_colleague && OF_TENANT.iter().any(|of_tenant| route.contains(of_tenant));
    // Other tests cover the rights of a colleague within its own tenant.
    if !(stranger.is_colleague && is_own) {
        let headers = format!("{:?}", answer.headers);
        for secret in [CANARY, PATIENT] {
            assert!(!answer.text.contains(secret) && !headers.contains(secret), "{said}");
        }
    }
    assert!(answer.status < 500, "{said}");
    assert_ne!(answer.status, 400, "the request is well-formed, or it checks nothing: {said}");
    // These routes lead every well-formed code, known or not, to the patient's page.
    let leads_on = ["/t/{code}", "/c/{code}"].contains(&route.as_str()) && answer.status == 303;
    let names_something =
        !leads_on && route.contains('{') || NAMES_IN_BODY_OR_QUERY.contains(&route.as_str());
    if names_something && !is_own {
        // In another tenant the ids are free: its admin may create its own things under them.
        let creates = !stranger.is_colleague && *method != Method::GET;
        assert!(creates || matches!(answer.status, 401 | 403 | 404 | 405 | 422), "{said}");
    }
}

/// The requests of all routes.
fn steps(planted: &Planted) -> Vec<Step> {
    let mut steps = Vec::new();
    for (route, methods) in routes() {
        for method in methods {
            let actions = if route.contains("{action}") { actions() } else { BTreeSet::new() };
            for action in actions.into_iter().chain((!route.contains("{action}")).then_some("")) {
                steps.push(Step {
                    path: path(planted, &route, action),
                    body: match method {
                        Method::DELETE => json!({}),
                        _ => body(planted, &route, action),
                    },
                    route: route.clone(),
                    method: method.clone(),
                });
            }
        }
    }
    steps
}

/// The routes and their methods, from the source of the router.
fn routes() -> Vec<(String, Vec<Method>)> {
    let mut routes = Vec::new();
    for part in ROUTER.split(".route(").skip(1) {
        let Some((_, rest)) = part.split_once('"') else { continue };
        let Some((route, handlers)) = rest.split_once('"') else { continue };
        let handlers = handlers.split(".route(").next().unwrap_or_default();
        let methods = [
            ("get(", Method::GET),
            ("post(", Method::POST),
            ("put(", Method::PUT),
            ("patch(", Method::PATCH),
            ("delete(", Method::DELETE),
        ];
        let handlers = handlers.split(".merge(").next().unwrap_or_default();
        let has = |name: &str| handlers.contains(name);
        let methods = methods.into_iter().filter(|(name, _)| has(name));
        let methods: Vec<_> = methods.map(|(_, method)| method).collect();
        assert!(!methods.is_empty(), "{route} has methods that this test does not know");
        routes.push((route.to_owned(), methods));
    }
    routes
}

/// The words of all actions, from the source that reads them, and those of runs, rules and
/// webhooks.
fn actions() -> BTreeSet<&'static str> {
    let arms = REQUESTS.lines().filter_map(|line| line.trim().strip_prefix('"'));
    let words = arms.filter_map(|arm| arm.split_once("\" =>")).map(|(word, _)| word);
    let words = words.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    words
        .chain(["undo-check-in", "cancel", "retry", "enable", "disable", "try"])
        .chain(["rotate", "test", "replay"])
        .collect()
}

fn path(planted: &Planted, route: &str, action: &str) -> String {
    let mut path = route.to_owned();
    for (name, value) in [
        ("{location}", LOCATION),
        ("{queue}", &queue()),
        ("{station}", &station()),
        ("{ticket}", &planted.ticket),
        ("{appointment}", &planted.appointment),
        ("{doctor}", "dr-planted"),
        ("{run}", &planted.run),
        ("{rule}", "planted-rule"),
        ("{table}", "contexts"),
        ("{key}", "PLANTED"),
        ("{command}", &planted.command),
        ("{tenant}", "planted"),
        ("{display}", &planted.display),
        ("{point}", &planted.point),
        ("{code}", &planted.pairing),
        ("{session}", &planted.session),
        ("{webhook}", &planted.webhook),
        // A logo is public to anyone who knows its name, which cannot be guessed. No logo has this
        // name.
        ("{name}", "00000000000000000000000000000000.svg"),
        ("{action}", action),
    ] {
        path = path.replace(name, value);
    }
    if ["/v1/displays", "/v1/check-in-points", "/v1/scans/flags"].contains(&route) {
        path.push_str(&format!("?location={LOCATION}"));
    }
    assert!(!path.contains('{'), "{route} names something that nobody planted: add it here");
    path
}

/// A body that the route can read, so that access decides.
fn body(planted: &Planted, route: &str, action: &str) -> Value {
    let site = json!({"name": "Site", "time_zone": "UTC", "languages": ["en"]});
    match (route, action) {
        ("/v1/locations/{location}", _) => site,
        ("/v1/locations/{location}/privacy", _) => json!({"lines": {"name": true}}),
        ("/v1/locations/{location}/messages", _) => json!({"messages": [{"en": "Hello"}]}),
        ("/v1/locations/{location}/branding", _) => json!({"colour": "#0f62fe"}),
        ("/v1/locations/{location}/queue-order", _) => json!({"queues": [queue()]}),
        ("/v1/queues/{queue}", _) => json!({"name": "Line", "prefix": "Z"}),
        ("/v1/stations/{station}", _) => json!({"name": "Room"}),
        ("/v1/queues/{queue}/{action}", "call-next") | (_, "call") => {
            json!({"station": station()})
        }
        (_, "reorder") => json!({"tickets": [planted.ticket]}),
        (_, "transfer") => json!({"queue": queue()}),
        (_, "subscribe-alerts") => json!({
            "endpoint": "https://fcm.googleapis.com/fcm/send/1",
            "keys": {"p256dh": "A".repeat(87), "auth": "A".repeat(22)},
        }),
        (_, "unsubscribe-alerts") => json!({"endpoint": "https://fcm.googleapis.com/fcm/send/1"}),
        (_, "prioritise") => json!({"priority": 1}),
        ("/v1/check-ins", _) => json!({"appointment": planted.appointment}),
        ("/v1/appointments", _) => json!({
            "location": LOCATION, "key": "k-1", "version": 9, "status": "cancelled",
        }),
        ("/v1/runs", _) | ("/v1/rules/{rule}/{action}", "try") => json!({"file": planted.file}),
        ("/v1/rules/{rule}", _) => {
            let mut rule = json!(testing::claims_files::rules::planted()[0]);
            rule.as_object_mut().unwrap().remove("id");
            rule
        }
        ("/v1/reference/{table}/{key}", _) => json!({"description": "a context"}),
        ("/v1/scans/check-in" | "/v1/scans/find", _) => {
            json!({"bookings": [{"code": planted.booking, "told": "1980"}]})
        }
        ("/v1/webhooks" | "/v1/webhooks/{webhook}", _) => {
            json!({"url": "https://hooks.example/x"})
        }
        ("/v1/webhooks/{webhook}/{action}", "replay") => json!({"dead": true}),
        ("/v1/scans/walk-in", _) => json!({"queue": queue()}),
        ("/v1/check-in-points/{point}", _) => json!({"name": "Door", "kind": "poster"}),
        ("/v1/displays/{display}", _) => json!({"name": "Screen"}),
        ("/v1/displays/pairings/{code}/approve", _) => {
            json!({"location": LOCATION, "name": "Screen"})
        }
        ("/v1/displays/pairings/{code}/credential", _) => json!({"secret": "0".repeat(32)}),
        ("/v1/ticket-links/exchange", _) => json!({"link": "0".repeat(32)}),
        ("/v1/stream-tickets", _) => json!({"channels": [format!("board:{LOCATION}")]}),
        ("/v1/revocations", _) => json!({"kind": "subject", "id": "nobody"}),
        ("/v1/tenants/{tenant}/crossings" | "/v1/locations/{location}/crossings", _) => {
            json!({"reason": ""})
        }
        _ => json!({}),
    }
}
