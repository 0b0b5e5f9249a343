//! The store of uploaded claims files: a directory, or S3 and compatible stores.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::SpawnedReqwestConnector,
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};
use tokio::runtime::Handle;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a file store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// The address has none of the known forms.
    #[error("the address is neither file:///directory nor s3://bucket/prefix")]
    InvalidUrl,
    /// The directory cannot be created or read.
    #[error("the directory {} cannot be created or read", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
    /// The store refuses a request, or does not answer.
    #[error("the store does not answer as expected")]
    Store(#[from] object_store::Error),
}

/// The address of a store, parsed.
#[derive(Debug)]
pub enum FileStoreUrl<'a> {
    /// A directory of this machine.
    Directory(&'a str),
    /// A bucket of an object store that speaks S3, and the prefix of our paths in it.
    S3 {
        /// The name of the bucket.
        bucket: &'a str,
        /// The prefix. May be empty.
        prefix: &'a str,
    },
}

impl<'a> FileStoreUrl<'a> {
    /// Reads an address.
    ///
    /// # Errors
    /// [`FileStoreError::InvalidUrl`]
    pub fn parse(url: &'a str) -> Result<Self, FileStoreError> {
        match url.split_once("://") {
            Some(("file", directory)) if directory.starts_with('/') => {
                Ok(Self::Directory(directory))
            }
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Ok(Self::S3 { bucket, prefix })
            }
            _ => Err(FileStoreError::InvalidUrl),
        }
    }
}

/// How [`open`] tests the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Asks for an object that does not exist.
    Read,
    /// Writes, reads and deletes a small object.
    WriteAndRead,
}

/// Opens the store at `url` and tests it. A failed request is repeated for `retry_timeout` at most.
/// Must be called on the runtime that outlives all users of the store.
///
/// # Errors
/// [`FileStoreError`]
pub async fn open(
    url: &str,
    retry_timeout: Duration,
    probe: Probe,
) -> Result<Arc<dyn ObjectStore>, FileStoreError> {
    let store: Arc<dyn ObjectStore> = match FileStoreUrl::parse(url)? {
        FileStoreUrl::Directory(directory) => {
            let failed = |error| FileStoreError::Directory(directory.into(), error);
            // The files name patients: no other user of this machine may read them.
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
            Arc::new(LocalFileSystem::new_with_prefix(directory)?)
        }
        FileStoreUrl::S3 { bucket, prefix } => {
            Arc::new(PrefixStore::new(s3(bucket, retry_timeout)?, Path::from(prefix)))
        }
    };
    match probe {
        Probe::Read => match store.head(&Path::from(".nothing")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        },
        Probe::WriteAndRead => {
            let path = Path::from(format!(".probe-{}", std::process::id()));
            store.put(&path, "written and read".into()).await?;
            store.get(&path).await?;
            store.delete(&path).await?;
        }
    }
    Ok(store)
}

fn s3(bucket: &str, retry_timeout: Duration) -> Result<impl ObjectStore, FileStoreError> {
    let limit = AmazonS3ConfigKey::Client;
    let seconds = |time: Duration| format!("{} seconds", time.as_secs());
    let retry = RetryConfig { retry_timeout, ..RetryConfig::default() };
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_config(limit(ClientConfigKey::ConnectTimeout), seconds(CONNECT_TIMEOUT))
        .with_config(limit(ClientConfigKey::Timeout), seconds(REQUEST_TIMEOUT))
        .with_retry(retry)
        // Requests come from threads of a gateway that end before the process does.
        .with_http_connector(SpawnedReqwestConnector::new(Handle::current()));
    Ok(store.build()?)
}
