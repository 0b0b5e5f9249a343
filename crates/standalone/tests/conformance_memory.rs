//! The backends in memory pass the conformance suites: one test for each promise.

use standalone::memory::{Memory, system_clock};

fn memory() -> Memory {
    Memory::new(system_clock())
}

macro_rules! ledger {
    ($($promise:ident,)*) => {
        mod ledger {
            $(#[tokio::test]
            async fn $promise() {
                standalone::conformance::ledger::$promise(&*super::memory().ledger).await;
            })*
        }
    };
}
standalone::ledger_promises!(ledger);

macro_rules! views {
    ($($promise:ident,)*) => {
        mod views {
            use standalone::conformance::views::{self, Loss, Store};

            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let store = Store {
                    views: &*memory.views,
                    snapshots: &*memory.views,
                    lose: async |_: &schemas::ids::Aggregate, loss| match loss {
                        Loss::Generation => memory.views.flush(),
                        Loss::Identity(_) => memory.views.restart_from(memory.views.save()),
                    },
                };
                views::$promise(&store, &*memory.ledger).await;
            })*
        }
    };
}
standalone::view_store_promises!(views);

macro_rules! log {
    ($($promise:ident,)*) => {
        mod log {
            use std::sync::Arc;

            use standalone::{
                conformance::log::{self, Sides},
                memory::{MemoryLog, system_clock},
            };

            $(#[tokio::test]
            async fn $promise() {
                let log = Arc::new(MemoryLog::new(system_clock()));
                log::$promise(Sides { processors: log.clone(), gateway: log }).await;
            })*
        }
    };
}
standalone::log_promises!(log);

macro_rules! queries {
    ($($promise:ident,)*) => {
        mod queries {
            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let queries = memory.queries();
                standalone::conformance::queries::$promise(&*memory.ledger, &*queries).await;
            })*
        }
    };
}
standalone::query_promises!(queries);

macro_rules! history {
    ($($promise:ident,)*) => {
        mod history {
            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let queries = memory.queries();
                standalone::conformance::history::$promise(&*memory.ledger, &*queries).await;
            })*
        }
    };
}
standalone::history_promises!(history);

macro_rules! short_keys {
    ($($promise:ident,)*) => {
        mod short_keys {
            $(#[tokio::test]
            async fn $promise() {
                standalone::conformance::keys::$promise(super::memory().keys).await;
            })*
        }
    };
}
standalone::short_key_promises!(short_keys);

macro_rules! audit {
    ($($promise:ident,)*) => {
        mod audit {
            use standalone::conformance::audit::{self, Sides};

            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let queries = memory.queries();
                audit::$promise(Sides { store: &*memory.audit, queries: &*queries }).await;
            })*
        }
    };
}
standalone::audit_promises!(audit);

macro_rules! work {
    ($($promise:ident,)*) => {
        mod work {
            use standalone::conformance::work::{self, Desk, Sides};

            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let queries = memory.queries();
                let sides = Sides {
                    work: &*memory.work,
                    ledger: &*memory.runs_ledger,
                    queries: &*queries,
                };
                work::$promise(&mut Desk::open(sides).await).await;
            })*
        }
    };
}
standalone::work_promises!(work);

macro_rules! alerts {
    ($($promise:ident,)*) => {
        mod alerts {
            use standalone::conformance::alerts::{self, Desk, Sides};

            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let sides = Sides { store: &*memory.alerts, ledger: &*memory.ledger };
                alerts::$promise(&mut Desk::open(sides).await).await;
            })*
        }
    };
}
standalone::alert_promises!(alerts);

macro_rules! webhooks {
    ($($promise:ident,)*) => {
        mod webhooks {
            use standalone::conformance::webhooks::{self, Desk, Sides};

            $(#[tokio::test]
            async fn $promise() {
                let memory = super::memory();
                let queries = memory.queries();
                let sides = Sides {
                    store: &*memory.webhooks,
                    ledger: &*memory.ledger,
                    queries: &*queries,
                };
                webhooks::$promise(&mut Desk::open(sides).await).await;
            })*
        }
    };
}
standalone::webhook_promises!(webhooks);
