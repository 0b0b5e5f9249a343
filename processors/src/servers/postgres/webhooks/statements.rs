//! The statements of webhooks. The sessions plan by keys (see `pool`).

// ---- of batches --------------------------------------------------------------------------------

/// Events of tenants without webhooks are not kept.
pub(super) const EVENTS: &str = "INSERT INTO clinicwire.webhook_event \
       (tenant, event, location, kind, webhook, at, body) \
     SELECT s.tenant, s.event, s.location, s.kind, s.webhook, s.at, s.body \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
       $7::text[]) WITH ORDINALITY AS s (tenant, event, location, kind, webhook, at, body, place) \
     WHERE EXISTS (SELECT 1 FROM clinicwire.webhook w \
       WHERE w.tenant = s.tenant AND w.state <> 'disabled') \
     ORDER BY s.place ON CONFLICT (tenant, event) DO NOTHING";

/// A changed address and a resumed webhook get their first attempt at once.
pub(super) const STORE: &str = "INSERT INTO clinicwire.webhook AS w (tenant, webhook, url, events, \
       locations, state, secret_epoch, secret_version, previous_epoch, previous_version, \
       previous_until) \
     SELECT s.tenant, s.webhook, s.url, s.events::jsonb, s.locations::jsonb, s.state, s.epoch, \
       s.version, s.previous_epoch, s.previous_version, s.previous_until \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]) \
       AS s (tenant, webhook, url, events, locations, state, epoch, version, previous_epoch, \
         previous_version, previous_until) \
     ON CONFLICT (tenant, webhook) DO UPDATE \
     SET url = excluded.url, events = excluded.events, locations = excluded.locations, \
       state = excluded.state, secret_epoch = excluded.secret_epoch, \
       secret_version = excluded.secret_version, previous_epoch = excluded.previous_epoch, \
       previous_version = excluded.previous_version, previous_until = excluded.previous_until, \
       failures = CASE WHEN w.url = excluded.url AND w.state = excluded.state THEN w.failures \
         ELSE 0 END, \
       rests_until = CASE WHEN w.url = excluded.url AND w.state = excluded.state \
         THEN w.rests_until END";

pub(super) const DELETE: &str = "WITH gone AS ( \
       DELETE FROM clinicwire.webhook w \
       USING unnest($1::text[], $2::text[]) AS s (tenant, webhook) \
       WHERE w.tenant = s.tenant AND w.webhook = s.webhook) \
     INSERT INTO clinicwire.webhook_task (tenant, webhook, what) \
     SELECT s.tenant, s.webhook, 'delete' FROM unnest($1::text[], $2::text[]) \
       AS s (tenant, webhook)";

pub(super) const REPLAY: &str = "INSERT INTO clinicwire.webhook_task \
       (tenant, webhook, what, event, since, until) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], \
       $6::bigint[])";

// ---- of senders --------------------------------------------------------------------------------

/// The lock that keeps the order of queues: one sender at a time gives events to them.
pub(super) const QUEUE: &str = "WITH alone AS MATERIALIZED ( \
       SELECT pg_try_advisory_xact_lock(7310771126131029864) AS is_alone), \
     taken AS MATERIALIZED (SELECT v.seq FROM alone CROSS JOIN LATERAL ( \
       SELECT seq FROM clinicwire.webhook_event WHERE NOT queued AND alone.is_alone \
       ORDER BY seq LIMIT $1) v), \
     marked AS (UPDATE clinicwire.webhook_event v SET queued = true \
       FROM taken WHERE v.seq = taken.seq AND NOT v.queued \
       RETURNING v.tenant, v.seq, v.event, v.location, v.kind, v.webhook, v.at), \
     added AS (INSERT INTO clinicwire.webhook_delivery \
         (tenant, webhook, seq, event, kind, at, state, ended_at) \
       SELECT m.tenant, w.webhook, m.seq, m.event, m.kind, m.at, \
         CASE WHEN w.pending < $2 THEN 'pending' ELSE 'dead' END, \
         CASE WHEN w.pending >= $2 THEN clock_timestamp() END \
       FROM marked m JOIN clinicwire.webhook w ON w.tenant = m.tenant AND w.state <> 'disabled' \
       WHERE w.webhook = m.webhook OR (m.webhook IS NULL \
         AND (w.events = '[]' OR w.events ? m.kind) \
         AND (w.locations = '[]' OR w.locations ? m.location)) \
       ON CONFLICT (tenant, webhook, seq) DO NOTHING) \
     SELECT count(*) FROM marked";

