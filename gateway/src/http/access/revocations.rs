//! Revoking access: tokens of a person, a session, a device or a ticket link.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use http::StatusCode;
use schemas::{
    access::{MAX_TARGET_ID, Revocation, RevocationTarget, TargetKind},
    codes::Code,
    ids::TicketId,
    record::{ACCESS_TOPIC, Actor},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited_request::AuditedRequest,
            body::read,
            caller::{Caller, JsonText},
        },
    },
    random,
    stream::sessions,
};

/// How long the log may take to acknowledge. Past it the answer is `try_again`: the revocation may
/// or may not count, and repeating it does no harm.
const WITHIN: Duration = Duration::from_secs(3);

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct RevocationBody {
    kind: TargetKind,
    id: String,
    permission_version: Option<u32>,
}

/// Ends the tokens of a target. Connections close within five seconds on every node.
pub(in crate::http) async fn revoke(
    State(node): NodeState,
    Caller(claims): Caller,
    Extension(audited): Extension<AuditedRequest>,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let form = r#"{"kind":"subject","id":"…"}"#;
    let RevocationBody { kind, id, permission_version } = read(&body, form)?;
    if id.is_empty() || id.len() > MAX_TARGET_ID {
        return Err(Problem::from(Code::InvalidValue).explained("the id has 1 to 128 bytes"));
    }
    // The kind goes first, so that the name of a ticket's link ends like its ticket's.
    audited.name([format!("{}:{id}", kind.as_str())]);
    if permission_version.is_some() && kind != TargetKind::Permissions {
        let text = "only the kind `permissions` has a version";
        return Err(Problem::from(Code::InvalidValue).explained(text));
    }
    if kind == TargetKind::Listed {
        sessions::read_session(&id).map_err(|_| Code::InvalidId)?;
    }
    let location = match kind {
        TargetKind::TicketLink => {
            Some(TicketId::new(id.clone()).map_err(|_| Code::InvalidId)?.location())
        }
        _ => None,
    };
    access::may_revoke(&claims, location.as_ref())?;
    let target = RevocationTarget { kind, id };
    let revocation = append(&node, &claims, target, permission_version).await?;
    let body = json!({ "kind": kind, "id": revocation.target.id, "at": revocation.at });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Ends the older tokens of a target. The caller has checked that the bearer may.
///
/// # Errors
/// `try_again` when the log did not acknowledge the revocation.
pub(in crate::http) async fn append(
    node: &NodeContext,
    claims: &Claims,
    target: RevocationTarget,
    permission_version: Option<u32>,
) -> Result<Revocation, Code> {
    let revocation = Revocation {
        target,
        permission_version,
        at: now(),
        by: Actor { subject: claims.subject.to_string(), role: claims.role.as_str().to_owned() },
    };
    let record = revocation.to_wire(&claims.tenant, random::bits()?);
    match tokio::time::timeout(WITHIN, node.log.append(ACCESS_TOPIC, record)).await {
        Ok(Ok(())) => Ok(revocation),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a revocation was not acknowledged");
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("the log took too long to acknowledge a revocation");
            Err(Code::TryAgain)
        }
    }
}
