//! The keys of an issuer that publishes them at a URL: fetched in the background, kept while the
//! issuer does not answer, and fetched early when a token names an unknown key.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use schemas::codes::Code;
use tokio::{sync::Notify, time::Instant};

use super::{
    KeyAlgorithm, jwks,
    keys::{Key, KeySet},
};
use crate::{BoxFuture, Source};

/// Largest document in bytes. Issuers publish a few KiB; certificates in it make some longer.
pub const MAX_DOCUMENT: usize = 256 * 1024;
/// How long the fetch of a document may take.
pub const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// Key ids that are remembered as unknown between two fetches. Tokens with further ones are
/// answered with `try_again`, which costs no memory.
const MAX_UNKNOWN: usize = 1024;

/// Fetches the document at a URL, bounded by [`MAX_DOCUMENT`] and [`FETCH_WITHIN`].
pub type FetchDocument =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Bytes, FetchError>> + Send + Sync>;

/// Why a document was not fetched. The keys so far stay in use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum FetchError {
    #[error("the issuer did not answer")]
    Unreachable(#[source] Source),
    #[error("the issuer answered with status {0}")]
    Status(u16),
    #[error("the document is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    #[error("the issuer took longer than {} s", FETCH_WITHIN.as_secs())]
    TimedOut,
}

/// When keys are fetched, and how long they count.
#[derive(Debug, Clone, Copy)]
pub struct RefreshPolicy {
    /// Time between two fetches.
    pub refresh: Duration,
    /// Least time between the starts of two fetches, whatever tokens ask for.
    pub cooldown: Duration,
    /// How long keys count after the last fetch that succeeded.
    pub stale: Duration,
}

/// The keys of one URL.
pub(super) struct RemoteKeys {
    pub(super) url: String,
    algorithms: Vec<KeyAlgorithm>,
    policy: RefreshPolicy,
    fetch: FetchDocument,
    held: RwLock<Option<Arc<HeldKeys>>>,
    unknown: Mutex<UnknownKids>,
    /// Notified when a token needs keys that are not held.
    wanted: Notify,
}

struct HeldKeys {
    set: KeySet,
    fetched_at: Instant,
}

/// Digests of key ids that tokens named and the held keys lack.
#[derive(Default)]
struct UnknownKids {
    hasher: RandomState,
    /// Named since the last fetch began: the next one may bring them.
    waiting: HashSet<u64>,
    /// Named before the last fetch began, and not in its document.
    absent: HashSet<u64>,
}

impl RemoteKeys {
    pub(super) fn new(
        url: String,
        algorithms: Vec<KeyAlgorithm>,
        policy: RefreshPolicy,
        fetch: FetchDocument,
    ) -> Self {
        let (held, unknown) = (RwLock::default(), Mutex::default());
        Self { url, algorithms, policy, fetch, held, unknown, wanted: Notify::new() }
    }

    fn held(&self) -> Option<Arc<HeldKeys>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds a key.
    ///
    /// # Errors
    /// `try_again` when a fetch may bring it, `token_invalid` when it does not exist.
    pub(super) fn find(&self, kid: Option<&str>) -> Result<Arc<Key>, Code> {
        let held = self.held().filter(|held| held.fetched_at.elapsed() <= self.policy.stale);
        let Some(held) = held else {
            self.wanted.notify_one();
            return Err(Code::TryAgain);
        };
        if let Some(key) = held.set.find(kid) {
            return Ok(key.clone());
        }
        let Some(kid) = kid else { return Err(Code::TokenInvalid) };
        self.wanted.notify_one();
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = unknown.hasher.hash_one(kid);
        if unknown.absent.contains(&digest) {
            return Err(Code::TokenInvalid);
        }
        if unknown.waiting.len() < MAX_UNKNOWN {
            unknown.waiting.insert(digest);
        }
        Err(Code::TryAgain)
    }

    pub(super) fn has_keys(&self) -> bool {
        self.held().is_some_and(|held| held.fetched_at.elapsed() <= self.policy.stale)
    }

    /// Whether the last fetches failed, so that the keys are older than they should be.
    pub(super) fn is_late(&self) -> bool {
        self.held().is_none_or(|held| held.fetched_at.elapsed() > self.policy.refresh * 2)
    }

    /// Keeps the keys fresh. Never returns.
    pub(super) async fn keep_fresh(&self) {
        loop {
            let began = Instant::now();
            let fetched = self.fetch_once().await;
            // Without jitter, nodes that were started together would always fetch together.
            let jitter = 0.9 + 0.2 * fastrand::f32();
            let pause =
                if fetched { self.policy.refresh.mul_f32(jitter) } else { self.policy.cooldown };
            let pause = pause.max(self.policy.cooldown);
            tokio::select! {
                () = tokio::time::sleep_until(began + pause) => {}
                () = self.wanted.notified() => {
                    tokio::time::sleep_until(began + self.policy.cooldown).await;
                }
            }
        }
    }

    /// Fetches the document once. Returns whether it gave keys.
    async fn fetch_once(&self) -> bool {
        let asked = mem::take(&mut self.lock_unknown().waiting);
        let document =
            match tokio::time::timeout(FETCH_WITHIN, (self.fetch)(self.url.clone())).await {
                Ok(fetched) => fetched,
                Err(_) => Err(FetchError::TimedOut),
            };
        let url = self.url.as_str();
        let set = match document {
            Ok(document) => jwks::read(&document, &self.algorithms).map_err(|error| {
                tracing::warn!(url, %error, "the document of an issuer's keys cannot be used");
            }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(url, error, "the keys of an issuer could not be fetched");
                Err(())
            }
        };
        let mut unknown = self.lock_unknown();
        let Ok(set) = set else {
            let room = MAX_UNKNOWN.saturating_sub(unknown.waiting.len());
            unknown.waiting.extend(asked.into_iter().take(room));
            return false;
        };
        unknown.absent = asked;
        drop(unknown);
        let known = self.held().map(|held| held.set.len());
        if known != Some(set.len()) {
            tracing::info!(url, keys = set.len(), "the keys of an issuer were fetched");
        }
        let held = Arc::new(HeldKeys { set, fetched_at: Instant::now() });
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        true
    }

    fn lock_unknown(&self) -> std::sync::MutexGuard<'_, UnknownKids> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
