//! Displays: pairing a screen with a location, and the list of paired ones.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims, Role};
use http::{StatusCode, header};
use schemas::{
    access::{RevocationTarget, TargetKind},
    channel::Channel,
    codes::Code,
    command::Command,
    ids::{Aggregate, CheckInPointId, CommandId, DisplayId, LocationId},
    record::{Actor, CommandRecord},
    settings::{DISPLAY_PREFIX, display_key},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{revocations, tokens};
use crate::{
    access::{
        audit::AuditedAction,
        displays::{self, Approval, PAIRING_TTL},
    },
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited::NamedInBody,
            body::{not_an_id, nothing, read},
            caller::{Caller, JsonText, LocationParams, QueryParams, Segments, Visitor},
            command_request::{CommandRequest, SOURCE},
            snapshots::{load, settings, unreadable},
        },
    },
    limits::Limit,
    random,
};

/// Seconds after which a screen asks again whether it was paired: as fast as staff look up from the
/// desk, and 300 requests for each pairing at most.
const POLL_S: u64 = 2;

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct ApproveBody {
    #[schemars(with = "LocationId")]
    location: String,
    name: String,
    #[schemars(with = "Option<CheckInPointId>")]
    check_in_point: Option<String>,
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct SecretBody {
    secret: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct NameBody {
    name: String,
    /// The edition of the display that the change was made from.
    edition: Option<u64>,
}

/// Begins a pairing: the screen shows the code, and asks with the secret.
pub(in crate::http) async fn begin(
    State(node): NodeState,
    visitor: Visitor,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let Nothing {} = read(&body, "{}")?;
    node.limits.spend(Limit::Pairings, visitor.address)?;
    node.limits.spend(Limit::PairingsOfNode, node.limits.node_key())?;
    let pairing = displays::begin(&*node.short_keys).await?;
    let body = json!({
        "code": pairing.code,
        "secret": pairing.secret,
        "expires_in": PAIRING_TTL.as_secs(),
        "poll_s": POLL_S,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Approves the pairing with the code that staff read from a screen.
pub(in crate::http) async fn approve(
    State(node): NodeState,
    Segments([code]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let ApproveBody { location, name, check_in_point } =
        read(&request.body, r#"{"location","name","check_in_point"?}"#)?;
    let check_in_point = check_in_point.map(CheckInPointId::new).transpose().map_err(not_an_id)?;
    let location = LocationId::new(location).map_err(not_an_id)?;
    let code = displays::read_code(&code)?;
    let Claims { tenant, subject, .. } = &request.claims;
    let keys = &*node.short_keys;
    // A caller who may not pair must not learn which codes exist.
    let pairing = displays::find(keys, &code).await;
    let display = match &pairing {
        Ok(pairing) => pairing.display(tenant, &location),
        Err(_) => DisplayId::from_random(&location, 0),
    };
    let command = Command::PairDisplay {
        display: display.clone(),
        name: name.clone(),
        check_in_point: check_in_point.clone(),
    };
    access::may_command(&request.claims, &location, &command)?;
    let by = subject.to_string();
    let approval = Approval { tenant: tenant.clone(), display, name, check_in_point, by };
    if let Some(earlier) = pairing?.approval {
        return repeated(&earlier, &approval);
    }
    displays::lock(keys, &code).await?;
    let approved = pair(&node, &request, &code, approval, command).await;
    displays::unlock(keys, &code).await;
    approved
}

/// Answers an approval that was given before. Its answer may have been lost.
fn repeated(earlier: &Approval, approval: &Approval) -> Result<Response, Problem> {
    if earlier == approval { Ok(paired(earlier)) } else { Err(Code::PairingTaken.into()) }
}

/// Makes the display known to its location, and then lets the screen have its credential.
async fn pair(
    node: &NodeContext,
    request: &CommandRequest,
    code: &str,
    approval: Approval,
    command: Command,
) -> Result<Response, Problem> {
    let pairing = displays::find(&*node.short_keys, code).await?;
    if pairing.approval.is_some() {
        return Err(Code::PairingTaken.into());
    }
    let aggregate = Aggregate::location(&approval.tenant, &approval.display.location());
    // A location that has not decided in time may still accept. The screen gets its credential
    // once the location knows the display.
    request.submit(node, aggregate, CommandId::from_random(random::bits()?), command).await?;
    displays::approve(&*node.short_keys, code, pairing, approval.clone()).await?;
    Ok(paired(&approval))
}

fn paired(approval: &Approval) -> Response {
    let Approval { display, name, check_in_point, .. } = approval;
    let mut body = json!({ "display": display, "location": display.location(), "name": name });
    if let Some(point) = check_in_point {
        body["check_in_point"] = json!(point);
    }
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.extensions_mut().insert(NamedInBody(vec![display.to_string()]));
    response
}

/// Gives the screen of an approved pairing its credential. Until the approval the answer is 202
/// with `Retry-After`.
pub(in crate::http) async fn credential(
    State(node): NodeState,
    visitor: Visitor,
    Segments([code]): Segments<1>,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let SecretBody { secret } = read(&body, r#"{"secret"}"#)?;
    let code = displays::read_code(&code)?;
    let pairing = displays::find(&*node.short_keys, &code).await?;
    if !pairing.is_of(&secret) {
        return Err(Code::PairingUnknown.into());
    }
    let Some(Approval { tenant, display, name, check_in_point, .. }) = pairing.approval else {
        return Ok(wait());
    };
    let role = if check_in_point.is_some() { Role::CheckInPoint } else { Role::Display };
    let claims = displays::claims(&tenant, &display, role, 0, now());
    // Each answer from here on loads a view, and a credential writes to the audit.
    node.limits.spend_shared(Limit::Rest, &claims).await?;
    if !is_paired(&node, &claims, &display).await? {
        return Ok(wait());
    }
    node.verifier.check(&claims)?;
    visitor.becomes(&claims);
    let mut body = tokens::body(&node.verifier.sign(&claims)?, &claims);
    body["display"] = json!(display);
    body["location"] = json!(display.location());
    body["name"] = json!(name);
    if let Some(point) = check_in_point {
        body["check_in_point"] = json!(point);
    }
    Ok(Json(body).into_response())
}

fn wait() -> Response {
    let again = [(header::RETRY_AFTER, POLL_S.to_string())];
    (StatusCode::ACCEPTED, again, Json(json!({ "state": "waiting" }))).into_response()
}

/// Whether the location knows the display.
async fn is_paired(node: &NodeContext, claims: &Claims, display: &DisplayId) -> Result<bool, Code> {
    let settings = load(node, claims, &Channel::Settings(display.location())).await?;
    Ok(settings.is_some_and(|view| view.entries.contains_key(&display_key(display))))
}

/// The claims that follow those of a display's credential. A credential that somebody has copied
/// is noticed when the second one is renewed: then both end, and the screen must be paired again.
///
/// # Errors
/// `token_revoked` for a display that was removed, `credential_reused`, and `try_again`.
pub(in crate::http) async fn renewed(
    node: &NodeContext,
    claims: &Claims,
) -> Result<Claims, Problem> {
    let (display, generation) = displays::credential_of(claims).ok_or(Code::NotRenewable)?;
    let (tenant, now) = (&claims.tenant, now());
    if !is_paired(node, claims, &display).await? {
        return Err(Code::TokenRevoked.into());
    }
    // If a generation were used up and the audit then withheld the answer, the credential would
    // look copied.
    let action = "display.renew".into();
    let what = vec![display.to_string()];
    node.audit.write(claims, AuditedAction { action, what, ..AuditedAction::default() }).await?;
    let keys = &*node.short_keys;
    match displays::use_up(keys, tenant, &display, generation, now).await {
        Err(Code::CredentialReused) => {
            // The macro has a function `display` of its own.
            let screen = &display;
            tracing::warn!(%tenant, %screen, "a display's credential has a copy: access ended");
            end_copied(node, claims, &display).await?;
            Err(Code::CredentialReused.into())
        }
        used => {
            used?;
            Ok(displays::claims(tenant, &display, claims.role, generation.saturating_add(1), now))
        }
    }
}

/// Ends a display whose credential was copied: its tokens everywhere, and its place in the list,
/// which staff then miss.
async fn end_copied(
    node: &NodeContext,
    claims: &Claims,
    display: &DisplayId,
) -> Result<(), Problem> {
    revocations::append(node, claims, device(display), None).await?;
    let record = CommandRecord {
        aggregate: Aggregate::location(&claims.tenant, &display.location()),
        id: CommandId::from_random(random::bits()?),
        source: SOURCE.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: Some(Actor {
            subject: claims.subject.to_string(),
            role: claims.role.as_str().to_owned(),
        }),
        command: Command::UnpairDisplay { display: display.clone() },
    };
    // The revocation has ended the credential. Staff can still remove the display themselves.
    if let Err(code) = node.commands.submit(record).await {
        tracing::warn!(%code, "a display with a copied credential is still listed");
    }
    Ok(())
}

fn device(display: &DisplayId) -> RevocationTarget {
    RevocationTarget { kind: TargetKind::Device, id: display.to_string() }
}

/// The displays of a location.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(LocationParams { location }): QueryParams<LocationParams>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let view = settings(&node, &claims, &location).await?;
    let mut displays = Vec::new();
    for (key, entry) in &view.entries {
        let Some(display) = key.strip_prefix(DISPLAY_PREFIX) else { continue };
        let mut listed: Value = serde_json::from_str(entry.get()).map_err(unreadable)?;
        listed["display"] = json!(display);
        displays.push(listed);
    }
    let mut response = Json(json!({ "displays": displays })).into_response();
    response.extensions_mut().insert(NamedInBody(vec![location.to_string()]));
    Ok(response)
}

pub(in crate::http) async fn rename(
    State(node): NodeState,
    Segments([display]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let display = DisplayId::new(display).map_err(not_an_id)?;
    let NameBody { name, edition } = read(&request.body, r#"{"name","edition"?}"#)?;
    let location = display.location();
    request.give(&node, &location, Command::RenameDisplay { display, name, edition }).await
}

/// Removes a display and ends its tokens. Those end first: a display that is no longer listed must
/// not show anything.
pub(in crate::http) async fn unpair(
    State(node): NodeState,
    Segments([display]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let display = DisplayId::new(display).map_err(not_an_id)?;
    let location = display.location();
    let target = device(&display);
    let command = nothing(&request.body, Command::UnpairDisplay { display })?;
    access::may_command(&request.claims, &location, &command)?;
    revocations::append(&node, &request.claims, target, None).await?;
    request.give(&node, &location, command).await
}
