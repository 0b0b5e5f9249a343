//! Suspending a tenant and resuming it, for super admins of another tenant and for a stated reason.
//! The state of every tenant is in the topic of revocations, so each node holds all of it.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{Claims, Role};
use http::{HeaderMap, StatusCode};
use schemas::{
    access::TenantStatus,
    codes::Code,
    ids::TenantId,
    record::{ACCESS_TOPIC, Actor},
};
use serde_json::json;

use super::tokens::{is_known, reason};
use crate::{
    client_address::audited_client::AuditedClient,
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited_request::AuditedRequest,
            body::not_an_id,
            caller::{Caller, Segments},
        },
    },
    random,
};

/// How long the log may take to acknowledge. Past it the answer is `try_again`: the change may or
/// may not count, and repeating it does no harm.
const WITHIN: Duration = Duration::from_secs(3);

/// Whether a tenant is suspended, since when and why.
pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([tenant]): Segments<1>,
) -> Result<Response, Problem> {
    let tenant = TenantId::new(tenant).map_err(not_an_id)?;
    may_manage(&claims, &tenant)?;
    if !is_known(&node, &claims, &tenant).await? {
        return Err(Code::TenantUnknown.into());
    }
    let suspension = node.revocations.suspension(&tenant);
    Ok(Json(json!({
        "tenant": tenant,
        "suspended": suspension.is_some(),
        "at": suspension.as_ref().map(|status| status.at),
        "reason": suspension.map(|status| status.reason),
    }))
    .into_response())
}

/// Suspends a tenant. Its tokens are refused as `tenant_suspended` from then on, and its
/// connections close within five seconds on every node. Its data is kept.
pub(in crate::http) async fn suspend(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([tenant]): Segments<1>,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let change = TenantChange { suspended: true, client, headers };
    change.carry_out(&node, &claims, tenant, &audited).await
}

/// Resumes a tenant: its tokens are accepted again.
pub(in crate::http) async fn resume(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([tenant]): Segments<1>,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let change = TenantChange { suspended: false, client, headers };
    change.carry_out(&node, &claims, tenant, &audited).await
}

/// A change of a tenant's state that a super admin asks for.
struct TenantChange {
    suspended: bool,
    client: AuditedClient,
    headers: HeaderMap,
}

impl TenantChange {
    /// Appends the new state. Both tenants have the reason in their audit before the answer leaves.
    async fn carry_out(
        self,
        node: &NodeContext,
        claims: &Claims,
        tenant: String,
        audited: &AuditedRequest,
    ) -> Result<Response, Problem> {
        let tenant = TenantId::new(tenant).map_err(not_an_id)?;
        let reason = reason(&self.headers);
        audited.set_crossing(reason.as_deref().ok(), Some(&tenant));
        may_manage(claims, &tenant)?;
        let reason = reason?;
        if !is_known(node, claims, &tenant).await? {
            return Err(Code::TenantUnknown.into());
        }
        let action = if self.suspended { "tenant.suspend" } else { "tenant.resume" };
        node.audit.managed(claims, &tenant, self.client, action, &reason).await?;
        let status = TenantStatus {
            suspended: self.suspended,
            reason,
            at: now(),
            by: Actor {
                subject: claims.subject.to_string(),
                role: claims.role.as_str().to_owned(),
            },
        };
        append(node, &tenant, &status).await?;
        let body = json!({ "tenant": tenant, "suspended": status.suspended, "at": status.at });
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    }
}

/// Checks that the bearer may see and change the state of a tenant. Nobody suspends the own tenant,
/// because no token of it could resume it.
fn may_manage(claims: &Claims, tenant: &TenantId) -> Result<(), Code> {
    let may = claims.role == Role::SuperAdmin
        && !claims.origin.crossed
        && claims.locations.is_empty()
        && claims.tenant != *tenant;
    may.then_some(()).ok_or(Code::Forbidden)
}

async fn append(node: &NodeContext, tenant: &TenantId, status: &TenantStatus) -> Result<(), Code> {
    let record = status.to_wire(tenant, random::bits()?);
    match tokio::time::timeout(WITHIN, node.log.append(ACCESS_TOPIC, record)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the state of a tenant was not acknowledged");
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("the log took too long to acknowledge the state of a tenant");
            Err(Code::TryAgain)
        }
    }
}
