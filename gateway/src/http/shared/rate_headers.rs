//! The headers that tell a client of its rate (draft-ietf-httpapi-ratelimit-headers-10).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::{backends::quota::Spent, limits::RateState};

/// `RateLimit-Policy` and `RateLimit`: the quota, what is left of it, and the seconds until all of
/// it is back, or one request when none is left.
pub(in crate::http) fn set_headers(rate: RateState, headers: &mut HeaderMap) {
    let name = rate.limit.name();
    let (left, seconds) = match rate.spent {
        Spent::Allowed { remaining, full_after } => (remaining, whole_seconds(full_after)),
        Spent::Refused { retry_after } => (0, whole_seconds(retry_after)),
    };
    let policy = format!("\"{name}\";q={};w={}", rate.quota.count(), rate.quota.window_s());
    let state = format!("\"{name}\";r={left};t={seconds}");
    for (header, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        let value = HeaderValue::from_str(&value).expect("names of limits make a header");
        headers.insert(header, value);
    }
}

/// Seconds to wait, rounded up: a client that waits so long is served.
pub(in crate::http) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
