//! Extractors of requests: the caller, the ids in the path, the query, the body.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use gateway_core::access::Claims;
use http::{StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemas::{
    Millis,
    codes::Code,
    ids::{LocationId, TenantId},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    audited_request::AuditedRequest,
    bearer::{bearer, verified},
    limits,
};
use crate::{
    client_address::ClientAddress,
    context::NodeContext,
    http::{Problem, now},
    limits::LimitKey,
};

/// Largest body in bytes: the longest reorder has half of this. More is `too_large`.
const MAX_BODY: usize = 64 * 1024;
/// How long a caller may take to send its body. Past it the request is `malformed`: a body of this
/// size is faster on the slowest line, and a slower client only wants to hold the connection.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Extension of a request: what its answer and its metrics need of its caller, once the caller is
/// known. Clones share it.
#[derive(Clone, Default)]
pub(in crate::http) struct CallerNotes(Arc<NotedCaller>);

#[derive(Default)]
struct NotedCaller {
    crossing_ends: OnceLock<Millis>,
    tenant: OnceLock<TenantId>,
}

impl CallerNotes {
    fn set(&self, claims: &Claims) {
        let _ = self.0.tenant.set(claims.tenant.clone());
        if claims.origin.crossed {
            let _ = self.0.crossing_ends.set(claims.expires);
        }
    }

    /// When the crossing of the caller ends.
    pub(in crate::http) fn crossing_ends(&self) -> Option<Millis> {
        self.0.crossing_ends.get().copied()
    }

    /// The tenant of the caller.
    pub(in crate::http) fn tenant(&self) -> Option<&TenantId> {
        self.0.tenant.get()
    }
}

/// The verified caller of a request.
pub(in crate::http) struct Caller(pub(in crate::http) Claims);

impl FromRequestParts<Arc<NodeContext>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        node: &Arc<NodeContext>,
    ) -> Result<Self, Problem> {
        let verified = verified(node, &parts.headers);
        admitted(node, parts, verified).await.map(Self)
    }
}

/// The caller of a request that renews its token. The credential of a display may have expired.
pub(in crate::http) struct RenewingCaller(pub(in crate::http) Claims);

impl FromRequestParts<Arc<NodeContext>> for RenewingCaller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        node: &Arc<NodeContext>,
    ) -> Result<Self, Problem> {
        let verified =
            bearer(&parts.headers).and_then(|token| node.verifier.verify_for_renewal(token, now()));
        admitted(node, parts, verified).await.map(Self)
    }
}

/// The claims of a request whose token was verified, once its limits admit it.
async fn admitted(
    node: &NodeContext,
    parts: &Parts,
    verified: Result<Claims, Code>,
) -> Result<Claims, Problem> {
    let claims = verified.map_err(|code| limits::token_refused(node, parts, code))?;
    if let Some(audited) = parts.extensions.get::<AuditedRequest>() {
        audited.set_caller(&claims);
    }
    node.pseudonyms.note(&claims);
    limits::admit(node, parts, &claims).await?;
    if let Some(notes) = parts.extensions.get::<CallerNotes>() {
        notes.set(&claims);
    }
    Ok(claims)
}

/// A client without a token, which may get one.
pub(in crate::http) struct Visitor {
    /// The client's address, by which its failures count.
    pub(in crate::http) address: LimitKey,
    audited: Option<AuditedRequest>,
}

impl Visitor {
    /// Sets the caller whom the request gave its client, for the audit.
    pub(in crate::http) fn becomes(&self, claims: &Claims) {
        if let Some(audited) = &self.audited {
            audited.set_caller(claims);
        }
    }
}

impl FromRequestParts<Arc<NodeContext>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        node: &Arc<NodeContext>,
    ) -> Result<Self, Infallible> {
        let client = ClientAddress::from_extensions(&parts.extensions);
        let audited = parts.extensions.get().cloned();
        Ok(Self { address: node.limits.address_key(client.group()), audited })
    }
}

/// The variable parts of the path. A part that cannot be decoded is `invalid_id`.
pub(in crate::http) struct Segments<const N: usize>(pub(in crate::http) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for Segments<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(segments) = Path::<Vec<String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Code::InvalidId)?;
        Ok(Self(segments.try_into().map_err(|_| Code::InvalidId)?))
    }
}

/// The parsed query. An unexpected name or value is `malformed`.
pub(in crate::http) struct QueryParams<T>(pub(in crate::http) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The error of the library would quote the query.
        let Query(asked) = Query::<T>::try_from_uri(&parts.uri).map_err(|_| {
            Problem::malformed("the query has an unknown parameter, or one that cannot be read")
        })?;
        Ok(Self(asked))
    }
}

/// The query of a list that belongs to a location.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LocationParams {
    #[schemars(with = "LocationId")]
    pub(in crate::http) location: String,
}

/// An unparsed JSON body, bounded in size and time. It may be empty.
pub(in crate::http) struct JsonText(pub(in crate::http) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let declared = request.headers().get(header::CONTENT_TYPE).cloned();
        let read = Limited::new(request.into_body(), MAX_BODY).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Code::TooLarge.into()),
            Ok(Err(_)) => return Err(Problem::malformed("the body ended early")),
            Err(_) => {
                return Err(Problem::malformed("the body took too long")
                    .with_status(StatusCode::REQUEST_TIMEOUT));
            }
        };
        let media_type =
            declared.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let json = media_type
            .split(';')
            .next()
            .is_some_and(|essence| essence.trim() == "application/json");
        if !body.is_empty() && !json {
            let problem = Problem::malformed("the body must be application/json");
            return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        Ok(Self(body))
    }
}
