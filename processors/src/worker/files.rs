//! The file of a run: opened for the thread that checks it, and removed when no run needs it.

use std::{
    fs::File,
    io::{self, Read},
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use schemas::ids::{FileId, TenantId};
use tokio::{runtime::Handle, time::timeout};

use super::fault::AttemptFault;
use crate::work::Work;

/// How long the store may take to answer or to deliver the next piece of a file. Past it, the
/// attempt has met a fault.
const STORE_WITHIN: Duration = Duration::from_secs(5);
/// Old files looked up at once.
const TOGETHER: usize = 100;

/// An open file, read by a thread that may block.
pub enum OpenFile {
    Local(File),
    Remote {
        pieces: BoxStream<'static, object_store::Result<Bytes>>,
        piece: Bytes,
        runtime: Handle,
    },
}

impl OpenFile {
    /// Opens a file. `None` when the store has no such file.
    ///
    /// # Errors
    /// When the store fails, or holds a file of another length.
    pub async fn open(
        files: &dyn ObjectStore,
        tenant: &TenantId,
        file: &FileId,
        bytes: u64,
    ) -> Result<Option<Self>, AttemptFault> {
        let opened = timeout(STORE_WITHIN, files.get(&Path::from(file.path(tenant)))).await;
        let found = match opened
            .map_err(|late| AttemptFault::new("the file store did not answer", late))?
        {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(AttemptFault::new("the file store failed", error)),
        };
        if found.meta.size != bytes {
            let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(AttemptFault::new("the file store holds a file of another length", cut));
        }
        Ok(Some(match found.payload {
            GetResultPayload::File(file, _) => OpenFile::Local(file),
            GetResultPayload::Stream(pieces) => {
                OpenFile::Remote { pieces, piece: Bytes::new(), runtime: Handle::current() }
            }
        }))
    }
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (pieces, piece, runtime) = match self {
            OpenFile::Local(file) => return file.read(buffer),
            OpenFile::Remote { pieces, piece, runtime } => (pieces, piece, runtime),
        };
        while piece.is_empty() {
            match runtime.block_on(async { timeout(STORE_WITHIN, pieces.next()).await })? {
                Some(next) => *piece = next.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(piece.len());
        piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Removes the file of a run, unless another run needs it. A failure is left to [`remove_old`].
pub async fn remove(files: &dyn ObjectStore, work: &dyn Work, tenant: &TenantId, file: &FileId) {
    let named = (tenant.clone(), file.clone());
    if let Ok(needed) = work.in_use(std::slice::from_ref(&named)).await
        && needed.is_empty()
    {
        remove_both(files, &named).await;
    }
}

async fn remove_both(files: &dyn ObjectStore, (tenant, file): &(TenantId, FileId)) {
    for path in [file.label_path(tenant), file.path(tenant)] {
        match files.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "removing a file failed");
            }
        }
    }
}

/// Removes files older than `age` that no run needs: files for which nobody requested a run, and
/// files of failed runs that nobody retried.
///
/// # Errors
/// When the store or the ledger fails.
pub async fn remove_old(
    files: &dyn ObjectStore,
    work: &dyn Work,
    age: Duration,
) -> Result<(), AttemptFault> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let before = i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or_default();
    let is_old = |meta: &ObjectMeta| meta.last_modified.timestamp_millis() < before;
    let mut listed = files.list(None).chunks(TOGETHER);
    while let Some(listed) = listed.next().await {
        let listed: Vec<ObjectMeta> = listed
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| AttemptFault::new("listing the file store failed", error))?;
        let mut old: Vec<_> = listed
            .iter()
            .filter(|meta| is_old(meta))
            .filter_map(|meta| FileId::from_path(meta.location.as_ref()))
            .collect();
        old.dedup();
        if old.is_empty() {
            continue;
        }
        let needed = work
            .in_use(&old)
            .await
            .map_err(|error| AttemptFault::new("finding the files in use failed", error))?;
        for file in old.iter().filter(|file| !needed.contains(*file)) {
            remove_both(files, file).await;
        }
    }
    Ok(())
}
