//! The pages, carried in the binary so that a node serves the ones it was built with.

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::Api;

/// Name and bytes of every file of `web/`; the build script lists them.
static FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Adds a route for every file; `patient.html` is `/patient` too, and `index.html` is `/`.
pub(super) fn routes(router: Router<Arc<Api>>) -> Router<Arc<Api>> {
    FILES.iter().fold(router, |router, (name, bytes)| {
        let tag: String =
            Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hex digits make a header");
        let serve = get(move |headers: HeaderMap| async move { file(name, bytes, tag, &headers) });
        let router = router.route(&format!("/{name}"), serve.clone());
        match name.strip_suffix(".html") {
            Some("index") => router.route("/", serve),
            Some(page) => router.route(&format!("/{page}"), serve),
            None => router,
        }
    })
}

/// Browsers ask each time whether the file is still the same: scripts of two versions must not meet.
fn file(name: &str, bytes: &'static [u8], tag: HeaderValue, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH) == Some(&tag);
    let caching =
        [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "csv")) => "text/csv; charset=windows-1252",
        _ => "application/octet-stream",
    };
    (caching, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}
