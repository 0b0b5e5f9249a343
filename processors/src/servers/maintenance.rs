//! The maintenance of the database: one task of each processor adds and drops partitions, those of
//! the audit too, and deletes rows whose time is over. Any number of processors may do it at once.

use std::{
    convert::Infallible,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemas::{Millis, ids::TenantId};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    archive::Archive,
    postgres::{
        PARTITIONED_TABLES, PartitionReport, PostgresAudit, PostgresLedger, PostgresRetention,
    },
};
use crate::{
    audit::{Day, SinkCounters},
    tenants::Tenants,
};

/// How often rows are deleted: often, so that each deletion is small.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Sweeps from one look at partitions to the next: ten minutes. Partitions are made a week ahead at
/// least, so this may fail for days.
const SWEEPS_PER_LOOK: u64 = 10;
/// Days that figures are kept: three years, so that a month can be compared with that of the years
/// before. They name nobody, and a busy location has some 2,000 rows of them a day.
const FIGURE_DAYS: i64 = 1_100;

/// Counts of the maintenance since the start of the process.
#[derive(Default)]
pub struct MaintenanceCounters {
    /// Partitions added.
    pub added: AtomicU64,
    /// Partitions dropped because their retention was over.
    pub dropped: AtomicU64,
    /// Tickets deleted because their retention was over.
    pub tickets: AtomicU64,
    /// Appointments deleted because their retention was over.
    pub appointments: AtomicU64,
    /// Steps that failed. Each is repeated.
    pub failures: AtomicU64,
    tables: Mutex<Vec<PartitionReport>>,
}

impl MaintenanceCounters {
    /// The partitions of every table, as of the last look.
    pub fn tables(&self) -> Vec<PartitionReport> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The maintenance of a database.
pub struct Maintenance {
    /// Views and figures.
    pub ledger: Arc<PostgresLedger>,
    /// The days of the audit.
    pub audit: Arc<PostgresAudit>,
    /// Everything else.
    pub retention: PostgresRetention,
    /// Tenants, some of which keep their history for less time than the others.
    pub tenants: Arc<Tenants>,
    /// The archive of the journal, if there is one.
    pub archive: Option<Archive>,
    /// The counters of this task.
    pub counters: Arc<MaintenanceCounters>,
    /// The counters of the audit, for its days.
    pub audit_counters: Arc<SinkCounters>,
}

impl Maintenance {
    /// Looks after the database for ever.
    pub async fn run(self) -> Infallible {
        let mut often = interval(SWEEP_EVERY);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for sweeps in 0_u64.. {
            often.tick().await;
            if sweeps.is_multiple_of(SWEEPS_PER_LOOK) {
                self.archive().await;
                self.look_after_partitions().await;
            }
            self.sweep().await;
        }
        unreachable!("2^64 minutes do not pass")
    }

    /// Adds the partitions that are missing, and drops those whose retention is over.
    pub async fn look_after_partitions(&self) {
        let today = Day::of(Timestamp::now().as_millisecond());
        let dropped = self.heard("days of the audit", self.audit.maintain(today).await);
        self.audit_counters.dropped_days.fetch_add(dropped.unwrap_or_default(), Relaxed);
        for table in PARTITIONED_TABLES {
            let added = self.retention.add_partitions(table).await;
            let added = self.heard("new partitions", added).unwrap_or_default();
            self.counters.added.fetch_add(added, Relaxed);
            let dropped = self.retention.drop_partitions(table).await;
            let dropped = self.heard("old partitions", dropped).unwrap_or_default();
            self.counters.dropped.fetch_add(dropped, Relaxed);
        }
        if let Some(report) = self.heard("partitions", self.retention.report().await) {
            *self.counters.tables.lock().unwrap_or_else(PoisonError::into_inner) = report;
        }
    }

    /// Gives the archive the partitions of the journal whose retention ends soon.
    async fn archive(&self) {
        let Some(archive) = &self.archive else { return };
        while self.heard("the archive of the journal", archive.archive_next().await) == Some(true) {
        }
    }

    /// Deletes the rows whose time is over, slice by slice.
    async fn sweep(&self) {
        while self.heard("expired views", self.ledger.sweep().await) == Some(true) {}
        let kept = SignedDuration::from_hours(24 * FIGURE_DAYS);
        let oldest = Timestamp::now().saturating_sub(kept).unwrap_or(Timestamp::MIN);
        let day = oldest.to_zoned(TimeZone::UTC).date().to_string();
        while self.heard("old figures", self.ledger.sweep_figures(&day).await) == Some(true) {}
        let own = self.own_histories();
        while !own.is_empty()
            && self.heard("old history", self.ledger.sweep_own_stays(&own).await) == Some(true)
        {
        }
        while let Some((retired, is_full)) =
            self.heard("old tickets and appointments", self.retention.retire_rows().await)
        {
            self.counters.tickets.fetch_add(retired.tickets, Relaxed);
            self.counters.appointments.fetch_add(retired.appointments, Relaxed);
            if !is_full {
                break;
            }
        }
    }

    /// The tenants with a retention of their own, and the moment from which on they keep stays.
    fn own_histories(&self) -> Vec<(TenantId, Millis)> {
        let now = Timestamp::now();
        let tenants = self.tenants.now();
        let own = tenants.retentions().filter_map(|(tenant, retention)| {
            let days = SignedDuration::from_hours(24 * i64::from(retention.history_days?));
            Some((tenant.clone(), now.saturating_sub(days).ok()?.as_millisecond()))
        });
        own.collect()
    }

    /// Counts and logs a failure. `what` could not be looked after.
    fn heard<T, E: Error + 'static>(&self, what: &str, done: Result<T, E>) -> Option<T> {
        done.inspect_err(|error| {
            self.counters.failures.fetch_add(1, Relaxed);
            let error = error as &dyn Error;
            tracing::warn!(what, error, "maintenance of the database failed and is repeated");
        })
        .ok()
    }
}
