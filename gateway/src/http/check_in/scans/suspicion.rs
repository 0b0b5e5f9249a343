//! Suspicious scans: one code that is tried from two places, and many codes from one address. Both
//! are shown to staff in a bounded list, and written to the audit.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::{access, check_in::BookingAttempt};
use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    ids::{CheckInPointId, LocationId, TenantId},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::scanner::Scanner;
use crate::{
    access::audit::AuditedAction,
    backends::{
        quota::{Quota, Spent},
        short_keys,
    },
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited::NamedInBody,
            body::not_an_id,
            caller::{Caller, LocationParams, QueryParams},
            snapshots::load,
        },
    },
};

/// How long an attempt is remembered: the time that a person needs from one clinic to the next.
const PLACE_TTL: Duration = Duration::from_mins(10);
/// Wrong codes of one address in five minutes that may be mistakes of typing. A sixth is flagged.
const WRONG_CODES: (u32, u32) = (5, 300);
/// How long staff see a flag: until the next morning.
const FLAGS_TTL: Duration = Duration::from_hours(24);
/// Flags that staff see. One more removes the oldest.
const MAX_FLAGS: usize = 20;
/// Flags of one kind at one point within this time are one.
const SAME_MS: Millis = 10 * 60_000;

/// The kind of a suspicious attempt.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Suspicion {
    /// One code was tried from two places in a short time.
    TwoPlaces,
    /// Many wrong codes came from one address in a short time.
    ManyCodes,
}

/// A suspicious pattern, as staff see it. It names no booking.
#[derive(Serialize, Deserialize)]
struct Flag {
    kind: Suspicion,
    check_in_point: CheckInPointId,
    /// When it was last seen.
    at: Millis,
    /// How often it was seen.
    times: u32,
}

/// Records an attempt with a code, and flags it if it is suspicious. When the store does not
/// answer, the attempt is neither recorded nor refused.
pub(super) async fn note(node: &NodeContext, scanner: &Scanner, code: &str, proved: bool) {
    let attempt = BookingAttempt {
        location: scanner.id.location().to_string(),
        address: scanner.address.clone(),
        proved,
    };
    if is_elsewhere(node, scanner, code, &attempt).await.unwrap_or(false) {
        flag(node, scanner, Suspicion::TwoPlaces).await;
    }
    if !proved && is_one_of_many(node, scanner, code).await.unwrap_or(false) {
        flag(node, scanner, Suspicion::ManyCodes).await;
    }
}

async fn is_elsewhere(
    node: &NodeContext,
    scanner: &Scanner,
    code: &str,
    attempt: &BookingAttempt,
) -> Result<bool, Code> {
    let key = format!("booking-place:{}:{code}", scanner.claims.tenant);
    let value = serde_json::to_string(attempt).expect("an attempt has a JSON form");
    let claimed = short_keys::answer(node.short_keys.claim(&key, &value, PLACE_TTL)).await?;
    let Some(held) = claimed else { return Ok(false) };
    let held: BookingAttempt = serde_json::from_str(&held).map_err(|_| Code::Internal)?;
    Ok(held.contradicts(attempt))
}

/// Whether the address has sent several other wrong codes.
async fn is_one_of_many(node: &NodeContext, scanner: &Scanner, code: &str) -> Result<bool, Code> {
    let (tenant, address) = (&scanner.claims.tenant, &scanner.address);
    let key = format!("booking-wrong:{tenant}:{address}:{code}");
    let window = Duration::from_secs(WRONG_CODES.1.into());
    let known = short_keys::answer(node.short_keys.claim(&key, "wrong", window)).await?;
    if known.is_some() {
        return Ok(false);
    }
    let quota = Quota::new(WRONG_CODES.0, WRONG_CODES.1).ok_or(Code::Internal)?;
    let key = format!("wrong-codes-address:{tenant}:{address}");
    let spent = short_keys::answer(node.short_keys.spend(&key, quota)).await?;
    Ok(matches!(spent, Spent::Refused { .. }))
}

/// Adds a flag to the list of the location. Two flags at the same moment can become one.
async fn flag(node: &NodeContext, scanner: &Scanner, kind: Suspicion) {
    let word = json!(kind).as_str().unwrap_or_default().to_owned();
    let done = AuditedAction {
        action: "scan.suspicious".into(),
        what: vec![scanner.id.to_string(), word],
        ..AuditedAction::default()
    };
    node.audit.note(&scanner.claims, done);
    if let Err(code) = add(node, scanner, kind).await {
        tracing::warn!(%code, "a suspicious scan is in the audit alone");
    }
}

async fn add(node: &NodeContext, scanner: &Scanner, kind: Suspicion) -> Result<(), Code> {
    let (tenant, location) = (&scanner.claims.tenant, scanner.id.location());
    let mut flags = stored(node, tenant, &location).await?;
    let now = now();
    let same = flags.iter_mut().find(|flag| {
        flag.kind == kind && flag.check_in_point == scanner.id && now - flag.at < SAME_MS
    });
    match same {
        Some(flag) => (flag.at, flag.times) = (now, flag.times.saturating_add(1)),
        None => flags.push(Flag { kind, check_in_point: scanner.id.clone(), at: now, times: 1 }),
    }
    let kept = &flags[flags.len().saturating_sub(MAX_FLAGS)..];
    let value = serde_json::to_string(kept).expect("flags have a JSON form");
    short_keys::answer(node.short_keys.put(&key_of(tenant, &location), &value, FLAGS_TTL)).await
}

async fn stored(
    node: &NodeContext,
    tenant: &TenantId,
    location: &LocationId,
) -> Result<Vec<Flag>, Code> {
    let held = short_keys::answer(node.short_keys.get(&key_of(tenant, location))).await?;
    let flags = held.map(|held| serde_json::from_str(&held).map_err(|_| Code::Internal));
    Ok(flags.transpose()?.unwrap_or_default())
}

fn key_of(tenant: &TenantId, location: &LocationId) -> String {
    format!("check-in-flags:{tenant}:{location}")
}

/// The suspicious patterns of a location in the last day, for its desk.
pub(in crate::http) async fn flags(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(LocationParams { location }): QueryParams<LocationParams>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    access::may_see_flags(&claims, &location)?;
    if load(&node, &claims, &Channel::Load(location.clone())).await?.is_none() {
        return Err(Code::LocationUnknown.into());
    }
    let flags = stored(&node, &claims.tenant, &location).await?;
    let mut response = Json(json!({ "flags": flags })).into_response();
    response.extensions_mut().insert(NamedInBody(vec![location.to_string()]));
    Ok(response)
}
