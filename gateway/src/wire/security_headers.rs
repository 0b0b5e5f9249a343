//! The security headers of every answer, refusals and streams included.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Value of `Strict-Transport-Security`: a browser that used TLS once uses TLS alone for a year, as
/// browsers recommend.
pub const HSTS: &str = "max-age=31536000";
/// The features that no page of ours uses. Boards keep their screen awake and play a sound.
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
/// Pages run only scripts that this host serves.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the security headers that the answer does not have yet. With them, browsers run only what
/// this host serves, guess no types, send no referrer (the link of a ticket is its key), and keep
/// nothing unless the route says otherwise.
pub fn add_security_headers(headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
}

/// The lines of the headers that every answer has, for an answer that passes no layer.
pub fn header_lines(is_secure: bool) -> &'static str {
    static LINES: LazyLock<[String; 2]> = LazyLock::new(|| {
        let mut headers = HeaderMap::new();
        add_security_headers(&mut headers);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}\r\n", value.to_str().unwrap_or_default())
        };
        let lines: String = headers.iter().map(line).collect();
        [lines.clone(), lines + &format!("{}: {HSTS}\r\n", header::STRICT_TRANSPORT_SECURITY)]
    });
    &LINES[usize::from(is_secure)]
}
