//! The sink of the audit over memory: faults of the store, and verification of a changed store.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod sink;
mod store;
mod verification;
