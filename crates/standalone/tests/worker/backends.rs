//! File stores, logs and work backends that fail or wait on demand.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory,
    path::Path,
};
use processors::{
    BoxFuture,
    log::{AppendError, Log, LogEvent, LogPlace, LogState, NotRead, PartitionId},
    work::{
        AttemptOutput, Job, RunPlace, StoredRules, StoredTable, TryCounting, Work, WorkError,
        WorkFuture, WorkItem,
    },
};
use schemas::{
    ids::{FileId, TenantId},
    record::{ViewsHead, WireRecord},
    reference::ReferenceTable,
    view::Position,
};
use tokio::sync::{mpsc, watch};

/// A file store in memory. It refuses the given number of calls, and serves files only as far as it
/// is open.
pub struct Files {
    inner: InMemory,
    pub refusals: AtomicU32,
    open: watch::Sender<bool>,
    /// The number of readers that wait for the store to open.
    pub waiting: watch::Sender<u32>,
}

impl Files {
    pub fn new() -> Arc<Self> {
        let (open, waiting) = (watch::Sender::new(true), watch::Sender::new(0));
        Arc::new(Self { inner: InMemory::new(), refusals: AtomicU32::new(0), open, waiting })
    }

    /// Serves the first half of each file and lets readers wait for the rest.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    fn halves(&self, bytes: Bytes) -> BoxStream<'static, object_store::Result<Bytes>> {
        let (first, rest) = (bytes.slice(..bytes.len() / 2), bytes.slice(bytes.len() / 2..));
        let (mut open, waiting) = (self.open.subscribe(), self.waiting.clone());
        let rest = futures_util::stream::once(async move {
            waiting.send_modify(|waiting| *waiting += 1);
            open.wait_for(|open| *open).await.expect("the store outlives its readers");
            Ok(rest)
        });
        futures_util::stream::iter([Ok(first)]).chain(rest).boxed()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files")
    }
}

#[async_trait]
impl ObjectStore for Files {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let refused = self.refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            let source = "the disk is gone".into();
            return Err(object_store::Error::Generic { store: "files", source });
        }
        let found = self.inner.get_opts(path, options).await?;
        let (meta, range, attributes) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let bytes = found.bytes().await?;
        let payload = GetResultPayload::Stream(self.halves(bytes));
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    async fn get_ranges(
        &self,
        path: &Path,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A log that loses the answers to the given number of appends and then refuses as many.
pub struct UnreliableLog {
    pub inner: Arc<dyn Log>,
    pub faults: AtomicU32,
}

impl Log for UnreliableLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        self.inner.read()
    }

    fn release(&self, partition: PartitionId) {
        self.inner.release(partition);
    }

    fn pause(&self, partition: PartitionId, paused: bool) {
        self.inner.pause(partition, paused);
    }

    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        self.inner.look(places)
    }

    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        self.inner.newest_views()
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(async move {
            match self.faults.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
                // The worker appends the record again; readers see one effect.
                Ok(left) if left % 2 == 0 => {
                    self.inner.append(records).await?;
                    Err(AppendError { record: None, source: None })
                }
                Ok(_) => Err(AppendError { record: None, source: None }),
                Err(_) => self.inner.append(records).await,
            }
        })
    }
}

/// A log that refuses every record of a run's completion.
pub struct MuteLog {
    pub inner: Arc<dyn Log>,
    /// The number of refused records.
    pub refused: watch::Sender<u32>,
}

impl Log for MuteLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        self.inner.read()
    }

    fn release(&self, partition: PartitionId) {
        self.inner.release(partition);
    }

    fn pause(&self, partition: PartitionId, paused: bool) {
        self.inner.pause(partition, paused);
    }

    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        self.inner.look(places)
    }

    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        self.inner.newest_views()
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        let completes =
            |record: &WireRecord| record.header("ce_type") == Some("clinicwire.run.complete.v1");
        if records.iter().any(|(_, record)| completes(record)) {
            self.refused.send_modify(|refused| *refused += 1);
            return Box::pin(async { Err(AppendError { record: None, source: None }) });
        }
        self.inner.append(records)
    }
}

/// A work backend whose lease extensions stop arriving once it is deaf.
pub struct DeafWork {
    pub inner: Arc<dyn Work>,
    pub deaf: AtomicBool,
}

impl Work for DeafWork {
    fn take<'a>(
        &'a self,
        worker: &'a str,
        lease: Duration,
        resting: &'a BTreeSet<TenantId>,
    ) -> WorkFuture<'a, Option<WorkItem>> {
        if self.deaf.load(SeqCst) {
            return Box::pin(async { Ok(None) });
        }
        self.inner.take(worker, lease, resting)
    }

    fn extend_lease<'a>(&'a self, job: &'a Job, lease: Duration) -> WorkFuture<'a, bool> {
        if self.deaf.load(SeqCst) {
            return Box::pin(async { Err(WorkError::Unavailable("the net is cut".into())) });
        }
        self.inner.extend_lease(job, lease)
    }

    fn end<'a>(&'a self, job: &'a Job, parts: mpsc::Receiver<AttemptOutput>) -> WorkFuture<'a, ()> {
        self.inner.end(job, parts)
    }

    fn release<'a>(
        &'a self,
        job: &'a Job,
        pause: Duration,
        count: TryCounting,
    ) -> WorkFuture<'a, ()> {
        self.inner.release(job, pause, count)
    }

    fn changed_places(&self) -> WorkFuture<'_, Vec<RunPlace>> {
        self.inner.changed_places()
    }

    fn mark_unsent<'a>(&'a self, places: &'a [RunPlace]) -> WorkFuture<'a, ()> {
        self.inner.mark_unsent(places)
    }

    fn rules<'a>(
        &'a self,
        tenant: &'a TenantId,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredRules>> {
        self.inner.rules(tenant, known)
    }

    fn table<'a>(
        &'a self,
        tenant: &'a TenantId,
        table: ReferenceTable,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredTable>> {
        self.inner.table(tenant, table, known)
    }

    fn in_use<'a>(
        &'a self,
        files: &'a [(TenantId, FileId)],
    ) -> WorkFuture<'a, HashSet<(TenantId, FileId)>> {
        self.inner.in_use(files)
    }

    fn sweep(&self) -> WorkFuture<'_, bool> {
        self.inner.sweep()
    }

    fn prepare_days(&self) -> WorkFuture<'_, ()> {
        self.inner.prepare_days()
    }
}
