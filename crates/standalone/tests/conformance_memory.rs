//! The backends in memory pass the conformance suites.

use std::sync::Arc;

use standalone::{
    conformance::{self, log::Sides, views::Store},
    memory::{Memory, MemoryLog, system_clock},
};

fn memory() -> Memory {
    Memory::new(system_clock())
}

#[tokio::test]
async fn memory_ledger_conforms() {
    conformance::ledger::suite(&*memory().ledger).await;
}

#[tokio::test]
async fn memory_views_conform() {
    let memory = memory();
    let store = Store {
        views: &*memory.views,
        snapshots: &*memory.views,
        lose: async |_: &_| memory.views.flush(),
    };
    conformance::views::suite(&store, &*memory.ledger).await;
}

#[tokio::test]
async fn memory_log_conforms() {
    conformance::log::suite(async || {
        let log = Arc::new(MemoryLog::new(system_clock()));
        Sides { processors: log.clone(), gateway: log }
    })
    .await;
}

#[tokio::test]
async fn memory_queries_conform() {
    let memory = memory();
    conformance::queries::suite(&*memory.ledger, &*memory.queries()).await;
}

#[tokio::test]
async fn memory_short_keys_conform() {
    conformance::keys::suite(memory().keys).await;
}

#[tokio::test]
async fn memory_work_conforms() {
    let memory = memory();
    let queries = memory.queries();
    let sides = conformance::work::Sides {
        work: &*memory.work,
        ledger: &*memory.runs_ledger,
        queries: &*queries,
    };
    conformance::work::suite(sides).await;
}
