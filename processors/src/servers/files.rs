//! The store of files: a directory, or S3 and what speaks like it. The same as the gateways', who write what workers read.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};

/// How long a connection may take, and a request. A worker that meets a fault gives its run back, so that it need not repeat
/// much by itself.
const CONNECT: Duration = Duration::from_secs(2);
const REQUEST: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("it is neither file:///directory nor s3://bucket/prefix")]
    Url,
    #[error("the directory {} cannot be made or read", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
    #[error("the store does not answer as it should")]
    Store(#[from] object_store::Error),
}

/// Opens the store at `url`, and finds out whether it answers.
///
/// # Errors
/// [`FilesError`] says what to do.
pub async fn open(url: &str) -> Result<Arc<dyn ObjectStore>, FilesError> {
    let store: Arc<dyn ObjectStore> = match url.split_once("://") {
        Some(("file", directory)) if directory.starts_with('/') => {
            let failed = |error| FilesError::Directory(directory.into(), error);
            // What lies there names patients: nobody else of this machine looks into it.
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
            Arc::new(LocalFileSystem::new_with_prefix(directory)?)
        }
        Some(("s3", rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            Arc::new(PrefixStore::new(s3(bucket)?, Path::from(prefix)))
        }
        _ => return Err(FilesError::Url),
    };
    match store.head(&Path::from(".nothing")).await {
        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(store),
        Err(error) => Err(error.into()),
    }
}

fn s3(bucket: &str) -> Result<impl ObjectStore, FilesError> {
    let limit = AmazonS3ConfigKey::Client;
    let seconds = |time: Duration| format!("{} seconds", time.as_secs());
    let retry = RetryConfig { retry_timeout: RETRY, ..RetryConfig::default() };
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_config(limit(ClientConfigKey::ConnectTimeout), seconds(CONNECT))
        .with_config(limit(ClientConfigKey::Timeout), seconds(REQUEST))
        .with_retry(retry);
    Ok(store.build()?)
}
