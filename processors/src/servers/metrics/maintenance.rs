//! The metrics of the maintenance.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::{GaugeVec, Opts, Registry};
use schemas::Millis;

use super::copied::{add, add_labelled, add_total, exact};
use crate::servers::{
    archive::ArchiveCounters, maintenance::MaintenanceCounters, postgres::PartitionReport,
};

pub(super) fn register_maintenance(
    registry: &Registry,
    counters: &Arc<MaintenanceCounters>,
    archive: &Arc<ArchiveCounters>,
) -> prometheus::Result<()> {
    let of = Arc::clone(archive);
    add_total(
        registry,
        "clinicwire_archive_rows_total",
        "Rows of the journal that the archive got.",
        move || of.rows.load(Relaxed),
    )?;
    let of = Arc::clone(archive);
    add_total(
        registry,
        "clinicwire_archive_snapshots_total",
        "Snapshots of aggregates that the archive got.",
        move || of.snapshots.load(Relaxed),
    )?;
    let total = |name, help, count: fn(&MaintenanceCounters) -> &AtomicU64| {
        let of = Arc::clone(counters);
        add_total(registry, name, help, move || count(&of).load(Relaxed))
    };
    total("clinicwire_partitions_added_total", "Partitions of tables added.", |of| &of.added)?;
    total(
        "clinicwire_partitions_dropped_total",
        "Partitions of tables dropped because their retention was over, without the audit.",
        |of| &of.dropped,
    )?;
    total(
        "clinicwire_maintenance_failures_total",
        "Steps of the maintenance of the database that failed. Each is repeated.",
        |of| &of.failures,
    )?;
    let of = Arc::clone(counters);
    let retired = (
        "clinicwire_rows_retired_total",
        "Rows deleted because their retention was over.",
        "table",
    );
    add_labelled(registry, retired, move || {
        let value = |count: &AtomicU64| count.load(Relaxed);
        vec![("ticket", value(&of.tickets)), ("appointment", value(&of.appointments))]
    })?;
    let gauge = |name, help, value: fn(&PartitionReport, Millis) -> i64| {
        let of = Arc::clone(counters);
        let gauge = GaugeVec::new(Opts::new(name, help), &["table"])?;
        add(registry, gauge, move |gauge| {
            gauge.reset();
            let now = jiff::Timestamp::now().as_millisecond();
            for report in of.tables() {
                gauge.with_label_values(&[&report.table]).set(exact(value(&report, now)));
            }
        })
    };
    gauge(
        "clinicwire_partitions_ahead_seconds",
        "How far ahead the table has partitions. Rows past it go into the default partition.",
        |report, now| (report.until - now) / 1_000,
    )?;
    gauge(
        "clinicwire_partition_strays",
        "Rows in the default partition of the table, at most 10,000, as of the last look.",
        |report, _| i64::try_from(report.strays).unwrap_or(i64::MAX),
    )
}
