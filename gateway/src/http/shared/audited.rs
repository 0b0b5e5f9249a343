//! The audit of HTTP: each request with a valid token, written before the client gets its answer.
//!
//! The entry of a command is written while the command is decided, so that its caller waits for the
//! slower of the two and not for their sum. A command that is refused has a second entry with the
//! code, and so has one whose outcome names a ticket or an appointment that the first entry could
//! not name. Other requests have one entry, written when their answer is known.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{
        FromRequestParts, MatchedPath, RawPathParams, Request, State,
        rejection::RawPathParamsRejection,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::Method;
use schemas::codes::Code;
use tokio::task::JoinError;
use tracing::Instrument;

use super::{audited_request::AuditedRequest, problem::RefusedCode, trace::ActiveSpan};
use crate::{
    access::audit::AuditedAction, client_address::ClientAddress, context::NodeContext,
    http::Problem,
};

/// The names that a request had in its body, as an extension of its answer.
#[derive(Clone)]
pub(in crate::http) struct NamedInBody(pub(in crate::http) Vec<String>);

/// The action of a request whose route does not name it, as an extension of its answer.
#[derive(Clone, Copy)]
pub(in crate::http) struct ActionWord(pub(in crate::http) &'static str);

/// Routes that may give a token to a client without a valid one. They change nothing that a clinic
/// sees, and no token leaves without its entry. If they were refused before their handler runs,
/// their clients would get `token_missing`.
const GIVES_TOKEN: [&str; 8] = [
    "/v1/ticket-links/exchange",
    "/v1/displays/pairings",
    "/v1/displays/pairings/{code}/credential",
    "/v1/scans/check-in",
    "/v1/scans/find",
    "/v1/scans/open",
    "/v1/scans/walk-in",
    "/v1/tokens/renew",
];

/// The layer next to the routes. While the audit cannot be written, no request is answered, and
/// none that could change something is carried out.
pub(in crate::http) async fn layer(
    State(node): State<Arc<NodeContext>>,
    route: Option<MatchedPath>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(route) = route.filter(|route| route.as_str().starts_with("/v1/")) else {
        return next.run(request).await;
    };
    let address = ClientAddress::from_extensions(request.extensions());
    let client = node.audit.client(address, request.headers());
    let action = AuditedAction {
        client: client.clone(),
        ..action(request.method(), route.as_str(), params.ok().as_ref())
    };
    let audited = AuditedRequest::new(action);
    request.extensions_mut().insert(audited.clone());
    request.extensions_mut().insert(client);
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let refusable = changes && !GIVES_TOKEN.contains(&route.as_str());
    let answer = answer(node, audited, refusable, request, next);
    if !changes {
        return answer.await;
    }
    // A client that closes its connection must not cancel the entry of its change. Rates and
    // waiting places bound these tasks.
    let answer = ActiveSpan::scope(ActiveSpan::current(), answer.in_current_span());
    match tokio::spawn(answer).await.map_err(JoinError::try_into_panic) {
        Ok(response) => response,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Problem::from(Code::TryAgain).into_response(), // the runtime stops
    }
}

/// Carries a request out, and writes its entry. While the audit fails, a `refusable` request is
/// refused before its handler runs.
async fn answer(
    node: Arc<NodeContext>,
    audited: AuditedRequest,
    refusable: bool,
    request: Request,
    next: Next,
) -> Response {
    let response = match refusable && node.audit.is_failing() {
        true => refuse_change(&node, request).await,
        false => next.run(request).await,
    };
    let Some(claims) = audited.caller() else { return response };
    let code = response.extensions().get::<RefusedCode>().map(|refused| refused.0);
    match audited.written() {
        Some(Ok(())) if code.is_none() => return response,
        // The answer says so already.
        Some(Err(_)) => return response,
        _ => {}
    }
    let mut done = AuditedAction { code, ..audited.action().clone() };
    if let Some(NamedInBody(names)) = response.extensions().get() {
        done.what.extend(names.iter().cloned());
    }
    if let Some(ActionWord(action)) = response.extensions().get() {
        done.action = Cow::Borrowed(action);
    }
    match node.audit.write(claims, done).await {
        Ok(()) => response,
        Err(code) => Problem::from(code).into_response(),
    }
}

/// Refuses a request without carrying it out. Its entry is the next attempt to write.
async fn refuse_change(node: &Arc<NodeContext>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let verified = super::caller::Caller::from_request_parts(&mut parts, node).await;
    verified.err().unwrap_or_else(|| Code::TryAgain.into()).into_response()
}

/// The name of an action, from the pattern of its route, and the ids in its path. A path that is
/// not UTF-8 has none. The word of a route such as `/v1/tickets/{ticket}/{action}` names the
/// action.
fn action(method: &Method, route: &str, params: Option<&RawPathParams>) -> AuditedAction {
    let mut segments = route.trim_start_matches("/v1/").split('/');
    let list = segments.next().unwrap_or_default();
    let thing = list.strip_suffix('s').unwrap_or(list);
    let last = segments.next_back().unwrap_or_default();
    let (mut word, mut what) = (None, Vec::new());
    for (name, value) in params.into_iter().flatten() {
        match name {
            "action" => word = Some(value).filter(|word| is_word(word)).or(Some("unknown")),
            _ => what.push(value.to_owned()),
        }
    }
    let word = word.unwrap_or(match *method {
        _ if last == "crossings" => "cross",
        _ if !last.is_empty() && !last.starts_with('{') => last,
        Method::GET | Method::HEAD if last.is_empty() => "list",
        Method::GET | Method::HEAD => "read",
        Method::POST => "create",
        Method::PUT => "configure",
        Method::PATCH => "rename",
        Method::DELETE => "remove",
        _ => "unknown",
    });
    let action = Cow::Owned(format!("{thing}.{word}"));
    AuditedAction { action, what, ..AuditedAction::default() }
}

/// Whether the last segment of a path may be the word of an action.
fn is_word(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_')
}
