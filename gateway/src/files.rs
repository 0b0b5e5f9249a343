//! Uploaded files, in the file store until a worker has checked them.
//!
//! A file is one object with its bytes and a small JSON object, its label. The label is written
//! last, so a file exists only when it is whole.

use std::{
    io::{self, Read},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use gateway_core::access::{self, Claims, Runs};
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, path::Path};
use schemas::{
    bounds::MAX_TEXT,
    branding::LogoName,
    codes::Code,
    ids::{FileId, TenantId},
    run::RunFile,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    limits::{Limit, Limits, places::Place},
    random,
};

/// Default of the largest file, in bytes: twice the month of the largest clinic seen. More is
/// `too_large`.
pub const MAX_FILE: u64 = 50 * 1024 * 1024;
/// Bytes of one part on the way into the store: the least that S3 accepts. An upload holds two, one
/// being filled while the other is written.
const PART: usize = 5 * 1024 * 1024;
/// Most uploads at once on one node: 160 MiB of parts. Past it the answer is `try_again`. Subjects
/// and tenants have bounds of their own, by [`Limit::UploadsOfSubject`] and
/// [`Limit::UploadsOfTenant`].
const MAX_UPLOADS: usize = 16;
/// The time over which an upload must bring [`LEAST_BYTES`].
const RATE_WINDOW: Duration = Duration::from_secs(20);
/// Bytes that an upload must bring in [`RATE_WINDOW`]: 128 kbit/s, less than the slowest line of an
/// office. Past it the upload is `upload_too_slow` and its place is freed. Time in which the store
/// is slow does not count.
const LEAST_BYTES: u64 = 320 * 1024;
/// How long an upload may bring no bytes. Past it the file is `malformed` and its permit is freed.
pub const STALLED: Duration = Duration::from_secs(20);
/// How long an upload may take in all: 50 MiB at 230 kbit/s. Past it the file is `malformed`.
const UPLOAD_WITHIN: Duration = Duration::from_mins(30);
/// How long the store may take to return a label. Past it the answer is `try_again`.
const STORE_WITHIN: Duration = Duration::from_secs(5);

/// The file store of a node.
pub struct Files {
    store: Arc<dyn ObjectStore>,
    max: u64,
    uploads: Arc<Semaphore>,
    /// The runtime on which uploads run to their end even when their callers leave, because written
    /// parts must be removed.
    runtime: Handle,
}

/// The permit for one upload.
pub struct UploadPermit {
    _of_node: OwnedSemaphorePermit,
    _of_client: [Place; 2],
}

/// The label of a file.
#[derive(Serialize, Deserialize)]
struct FileLabel {
    name: String,
    bytes: u64,
    sha256: String,
    /// Tag of the sender, in hex.
    owner: String,
}

/// The received content: its length and its digest.
struct ReceivedContent {
    bytes: u64,
    sha256: [u8; 32],
}

impl Files {
    /// # Panics
    /// Outside a runtime. Call it on the runtime that outlives the shards.
    pub fn new(store: Arc<dyn ObjectStore>, max: u64) -> Self {
        Self {
            store,
            max,
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            runtime: Handle::current(),
        }
    }

    /// Takes a permit for one upload of the bearer, freed when dropped.
    ///
    /// # Errors
    /// `too_many_uploads` when the subject or the tenant has as many as it may have, and
    /// `try_again` when all permits of the node are taken.
    pub(crate) fn place(&self, limits: &Limits, claims: &Claims) -> Result<UploadPermit, Code> {
        let subject = limits.subject_key(&claims.tenant, &claims.subject);
        let tenant = limits.tenant_key(&claims.tenant);
        let of_client = [
            limits.place(Limit::UploadsOfSubject, subject)?,
            limits.place(Limit::UploadsOfTenant, tenant)?,
        ];
        let of_node = self.uploads.clone().try_acquire_owned().map_err(|_| Code::TryAgain)?;
        Ok(UploadPermit { _of_node: of_node, _of_client: of_client })
    }

