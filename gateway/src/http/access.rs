//! Routes of tokens, sessions, displays, ticket links and the audit.

pub(super) mod audit;
pub(super) mod displays;
pub(super) mod limits;
pub(super) mod renewal;
pub(super) mod revocations;
pub(super) mod sessions;
pub(super) mod tenants;
pub(super) mod ticket_links;
pub(super) mod ticket_qr;
pub(super) mod tokens;
