//! The sessions of a subject: the list of those that are connected, and ending one.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access;
use http::StatusCode;
use schemas::{
    access::{MAX_TARGET_ID, RevocationTarget, TargetKind},
    codes::Code,
};
use serde::Deserialize;
use serde_json::json;

use super::revocations;
use crate::{
    http::{
        NodeState, Problem, now,
        shared::{
            audited::NamedInBody,
            caller::{Caller, QueryParams, Segments},
        },
    },
    limits::Limit,
    stream::sessions,
};

/// The query of a list of sessions.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListParams {
    /// Absent: the caller.
    #[schemars(length(min = 1, max = MAX_TARGET_ID))]
    subject: Option<String>,
}

/// The sessions of the caller, or of another subject for an admin.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(ListParams { subject }): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let subject = subject.unwrap_or_else(|| claims.subject.to_string());
    access::may_manage_sessions(&claims, &subject)?;
    if subject.is_empty() || subject.len() > MAX_TARGET_ID {
        return Err(Problem::from(Code::InvalidValue).explained("a subject has 1 to 128 bytes"));
    }
    let key = node.limits.subject_key(&claims.tenant, &claims.subject);
    node.limits.spend(Limit::Sessions, key)?;
    node.limits.spend(Limit::SessionsOfTenant, node.limits.tenant_key(&claims.tenant))?;
    // This node would not answer its own question.
    node.limits.check(Limit::SessionsOfNode, node.limits.node_key())?;
    let sessions = sessions::list(&node, &claims.tenant, &subject).await?;
    let own = claims.origin.session().to_string();
    let body = json!({ "subject": subject, "at": now(), "own": own, "sessions": sessions });
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(NamedInBody(vec![subject]));
    Ok(response)
}

/// Ends a session: its tokens are refused, and its connections close on every node. A caller who is
/// no admin can end only a session that the caller's own list shows now.
pub(in crate::http) async fn end(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([session]): Segments<1>,
) -> Result<Response, Problem> {
    let tag = sessions::read_session(&session)?;
    let is_own = claims.origin.tags.contains(&tag);
    if !is_own && access::may_manage_sessions(&claims, "").is_err() {
        let key = node.limits.subject_key(&claims.tenant, &claims.subject);
        node.limits.spend(Limit::Sessions, key)?;
        node.limits.spend(Limit::SessionsOfTenant, node.limits.tenant_key(&claims.tenant))?;
        let own = sessions::list(&node, &claims.tenant, &claims.subject).await?;
        if !own.iter().any(|own| own.session == session) {
            return Err(Code::NotFound.into());
        }
    }
    let target = RevocationTarget { kind: TargetKind::Listed, id: session };
    let revocation = revocations::append(&node, &claims, target, None).await?;
    let body = json!({ "session": revocation.target.id, "at": revocation.at });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
