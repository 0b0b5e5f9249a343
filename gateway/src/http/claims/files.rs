//! Uploads: a body, or the part `file` of a form, streamed into the file store.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use gateway_core::access::{self, Claims};
use http::{HeaderMap, StatusCode, header};
use multer::{Field, Multipart};
use schemas::{codes::Code, run::RunFile};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    context::NodeContext,
    files::{Files, STALLED, UploadPermit, shown_name},
    http::{
        NodeState, Problem,
        shared::{
            audited::NamedInBody,
            caller::{Caller, QueryParams},
        },
    },
};

/// Most bytes of a form around its file: boundaries, headers, other fields. More is `malformed`.
const AROUND: usize = 64 * 1024;
/// How long the rest of a refused upload is read and discarded. A browser reads no answer while it
/// sends, and would report a broken connection instead.
const LINGER: Duration = Duration::from_secs(10);
/// The name of the form's part with the file.
const PART: &str = "file";

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UploadParams {
    name: Option<String>,
}

pub(in crate::http) async fn upload(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(UploadParams { name }): QueryParams<UploadParams>,
    request: Request,
) -> Result<Response, Problem> {
    let RunFile { file, name, bytes, sha256 } = receive(node, claims, name, request).await?;
    let body = json!({ "file": file, "name": name, "bytes": bytes, "sha256": sha256 });
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.extensions_mut().insert(NamedInBody(vec![file.to_string()]));
    Ok(response)
}

async fn receive(
    node: Arc<NodeContext>,
    claims: Claims,
    name: Option<String>,
    request: Request,
) -> Result<RunFile, Problem> {
    let (parts, body) = request.into_parts();
    let runtime = node.files.runtime().clone();
    let (kind, expected, place) = match admit(&node, &claims, &parts.headers) {
        Ok(admitted) => admitted,
        Err(problem) => {
            node.metrics.upload(Err(problem.code()));
            let rest = body.into_data_stream().for_each(|_| std::future::ready(()));
            runtime.spawn(timeout(LINGER, rest));
            return Err(problem);
        }
    };
    // When the caller leaves, its body ends. The upload then ends by itself, removes what it wrote,
    // and is counted.
    let kept = runtime.spawn(async move {
        let kept = keep(&node.files, &claims, place, name.as_deref(), kind, expected, body).await;
        node.metrics.upload(kept.as_ref().map(|file| file.bytes).map_err(|code| *code));
        kept
    });
    kept.await.unwrap_or(Err(Code::Internal)).map_err(|code| match code {
        Code::Malformed => Problem::malformed(
            "the upload ended early, stalled, or is not a form with one part named file",
        ),
        code => code.into(),
    })
}

async fn keep(
    files: &Files,
    claims: &Claims,
    place: UploadPermit,
    name: Option<&str>,
    kind: UploadKind,
    expected: Option<[u8; 32]>,
    body: Body,
) -> Result<RunFile, Code> {
    match kind {
        UploadKind::Raw => {
            let content = body.into_data_stream().map_err(|_| Code::Malformed);
            files.keep(claims, place, shown_name(name.unwrap_or_default()), expected, content).await
        }
        UploadKind::Form { boundary } => {
            let (file, form) = Form::open(body, boundary, expected).await?;
            let name = shown_name(file.file_name().or(name).unwrap_or_default());
            files.keep(claims, place, name, None, form.content(file)).await
        }
    }
}

/// The kind of an upload's body.
enum UploadKind {
    Raw,
    Form { boundary: String },
}

/// Checks that need no byte of the body.
fn admit(
    node: &NodeContext,
    claims: &Claims,
    headers: &HeaderMap,
) -> Result<(UploadKind, Option<[u8; 32]>, UploadPermit), Problem> {
    access::may_upload(claims)?;
    let kind = kind(headers)?;
    let around = if matches!(kind, UploadKind::Form { .. }) { AROUND as u64 } else { 0 };
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > node.files.max() + around) {
        return Err(Code::TooLarge.into());
    }
    Ok((kind, content_digest(headers)?, node.files.place(&node.limits, claims)?))
}

