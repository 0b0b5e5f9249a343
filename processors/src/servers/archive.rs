//! The archive of the journal, in an object store: partitions as compressed lines of JSON, and a
//! snapshot of each aggregate. A rebuild needs the snapshot and the journal since.
//!
//! `journal/<partition>/<number>.jsonl.gz` has rows of the table, a line each. `snapshots/…` has
//! aggregates: a line of each has its header, and further ones its views, and the tickets and
//! appointments of a location, ended ones too. An undo of any of them needs nothing older, because
//! each ticket holds what its undo takes back.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use schemas::{
    Millis,
    ids::{Aggregate, AggregateKind},
    view::{Entries, Position, View},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::postgres::{
    ArchiveSession, JournalPartition, PostgresError, PostgresJournal, SnapshotPlace,
};
use crate::{
    aggregate::{AggregateHeader, StoredAggregate},
    verify::{AggregateSnapshot, FoldedView},
};

/// Bytes of lines after which an object of snapshots is complete. A location with 70,000 tickets
/// has 90 MB and an object of its own; keys of appointments share one.
const SNAPSHOT_BYTES: usize = 8 << 20;

/// Why the archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// PostgreSQL refuses or does not answer.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The object store refuses or does not answer.
    #[error("the archive does not answer as expected")]
    Store(#[from] object_store::Error),
    /// An object cannot be compressed or read.
    #[error("an object of the archive cannot be read")]
    Object(#[from] io::Error),
    /// A stored snapshot is not the one that was taken.
    #[error("the snapshot of an aggregate is not the one that was stored: {0}")]
    Damaged(&'static str),
}

/// Counts of the archive since the start of the process.
#[derive(Default)]
pub struct ArchiveCounters {
    /// Rows of the journal that the archive got.
    pub rows: AtomicU64,
    /// Snapshots taken.
    pub snapshots: AtomicU64,
}

/// The archive.
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    journal: PostgresJournal,
    counters: Arc<ArchiveCounters>,
}

/// A line of an object of snapshots.
#[derive(Serialize, Deserialize)]
struct SnapshotLine<'a> {
    aggregate: &'a str,
    kind: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The body of a view in it.
#[derive(Deserialize)]
struct SnapshotView {
    name: String,
    version: u64,
    at: Millis,
    expires: bool,
    entries: Entries,
}

/// Compressed lines.
struct Lines {
    encoder: GzEncoder<Vec<u8>>,
    bytes: usize,
}

impl Lines {
    fn new() -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::default()), bytes: 0 }
    }

    fn push(&mut self, line: &str) {
        self.encoder.write_all(line.as_bytes()).expect("memory takes every byte");
        self.encoder.write_all(b"\n").expect("memory takes every byte");
        self.bytes += line.len() + 1;
    }

    fn finish(self) -> Vec<u8> {
        self.encoder.finish().expect("memory takes every byte")
    }
}