pub(super) const TAKE: &str = "WITH room AS MATERIALIZED ( \
       SELECT w.*, CASE WHEN w.failures >= $4 THEN 1 ELSE $2::bigint END \
         - coalesce(b.count, 0) AS places \
       FROM clinicwire.webhook w \
       LEFT JOIN unnest($5::text[], $6::text[], $7::bigint[]) AS b (tenant, webhook, count) \
         ON b.tenant = w.tenant AND b.webhook = w.webhook \
       WHERE w.state = 'active' AND w.tenant <> ALL ($8::text[]) \
         AND (w.rests_until IS NULL OR w.rests_until <= clock_timestamp())), \
     due AS MATERIALIZED (SELECT r.*, d.seq FROM (SELECT * FROM room ORDER BY random()) r \
       CROSS JOIN LATERAL (SELECT d.seq FROM clinicwire.webhook_delivery d \
         WHERE d.tenant = r.tenant AND d.webhook = r.webhook AND d.state = 'pending' \
           AND d.not_before <= clock_timestamp() \
         ORDER BY d.not_before, d.seq LIMIT greatest(r.places, 0) FOR UPDATE SKIP LOCKED) d \
       LIMIT $1) \
     UPDATE clinicwire.webhook_delivery d SET tries = d.tries + 1, leased = true, \
       not_before = clock_timestamp() + make_interval(secs => $3) \
     FROM due JOIN clinicwire.webhook_event v ON v.seq = due.seq \
     WHERE d.tenant = due.tenant AND d.webhook = due.webhook AND d.seq = due.seq \
     RETURNING d.tenant, d.webhook, d.seq, d.tries, d.event, d.at, v.body, due.url, \
       due.secret_epoch, due.secret_version, due.previous_epoch, due.previous_version, \
       due.previous_until, due.failures";

/// Only its sender moves a row under a lease. The state is no condition: the planner would read an
/// index of all waiting deliveries in place of the key.
pub(super) const FINISH: &str = "UPDATE clinicwire.webhook_delivery d SET state = f.state, \
       leased = false, not_before = clock_timestamp() + make_interval(secs => f.pause), \
       attempts = d.attempts || f.attempt::jsonb, \
       ended_at = CASE WHEN f.state <> 'pending' THEN clock_timestamp() END \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $5::text[], $6::float8[], \
       $7::text[]) AS f (tenant, webhook, seq, tries, state, pause, attempt) \
     WHERE d.tenant = f.tenant AND d.webhook = f.webhook AND d.seq = f.seq \
       AND d.tries = f.tries AND d.leased";

pub(super) const FAIL: &str = "UPDATE clinicwire.webhook w \
     SET failures = greatest(w.failures, f.failures), \
       rests_until = greatest(w.rests_until, clock_timestamp() + make_interval(secs => f.rest)) \
     FROM unnest($1::text[], $2::text[], $3::int[], $4::float8[]) \
       AS f (tenant, webhook, failures, rest) \
     WHERE w.tenant = f.tenant AND w.webhook = f.webhook";

/// Deliveries under a lease stay as they are.
pub(super) const WORK: &str = "WITH again AS (UPDATE clinicwire.webhook w \
       SET failures = 0, rests_until = NULL \
       FROM unnest($1::text[], $2::text[]) AS f (tenant, webhook) \
       WHERE w.tenant = f.tenant AND w.webhook = f.webhook AND w.failures > 0 \
       RETURNING w.tenant, w.webhook) \
     UPDATE clinicwire.webhook_delivery d SET not_before = d.queued_at FROM again \
     WHERE d.tenant = again.tenant AND d.webhook = again.webhook AND d.state = 'pending' \
       AND NOT d.leased AND d.not_before > clock_timestamp()";

pub(super) const COUNT: &str = "WITH counted AS (SELECT w.tenant, w.webhook, w.state, w.failures, \
         found.pending, found.oldest \
       FROM clinicwire.webhook w CROSS JOIN LATERAL (SELECT count(*) AS pending, \
           min(d.queued_at) AS oldest \
         FROM clinicwire.webhook_delivery d \
         WHERE d.tenant = w.tenant AND d.webhook = w.webhook AND d.state = 'pending') found), \
     noted AS (UPDATE clinicwire.webhook w SET pending = c.pending FROM counted c \
       WHERE w.tenant = c.tenant AND w.webhook = c.webhook AND w.pending <> c.pending) \
     SELECT coalesce(sum(pending), 0)::bigint, \
       coalesce(extract(epoch FROM clock_timestamp() - min(oldest) \
         FILTER (WHERE state = 'active')) * 1000, 0)::bigint, \
       (SELECT count(*) FROM clinicwire.webhook_delivery WHERE state = 'dead'), \
       count(*) FILTER (WHERE state = 'active' AND failures > 0) \
     FROM counted";

