//! The metrics of intake: the records of the topic of views that a node reads.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::Builder;

/// The metrics of intake.
pub struct IntakeMetrics {
    /// Records read from the topic of views.
    pub records: IntCounter,
    /// Records of the topic of views that were skipped.
    pub refused: IntCounter,
    /// Records that an aggregate's versions say are missing.
    pub missed: IntCounter,
    /// The age of the last record when it was read.
    pub lag_seconds: Gauge,
    /// Bytes of the kept tails.
    pub tail_bytes: IntGauge,
}

impl Builder {
    pub(super) fn intake(&self) -> IntakeMetrics {
        IntakeMetrics {
            records: self.add(IntCounter::new(
                "clinicwire_intake_records_total",
                "Records read of the topic of views.",
            )),
            refused: self.add(IntCounter::new(
                "clinicwire_intake_refused_total",
                "Records of the topic of views that this node skipped because their headers or \
                 their value cannot be read. A value is read only if somebody needs it.",
            )),
            missed: self.add(IntCounter::new(
                "clinicwire_intake_missed_total",
                "Records missing from the topic of views, by the dense versions of aggregates. The \
                 hot views of such an aggregate are fetched again from PostgreSQL.",
            )),
            lag_seconds: self.add(Gauge::new(
                "clinicwire_intake_lag_seconds",
                "Age of the last record when this node read it: this node's clock minus the log's \
                 append time.",
            )),
            tail_bytes: self.add(IntGauge::new(
                "clinicwire_tail_bytes",
                "Bytes of memory that the tails of records take at most. Tails serve clients that \
                 resume.",
            )),
        }
    }
}
