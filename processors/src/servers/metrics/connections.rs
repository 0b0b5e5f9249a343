//! The metrics of the connections to PostgreSQL.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntGaugeVec, Opts, Registry};

use super::copied::add;

/// Reads the connections of a pool, by state.
type ReadPool = Box<dyn Fn() -> [(&'static str, usize); 4] + Send + Sync>;

/// The pools of a process, with their names.
#[derive(Default, Clone)]
pub(super) struct Pools(Arc<Mutex<Vec<(&'static str, ReadPool)>>>);

impl Pools {
    pub(super) fn add(
        &self,
        name: &'static str,
        read: impl Fn() -> [(&'static str, usize); 4] + Send + Sync + 'static,
    ) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(read)));
    }
}

pub(super) fn register_connections(registry: &Registry, pools: &Pools) -> prometheus::Result<()> {
    let opts = Opts::new(
        "clinicwire_postgres_connections",
        "Connections to PostgreSQL by pool and state: used, idle, or free to be opened; and the \
         callers that wait for one.",
    );
    let pools = pools.clone();
    add(registry, IntGaugeVec::new(opts, &["pool", "state"])?, move |gauge| {
        for (pool, read) in pools.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (state, count) in read() {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                gauge.with_label_values(&[pool, state]).set(count);
            }
        }
    })
}