    /// The largest file, in bytes.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The runtime on which files are read and written.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Stores `content` as a new file of the bearer's tenant. An error from `content` ends the
    /// upload. Nothing stays behind unless it succeeds. It must run to its end: spawn it on
    /// [`Files::runtime`].
    ///
    /// # Errors
    /// `try_again` when the store fails, `too_large`, `file_empty`, `checksum_mismatch`,
    /// `malformed` when no bytes came for too long, `upload_too_slow`, or the error of `content`.
    pub async fn keep(
        &self,
        claims: &Claims,
        _place: UploadPermit,
        name: String,
        expected: Option<[u8; 32]>,
        content: impl Stream<Item = Result<Bytes, Code>> + Send,
    ) -> Result<RunFile, Code> {
        let file = FileId::from_random(random::bits()?);
        let path = Path::from(file.path(&claims.tenant));
        let ReceivedContent { bytes, sha256 } = self.write(&path, expected, content).await?;
        let label = FileLabel { name, bytes, sha256: hex(&sha256), owner: owner_of(claims) };
        let text = serde_json::to_vec(&label).expect("a label has a JSON form");
        let beside = Path::from(file.label_path(&claims.tenant));
        if let Err(error) = self.store.put(&beside, text.into()).await {
            self.forget(&path).await;
            return Err(failed(&error));
        }
        let FileLabel { name, bytes, sha256, .. } = label;
        Ok(RunFile { file, name, bytes, sha256 })
    }

    async fn write(
        &self,
        path: &Path,
        expected: Option<[u8; 32]>,
        content: impl Stream<Item = Result<Bytes, Code>> + Send,
    ) -> Result<ReceivedContent, Code> {
        let upload = self.store.put_multipart(path).await.map_err(|error| failed(&error))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
        match self.fill(&mut parts, expected, content).await {
            // A failed completion aborts by itself.
            Ok(received) => parts.finish().await.map(|_| received).map_err(|error| failed(&error)),
            Err(code) => {
                if let Err(error) = parts.abort().await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the parts of an upload could not be removed");
                }
                Err(code)
            }
        }
    }

    async fn fill(
        &self,
        parts: &mut WriteMultipart,
        expected: Option<[u8; 32]>,
        content: impl Stream<Item = Result<Bytes, Code>> + Send,
    ) -> Result<ReceivedContent, Code> {
        let (mut bytes, mut digest) = (0, Sha256::new());
        let end = Instant::now() + UPLOAD_WITHIN;
        let mut pace = Pace::default();
        let mut content = std::pin::pin!(content);
        loop {
            let asked = Instant::now();
            let next = timeout_at(end.min(asked + STALLED), content.next()).await;
            let Some(piece) = next.map_err(|_| Code::Malformed)?.transpose()? else { break };
            if pace.is_too_slow(piece.len() as u64, asked.elapsed()) {
                return Err(Code::UploadTooSlow);
            }
            bytes += piece.len() as u64;
            if bytes > self.max {
                return Err(Code::TooLarge);
            }
            digest.update(&piece);
            parts.wait_for_capacity(1).await.map_err(|error| failed(&error))?;
            parts.write(&piece);
        }
        let sha256: [u8; 32] = digest.finalize().into();
        if bytes == 0 {
            return Err(Code::FileEmpty);
        }
        if expected.is_some_and(|expected| expected != sha256) {
            return Err(Code::ChecksumMismatch);
        }
        Ok(ReceivedContent { bytes, sha256 })
    }

    async fn forget(&self, path: &Path) {
        if let Err(error) = self.store.delete(path).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an upload could not be removed"
            );
        }
    }

    /// Returns the file of this id; `None` when the tenant has no such file, or somebody else
    /// uploaded it and the bearer does not see all runs.
    ///
    /// # Errors
    /// `try_again` when the store does not answer.
    pub async fn find(&self, claims: &Claims, file: &FileId) -> Result<Option<RunFile>, Code> {
        let path = Path::from(file.label_path(&claims.tenant));
        let store = self.store.clone();
        let label = self.on_runtime(async move { store.get(&path).await?.bytes().await }).await?;
        let Some(label) = label else { return Ok(None) };
        let FileLabel { name, bytes, sha256, owner } =
            serde_json::from_slice(&label).map_err(|_| {
                tracing::error!("the label of a file cannot be read");
                Code::Internal
            })?;
        let is_visible =
            owner == owner_of(claims) || access::may_list_runs(claims) == Ok(Runs::All);
        Ok(is_visible.then(|| RunFile { file: file.clone(), name, bytes, sha256 }))
    }

    /// Stores the bytes of a logo under its name, which follows from them.
    ///
    /// # Errors
    /// `try_again` when the store does not answer.
    pub async fn keep_logo(&self, name: &LogoName, bytes: Bytes) -> Result<(), Code> {
        let (store, path) = (self.store.clone(), logo_path(name));
        self.on_runtime(async move { store.put(&path, bytes.into()).await }).await?;
        Ok(())
    }

    /// The bytes of a logo; `None` when there is none of this name.
    ///
    /// # Errors
    /// `try_again` when the store does not answer.
    pub async fn logo(&self, name: &LogoName) -> Result<Option<Bytes>, Code> {
        let (store, path) = (self.store.clone(), logo_path(name));
        self.on_runtime(async move { store.get(&path).await?.bytes().await }).await
    }

    /// Opens the bytes of a file for a thread that may block.
    ///
    /// # Errors
    /// `try_again` when the store does not answer.
    pub async fn open(
        &self,
        tenant: &TenantId,
        file: &FileId,
    ) -> Result<Option<BlockingRead>, Code> {
        let path = Path::from(file.path(tenant));
        let store = self.store.clone();
        let opened =
            self.on_runtime(async move { Ok(store.get(&path).await?.into_stream()) }).await?;
        let runtime = self.runtime.clone();
        Ok(opened.map(|stream| BlockingRead { stream, piece: Bytes::new(), runtime }))
    }

    /// Awaits the store; `None` when it has no such object.
    async fn on_runtime<T: Send + 'static>(
        &self,
        asked: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<Option<T>, Code> {
        match self.runtime.spawn(timeout(STORE_WITHIN, asked)).await {
            Ok(Ok(Ok(found))) => Ok(Some(found)),
            Ok(Ok(Err(object_store::Error::NotFound { .. }))) => Ok(None),
            Ok(Ok(Err(error))) => Err(failed(&error)),
            Ok(Err(_)) => {
                tracing::warn!("the file store took too long");
                Err(Code::TryAgain)
            }
            Err(_) => Err(Code::Internal),
        }
    }
}