impl Archive {
    /// An archive in `store`.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        journal: PostgresJournal,
        counters: Arc<ArchiveCounters>,
    ) -> Self {
        Self { store, journal, counters }
    }

    /// Archives the oldest partition that is due, and takes the snapshots that it needs. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// [`ArchiveError`]. The next call repeats what is missing.
    pub async fn archive_next(&self) -> Result<bool, ArchiveError> {
        let Some((session, partition)) = self.journal.begin_archive().await? else {
            return Ok(false);
        };
        if !session.is_archived(&partition).await? {
            self.archive_rows(&session, &partition).await?;
        }
        loop {
            let aggregates = session.without_snapshot(&partition).await?;
            if aggregates.is_empty() {
                break;
            }
            self.take_snapshots(&session, aggregates).await?;
        }
        session.covered(&partition).await?;
        tracing::info!(partition = partition.name, "the archive has a partition of the journal");
        Ok(true)
    }

    async fn archive_rows(
        &self,
        session: &ArchiveSession,
        partition: &JournalPartition,
    ) -> Result<(), ArchiveError> {
        let mut place = (String::new(), -1, -1);
        let (mut count, mut objects, mut bytes) = (0, 0, 0);
        loop {
            let (rows, last) = session.rows(partition, &place).await?;
            let Some(last) = last else { break };
            let mut lines = Lines::new();
            rows.iter().for_each(|row| lines.push(row));
            let object = lines.finish();
            (count, objects) = (count + rows.len() as i64, objects + 1);
            bytes += object.len() as i64;
            let path = format!("journal/{}/{objects:06}.jsonl.gz", partition.name);
            self.store.put(&Path::from(path), object.into()).await?;
            place = last;
        }
        session.archived(partition, (count, objects, bytes)).await?;
        self.counters.rows.fetch_add(count.unsigned_abs(), Relaxed);
        Ok(())
    }

    /// Takes snapshots, several small ones to an object.
    async fn take_snapshots(
        &self,
        session: &ArchiveSession,
        aggregates: Vec<Aggregate>,
    ) -> Result<(), ArchiveError> {
        let (mut lines, mut taken) = (Lines::new(), Vec::new());
        for aggregate in aggregates {
            let push = |kind: &str, body: &str| {
                let body = RawValue::from_string(body.to_owned()).expect("a column of JSON");
                let line = SnapshotLine { aggregate: aggregate.as_str(), kind, body: &body };
                lines.push(&serde_json::to_string(&line).expect("our own line has a JSON form"));
            };
            let position = session.read_aggregate(&aggregate, push).await?;
            taken.extend(position.map(|position| (aggregate, position)));
            if lines.bytes >= SNAPSHOT_BYTES {
                self.store_snapshots(session, lines, std::mem::take(&mut taken)).await?;
                lines = Lines::new();
            }
        }
        self.store_snapshots(session, lines, taken).await
    }

    async fn store_snapshots(
        &self,
        session: &ArchiveSession,
        lines: Lines,
        taken: Vec<(Aggregate, Position)>,
    ) -> Result<(), ArchiveError> {
        if taken.is_empty() {
            return Ok(());
        }
        let bytes = lines.finish();
        let sha256 = Sha256::digest(&bytes).to_vec();
        let size = bytes.len() as i64;
        // Two objects get the same name once in 2^64 times.
        let object = format!("snapshots/{:016x}.jsonl.gz", fastrand::u64(..));
        self.store.put(&Path::from(object.as_str()), bytes.into()).await?;
        for (aggregate, position) in &taken {
            let (object, sha256) = (object.clone(), sha256.clone());
            let place = SnapshotPlace { position: *position, object, sha256 };
            session.taken(aggregate, &place, size).await?;
        }
        self.counters.snapshots.fetch_add(taken.len() as u64, Relaxed);
        Ok(())
    }

    /// The newest snapshot of an aggregate. `None` when it has none: the whole journal is in the
    /// database then.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn snapshot(
        &self,
        aggregate: &Aggregate,
    ) -> Result<Option<AggregateSnapshot>, ArchiveError> {
        let Some(place) = self.journal.snapshot(aggregate).await? else { return Ok(None) };
        let object = self.store.get(&Path::from(place.object.as_str())).await?.bytes().await?;
        if Sha256::digest(&object)[..] != place.sha256[..] {
            return Err(ArchiveError::Damaged("its hash is another one"));
        }
        let mut text = String::new();
        GzDecoder::new(&object[..]).read_to_string(&mut text)?;
        let unreadable = |_| ArchiveError::Damaged("a line cannot be read");
        let (mut header, mut tickets, mut appointments) = (None, Vec::new(), Vec::new());
        let mut views = BTreeMap::new();
        for line in text.lines() {
            let line: SnapshotLine = serde_json::from_str(line).map_err(unreadable)?;
            let body = line.body.get();
            match line.kind {
                _ if line.aggregate != aggregate.as_str() => {}
                "header" => {
                    let read = AggregateHeader::from_json(aggregate.kind(), body);
                    header = Some(read.map_err(unreadable)?);
                }
                "ticket" => tickets.push(serde_json::from_str(body).map_err(unreadable)?),
                "appointment" => appointments.push(serde_json::from_str(body).map_err(unreadable)?),
                "view" => {
                    let SnapshotView { name, version, at, expires, entries } =
                        serde_json::from_str(body).map_err(unreadable)?;
                    let position = Position { version, ..place.position };
                    let view = View { position, at, entries };
                    views.insert(name, FoldedView { view, expires });
                }
                _ => return Err(ArchiveError::Damaged("a line has an unknown kind")),
            }
        }
        let header = header.ok_or(ArchiveError::Damaged("it has no header"))?;
        if views.is_empty() && aggregate.kind() == AggregateKind::Location {
            return Err(ArchiveError::Damaged("it has no views, so an earlier version took it"));
        }
        let stored = StoredAggregate { position: place.position, header, tickets, appointments };
        Ok(Some(AggregateSnapshot { stored, views }))
    }
}
