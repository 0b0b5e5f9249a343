//! The client as audit entries describe it.

use std::{net::IpAddr, sync::Arc};

/// The client behind a request, a socket or a stream.
#[derive(Clone, Default)]
pub struct AuditedClient {
    /// Its address; behind trusted proxies, the one that they report.
    pub address: Option<IpAddr>,
    /// The first part of its `User-Agent`.
    pub agent: Option<Arc<str>>,
}
