//! The statements of the work queue.

/// Locks taking and reporting: a worker that takes a run sees all waiting runs alone, so that two
/// workers never use the same line. The numbers stand for `clinicwire.take` and `clinicwire.tell`.
pub(super) const TAKE_LOCK: &str = "SELECT pg_advisory_xact_lock(7161131651207426149)";
pub(super) const TELL_LOCK: &str = "SELECT pg_try_advisory_xact_lock(7161131651207425132)";

/// The waiting runs: the tenant with the fewest runs under way goes first, of several the one that
/// was served longest ago, with its runs in order. A run whose worker was lost waits as well.
macro_rules! waiting {
    () => {
        "WITH held AS ( \
           SELECT tenant, run, queued_at, not_before, worker, told_ahead, \
             lease_until IS NULL OR lease_until < clock_timestamp() AS waits \
           FROM clinicwire.run_work), \
         counted AS ( \
           SELECT *, count(*) FILTER (WHERE NOT waits) OVER (PARTITION BY tenant) AS under_way \
           FROM held), \
         turned AS ( \
           SELECT counted.*, t.served_at, \
             under_way + row_number() OVER (PARTITION BY tenant ORDER BY queued_at, run) AS turn \
           FROM counted LEFT JOIN clinicwire.run_turn t USING (tenant) WHERE waits) "
    };
}

/// The order of the waiting runs.
macro_rules! in_line {
    () => {
        "ORDER BY worker IS NULL, turn, served_at NULLS FIRST, queued_at, tenant, run"
    };
}

/// A run whose lease expired goes before runs that never had a worker, because its start was
/// already shown. An ended run only waits for its report.
pub(super) const TAKE: &str = concat!(
    waiting!(),
    ", taken AS (UPDATE clinicwire.run_work w \
       SET worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2), \
       attempt = w.attempt + CASE WHEN w.worker IS NOT NULL AND w.ended IS NULL THEN 1 ELSE 0 END, \
       tries = w.tries + CASE WHEN w.ended IS NULL THEN 1 ELSE 0 END, told_ahead = NULL \
     WHERE (w.tenant, w.run) = (SELECT tenant, run FROM turned \
       WHERE not_before <= clock_timestamp() AND tenant <> ALL ($3::text[]) ",
    in_line!(),
    " LIMIT 1) \
       AND (w.lease_until IS NULL OR w.lease_until < clock_timestamp()) \
     RETURNING w.tenant, w.run, w.attempt, w.tries, w.request::text AS request, \
       w.ended::text AS ended), \
     served AS (INSERT INTO clinicwire.run_turn (tenant, served_at) \
       SELECT tenant, clock_timestamp() FROM taken \
       ON CONFLICT (tenant) DO UPDATE SET served_at = excluded.served_at) \
     SELECT tenant, run, attempt, tries, request, ended FROM taken"
);

pub(super) const BEAT: &str = "UPDATE clinicwire.run_work \
     SET lease_until = clock_timestamp() + make_interval(secs => $5) \
     WHERE tenant = $1 AND run = $2 AND attempt = $3 AND worker = $4 RETURNING cancel";

/// The check of the lease: a worker that took the run since then increased the attempt.
pub(super) const END: &str = "UPDATE clinicwire.run_work SET ended = $5::text::json \
     WHERE tenant = $1 AND run = $2 AND attempt = $3 AND worker = $4 AND ended IS NULL";

pub(super) const RELEASE: &str = "UPDATE clinicwire.run_work \
     SET worker = NULL, lease_until = NULL, told_ahead = NULL, \
       attempt = attempt + 1, tries = tries - $6, \
       not_before = clock_timestamp() + make_interval(secs => $5) \
     WHERE tenant = $1 AND run = $2 AND attempt = $3 AND worker = $4 AND ended IS NULL";

