//! Backends for the tests of the stream.

use schemas::{
    command::CommandOutcome,
    ids::{Aggregate, CommandId, RunId, TenantId},
    record::WireRecord,
    view::{Position, View},
};
use tokio::sync::mpsc;

use crate::{
    BoxFuture,
    backends::{
        log::{Fed, Log, NotAppended},
        queries::{FindingsAsked, FindingsPage, ListedRun, Queries, RunsAsked},
        snapshots::{NotRead, Snapshot, Snapshots},
    },
};

/// The epoch of every view.
pub const EPOCH: u64 = 7;
/// The version of every view in the store.
pub const STORED: u64 = 5;

/// Backends in which every view exists, and that offer nothing else.
pub struct TestBackends;

impl Snapshots for TestBackends {
    fn load<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let position = Position { epoch: EPOCH, version: STORED };
        Box::pin(async move { Ok(Snapshot::Held(View { position, ..View::empty(EPOCH) })) })
    }
}

impl Queries for TestBackends {
    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        unreachable!("the store has every view")
    }

    fn outcome<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<CommandOutcome>, NotRead>> {
        unreachable!("no command is sent")
    }

    fn runs<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunsAsked,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        unreachable!("nothing is listed")
    }

    fn findings<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunId,
        _: &'a FindingsAsked,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        unreachable!("nothing is listed")
    }
}

impl Log for TestBackends {
    fn append(&self, _: &'static str, _: WireRecord) -> BoxFuture<'_, Result<(), NotAppended>> {
        unreachable!("nothing is written")
    }

    fn follow(&self) -> mpsc::Receiver<Fed> {
        unreachable!("the test feeds the shard itself")
    }
}
