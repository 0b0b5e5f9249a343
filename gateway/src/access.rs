//! The identity of clients and a record of their actions: tokens, grants of streams, the audit.

pub(crate) mod audit;
pub mod auth;
pub(crate) mod grant;
pub(crate) mod own_tokens;
pub mod revocations;
