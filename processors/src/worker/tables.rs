//! Reference tables per tenant, kept while the tenant's tables do not change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use claims::tables::Tables;
use schemas::{ids::TenantId, reference::ReferenceTable, view::Position};

use super::fault::AttemptFault;
use crate::work::Work;

/// Most tenants whose tables are kept: full tables take about ten megabytes. Past it all are
/// dropped and read again on demand, which takes some tens of milliseconds each.
const HELD: usize = 20;

/// The tables of a tenant, and the position of each.
#[derive(Clone)]
struct HeldTables {
    positions: [Position; ReferenceTable::ALL.len()],
    tables: Arc<Tables>,
}

/// The reference tables of every tenant that has stored some and that this worker has used.
pub struct TenantTables {
    /// The tables of tenants that have stored none.
    otherwise: Arc<Tables>,
    held: Mutex<HashMap<TenantId, HeldTables>>,
}

impl TenantTables {
    pub fn new(otherwise: Arc<Tables>) -> Self {
        Self { otherwise, held: Mutex::default() }
    }

    /// The current tables of the tenant.
    ///
    /// # Errors
    /// When the ledger cannot tell whether the tables changed, or a stored table cannot be read.
    pub async fn of(
        &self,
        work: &dyn Work,
        tenant: &TenantId,
    ) -> Result<Arc<Tables>, AttemptFault> {
        let held = self.held().get(tenant).cloned().unwrap_or_else(|| HeldTables {
            positions: Default::default(),
            tables: Arc::clone(&self.otherwise),
        });
        let mut positions = held.positions;
        let mut changed = Vec::new();
        for (table, position) in ReferenceTable::ALL.into_iter().zip(&mut positions) {
            let stored = work.table(tenant, table, Some(*position)).await;
            let stored =
                stored.map_err(|error| AttemptFault::new("reading a table failed", error))?;
            if let Some(stored) = stored {
                *position = stored.position;
                changed.push((table, stored.entries));
            }
        }
        if changed.is_empty() {
            return Ok(held.tables);
        }
        let (otherwise, before) = (Arc::clone(&self.otherwise), held.tables);
        let built = tokio::task::spawn_blocking(move || {
            let mut tables = Tables::clone(&before);
            for (table, entries) in changed {
                match entries.is_empty() {
                    true => tables.copy_from(table, &otherwise),
                    false => tables.set_stored(table, &entries)?,
                }
            }
            Ok::<_, serde_json::Error>(Arc::new(tables))
        });
        let built = built.await.map_err(|error| AttemptFault::new("building tables failed", error));
        let tables =
            built?.map_err(|error| AttemptFault::new("a stored table cannot be read", error))?;
        let mut held = self.held();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(tenant.clone(), HeldTables { positions, tables: Arc::clone(&tables) });
        Ok(tables)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, HeldTables>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
