//! The settings of a location, its queues and its stations, for staff. All are entries of the view
//! `settings:<location>`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::Claims;
use schemas::{
    branding::Branding,
    codes::Code,
    ids::{LocationId, QueueId, StationId},
    privacy::Privacy,
    settings::{
        BRANDING_KEY, BrandingSettings, LOCATION_KEY, MESSAGES_KEY, MessageSettings, PRIVACY_KEY,
        PrivacySettings,
    },
    view::{Position, View, raw},
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            body::not_an_id,
            caller::{Caller, Segments},
            editions,
            snapshots::{settings, unreadable},
        },
    },
};

/// An entry with its id, and the position of the location at which it was read.
fn answer(position: Position, field: &str, id: &str, entry: &RawValue) -> Result<Response, Code> {
    let mut body = with_id(field, id, entry)?;
    body["epoch"] = json!(position.epoch.to_string());
    body["version"] = json!(position.version);
    let edition = body["edition"].as_u64().unwrap_or_default();
    Ok((editions::tag(edition), Json(body)).into_response())
}

fn with_id(field: &str, id: &str, entry: &RawValue) -> Result<Value, Code> {
    let mut body: Value = serde_json::from_str(entry.get()).map_err(unreadable)?;
    body[field] = json!(id);
    Ok(body)
}

/// All entries of one kind, sorted by id.
fn list(view: &View, field: &str, kind: &str) -> Result<Response, Code> {
    let mut entries = Vec::new();
    for (key, entry) in &view.entries {
        if let Some(id) = key.strip_prefix(kind) {
            entries.push(with_id(field, id, entry)?);
        }
    }
    let Position { epoch, version } = view.position;
    let body = json!({ "epoch": epoch.to_string(), "version": version, "entries": entries });
    Ok(Json(body).into_response())
}

pub(in crate::http) async fn location(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let view = settings(&node, &claims, &location).await?;
    let entry = view.entries.get(LOCATION_KEY).ok_or(Code::NotFound)?;
    Ok(answer(view.position, "location", location.as_str(), entry)?)
}

/// A part of the settings that has its default until an admin changes it.
async fn part<T: Serialize>(
    node: &NodeContext,
    claims: &Claims,
    location: String,
    key: &str,
    default: T,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let view = settings(node, claims, &location).await?;
    let default = raw(&default);
    let entry = view.entries.get(key).unwrap_or(&default);
    Ok(answer(view.position, "location", location.as_str(), entry)?)
}

pub(in crate::http) async fn privacy(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let default = PrivacySettings { privacy: Privacy::default(), edition: 0 };
    part(&node, &claims, location, PRIVACY_KEY, default).await
}

pub(in crate::http) async fn messages(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let default = MessageSettings { messages: Vec::new(), edition: 0 };
    part(&node, &claims, location, MESSAGES_KEY, default).await
}

pub(in crate::http) async fn branding(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let default = BrandingSettings { branding: Branding::default(), edition: 0 };
    part(&node, &claims, location, BRANDING_KEY, default).await
}

pub(in crate::http) async fn queues(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    Ok(list(&settings(&node, &claims, &location).await?, "queue", "queue:")?)
}

pub(in crate::http) async fn stations(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    Ok(list(&settings(&node, &claims, &location).await?, "station", "station:")?)
}

pub(in crate::http) async fn queue(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([queue]): Segments<1>,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    let view = settings(&node, &claims, &queue.location()).await?;
    let entry = view.entries.get(&format!("queue:{queue}")).ok_or(Code::NotFound)?;
    Ok(answer(view.position, "queue", queue.as_str(), entry)?)
}

pub(in crate::http) async fn station(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([station]): Segments<1>,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    let view = settings(&node, &claims, &station.location()).await?;
    let entry = view.entries.get(&format!("station:{station}")).ok_or(Code::NotFound)?;
    Ok(answer(view.position, "station", station.as_str(), entry)?)
}
