//! Tokens that the gateway itself issues for crossings into another tenant or to another location.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::Claims;
use http::HeaderMap;
use schemas::{
    channel::Channel,
    codes::Code,
    ids::{LocationId, TenantId},
};
use serde_json::{Value, json};

use crate::{
    access::own_tokens,
    client_address::audited_client::AuditedClient,
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited_request::AuditedRequest,
            body::not_an_id,
            caller::{Caller, Segments},
            headers::only_line,
            snapshots::load,
        },
    },
};

/// The header with the reason of a crossing into another tenant or to another location.
pub(in crate::http) const REASON: &str = "clinicwire-reason";
/// The header of every answer to the token of a crossing: when it ends, in Unix milliseconds.
pub(in crate::http) const CROSSING: &str = "clinicwire-crossing";
/// The bounds of a reason, in characters: one word explains nothing, and a reader of the audit does
/// not read a long text.
const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=500;

/// Lets a super admin into another tenant for a stated reason. This function writes the reason to
/// the other tenant's audit, and the layer of the audit writes it to the own one, before the answer
/// leaves.
pub(in crate::http) async fn cross(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([tenant]): Segments<1>,
    Extension(client): Extension<AuditedClient>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = TenantId::new(tenant).map_err(not_an_id)?;
    let reason = reason(&headers);
    audited.set_crossing(reason.as_deref().ok(), Some(&tenant));
    let crossed = own_tokens::crossed(&claims, tenant.clone(), now())?;
    let reason = reason?;
    if !is_known(&node, &claims, &tenant).await? {
        return Err(Code::TenantUnknown.into());
    }
    node.revocations.check_tenant(&tenant)?;
    node.audit.crossed(&claims, &crossed, client, &reason).await?;
    token(&node, &crossed)
}

/// Whether the configuration names the tenant, or the authority has a view or a run of it.
pub(super) async fn is_known(
    node: &NodeContext,
    claims: &Claims,
    tenant: &TenantId,
) -> Result<bool, Code> {
    let has_data = crate::http::found(node, &claims.tenant, node.queries.has_tenant(tenant));
    Ok(node.verifier.names(tenant) || has_data.await?)
}

/// Lets staff reach another location of their tenant in an emergency, for a stated reason. The
/// layer of the audit writes it before the answer leaves.
pub(in crate::http) async fn cross_to_location(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
    Extension(audited): Extension<AuditedRequest>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let reason = reason(&headers);
    audited.set_crossing(reason.as_deref().ok(), None);
    let crossed = own_tokens::crossed_to_location(&claims, location.clone(), now())?;
    reason?;
    if load(&node, &claims, &Channel::Load(location)).await?.is_none() {
        return Err(Code::LocationUnknown.into());
    }
    token(&node, &crossed)
}

/// Reads the reason in UTF-8, or in Latin-1 as `fetch` of browsers sends it.
pub(super) fn reason(headers: &HeaderMap) -> Result<String, Problem> {
    let bytes = only_line(headers, REASON).unwrap_or_default();
    let latin1 = || bytes.iter().copied().map(char::from).collect();
    let reason = std::str::from_utf8(bytes).map_or_else(|_| latin1(), str::to_owned);
    let reason = reason.trim();
    let is_text = !reason.chars().any(char::is_control);
    match is_text && REASON_CHARS.contains(&reason.chars().count()) {
        true => Ok(reason.to_owned()),
        false => Err(Problem::from(Code::ReasonMissing).explained(
            "the header Clinicwire-Reason has 10 to 500 characters, none of them a control",
        )),
    }
}

pub(in crate::http) fn token(node: &NodeContext, claims: &Claims) -> Result<Response, Problem> {
    Ok(Json(body(&node.verifier.sign(claims)?, claims)).into_response())
}

/// The body of an answer that gives a token.
pub(in crate::http) fn body(token: &str, claims: &Claims) -> Value {
    let until = claims.origin.renewable_until;
    json!({
        "token": token,
        "expires": claims.expires,
        "tenant": claims.tenant,
        "renewable_until": (until > 0).then_some(until),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reason_is_utf8_or_latin1() {
        for bytes in ["Café fermé".as_bytes(), b"Caf\xe9 ferm\xe9"] {
            let header = HeaderValue::from_bytes(bytes).unwrap();
            let headers = HeaderMap::from_iter([(REASON.parse().unwrap(), header)]);
            assert_eq!(reason(&headers).ok().as_deref(), Some("Café fermé"));
        }
    }

    #[test]
    fn reason_has_no_control_characters() {
        let header = HeaderValue::from_static("called\tby the ward");
        let headers = HeaderMap::from_iter([(REASON.parse().unwrap(), header)]);
        assert!(reason(&headers).is_err());
    }
}
