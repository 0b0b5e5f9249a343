//! Tenants: creating, changing, suspending and resuming them, for super admins and for a stated
//! reason. The state of every tenant is in the topic of revocations, so each node holds all of it.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{Claims, Role};
use http::{HeaderMap, StatusCode};
use schemas::{
    Millis,
    access::TenantStatus,
    codes::Code,
    command::Command,
    ids::{Aggregate, CommandId, TenantId},
    record::{ACCESS_TOPIC, Actor},
    tenant::{INSTALLATION, TenantQuotas, TenantRetention, TenantSettings},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tokens::{is_known, reason};
use crate::{
    client_address::audited_client::AuditedClient,
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited_request::AuditedRequest,
            body::{not_an_id, read},
            caller::{Caller, QueryParams, Segments},
            command_request::CommandRequest,
            cursor::{self, Cursor},
            editions,
        },
    },
    limits::settings::{installation_limit, own_limit},
    random,
};

/// How long the log may take to acknowledge. Past it the answer is `try_again`: the change may or
/// may not count, and repeating it does no harm.
const WITHIN: Duration = Duration::from_secs(3);

/// A tenant as super admins see it.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct ShownTenant {
    tenant: TenantId,
    /// Whether its tokens are refused.
    suspended: bool,
    /// When it was suspended, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Millis>,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When a super admin created it. Absent for a tenant that only the issuers name.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Millis>,
    /// The version of the last change of its settings. 0 for a tenant that nobody has created.
    edition: u64,
    #[serde(flatten)]
    settings: TenantSettings,
}

impl ShownTenant {
    fn new(node: &NodeContext, tenant: TenantId) -> Self {
        let suspension = node.revocations.suspension(&tenant);
        let stored = node.revocations.settings(&tenant);
        Self {
            suspended: suspension.is_some(),
            at: suspension.as_ref().map(|status| status.at),
            reason: suspension.map(|status| status.reason),
            created_at: stored.as_ref().map(|stored| stored.created_at),
            edition: stored.as_ref().map_or(0, |stored| stored.edition),
            settings: stored.map(|stored| stored.settings).unwrap_or_default(),
            tenant,
        }
    }
}

/// A tenant: whether it is suspended, and its settings.
pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([tenant]): Segments<1>,
) -> Result<Response, Problem> {
    let tenant = TenantId::new(tenant).map_err(not_an_id)?;
    may_administer(&claims)?;
    let is_created = node.revocations.settings(&tenant).is_some();
    if !is_created && !is_known(&node, &claims, &tenant).await? {
        return Err(Code::TenantUnknown.into());
    }
    let shown = ShownTenant::new(&node, tenant);
    Ok((editions::tag(shown.edition), Json(shown)).into_response())
}

/// A page of a list of tenants.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Page {
    /// The cursor of the page before.
    after: Option<String>,
    /// Most entries, at most 500.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

/// The tenants that are created or suspended, in the order of their ids. Tenants that only the
/// issuers name are not among them.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(page): QueryParams<Page>,
) -> Result<Response, Problem> {
    may_administer(&claims)?;
    let limit = cursor::page(page.limit)?;
    let after = page.after.as_deref().map(TenantId::open).transpose()?;
    let mut tenants = node.revocations.known_tenants(after.as_ref(), limit as usize + 1);
    let next = cursor::cut(&mut tenants, limit, Clone::clone);
    let shown: Vec<_> = tenants.into_iter().map(|id| ShownTenant::new(&node, id)).collect();
    Ok(cursor::answer("tenants", shown, next))
}

/// A new tenant.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewTenant {
    /// The id that tokens name.
    tenant: TenantId,
    /// The name of the organisation.
    name: Option<String>,
    #[serde(default)]
    quotas: TenantQuotas,
    /// The limits that differ from those of the installation, by name.
    #[serde(default)]
    limits: BTreeMap<String, String>,
    #[serde(default)]
    retention: TenantRetention,
}

/// The settings of a tenant.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangedTenant {
    /// The name of the organisation. Absent: none.
    name: Option<String>,
    #[serde(default)]
    quotas: TenantQuotas,
    /// The limits that differ from those of the installation, by name.
    #[serde(default)]
    limits: BTreeMap<String, String>,
    #[serde(default)]
    retention: TenantRetention,
    /// The edition that the change was made from. Absent: any.
    edition: Option<u64>,
}

