//! Keys that live for seconds to weeks and are shared by all nodes: one-time tickets, short codes,
//! pairings, and the spent quotas of clients. They can be lost at any time: each user of the store
//! documents the effect.

#[cfg(test)]
pub(crate) mod fake;

use std::time::Duration;

use schemas::codes::Code;

use crate::{
    BoxFuture, Source,
    backends::quota::{Quota, Spent},
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

    /// Stores `value` under `key` for `ttl`, unless the key is held: then returns its value. Of all
    /// callers on all nodes, one stores.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>>;

    /// Returns the value, which stays.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>>;

    /// Removes and returns the value. Of all callers on all nodes, at most one gets it.
    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>>;

    /// Spends one request of the quota under `key`, by the rule of [`crate::backends::quota`] and
    /// one clock for all nodes. Quotas have keys of their own, apart from those of
    /// [`ShortKeys::put`].
    fn spend<'a>(
        &'a self,
        key: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>>;
}

/// How long the short-lived keys may take. A healthy Redis answers in a millisecond.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The answer of the short-lived keys.
///
/// # Errors
/// `try_again` when they fail, or take too long.
pub async fn answer<T>(asked: impl Future<Output = Result<T, KeysUnavailable>>) -> Result<T, Code> {
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the short-lived keys did not answer");
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("the short-lived keys took too long");
            Err(Code::TryAgain)
        }
    }
}
