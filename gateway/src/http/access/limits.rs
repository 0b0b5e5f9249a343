//! The limits of the whole installation, which super admins change while nodes run.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use schemas::{
    codes::Code,
    command::Command,
    ids::TenantId,
    tenant::{INSTALLATION, TenantSettings},
};
use serde::{Deserialize, Serialize};

use super::tenants::{StatedReason, may_administer, store};
use crate::{
    client_address::audited_client::AuditedClient,
    http::{
        NodeState, Problem,
        shared::{
            audited_request::AuditedRequest, body::read, caller::Caller,
            command_request::CommandRequest, editions,
        },
    },
    limits::{Limit, table::LimitValue},
};

/// One limit of the installation.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct ShownLimit {
    name: &'static str,
    /// The clients whose requests it counts together.
    counts_for: &'static str,
    /// The value on this node for tenants that have no other.
    value: String,
}

/// The limits of the installation.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct ShownLimits {
    limits: Vec<ShownLimit>,
    /// Those that were changed while nodes run, as they were written.
    changed: BTreeMap<String, String>,
    /// The version of the last change, for a change that must not overwrite another one.
    edition: u64,
}

/// Limits that replace all changes before.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangedLimits {
    /// The limits that differ from the settings of the nodes, by name.
    limits: BTreeMap<String, String>,
    /// The edition that the change was made from. Absent: any.
    edition: Option<u64>,
}

fn installation() -> Result<TenantId, Code> {
    TenantId::new(INSTALLATION).map_err(|_| Code::Internal)
}

fn shown(value: Option<LimitValue>) -> String {
    match value {
        None => "off".to_owned(),
        Some(LimitValue::Rate(quota)) => format!("{}/{}", quota.count(), quota.window_s()),
        Some(LimitValue::Places(places)) => places.to_string(),
        Some(LimitValue::Fixed(text)) => text.to_owned(),
    }
}

/// Every limit with its value on this node.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
) -> Result<Response, Problem> {
    may_administer(&claims)?;
    let stored = node.revocations.settings(&installation()?);
    let limit = |limit: Limit| ShownLimit {
        name: limit.name(),
        counts_for: limit.scope().text(),
        value: shown(node.limits.of_all(limit)),
    };
    let edition = stored.as_ref().map_or(0, |stored| stored.edition);
    let changed = stored.map(|stored| stored.settings.limits).unwrap_or_default();
    let limits = Limit::ALL.map(limit).into();
    Ok((editions::tag(edition), Json(ShownLimits { limits, changed, edition })).into_response())
}

/// Replaces the limits that were changed while nodes run.
pub(in crate::http) async fn change(
    State(node): NodeState,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
    request: CommandRequest,
) -> Result<Response, Problem> {
    may_administer(&request.claims)?;
    let ChangedLimits { limits, edition } = read(&request.body, r#"{"limits","edition"?}"#)?;
    let settings = TenantSettings { limits, ..TenantSettings::default() };
    let installation = installation()?;
    let command = match node.revocations.settings(&installation) {
        Some(_) => Command::ChangeTenant { settings, edition },
        None => Command::CreateTenant { settings },
    };
    let why = StatedReason { client, audited, headers };
    store(&node, &request, why, installation, command).await
}
