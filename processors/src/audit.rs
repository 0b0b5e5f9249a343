//! The store of the audit: the sink reads `clinicwire.audit.v1` and stores each entry once, in a
//! hash chain for each tenant.
//!
//! The chain of a tenant proves that no stored entry was changed, removed or inserted, unless the
//! whole chain was written anew from that entry on. Comparison with an exported head shows whether
//! it was.

mod chain;
mod counters;
mod partition;
mod settings;
mod sink;
mod store;
mod verify;

pub use chain::{
    Anchor, ChainGrowth, ChainHash, ChainHead, ChainRow, DAY_MS, Day, EntryNumber, RowColumns,
};
pub use counters::{SinkCounters, SinkStatus};
pub use settings::SinkSettings;
pub use sink::run;
pub use store::{AuditBatch, AuditStore, ChainEnds, ParkedRecord, StoredRow, TenantEntries};
pub use verify::{Break, ChainReport, VerifyError, verify_tenant, verify_tenants};
