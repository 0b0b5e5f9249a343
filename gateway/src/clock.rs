//! The machine's clock. It judges tokens and sets deadlines; it never decides an order.

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::Millis;

/// Milliseconds since the Unix epoch.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