fn logo_path(name: &LogoName) -> Path {
    Path::from(format!("logos/{name}"))
}

/// The pace at which the bytes of an upload arrive.
#[derive(Default)]
struct Pace {
    /// Time that was spent waiting for bytes in this window, and the bytes that arrived.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Counts a piece that took `waited` to arrive. Returns whether too few bytes arrived in the
    /// window.
    fn is_too_slow(&mut self, bytes: u64, waited: Duration) -> bool {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < RATE_WINDOW {
            return false;
        }
        std::mem::take(self).bytes < LEAST_BYTES
    }
}

/// A file that is read by a thread that may block, never by a thread of a runtime.
pub struct BlockingRead {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    piece: Bytes,
    runtime: Handle,
}

impl Read for BlockingRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = async { timeout(STORE_WITHIN, self.stream.next()).await };
            match self.runtime.block_on(next)? {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn failed(error: &object_store::Error) -> Code {
    tracing::warn!(error = error as &dyn std::error::Error, "the file store failed");
    Code::TryAgain
}

/// The bearer as the label of a file names its sender.
fn owner_of(claims: &Claims) -> String {
    format!("{:016x}", claims.owner_tag())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a file as clerks see it: without folders, without invisible characters or those that
/// change the direction of writing, and no longer than any text on a screen.
pub fn shown_name(given: &str) -> String {
    const NAMELESS: &str = "claims.csv";
    /// Marks, embeddings and isolates of Unicode's bidirectional algorithm.
    const TURNS: [RangeInclusive<char>; 3] =
        ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let turns = |c| TURNS.iter().any(|range| range.contains(&c));
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control() && !turns(*c)).collect();
    let name: String = name.trim().chars().take(MAX_TEXT).collect();
    if name.trim_end().is_empty() { NAMELESS.to_owned() } else { name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_judged_by_windows_of_waiting() {
        let second = Duration::from_secs(1);
        let slow_after = |bytes: u64, waited| {
            let mut pace = Pace::default();
            (1..1000).find(|_| pace.is_too_slow(bytes, waited))
        };
        assert_eq!(slow_after(1, second), Some(20));
        assert_eq!(slow_after(16 * 1024 - 1, second), Some(20));
        assert_eq!(slow_after(16 * 1024, second), None);
        assert_eq!(slow_after(1, Duration::ZERO), None, "only the client's time counts");
        assert_eq!(slow_after(LEAST_BYTES, STALLED), None);
    }

    #[test]
    fn shown_name_is_safe_and_short() {
        let long = "é".repeat(200);
        let cut = "é".repeat(MAX_TEXT);
        for (given, shown) in [
            ("mars.csv", "mars.csv"),
            (" C:\\Users\\clerk\\mars 2025.csv ", "mars 2025.csv"),
            ("../../etc/passwd", "passwd"),
            ("a\r\nb\u{0}\u{202e}vsc.csv", "abvsc.csv"),
            ("", "claims.csv"),
            ("folder/", "claims.csv"),
            (" \t ", "claims.csv"),
            (&long, &cut),
        ] {
            assert_eq!(shown_name(given), shown);
        }
    }
}
