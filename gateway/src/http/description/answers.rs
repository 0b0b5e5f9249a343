//! The answers whose bodies handlers put together from stored entries, as types for the document.
//! Tests with generated requests compare them with the answers of a running gateway.

#![expect(dead_code, reason = "the document is made of the types, and handlers copy entries")]

mod access;
mod claims;
mod history;
mod screens;
mod settings;
mod snapshots;
mod webhooks;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::{
    Millis,
    codes::Code,
    command::CommandOutcome,
    ids::{CommandId, TenantId, TicketId},
};

pub(in crate::http) use self::{
    access::*, claims::*, history::*, screens::*, settings::*, snapshots::*, webhooks::*,
};

/// Why a request was refused (RFC 9457).
#[derive(JsonSchema)]
pub(in crate::http) struct Problem {
    /// `urn:clinicwire:problem:` and the code.
    r#type: String,
    /// One sentence for people. Texts may change: programs use `code`.
    title: String,
    status: u16,
    /// The stable code. `docs/errors.md` lists all of them.
    code: Code,
    /// The fault of this request, and the value that is expected. Never quotes the request.
    detail: Option<String>,
    /// The id of the command, to send it again under the same id.
    command: Option<CommandId>,
    /// The name of the limit that refused the request.
    limit: Option<String>,
}

/// An object that is described elsewhere.
#[derive(JsonSchema)]
pub(in crate::http) struct OpenObject(BTreeMap<String, serde_json::Value>);

/// A body without fields.
#[derive(JsonSchema)]
pub(in crate::http) struct Empty {}

/// A command that is not decided yet.
#[derive(JsonSchema)]
pub(in crate::http) struct PendingCommand {
    command: CommandId,
    /// `pending`, or `moving` while another location has to answer.
    outcome: String,
}

/// The outcome of a command.
#[derive(JsonSchema)]
pub(in crate::http) struct CommandAnswer {
    #[serde(flatten)]
    outcome: CommandOutcome,
    /// The link by which the patient holds the ticket that was issued, if the caller may have it.
    link: Option<LinkAnswer>,
    /// The code by which the patient of a reported appointment checks in.
    booking_code: Option<String>,
}

/// The link of a ticket.
#[derive(JsonSchema)]
pub(in crate::http) struct LinkAnswer {
    /// The path of the page that takes the link.
    path: String,
    /// The key, to exchange it for a token.
    key: String,
    /// The code that a person can type instead of the link.
    code: Option<String>,
}

/// A logo that was stored.
#[derive(JsonSchema)]
pub(in crate::http) struct LogoAnswer {
    logo: schemas::branding::LogoName,
}

/// The key with which a browser subscribes to alerts.
#[derive(JsonSchema)]
pub(in crate::http) struct AlertKey {
    /// `null` when the installation sends no alerts.
    public_key: Option<String>,
}

/// A one-time ticket that opens a stream.
#[derive(JsonSchema)]
pub(in crate::http) struct StreamTicketAnswer {
    ticket: String,
    /// Seconds.
    expires_in: u64,
}

/// A token.
#[derive(JsonSchema)]
pub(in crate::http) struct TokenAnswer {
    token: String,
    /// When the token expires.
    expires: Millis,
    tenant: TenantId,
    /// Until when the token can be renewed.
    renewable_until: Option<Millis>,
    /// The ticket of an exchanged link.
    ticket: Option<TicketId>,
}
