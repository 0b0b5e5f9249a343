//! The identity behind a scan: the code of a poster names its check-in point. The credential of a
//! kiosk names its display, which the location binds to a check-in point.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use gateway_core::access::{Claims, Credential, Origin, Role};
use http::{HeaderMap, header};
use schemas::{
    channel::Channel,
    check_in::{CheckInPointKind, CheckInPointSettings},
    codes::Code,
    ids::{CheckInPointId, CommandId, DisplayId, LocationId, QueueId, TenantId},
    settings::{DisplaySettings, LOCATION_KEY, display_key},
    view::View,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client_address::ClientAddress,
    context::NodeContext,
    http::{
        Problem,
        check_in::check_in_points::point_in,
        now,
        shared::{
            caller::{Caller, JsonText, Visitor},
            command_request,
            snapshots::{load, unreadable},
        },
    },
    limits::{Limit, LimitKey, LimitRefusal},
};

/// A scan request. Its check-in point is known once the body was read.
pub(in crate::http) struct ScanRequest {
    visitor: Visitor,
    /// The claims of a kiosk. A phone has none.
    kiosk: Option<Claims>,
    /// The digest of the client's address.
    address: String,
    /// The key that makes a repeated scan do nothing more.
    pub(super) key: Option<CommandId>,
    pub(super) body: Bytes,
}

impl FromRequest<Arc<NodeContext>> for ScanRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<NodeContext>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let kiosk = match parts.headers.contains_key(header::AUTHORIZATION) {
            true => Some(Caller::from_request_parts(&mut parts, node).await?.0),
            false => None,
        };
        let client = ClientAddress::from_extensions(&parts.extensions);
        let address = node.booking_key.address(&client.ip().to_string());
        let key = key(&parts.headers)?;
        let Ok(visitor) = Visitor::from_request_parts(&mut parts, node).await;
        let request = Request::from_parts(parts, body);
        let JsonText(body) = JsonText::from_request(request, node).await?;
        Ok(Self { visitor, kiosk, address, key, body })
    }
}

/// Reads the key of a scan. All phones at a point are one subject, so that a short key of one could
/// be that of another.
fn key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    const LEAST: usize = 16;
    let key = command_request::key(headers)?;
    match key.as_ref().is_some_and(|key| key.as_str().len() < LEAST) {
        true => Err(Problem::from(Code::InvalidId)
            .explained("the Idempotency-Key of a scan has at least 16 characters")),
        false => Ok(key),
    }
}

/// The check-in point of a scan.
pub(super) struct Scanner {
    pub(super) id: CheckInPointId,
    /// The digest of the client's address.
    pub(super) address: String,
    /// The rights of the point: check in at its location, and issue tickets in its queues.
    pub(super) claims: Claims,
    pub(super) point: CheckInPointSettings,
    /// The settings of its location.
    pub(super) settings: View,
}

/// The part of a location's settings that a page of a check-in point shows.
#[derive(Deserialize)]
struct LocationPart {
    name: String,
    time_zone: String,
    languages: Vec<String>,
}

impl Scanner {
    /// Whether phones must report their position. A kiosk has a fixed place.
    pub(super) fn asks_position(&self) -> bool {
        self.point.setup.place.is_some() && self.point.setup.kind == CheckInPointKind::Poster
    }

    /// The location as the page shows it.
    pub(super) fn location(&self) -> Result<Value, Code> {
        let entry = self.settings.entries.get(LOCATION_KEY).ok_or(Code::NotFound)?;
        let LocationPart { name, time_zone, languages } =
            serde_json::from_str(entry.get()).map_err(unreadable)?;
        Ok(json!({ "name": name, "time_zone": time_zone, "languages": languages }))
    }
}

impl ScanRequest {
    /// The check-in point of the request. `code` is the code of a poster, which a kiosk does not
    /// send.
    ///
    /// # Errors `qr_expired` for a text that is no code, a replaced code, or a code of a point that
    /// is out of use; `check_in_point_unknown` for a kiosk without its point; and the refusals of
    /// limits.
    pub(super) async fn scanner(
        &self,
        node: &NodeContext,
        code: Option<&str>,
    ) -> Result<Scanner, Problem> {
        match &self.kiosk {
            Some(claims) => self.of_kiosk(node, claims).await,
            None => self.of_poster(node, code.unwrap_or_default()).await,
        }
    }

