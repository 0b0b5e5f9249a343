//! The identity of clients and a record of their actions: tokens, grants of streams, the audit.

pub mod audit;
pub mod auth;
pub mod grant;
pub mod own_tokens;
pub mod revocations;