pub(super) const GIVE_UP: &str = "UPDATE clinicwire.webhook_delivery \
     SET state = 'dead', ended_at = clock_timestamp() \
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM clinicwire.webhook_delivery \
       WHERE state = 'pending' AND NOT leased \
         AND queued_at < clock_timestamp() - make_interval(secs => $1) \
       ORDER BY queued_at LIMIT $2)) AND state = 'pending' AND NOT leased";

pub(super) const FORGET_EVENTS: &str = "DELETE FROM clinicwire.webhook_event WHERE ctid = ANY \
     (ARRAY(SELECT ctid FROM clinicwire.webhook_event WHERE at < $1 ORDER BY at LIMIT $2))";
pub(super) const FORGET_DELIVERIES: &str = "DELETE FROM clinicwire.webhook_delivery \
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM clinicwire.webhook_delivery \
       WHERE at < $1 ORDER BY at LIMIT $2)) AND at < $1";

// ---- tasks -------------------------------------------------------------------------------------

pub(super) const TASK: &str = "SELECT number, tenant, webhook, what, event, since, until, after \
     FROM clinicwire.webhook_task ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED";
pub(super) const END_TASK: &str = "DELETE FROM clinicwire.webhook_task WHERE number = $1";
pub(super) const MOVE_TASK: &str =
    "UPDATE clinicwire.webhook_task SET since = $2, after = $3 WHERE number = $1";

pub(super) const DELETE_QUEUE: &str = "DELETE FROM clinicwire.webhook_delivery WHERE ctid = ANY \
     (ARRAY(SELECT ctid FROM clinicwire.webhook_delivery \
       WHERE tenant = $1 AND webhook = $2 LIMIT $3))";

pub(super) const REVIVE_DEAD: &str = "UPDATE clinicwire.webhook_delivery d \
     SET state = 'pending', tries = 0, leased = false, not_before = clock_timestamp(), \
       queued_at = clock_timestamp(), ended_at = NULL \
     WHERE d.ctid = ANY (ARRAY(SELECT found.ctid FROM clinicwire.webhook_delivery found \
       WHERE found.tenant = $1 AND found.webhook = $2 AND found.state = 'dead' \
         AND found.ended_at <= (SELECT asked_at FROM clinicwire.webhook_task WHERE number = $4) \
       ORDER BY found.seq LIMIT $3))";

/// Events of the task, from its place on. A delivery that waits stays as it is.
pub(super) const REPLAY_EVENTS: &str = "WITH slice AS MATERIALIZED ( \
       SELECT v.seq, v.event, v.kind, v.location, v.at, v.webhook FROM clinicwire.webhook_event v \
       WHERE v.tenant = $1 AND (v.at, v.seq) > ($3, $4) AND v.at < $5 AND v.queued \
       ORDER BY v.at, v.seq LIMIT $6), \
     again AS (INSERT INTO clinicwire.webhook_delivery AS d \
         (tenant, webhook, seq, event, kind, at, state) \
       SELECT w.tenant, w.webhook, s.seq, s.event, s.kind, s.at, 'pending' FROM slice s \
       JOIN clinicwire.webhook w ON w.tenant = $1 AND w.webhook = $2 \
       WHERE s.webhook IS NULL AND (w.events = '[]' OR w.events ? s.kind) \
         AND (w.locations = '[]' OR w.locations ? s.location) \
       ON CONFLICT (tenant, webhook, seq) DO UPDATE \
       SET state = 'pending', tries = 0, leased = false, not_before = clock_timestamp(), \
         queued_at = clock_timestamp(), ended_at = NULL \
       WHERE d.state <> 'pending') \
     SELECT at, seq FROM slice ORDER BY at DESC, seq DESC LIMIT 1";

pub(super) const REPLAY_EVENT: &str = "INSERT INTO clinicwire.webhook_delivery AS d \
       (tenant, webhook, seq, event, kind, at, state) \
     SELECT v.tenant, $2, v.seq, v.event, v.kind, v.at, 'pending' FROM clinicwire.webhook_event v \
     WHERE v.tenant = $1 AND v.event = $3 AND (v.webhook IS NULL OR v.webhook = $2) \
     ON CONFLICT (tenant, webhook, seq) DO UPDATE \
     SET state = 'pending', tries = 0, leased = false, not_before = clock_timestamp(), \
       queued_at = clock_timestamp(), ended_at = NULL \
     WHERE d.state <> 'pending'";
