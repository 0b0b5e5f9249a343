//! Backends and a node for the tests of the stream.

use std::sync::{Arc, Mutex};

use object_store::memory::InMemory;
use schemas::{
    audit::{AuditEntry, AuditRecord},
    identity::CommandIdentity,
    ids::Aggregate,
    record::{AUDIT_TOPIC, WireRecord},
    view::{Position, View, raw},
};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::{
    BoxFuture,
    backends::{
        Backends,
        log::{FeedItem, Log, NotAppended},
        queries::{Queries, RecordedOutcome},
        short_keys::fake::{Answers, FakeKeys},
        snapshots::{NotRead, Snapshot, Snapshots},
    },
    context::NodeContext,
    readiness::Readiness,
    settings::test_settings,
};

/// The epoch of every view.
pub const EPOCH: u64 = 7;
/// The version of every view in the store.
pub const STORED: u64 = 5;

/// The view that the authority has no longer.
pub const REMOVED: &str = "board:removed";

/// Backends in which every view exists, except [`REMOVED`]. Every other read panics.
struct TestBackends {
    /// The version of every view in the authority. It does not answer without one.
    authority: Option<u64>,
    audit: AuditLog,
}

/// The audit in the log. Clones are of one log.
#[derive(Clone)]
pub struct AuditLog {
    /// Permits to acknowledge a record. The log refuses once they are closed.
    permits: Arc<Semaphore>,
    records: Arc<Mutex<Vec<WireRecord>>>,
}

/// A log that acknowledges everything.
impl Default for AuditLog {
    fn default() -> Self {
        Self::with_permits(Semaphore::MAX_PERMITS)
    }
}

impl AuditLog {
    pub fn with_permits(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), records: Arc::default() }
    }

    pub fn acknowledge(&self, records: usize) {
        self.permits.add_permits(records);
    }

    /// Refuses every record from now on.
    pub fn close(&self) {
        self.permits.close();
    }

    /// The entries of all acknowledged records.
    pub fn entries(&self) -> Vec<AuditEntry> {
        let records = self.records.lock().unwrap();
        let read = records.iter().flat_map(|record| AuditRecord::from_wire(record).unwrap().1);
        read.map(|written| written.entry).collect()
    }
}

impl Snapshots for TestBackends {
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let position = Position { epoch: EPOCH, version: STORED };
        let mut view = View { position, ..View::empty(EPOCH) };
        view.entries.insert("stored".to_owned(), raw(&STORED));
        Box::pin(async move { Ok(Snapshot::Held(view)) })
    }
}

impl Queries for TestBackends {
    fn lagging(&self, _: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async move {
            if view == REMOVED {
                return Ok(None);
            }
            let version = self.authority.ok_or_else(|| NotRead("gone".into()))?;
            let position = Position { epoch: EPOCH, version };
            let mut view = View { position, ..View::empty(EPOCH) };
            view.entries.insert("stored".to_owned(), raw(&version));
            Ok(Some(view))
        })
    }

    fn outcome<'a>(
        &'a self,
        _: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        unreachable!("no command is sent")
    }

    crate::backends::queries::fake::no_lists!();
}

impl Log for TestBackends {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        assert_eq!(topic, AUDIT_TOPIC, "nothing else is written");
        Box::pin(async {
            let permit = self.audit.permits.acquire().await;
            permit.map(SemaphorePermit::forget).map_err(|error| NotAppended(error.into()))?;
            self.audit.records.lock().unwrap().push(record);
            Ok(())
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        unreachable!("the test feeds the shard itself")
    }

    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        unreachable!("the test revokes by itself")
    }
}

/// A node over these backends.
pub fn test_node() -> Arc<NodeContext> {
    test_node_with(STORED)
}

/// A node like [`test_node`], with an authority in which every view has version `authority`, or
/// that does not answer.
pub fn test_node_with(authority: impl Into<Option<u64>>) -> Arc<NodeContext> {
    test_node_audited(authority.into(), AuditLog::default())
}

/// A node with this audit.
pub fn test_node_audited(authority: Option<u64>, audit: AuditLog) -> Arc<NodeContext> {
    let backends = Arc::new(TestBackends { authority, audit });
    let backends = Backends {
        log: backends.clone(),
        snapshots: backends.clone(),
        queries: backends,
        short_keys: FakeKeys::new(Answers::Allow),
        files: Arc::new(InMemory::new()),
        readiness: Readiness::default(),
    };
    let context = NodeContext::new(&test_settings(), backends).expect("a development key");
    context.revocations.finish_reading();
    Arc::new(context)
}
