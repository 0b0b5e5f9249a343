//! The identity of clients and a record of their actions: tokens, grants of streams, the audit.

pub(crate) mod audit;
pub mod auth;
pub(crate) mod bookings;
pub(crate) mod check_in_codes;
pub(crate) mod displays;
pub(crate) mod grant;
pub(crate) mod own_tokens;
pub mod pseudonyms;
pub mod revocations;
pub(crate) mod short_code;
pub(crate) mod ticket_links;
