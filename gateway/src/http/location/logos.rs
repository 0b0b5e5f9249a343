//! Logos of clinics: small pictures in the file store, under the digest of their tenant and bytes.
//!
//! A logo is public, as the sign on a clinic's door is: boards and patients' pages show it as an
//! image, which carries no token. Its name cannot be guessed without the logo, and names no tenant.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use gateway_core::access;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemas::{
    branding::{Branding, LogoName},
    codes::Code,
    command::Command,
    ids::{LocationId, TenantId},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            audited::NamedInBody,
            body::not_an_id,
            caller::{Caller, Segments},
        },
    },
};

/// Most bytes of a logo: a simple drawing takes a few thousand, and phones load it on slow
/// networks. More is `too_large`.
const MAX_LOGO: usize = 64 * 1024;
/// How long the bytes of a logo may take.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The content policy of a logo: a browser that opens it by its address may only draw it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// The name follows from the bytes, so a browser may keep them for a year.
const CACHING: &str = "public, max-age=31536000, immutable";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The bytes of a picture, bounded in size and time.
pub(in crate::http) struct Picture(Bytes);

impl FromRequest<Arc<NodeContext>> for Picture {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<NodeContext>) -> Result<Self, Problem> {
        let read = Limited::new(request.into_body(), MAX_LOGO).collect();
        match tokio::time::timeout(BODY_WITHIN, read).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Code::TooLarge.into()),
            Ok(Err(_)) => Err(Problem::malformed("the body ended early")),
            Err(_) => Err(Problem::malformed("the body took too long")
                .with_status(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

/// Stores a logo and answers with its name, which a change of the branding then gives the location.
pub(in crate::http) async fn upload(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
    Picture(bytes): Picture,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let change = Command::ChangeBranding { branding: Branding::default(), edition: None };
    access::may_command(&claims, &location, &change)?;
    let name = name_of(&claims.tenant, ending(&bytes)?, &bytes)?;
    node.files.keep_logo(&name, bytes).await?;
    let mut response = (StatusCode::CREATED, Json(json!({ "logo": name }))).into_response();
    response.extensions_mut().insert(NamedInBody(vec![name.to_string()]));
    Ok(response)
}

/// The bytes of a logo.
pub(in crate::http) async fn one(
    State(node): NodeState,
    Segments([name]): Segments<1>,
) -> Result<Response, Problem> {
    let name = LogoName::new(name).map_err(|_| Code::NotFound)?;
    let bytes = node.files.logo(&name).await?.ok_or(Code::NotFound)?;
    let kind = if name.as_str().ends_with(".svg") { "image/svg+xml" } else { "image/png" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHING)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    Ok((headers, bytes).into_response())
}

fn name_of(tenant: &TenantId, ending: &str, bytes: &[u8]) -> Result<LogoName, Code> {
    let digest = Sha256::new_with_prefix(tenant.as_str()).chain_update([0]).chain_update(bytes);
    let digits = digest
        .finalize()
        .iter()
        .take(LogoName::DIGITS / 2)
        .fold(String::with_capacity(LogoName::DIGITS), |text, byte| text + &format!("{byte:02x}"));
    LogoName::new(format!("{digits}{ending}"))
}

/// The kind of the picture, by its bytes: the media type that the client sends does not count.
fn ending(bytes: &[u8]) -> Result<&'static str, Problem> {
    if bytes.starts_with(PNG) {
        return Ok(".png");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain_svg(text) => Ok(".svg"),
        _ => {
            let wanted = "a logo is a PNG, or an SVG that only draws: no script, no document type, \
                no event attribute, nothing from elsewhere";
            Err(Problem::from(Code::InvalidValue).explained(wanted))
        }
    }
}

/// Whether the text is an SVG without anything that could run or load. Pages show it as an image,
/// in which browsers run nothing, and its own policy forbids it too; this is the third guard.
fn is_plain_svg(text: &str) -> bool {
    const FORBIDDEN: [&str; 9] = [
        "<script",
        "<foreignobject",
        "<!doctype",
        "<!entity",
        "<iframe",
        "<?xml-stylesheet",
        "javascript:",
        "@import",
        "&#", // an escaped letter could hide any of these
    ];
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = text.starts_with("<svg") || text.starts_with("<?xml") || text.starts_with("<!--");
    begins
        && text.contains("<svg")
        && !FORBIDDEN.iter().any(|word| text.contains(word))
        && attributes(&text).all(|(name, value)| {
            let refers = name == "href" || name.ends_with(":href") || name == "src";
            !name.starts_with("on") && (!refers || value.starts_with('#'))
        })
        && text
            .match_indices("url(")
            .all(|(at, _)| text[at + 4..].trim_start_matches([' ', '"', '\'']).starts_with('#'))
}

/// The attributes in a text, by each `=`: the word before it and what follows it.
fn attributes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('=').map(|(at, _)| {
        let before = text[..at].trim_end();
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '/' | '<');
        let name = before.rsplit(is_end).next().unwrap_or_default();
        (name, text[at + 1..].trim_start().trim_start_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drawings_are_logos() {
        let svg =
            |inside: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{inside}</svg>");
        for good in [
            svg("<path d=\"M0 0h9\" fill=\"#0f62fe\"/>"),
            format!("<?xml version=\"1.0\"?>\n{}", svg("<use href=\"#a\"/><g id='a'/>")),
            svg("<style>.a{fill:url(#b)}</style><text x=\"1\">on = off</text>"),
        ] {
            assert_eq!(ending(good.as_bytes()).ok(), Some(".svg"), "{good}");
        }
        assert_eq!(ending(b"\x89PNG\r\n\x1a\nrest").ok(), Some(".png"));
        for bad in [
            svg("<script>alert(1)</script>"),
            svg("<SCRIPT href=\"#\"/>"),
            svg("<path onload=\"alert(1)\"/>"),
            svg("<path ONCLICK = 'alert(1)'/>"),
            svg("<image href=\"https://elsewhere.example/x.png\"/>"),
            svg("<use xlink:href=\"data:image/svg+xml;base64,AAAA\"/>"),
            svg("<a href=\"javascript:alert(1)\">x</a>"),
            svg("<style>@import url(https://elsewhere.example)</style>"),
            svg("<rect fill=\"url(https://elsewhere.example)\"/>"),
            svg("<foreignObject><body/></foreignObject>"),
            format!("<!DOCTYPE svg [<!ENTITY a \"b\">]>{}", svg("")),
            svg("<a href=\"&#106;avascript:alert(1)\"/>"),
            "<html><svg/></html>".to_owned(),
            "plain".to_owned(),
            String::new(),
        ] {
            assert!(ending(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(ending(b"GIF89a").is_err());
    }

    #[test]
    fn tenants_do_not_share_names() {
        let name = |tenant: &str| name_of(&TenantId::new(tenant).unwrap(), ".svg", b"<svg/>");
        assert_ne!(name("one").unwrap(), name("two").unwrap());
    }
}
