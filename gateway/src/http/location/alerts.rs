//! Alerts of tickets by Web Push: the key that a browser subscribes with, and subscriptions.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access;
use schemas::{codes::Code, command::Command, ids::TicketId, push::PushDevice};
use serde_json::json;

use super::requests::{self, CommandTarget};
use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            body::not_an_id,
            caller::{Caller, Segments},
            command_request::{CommandRequest, refused},
        },
    },
};

/// The action that subscribes a device.
pub(in crate::http) const SUBSCRIBE: &str = "subscribe-alerts";

/// The key with which a browser subscribes, for everybody who may have alerts of the ticket. `null`
/// where no alerts are sent: a refusal would appear as an error in the browser's console, although
/// there is none.
pub(in crate::http) async fn key(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([ticket]): Segments<1>,
) -> Result<Response, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    access::may_subscribe_alerts(&claims, &ticket)?;
    let key = node.alerts.as_ref().map(|offer| &offer.public_key);
    Ok(Json(json!({ "public_key": key })).into_response())
}

/// Subscribes a device, if its push service is one that alerts are sent to.
pub(in crate::http) async fn subscribe(
    node: &NodeContext,
    request: &CommandRequest,
    ticket: TicketId,
    action: &str,
) -> Result<Response, Problem> {
    let location = ticket.location();
    let command = requests::command(CommandTarget::Ticket(ticket), action, &request.body)?;
    access::may_command(&request.claims, &location, &command)
        .map_err(|code| refused(node, command.kind(), code))?;
    if let Command::SubscribeAlerts { device, .. } = &command {
        check_service(node, device).map_err(|code| refused(node, command.kind(), code))?;
    }
    request.give(node, &location, command).await
}

fn check_service(node: &NodeContext, device: &PushDevice) -> Result<(), Code> {
    let offer = node.alerts.as_ref().ok_or(Code::AlertsNotOffered)?;
    offer.services.service_of(&device.endpoint).map(drop).ok_or(Code::PushServiceUnknown)
}
