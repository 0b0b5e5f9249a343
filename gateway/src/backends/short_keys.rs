//! Keys that live for seconds or minutes and are shared by all nodes: one-time tickets, and what
//! clients have spent of their quotas.

use std::time::Duration;

use crate::{
    BoxFuture, Source,
    limits::quota::{Quota, Spent},
};

/// The store of the keys did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the short-lived keys did not answer")]
pub struct KeysUnavailable(#[source] pub Source);

/// Keys with a lifetime, shared by all nodes.
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

    /// Spends one request of the quota under `key`, by the rule of [`crate::limits::quota`] and one
    /// clock for all nodes. Quotas have keys of their own, apart from those of [`ShortKeys::put`].
    fn spend<'a>(
        &'a self,
        key: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>>;
}
