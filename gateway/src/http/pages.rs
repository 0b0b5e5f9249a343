//! Web pages. They are part of the binary, so that a node serves the pages it was built with.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use schemas::codes::Code;
use sha2::{Digest, Sha256};

use super::shared::problem::Problem;
use crate::context::NodeContext;

/// Path below `web/` and bytes of every file there. The build script lists them.
static FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page that a browser gets for an unknown address.
const NOT_FOUND: &str = "not-found/not-found.html";
static NOT_FOUND_PAGE: &[u8] = include_bytes!("../../web/not-found/not-found.html");

/// The script that keeps the patient's page on a phone, as a template: the gateway writes the
/// version and the files into it.
const SERVICE_WORKER: &str = "service-worker.js";
const NO_SHELL: &str = r#"{ version: "development", files: [""] }"#;
/// Folders of the files that the patient's page needs.
const SHELL_FOLDERS: [&str; 3] = ["languages/", "patient/", "shared/"];

/// The service worker of this build. Browsers replace theirs when a byte of it differs, so that
/// the version is a digest of every file.
static WORKER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (path, bytes) in FILES {
        digest.update(path.as_bytes());
        digest.update(Sha256::digest(bytes));
    }
    let version = hex(&digest.finalize());
    let shell = FILES.iter().map(|(path, _)| page_name(path).unwrap_or(path)).filter(|path| {
        *path == "patient" || SHELL_FOLDERS.iter().any(|folder| path.starts_with(folder))
    });
    let shell = serde_json::json!({ "version": version, "files": shell.collect::<Vec<_>>() });
    let (_, script) = FILES.iter().find(|(path, _)| *path == SERVICE_WORKER).expect("it is listed");
    let script = std::str::from_utf8(script).expect("the script is text");
    script.replacen(NO_SHELL, &shell.to_string(), 1).into_bytes()
});

fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Adds a route for every file below `web/`.
///
/// A page has a folder of its own name and an address without it: `web/patient/patient.html` is
/// `/patient` and `/patient.html`, and `web/start/start.html` is `/`. Links in a page are relative
/// to that address. Every other file is served under its path below `web/`.
pub(super) fn routes(router: Router<Arc<NodeContext>>) -> Router<Arc<NodeContext>> {
    FILES.iter().filter(|(path, _)| *path != NOT_FOUND).fold(router, |router, (path, bytes)| {
        let bytes: &'static [u8] = if *path == SERVICE_WORKER { &WORKER } else { bytes };
        let tag = hex(&Sha256::digest(bytes));
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hex digits make a header");
        let serve = get(move |headers: HeaderMap| async move { file(path, bytes, tag, &headers) });
        match page_name(path) {
            Some("start") => router.route("/", serve.clone()).route("/index.html", serve),
            Some(page) => router
                .route(&format!("/{page}"), serve.clone())
                .route(&format!("/{page}.html"), serve),
            None => router.route(&format!("/{path}"), serve),
        }
    })
}

/// Answers a request for an address that does not exist: a page for a browser, a problem document
/// for every other client.
pub(super) async fn not_found(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(|kinds| kinds.contains("text/html")) {
        return Problem::from(Code::NotFound).into_response();
    }
    let kind = [(header::CONTENT_TYPE, content_type(NOT_FOUND))];
    (StatusCode::NOT_FOUND, kind, NOT_FOUND_PAGE).into_response()
}

/// The name of the page at `path`, if `path` is the HTML file of a page.
fn page_name(path: &str) -> Option<&str> {
    let (folder, file) = path.split_once('/')?;
    (file.strip_suffix(".html") == Some(folder)).then_some(folder)
}

/// Browsers revalidate each file before each use: scripts of two versions must not meet.
fn file(path: &str, bytes: &'static [u8], tag: HeaderValue, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH) == Some(&tag);
    let caching =
        [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, content_type(path))], bytes).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "png")) => "image/png",
        Some((_, "webmanifest")) => "application/manifest+json",
        Some((_, "csv")) => "text/csv; charset=windows-1252",
        _ => "application/octet-stream",
    }
}