fn kind(headers: &HeaderMap) -> Result<UploadKind, Problem> {
    let declared =
        headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let essence =
        declared.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match essence.as_deref() {
        // Windows sends .csv files with the media type of its spreadsheet program.
        None
        | Some(
            "text/csv"
            | "text/plain"
            | "application/csv"
            | "application/octet-stream"
            | "application/vnd.ms-excel",
        ) => Ok(UploadKind::Raw),
        Some("multipart/form-data") => {
            let boundary = multer::parse_boundary(declared.unwrap_or_default());
            let boundary = boundary.map_err(|_| Problem::malformed("the form has no boundary"))?;
            Ok(UploadKind::Form { boundary })
        }
        Some(_) => {
            let problem = Problem::malformed(
                "a file is sent as text/csv, application/octet-stream or multipart/form-data",
            );
            Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
    }
}

/// The SHA-256 of the whole body, if `Content-Digest` contains one (RFC 9530). Other digests are
/// ignored.
fn content_digest(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let bad = || Problem::malformed("Content-Digest is not sha-256=:<base64>:");
    let mut found = None;
    for value in headers.get_all("content-digest") {
        for member in value.to_str().map_err(|_| bad())?.split(',') {
            let (name, digest) = member.trim().split_once('=').ok_or_else(bad)?;
            if name == "sha-256" {
                let text = digest
                    .strip_prefix(':')
                    .and_then(|rest| rest.strip_suffix(':'))
                    .ok_or_else(bad)?;
                let digest = STANDARD.decode(text).map_err(|_| bad())?;
                found = Some(digest.try_into().map_err(|_| bad())?);
            }
        }
    }
    Ok(found)
}

/// The parts of a form before and after its file.
struct Form {
    parts: Multipart<'static>,
    body: BodyFrames,
    expected: Option<[u8; 32]>,
}

impl Form {
    /// Reads up to the start of the file, within [`STALLED`]: fields before it are few and small.
    async fn open(
        body: Body,
        boundary: String,
        expected: Option<[u8; 32]>,
    ) -> Result<(Field<'static>, Self), Code> {
        let body = BodyFrames::new(body);
        let mut parts = Multipart::new(body.clone(), boundary);
        let end = Instant::now() + STALLED;
        loop {
            let next = timeout_at(end, parts.next_field()).await.map_err(|_| Code::Malformed)?;
            let field = next.map_err(|_| Code::Malformed)?.ok_or(Code::Malformed)?;
            if field.name() == Some(PART) {
                return Ok((field, Self { parts, body, expected }));
            }
        }
    }

    /// The bytes of the file. They end without an error only if the whole form is valid: one file,
    /// with the announced digest.
    fn content(self, file: Field<'static>) -> impl Stream<Item = Result<Bytes, Code>> + Send {
        stream::try_unfold((Some(file), self), |(file, mut form)| async {
            if let Some(mut file) = file
                && let Some(piece) = file.chunk().await.map_err(|_| Code::Malformed)?
            {
                form.body.taken(piece.len());
                return Ok(Some((piece, (Some(file), form))));
            }
            while let Some(field) = form.parts.next_field().await.map_err(|_| Code::Malformed)? {
                if field.name() == Some(PART) {
                    return Err(Code::Malformed);
                }
            }
            while form.body.next().await.transpose().map_err(|_| Code::Malformed)?.is_some() {}
            let digest = form.body.digest();
            match form.expected {
                Some(expected) if expected != digest => Err(Code::ChecksumMismatch),
                _ => Ok(None),
            }
        })
    }
}

/// The file in a form, whole.
///
/// # Errors
/// The code of the refusal.
pub(crate) async fn form_file(body: Body, boundary: String) -> Result<Vec<u8>, Code> {
    let (file, form) = Form::open(body, boundary, None).await?;
    let pieces = form.content(file).try_fold(Vec::new(), |mut whole, piece| async move {
        whole.extend_from_slice(&piece);
        Ok(whole)
    });
    pieces.await
}

/// The body of a form. It is passed to the parser in pieces, counted and digested, because the
/// parser keeps each piece until it knows which part the piece belongs to.
#[derive(Clone)]
struct BodyFrames(Arc<Mutex<BodyState>>);

struct BodyState {
    body: Body,
    digest: Sha256,
    /// Bytes passed on that do not belong to the file, as far as is known.
    around: usize,
    /// Of these, the bytes of the last piece, which the parser has not read yet.
    last: usize,
    /// Whether to report once that nothing is available. The parser polls until then after each
    /// piece.
    paused: bool,
}

impl BodyFrames {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(BodyState {
            body,
            digest: Sha256::new(),
            around: 0,
            last: 0,
            paused: false,
        })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut BodyState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that this many of the bytes belong to the file.
    fn taken(&self, bytes: usize) {
        self.with(|inner| inner.around = inner.around.saturating_sub(bytes));
    }

    fn digest(&self) -> [u8; 32] {
        self.with(|inner| std::mem::take(&mut inner.digest).finalize().into())
    }
}

/// The body ended early, or is not a form with one file.
#[derive(Debug, thiserror::Error)]
#[error("the body is broken")]
struct BrokenBody;

impl Stream for BodyFrames {
    type Item = Result<Bytes, BrokenBody>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.with(|inner| {
            if std::mem::take(&mut inner.paused) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if inner.around.saturating_sub(inner.last) > AROUND {
                return Poll::Ready(Some(Err(BrokenBody)));
            }
            let frame = match std::task::ready!(Pin::new(&mut inner.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(frame) => frame.map_err(|_| BrokenBody)?,
            };
            // Trailers are not part of the form.
            let piece = frame.into_data().unwrap_or_default();
            inner.digest.update(&piece);
            inner.last = piece.len();
            inner.around += piece.len();
            inner.paused = true;
            Poll::Ready(Some(Ok(piece)))
        })
    }
}