/// Reports the places that `work::is_worth_sending` selects. A batch that ends or cancels a run
/// locks its row; that run is reported next time.
pub(super) const LINE: &str = concat!(
    waiting!(),
    ", numbered AS (SELECT *, (row_number() OVER (",
    in_line!(),
    ") - 1)::int AS ahead FROM turned), \
     news AS ( \
       SELECT w.tenant, w.run, n.ahead FROM numbered n \
       JOIN clinicwire.run_work w ON w.tenant = n.tenant AND w.run = n.run \
       WHERE w.worker IS NULL AND (w.told_ahead IS NULL OR w.told_ahead <> n.ahead \
         AND (n.ahead < 10 OR abs(w.told_ahead - n.ahead) * 10 >= n.ahead)) \
       ORDER BY w.told_ahead IS NOT NULL, n.ahead LIMIT $1 FOR UPDATE OF w SKIP LOCKED) \
     UPDATE clinicwire.run_work w SET told_ahead = news.ahead FROM news \
     WHERE w.tenant = news.tenant AND w.run = news.run \
     RETURNING w.tenant, w.run, w.attempt, w.told_ahead"
);

pub(super) const UNTOLD: &str = "UPDATE clinicwire.run_work w SET told_ahead = NULL \
     FROM (SELECT held.tenant, held.run FROM unnest($1::text[], $2::text[]) AS u (tenant, run) \
       JOIN clinicwire.run_work held ON held.tenant = u.tenant AND held.run = u.run \
       FOR UPDATE OF held SKIP LOCKED) told \
     WHERE w.tenant = told.tenant AND w.run = told.run";

/// The position of the rule book, and the rules if the position is new.
pub(super) const RULES: &str = "SELECT v.epoch, v.version, e.body, e.key FROM clinicwire.view v \
     LEFT JOIN clinicwire.view_entry e ON e.tenant = v.tenant AND e.aggregate = v.aggregate \
       AND e.view = v.view AND (v.epoch <> $4 OR v.version <> $5) \
     WHERE v.tenant = $1 AND v.aggregate = $2 AND v.view = $3 ORDER BY e.key";

pub(super) const IN_USE: &str = "SELECT asked.tenant, asked.file \
     FROM unnest($1::text[], $2::text[]) AS asked (tenant, file) \
     WHERE EXISTS (SELECT 1 FROM clinicwire.run r \
       WHERE r.tenant = asked.tenant AND r.file = asked.file \
       AND NOT EXISTS (SELECT 1 FROM clinicwire.run_work w \
         WHERE w.tenant = r.tenant AND w.run = r.run AND w.ended IS NOT NULL))";

/// Deletes a run with its aggregate. A runner that still has the aggregate in memory gets its next
/// step refused and restores it.
pub(super) const SWEEP_RUNS: &str = "WITH gone AS ( \
       DELETE FROM clinicwire.run WHERE (tenant, run) IN ( \
         SELECT tenant, run FROM clinicwire.run WHERE keep_until < now() LIMIT $1 \
           FOR UPDATE SKIP LOCKED) \
       RETURNING tenant, run), \
     aggregates AS (DELETE FROM clinicwire.aggregate a USING gone g \
       WHERE a.tenant = g.tenant AND a.aggregate = g.run) \
     SELECT 1 FROM gone";

/// A day is kept as long as a run that ended on it or within the hour after it: the transaction
/// that ends a run may have begun on the day before.
pub(super) const KEEP_DAYS: &str = "SELECT clinicwire.keep_finding_days((least(now(), \
       to_timestamp((SELECT min(ended_at) FROM clinicwire.run \
         WHERE keep_until IS NOT NULL) / 1000.0)) \
       - interval '1 hour')::date)";

/// A crash that loses this write only shortens a lease.
pub(super) const BEGIN_LIGHT: &str = "BEGIN; SET LOCAL synchronous_commit = off";
/// A copy lasts as long as the check, which never waits long: past ten minutes something hangs.
pub(super) const BEGIN_COPY: &str = "BEGIN; SET LOCAL statement_timeout = '10min'; \
     SET LOCAL idle_in_transaction_session_timeout = '10min'";