/// Creates a tenant.
pub(in crate::http) async fn create(
    State(node): NodeState,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
    request: CommandRequest,
) -> Result<Response, Problem> {
    may_administer(&request.claims)?;
    let body = read(&request.body, r#"{"tenant","name"?,"quotas"?,"limits"?,"retention"?}"#)?;
    let NewTenant { tenant, name, quotas, limits, retention } = body;
    if tenant.as_str() == INSTALLATION {
        return Err(Problem::from(Code::InvalidId).explained("no tenant may have this id"));
    }
    let settings = TenantSettings { name, quotas, limits, retention };
    let command = Command::CreateTenant { settings };
    let why = StatedReason { client, audited, headers };
    store(&node, &request, why, tenant, command).await
}

/// Replaces the settings of a tenant.
pub(in crate::http) async fn change(
    State(node): NodeState,
    Segments([tenant]): Segments<1>,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let tenant = TenantId::new(tenant).map_err(not_an_id)?;
    may_administer(&request.claims)?;
    let shape = r#"{"name"?,"quotas"?,"limits"?,"retention"?,"edition"?}"#;
    let ChangedTenant { name, quotas, limits, retention, edition } = read(&request.body, shape)?;
    let settings = TenantSettings { name, quotas, limits, retention };
    let command = Command::ChangeTenant { settings, edition };
    let why = StatedReason { client, audited, headers };
    store(&node, &request, why, tenant, command).await
}

/// What the audits of both tenants get about a change.
pub(super) struct StatedReason {
    pub(super) client: AuditedClient,
    pub(super) audited: AuditedRequest,
    pub(super) headers: HeaderMap,
}

/// Gives the command to the aggregate of the tenant's settings. Both tenants have the reason in
/// their audit before the answer leaves.
pub(super) async fn store(
    node: &NodeContext,
    request: &CommandRequest,
    why: StatedReason,
    tenant: TenantId,
    command: Command,
) -> Result<Response, Problem> {
    let StatedReason { client, audited, headers } = why;
    let (kind, reason) = (command.kind(), reason(&headers)?);
    audited.set_crossing(Some(reason.as_str()), Some(&tenant));
    if let Command::CreateTenant { settings } | Command::ChangeTenant { settings, .. } = &command {
        check_limits(&tenant, settings)?;
    }
    if tenant.as_str() != INSTALLATION {
        node.audit.managed(&request.claims, &tenant, client, kind, &reason).await?;
    }
    let id = request.key.clone().map_or_else(|| random::bits().map(CommandId::from_random), Ok)?;
    let aggregate = Aggregate::tenant_settings(&tenant);
    match request.submit(node, aggregate, id, command).await? {
        Some(outcome) => Ok(Json(outcome).into_response()),
        // Its outcome belongs to the other tenant, where nobody can ask for it.
        None => Err(Problem::from(Code::TryAgain)
            .explained("not decided yet: send it again with the same Idempotency-Key")),
    }
}

fn check_limits(tenant: &TenantId, settings: &TenantSettings) -> Result<(), Problem> {
    for (name, value) in &settings.limits {
        let read = match tenant.as_str() {
            INSTALLATION => installation_limit(name, value),
            _ => own_limit(name, value),
        };
        read.map_err(|error| {
            Problem::from(Code::InvalidValue).explained(format!("limits: {error}"))
        })?;
    }
    Ok(())
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
        may_suspend(claims, &tenant)?;
        let reason = reason?;
        let is_created = node.revocations.settings(&tenant).is_some();
        if !is_created && !is_known(node, claims, &tenant).await? {
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

/// Checks that the bearer may see and change tenants.
pub(super) fn may_administer(claims: &Claims) -> Result<(), Code> {
    let may =
        claims.role == Role::SuperAdmin && !claims.origin.crossed && claims.locations.is_empty();
    may.then_some(()).ok_or(Code::Forbidden)
}

/// Checks that the bearer may suspend and resume a tenant. Nobody suspends the own tenant, because
/// no token of it could resume it.
fn may_suspend(claims: &Claims, tenant: &TenantId) -> Result<(), Code> {
    may_administer(claims)?;
    if claims.tenant == *tenant { Err(Code::Forbidden) } else { Ok(()) }
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