    /// Checks that the client has not guessed too often. All patients of a kiosk share its address.
    pub(super) fn check_guesses(
        &self,
        node: &NodeContext,
        scanner: &Scanner,
    ) -> Result<(), LimitRefusal> {
        let (limit, key) = self.guesses(node, scanner);
        node.limits.check(limit, key)
    }

    /// Counts a wrong code or factor.
    pub(super) fn note_guess(&self, node: &NodeContext, scanner: &Scanner) {
        let (limit, key) = self.guesses(node, scanner);
        node.limits.note(limit, key);
    }

    fn guesses(&self, node: &NodeContext, scanner: &Scanner) -> (Limit, LimitKey) {
        match self.kiosk {
            Some(_) => {
                let Claims { tenant, subject, .. } = &scanner.claims;
                (Limit::WrongBookingsOfKiosk, node.limits.subject_key(tenant, subject))
            }
            None => (Limit::WrongBookings, self.visitor.address),
        }
    }

    /// Spends the rate of tickets without an appointment.
    pub(super) fn spend_walk_in(&self, node: &NodeContext) -> Result<(), LimitRefusal> {
        if self.kiosk.is_none() {
            node.limits.spend(Limit::WalkIns, self.visitor.address)?;
        }
        Ok(())
    }

    async fn of_poster(&self, node: &NodeContext, code: &str) -> Result<Scanner, Problem> {
        let address = self.visitor.address;
        let code = match node.check_in_code_key.open(code) {
            Ok(code) => code,
            Err(refusal) => {
                // Wrong codes of others at the same address hold up no right one.
                node.limits.check(Limit::LinkFailures, address)?;
                node.limits.note(Limit::LinkFailures, address);
                return Err(refusal.into());
            }
        };
        node.limits.spend(Limit::ScansOfAddress, address)?;
        node.revocations.check_tenant(&code.tenant)?;
        let claims = claims(&code.tenant, &code.point, &BTreeSet::new());
        self.visitor.becomes(&claims);
        node.limits.spend_shared(Limit::Scans, &claims).await?;
        let settings = settings(node, &claims, &code.point.location()).await?;
        let point = point_in(&settings, &code.point)?.filter(|point| {
            point.setup.kind == CheckInPointKind::Poster
                && point.rotation == code.rotation
                && !point.revoked
        });
        let point = point.ok_or(Code::QrExpired)?;
        let claims = self::claims(&code.tenant, &code.point, &point.setup.queues);
        Ok(Scanner { id: code.point, address: self.address.clone(), claims, point, settings })
    }

    async fn of_kiosk(&self, node: &NodeContext, claims: &Claims) -> Result<Scanner, Problem> {
        let display = DisplayId::new(claims.subject.clone()).map_err(|_| Code::Forbidden)?;
        let is_kiosk = claims.role == Role::CheckInPoint
            && matches!(claims.origin.credential, Credential::Display { .. });
        if !is_kiosk {
            return Err(Code::Forbidden.into());
        }
        let settings = settings(node, claims, &display.location()).await?;
        let entry = settings.entries.get(&display_key(&display)).ok_or(Code::TokenRevoked)?;
        let display: DisplaySettings = serde_json::from_str(entry.get()).map_err(unreadable)?;
        let id = display.check_in_point.ok_or(Code::CheckInPointUnknown)?;
        let point = point_in(&settings, &id)?
            .filter(|point| point.setup.kind == CheckInPointKind::Kiosk && !point.revoked)
            .ok_or(Code::CheckInPointUnknown)?;
        let claims = self::claims(&claims.tenant, &id, &point.setup.queues);
        Ok(Scanner { id, address: self.address.clone(), claims, point, settings })
    }
}

/// The settings of a location, which the check-in point of this tenant reads.
async fn settings(
    node: &NodeContext,
    claims: &Claims,
    location: &LocationId,
) -> Result<View, Problem> {
    let channel = Channel::Settings(location.clone());
    Ok(load(node, claims, &channel).await?.ok_or(Code::QrExpired)?)
}

/// The rights of a check-in point. They are never signed: its code proves the place of a scan, and
/// a kiosk has a credential of its own.
fn claims(tenant: &TenantId, point: &CheckInPointId, queues: &BTreeSet<QueueId>) -> Claims {
    Claims {
        tenant: tenant.clone(),
        subject: point.as_str().into(),
        role: Role::CheckInPoint,
        locations: vec![point.location()],
        queues: queues.iter().cloned().collect(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: now(),
        origin: Origin::default(),
    }
}
