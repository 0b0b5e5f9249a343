//! The settings of a sink.

use std::sync::Arc;

use super::counters::SinkCounters;
use crate::clock::{Clock, wall_clock};

/// Most records in one transaction: with 75 entries each, they are 7,500 rows and a tenth of a
/// second.
pub(super) const BATCH: usize = 100;

/// The settings of a sink.
#[derive(Clone)]
pub struct SinkSettings {
    /// The owner's clock. It bounds the times that the log gives.
    pub clock: Clock,
    /// The counters of the sink.
    pub counters: Arc<SinkCounters>,
}

impl Default for SinkSettings {
    fn default() -> Self {
        let clock = wall_clock();
        Self { clock, counters: Arc::default() }
    }
}
