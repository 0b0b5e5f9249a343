//! Errors as RFC 9457 problems: a stable code for programs, a title for people.

use std::borrow::Cow;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use schemas::{codes::Code, ids::CommandId};
use serde::Serialize;

use super::rate_headers::{set_headers, whole_seconds};
use crate::limits::LimitRefusal;

/// The code of a refused request, as an extension of its answer.
#[derive(Clone, Copy)]
pub(in crate::http) struct RefusedCode(pub(in crate::http) Code);

/// The problem of a refused request. Its text never quotes the request.
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: Option<Cow<'static, str>>,
    command: Option<CommandId>,
    refusal: Option<LimitRefusal>,
}

/// The refusal of a limit says which limit it is, and when to try again.
impl From<LimitRefusal> for Problem {
    fn from(refusal: LimitRefusal) -> Self {
        Self { refusal: Some(refusal), ..Self::from(refusal.code()) }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { code, status, detail: None, command: None, refusal: None }
    }
}

impl Problem {
    /// A body or header that cannot be read, and what was expected.
    pub(in crate::http) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Code::Malformed).explained(detail)
    }

    pub(crate) fn explained(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Replaces the status of the code, for methods and media types of a route.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds the id of the command, so that the caller can send it again under the same id.
    pub(in crate::http) fn of_command(mut self, command: CommandId) -> Self {
        self.command = Some(command);
        self
    }

    pub(in crate::http) fn code(&self) -> Code {
        self.code
    }
}

#[derive(Serialize)]
struct Text<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a CommandId>,
    /// The name of the limit that refused the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = Text {
            r#type: format!("urn:clinicwire:problem:{}", self.code),
            title: self.code.title(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.as_deref(),
            command: self.command.as_ref(),
            limit: self.refusal.map(|refusal| refusal.limit.name()),
        };
        let body = serde_json::to_vec(&text).expect("a problem has a JSON form");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(RefusedCode(self.code));
        let mut set =
            |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "application/problem+json");
        match (self.status, self.code) {
            (StatusCode::UNAUTHORIZED, Code::TokenMissing) => {
                set(header::WWW_AUTHENTICATE, "Bearer");
            }
            (StatusCode::UNAUTHORIZED, _) => {
                set(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
            }
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
                set(header::RETRY_AFTER, "1");
            }
            _ => {}
        }
        if let Some(refusal) = self.refusal {
            let seconds = whole_seconds(refusal.retry_after).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            if let Some(rate) = refusal.rate {
                set_headers(rate, response.headers_mut());
            }
        }
        response
    }
}
