//! Operations on tokens, sessions, streams, the audit and the outcomes of commands.

use schemas::codes::Code;

use crate::http::{
    access::{audit, limits, revocations, sessions, tenants},
    description::{
        answers as a,
        operation::{Access, Header, Operation},
    },
    location::{channels, commands},
};

pub(super) fn operations() -> Vec<Operation> {
    let request = Operation::request;
    const REASON: &[Header] = &[Header {
        name: "Clinicwire-Reason",
        text: "Why, in 10 to 500 characters.",
        pattern: "^.{10,500}$",
    }];
    let state = |path, id, summary| {
        request("post", path, id, summary, Access::AnyToken)
            .headers(REASON)
            .answers::<a::TenantAnswer>(202, "It holds on every node within five seconds.")
            .refuses(&[Code::ReasonMissing, Code::TenantUnknown, Code::TooManyQueries])
    };
    let stored = |method, path, id, summary| {
        Operation::command_with_any_token(method, path, id, summary)
            .headers(REASON)
            .answers::<a::CommandAnswer>(200, "The outcome of the command.")
            .refuses(&[Code::ReasonMissing])
    };
    vec![
        request(
            "get",
            "/v1/commands/{command}",
            "readOutcome",
            "Read the outcome of a command",
            Access::AnyToken,
        )
        .query::<commands::OutcomeParams>()
        .answers::<a::CommandAnswer>(200, "The outcome.")
        .refuses(&[Code::NotFound, Code::IdempotencyKeyReused, Code::TooManyWaiting]),
        request(
            "post",
            "/v1/tokens/renew",
            "renewToken",
            "Replace a token by a newer one of the same rights",
            Access::AnyToken,
        )
        .answers::<a::TokenAnswer>(200, "The newer token.")
        .refuses(&[Code::NotRenewable, Code::TicketLinkEnded]),
        request(
            "post",
            "/v1/tenants/{tenant}/crossings",
            "crossToTenant",
            "Enter another tenant for a stated reason, as a super admin",
            Access::AnyToken,
        )
        .headers(REASON)
        .answers::<a::TokenAnswer>(200, "A token of the other tenant.")
        .refuses(&[Code::ReasonMissing, Code::TenantUnknown, Code::TooManyQueries]),
        request(
            "get",
            "/v1/tenants/{tenant}",
            "readTenant",
            "Read a tenant, as a super admin",
            Access::AnyToken,
        )
        .answers::<tenants::ShownTenant>(200, "The tenant.")
        .refuses(&[Code::TenantUnknown, Code::TooManyQueries]),
        request(
            "get",
            "/v1/tenants",
            "listTenants",
            "List the tenants that are created or suspended, as a super admin",
            Access::AnyToken,
        )
        .query::<tenants::Page>()
        .answers::<a::TenantPage>(200, "A page.")
        .refuses(&[Code::InvalidValue]),
        request(
            "get",
            "/v1/limits",
            "listLimits",
            "List the limits of the installation, as a super admin",
            Access::AnyToken,
        )
        .answers::<limits::ShownLimits>(200, "The limits."),
        stored("put", "/v1/limits", "changeLimits", "Change limits, as a super admin")
            .takes::<limits::ChangedLimits>()
            .refuses(&[Code::SettingsChanged]),
        stored("post", "/v1/tenants", "createTenant", "Create a tenant, as a super admin")
            .takes::<tenants::NewTenant>()
            .refuses(&[Code::TenantExists]),
        stored("put", "/v1/tenants/{tenant}", "changeTenant", "Change a tenant, as a super admin")
            .takes::<tenants::ChangedTenant>()
            .refuses(&[Code::TenantUnknown, Code::SettingsChanged]),
        state("/v1/tenants/{tenant}/suspend", "suspendTenant", "Suspend another tenant"),
        state("/v1/tenants/{tenant}/resume", "resumeTenant", "Resume another tenant"),
        request(
            "post",
            "/v1/locations/{location}/crossings",
            "crossToLocation",
            "Reach another location in an emergency, as staff",
            Access::AnyToken,
        )
        .headers(REASON)
        .answers::<a::TokenAnswer>(200, "A token of the other location.")
        .refuses(&[Code::ReasonMissing, Code::LocationUnknown]),
        request(
            "get",
            "/v1/audit",
            "listAudit",
            "Read the audit of the tenant, by pages or as a table",
            Access::Row("audit.list"),
        )
        .query::<audit::Filter>()
        .answers::<a::AuditPage>(200, "A page, or the whole list as a table.")
        .answers_bytes("A page, or the whole list as a table.", "text/csv")
        .refuses(&[Code::InvalidId, Code::InvalidValue, Code::TooManyQueries]),
        request(
            "post",
            "/v1/revocations",
            "revoke",
            "End the tokens of a person, a session, a device or a ticket link",
            Access::Row("revocations.put"),
        )
        .takes::<revocations::RevocationBody>()
        .answers::<a::RevocationAnswer>(202, "Connections close within five seconds.")
        .refuses(&[Code::InvalidId, Code::InvalidValue, Code::TenantLimited]),
        request(
            "get",
            "/v1/sessions",
            "listSessions",
            "List the sessions of the caller, or of another subject for an admin",
            Access::AnyToken,
        )
        .query::<sessions::ListParams>()
        .answers::<a::SessionList>(200, "The connected sessions.")
        .refuses(&[Code::InvalidValue]),
        request(
            "delete",
            "/v1/sessions/{session}",
            "endSession",
            "End a session: its tokens are refused and its connections close",
            Access::AnyToken,
        )
        .answers::<a::EndedSession>(202, "The session ends.")
        .refuses(&[Code::NotFound, Code::TenantLimited]),
        request(
            "post",
            "/v1/stream-tickets",
            "openStream",
            "Exchange the token for a one-time ticket that opens a stream of events",
            Access::AnyToken,
        )
        .takes::<channels::StreamBody>()
        .answers::<a::StreamTicketAnswer>(200, "The ticket.")
        .refuses(&[
            Code::InvalidValue,
            Code::ChannelLimit,
            Code::UnknownChannel,
            Code::AlreadySubscribed,
        ]),
        request(
            "get",
            "/v1/demo",
            "readDemo",
            "Read the tokens of a demonstration, on its own machine",
            Access::Everybody,
        )
        .answers::<a::OpenObject>(200, "The tokens.")
        .refuses(&[Code::NotFound]),
        request("get", "/v1/openapi.json", "readOpenApi", "Read this document", Access::Everybody)
            .answers::<a::OpenObject>(200, "This document.")
            .answers_nothing(304, "The document that `If-None-Match` names is still the same."),
        request(
            "get",
            "/v1/asyncapi.json",
            "readAsyncApi",
            "Read the description of channels and topics",
            Access::Everybody,
        )
        .answers::<a::OpenObject>(200, "The document.")
        .answers_nothing(304, "The document that `If-None-Match` names is still the same."),
    ]
}
