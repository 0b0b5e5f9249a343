//! The breaker of the view store. A call that fails opens it. While it is open, steps are marked
//! dirty without a call, so that a store that hangs costs each partition one call and not one per
//! batch. Only repairs call the store again, and a success closes the breaker.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::timeout;

use crate::views::ViewStoreError;

/// How long the view store may take for one call. Past it, the views are marked dirty and delivery
/// continues without the store.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Breaker {
    open: AtomicBool,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Waits for one call of the view store, with a limit, and judges the store by it.
    pub(super) async fn judge<T>(
        &self,
        call: impl Future<Output = Result<T, ViewStoreError>>,
    ) -> Result<T, ViewStoreError> {
        let done = timeout(PATIENCE, call)
            .await
            .unwrap_or_else(|elapsed| Err(ViewStoreError(Some(elapsed.into()))));
        match &done {
            Ok(_) => {
                if self.open.swap(false, Relaxed) {
                    tracing::info!("the view store answers again");
                }
            }
            Err(error) => {
                if !self.open.swap(true, Relaxed) {
                    tracing::warn!(
                        error = error as &dyn Error,
                        "the view store does not answer; views are repaired later"
                    );
                }
            }
        }
        done
    }
}
