//! Keys that live for seconds and are shared by all nodes: one-time tickets.

use std::time::Duration;

use crate::{BoxFuture, Source};

#[derive(Debug, thiserror::Error)]
#[error("the short-lived keys did not answer")]
pub struct KeysUnavailable(#[source] pub Source);

pub trait ShortKeys: Send + Sync + 'static {
    /// Stores `value` under `key` for `ttl`.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>>;

    /// Removes and returns the value. Of all callers on all nodes, at most one gets it.
    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>>;
}
