//! Check-in points: their list, their changes, and the codes of their posters.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use schemas::{
    check_in::{CheckInPointKind, CheckInPointSettings},
    codes::Code,
    ids::{CheckInPointId, LocationId, TenantId},
    settings::{CHECK_IN_POINT_PREFIX, check_in_point_key},
    view::{Position, View},
};
use serde_json::{Value, json};

use crate::{
    access::check_in_codes::CheckInCode,
    context::NodeContext,
    http::{
        NodeState, Problem,
        location::requests::{self, CONFIGURE, CommandTarget},
        shared::{
            audited::NamedInBody,
            body::{not_an_id, nothing},
            caller::{Caller, LocationParams, QueryParams, Segments},
            command_request::CommandRequest,
            qr_image::{self, NodeAddress, QrImage},
            snapshots::{settings, unreadable},
        },
    },
};

/// Widths of a poster's code in millimetres, with its quiet zone: from a card on the desk to a
/// sheet of A4.
const LEAST_MM: u16 = 30;
const MOST_MM: u16 = 180;

/// The query of an image of the code of a poster.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PosterImageParams {
    /// Width of the image with its quiet zone, in millimetres.
    #[schemars(range(min = LEAST_MM, max = MOST_MM))]
    mm: Option<u16>,
}
/// The width without `mm`: people read it from two metres.
const DEFAULT_MM: u16 = 120;

/// The check-in points of a location.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(LocationParams { location }): QueryParams<LocationParams>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let view = settings(&node, &claims, &location).await?;
    let mut points = Vec::new();
    for key in view.entries.keys() {
        let Some(point) = key.strip_prefix(CHECK_IN_POINT_PREFIX) else { continue };
        let point = CheckInPointId::new(point).map_err(unreadable)?;
        if let Some(settings) = point_in(&view, &point)? {
            points.push(shown(&node, &claims, &point, &settings));
        }
    }
    let Position { epoch, version } = view.position;
    let body = json!({ "epoch": epoch.to_string(), "version": version, "check_in_points": points });
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(NamedInBody(vec![location.to_string()]));
    Ok(response)
}

/// One check-in point.
pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([point]): Segments<1>,
) -> Result<Response, Problem> {
    let point = CheckInPointId::new(point).map_err(not_an_id)?;
    let view = settings(&node, &claims, &point.location()).await?;
    let settings = point_in(&view, &point)?.ok_or(Code::NotFound)?;
    let Position { epoch, version } = view.position;
    let mut body = shown(&node, &claims, &point, &settings);
    body["epoch"] = json!(epoch.to_string());
    body["version"] = json!(version);
    Ok(Json(body).into_response())
}

/// A check-in point in the settings of its location.
pub(in crate::http) fn point_in(
    settings: &View,
    point: &CheckInPointId,
) -> Result<Option<CheckInPointSettings>, Code> {
    let entry = settings.entries.get(&check_in_point_key(point));
    entry.map(|entry| serde_json::from_str(entry.get()).map_err(unreadable)).transpose()
}

/// A check-in point in an answer: its settings, its id, and the path of its code for callers who
/// may print it. A kiosk has no code, and the code of a revoked point does not work.
fn shown(
    node: &NodeContext,
    claims: &Claims,
    point: &CheckInPointId,
    settings: &CheckInPointSettings,
) -> Value {
    let mut body = json!(settings);
    body["check_in_point"] = json!(point);
    if let Ok(path) = path_of(node, claims, point, settings) {
        body["path"] = json!(path);
    }
    body
}

/// The path of the page that the code of a poster opens.
///
/// # Errors
/// `forbidden`, `illegal_move` for a kiosk, and `qr_expired` for a revoked point.
fn path_of(
    node: &NodeContext,
    claims: &Claims,
    point: &CheckInPointId,
    settings: &CheckInPointSettings,
) -> Result<String, Code> {
    access::may_print_code(claims, &point.location())?;
    if settings.setup.kind != CheckInPointKind::Poster {
        return Err(Code::IllegalMove);
    }
    if settings.revoked {
        return Err(Code::QrExpired);
    }
    Ok(code_path(node, &claims.tenant, point, settings.rotation))
}

fn code_path(
    node: &NodeContext,
    tenant: &TenantId,
    point: &CheckInPointId,
    rotation: u64,
) -> String {
    let code = CheckInCode { tenant: tenant.clone(), point: point.clone(), rotation };
    format!("/c/{}", node.check_in_code_key.seal(&code))
}

/// Creates a check-in point, or changes its setup.
pub(in crate::http) async fn configure(
    State(node): NodeState,
    Segments([point]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    give(&node, &request, point, CONFIGURE).await
}

pub(in crate::http) async fn action(
    State(node): NodeState,
    Segments([point, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    if action == CONFIGURE {
        return Err(Code::NotFound.into());
    }
    give(&node, &request, point, &action).await
}

async fn give(
    node: &NodeContext,
    request: &CommandRequest,
    point: String,
    action: &str,
) -> Result<Response, Problem> {
    let point = CheckInPointId::new(point).map_err(not_an_id)?;
    let location = point.location();
    let command = requests::command(CommandTarget::CheckInPoint(point), action, &request.body)?;
    request.give(node, &location, command).await
}

pub(in crate::http) async fn remove(
    State(node): NodeState,
    Segments([point]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let point = CheckInPointId::new(point).map_err(not_an_id)?;
    let location = point.location();
    let command = nothing(&request.body, schemas::command::Command::RemoveCheckInPoint { point })?;
    request.give(&node, &location, command).await
}

/// The QR code of a poster, as SVG.
pub(in crate::http) async fn svg(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([point]): Segments<1>,
    QueryParams(PosterImageParams { mm }): QueryParams<PosterImageParams>,
    address: NodeAddress,
) -> Result<Response, Problem> {
    let mm = qr_image::width(mm, DEFAULT_MM, LEAST_MM..=MOST_MM)?;
    Ok(image(&node, &claims, point, &address).await?.svg_response(mm))
}

/// The QR code of a poster, as PNG.
pub(in crate::http) async fn png(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([point]): Segments<1>,
    QueryParams(PosterImageParams { mm }): QueryParams<PosterImageParams>,
    address: NodeAddress,
) -> Result<Response, Problem> {
    let mm = qr_image::width(mm, DEFAULT_MM, LEAST_MM..=MOST_MM)?;
    image(&node, &claims, point, &address).await?.png_response(mm)
}

async fn image(
    node: &NodeContext,
    claims: &Claims,
    point: String,
    address: &NodeAddress,
) -> Result<QrImage, Problem> {
    let point = CheckInPointId::new(point).map_err(not_an_id)?;
    access::may_print_code(claims, &point.location())?;
    let view = settings(node, claims, &point.location()).await?;
    let settings = point_in(&view, &point)?.ok_or(Code::NotFound)?;
    QrImage::new(&address.url(node, &path_of(node, claims, &point, &settings)?)?)
}
