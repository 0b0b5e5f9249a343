//! Who a client is and what was opened: tokens, the grants of streams, and the audit.

pub mod audit;
pub mod auth;
pub mod grant;
pub mod own_tokens;
pub mod revocations;
