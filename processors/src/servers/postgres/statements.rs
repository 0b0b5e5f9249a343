//! The statements of everything but a batch, whose statements are in `writes`.

// Statements with many keys look up each key by `LATERAL … LIMIT 1`, which forces the planner to
// use the index. Plans are made once (see `pool`), perhaps while a table is small, and a join would
// then compare every row with every key: deleting 500 outbox rows took 47 ms instead of 1.
// Continuing by `ctid` is safe where one owner writes the rows.

pub(super) const CLAIM: &str = "INSERT INTO clinicwire.checkpoint \
       AS c (consumer, topic, partition, next_offset, owner_epoch) \
     VALUES ($1, $2, $3, 0, 1) \
     ON CONFLICT (consumer, topic, partition) DO UPDATE SET owner_epoch = c.owner_epoch + 1 \
     RETURNING owner_epoch, next_offset";
pub(super) const CHECKPOINT: &str = "SELECT owner_epoch, next_offset FROM clinicwire.checkpoint \
     WHERE consumer = $1 AND topic = $2 AND partition = $3";
// The last record of the present topic that the journal names, within the last `$4` records.
pub(super) const ANCHOR: &str = "SELECT c.log_base, j.\"offset\", j.tenant, j.aggregate, \
       j.command, CASE WHEN c.epoch_floor > c.epoch_done THEN c.epoch_floor END \
     FROM clinicwire.checkpoint c \
     LEFT JOIN LATERAL (SELECT \"offset\", tenant, aggregate, command FROM clinicwire.journal \
       WHERE topic = c.topic AND partition = c.partition AND \"offset\" < c.next_offset \
         AND \"offset\" >= greatest(c.log_from, c.next_offset - $4) AND command IS NOT NULL \
       ORDER BY \"offset\" DESC LIMIT 1) j ON true \
     WHERE c.consumer = $1 AND c.topic = $2 AND c.partition = $3";
pub(super) const AGGREGATE: &str = "SELECT epoch, version, header::text FROM clinicwire.aggregate \
     WHERE tenant = $1 AND aggregate = $2";
pub(super) const UNFINISHED: &str =
    "SELECT body::text FROM clinicwire.ticket WHERE tenant = $1 AND location = $2 AND unfinished";
// The appointments that satisfy `Appointment::is_near` on the service day of the header. `->`
// returns its bounds without parsing the texts of the header.
pub(super) const APPOINTMENTS: &str = "SELECT found.body FROM clinicwire.aggregate a \
     CROSS JOIN LATERAL (SELECT (a.header -> 'day_starts')::text::bigint AS starts, \
       (a.header -> 'day_ends')::text::bigint AS ends) today \
     CROSS JOIN LATERAL ( \
       SELECT t.body::text FROM clinicwire.appointment t WHERE t.tenant = $1 AND t.location = $2 \
         AND t.wakes_at >= today.starts AND t.wakes_at < today.ends \
       UNION ALL \
       SELECT t.body::text FROM clinicwire.appointment t WHERE t.tenant = $1 AND t.location = $2 \
         AND t.open AND NOT t.kept AND t.wakes_at < today.starts \
       UNION ALL \
       SELECT t.body::text FROM clinicwire.appointment t WHERE t.tenant = $1 AND t.location = $2 \
         AND t.kept \
         AND (t.wakes_at >= today.starts AND t.wakes_at < today.ends) IS NOT TRUE) found (body) \
     WHERE a.tenant = $1 AND a.aggregate = $2";
pub(super) const WAKING_APPOINTMENTS: &str = "SELECT body::text FROM clinicwire.appointment \
     WHERE tenant = $1 AND location = $2 AND wakes_at >= $3 AND wakes_at < $4";
// The appointments that satisfy `Appointment::is_shown`.
pub(super) const SHOWN_APPOINTMENTS: &str = "SELECT body::text FROM clinicwire.appointment \
     WHERE tenant = $1 AND location = $2 AND appointment > $3 \
       AND (open OR kept OR wakes_at >= $4) ORDER BY appointment LIMIT $5";
pub(super) const NAMED_APPOINTMENTS: &str = "SELECT body::text FROM clinicwire.appointment \
     WHERE ctid = ANY (ARRAY( \
       SELECT found.ctid FROM unnest($3::text[]) AS asked (appointment) \
       CROSS JOIN LATERAL (SELECT t.ctid FROM clinicwire.appointment t \
         WHERE t.tenant = $1 AND t.location = $2 AND t.appointment = asked.appointment \
           LIMIT 1) found \
       UNION \
       SELECT found.ctid FROM unnest($4::text[], $5::text[]) AS asked (source, source_key) \
       CROSS JOIN LATERAL (SELECT t.ctid FROM clinicwire.appointment t \
         WHERE t.tenant = $1 AND t.location = $2 AND t.source = asked.source \
           AND t.source_key = asked.source_key LIMIT 1) found))";
pub(super) const DUE: &str = "SELECT tenant, aggregate, due FROM clinicwire.aggregate \
     WHERE topic = $1 AND partition = $2 AND due IS NOT NULL";
pub(super) const ENDED: &str = "SELECT found.body FROM unnest($3::text[]) AS asked (ticket) \
     CROSS JOIN LATERAL (SELECT body::text FROM clinicwire.ticket t \
       WHERE t.tenant = $1 AND t.location = $2 AND t.ticket = asked.ticket AND NOT t.unfinished \
         LIMIT 1) found";
pub(super) const OUTCOMES: &str = "SELECT asked.tenant, found.aggregate, asked.place, \
       found.fingerprint, found.first_at, found.body \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY \
       AS asked (tenant, source, subject, command, place) \
     CROSS JOIN LATERAL (SELECT aggregate, fingerprint, first_at, body FROM clinicwire.outcome o \
       WHERE o.tenant = asked.tenant AND o.source = asked.source AND o.subject = asked.subject \
         AND o.command = asked.command LIMIT 1) found";
// Only the owner of the partition adds rows with its topic and partition, so a `ctid` found here
// changes only with an outcome of the last batch, which is not due.
pub(super) const FORGET_OUTCOMES: &str = "DELETE FROM clinicwire.outcome WHERE ctid = ANY (ARRAY( \
       SELECT o.ctid FROM clinicwire.outcome o \
       WHERE o.topic = $1 AND o.partition = $2 AND o.first_at < $3 \
       ORDER BY o.first_at LIMIT $4)) AND first_at < $3";
pub(super) const NEXT_EPOCH: &str = "UPDATE clinicwire.epoch \
     SET last = greatest(last + 1, floor(extract(epoch FROM clock_timestamp()))::bigint) \
     RETURNING last";
pub(super) const OUTBOX: &str = "SELECT \"offset\", part, target, key, headers::text, value \
     FROM clinicwire.outbox WHERE topic = $1 AND partition = $2 ORDER BY \"offset\", part LIMIT $3";
pub(super) const PUBLISHED: &str = "DELETE FROM clinicwire.outbox WHERE ctid = ANY (ARRAY( \
       SELECT found.ctid FROM unnest($2::int[], $3::bigint[], $4::smallint[]) \
         AS gone (partition, \"offset\", part) \
       CROSS JOIN LATERAL (SELECT o.ctid FROM clinicwire.outbox o \
         WHERE o.topic = $1 AND o.partition = gone.partition \
           AND o.\"offset\" = gone.\"offset\" AND o.part = gone.part LIMIT 1) found))";
pub(super) const MARK_DIRTY: &str = "UPDATE clinicwire.view SET dirty = true \
     WHERE ctid = ANY (ARRAY( \
       SELECT found.ctid FROM unnest($1::text[], $2::text[], $3::text[]) \
         AS m (tenant, aggregate, view) \
       CROSS JOIN LATERAL (SELECT v.ctid FROM clinicwire.view v WHERE v.tenant = m.tenant \
         AND v.aggregate = m.aggregate AND v.view = m.view AND NOT v.dirty LIMIT 1) found))";
// A view that changes meanwhile is stored by its own step, or marked dirty.
pub(super) const MARK_SUSPECT: &str = "WITH slice AS ( \
       SELECT tenant, aggregate, view FROM clinicwire.view \
       WHERE topic = $1 AND partition = $2 AND (tenant, aggregate, view) > ($3, $4, $5) \
       ORDER BY tenant, aggregate, view LIMIT $6), \
     marked AS (UPDATE clinicwire.view v SET suspect = true FROM slice s \
       WHERE v.tenant = s.tenant AND v.aggregate = s.aggregate AND v.view = s.view \
         AND NOT v.suspect) \
     SELECT tenant, aggregate, view FROM slice \
     ORDER BY tenant DESC, aggregate DESC, view DESC LIMIT 1";
// The first part is read to its end before the second.
pub(super) const DIRTY: &str = "(SELECT tenant, aggregate, view FROM clinicwire.view \
       WHERE topic = $1 AND partition = $2 AND dirty LIMIT $3) \
     UNION ALL (SELECT tenant, aggregate, view FROM clinicwire.view \
       WHERE topic = $1 AND partition = $2 AND suspect AND NOT dirty LIMIT $3) LIMIT $3";
// An expired view counts as deleted. The remaining time counts from now, rounded up.
pub(super) const VIEW: &str = "SELECT epoch, version, at, \
       ceil(extract(epoch FROM keep_until - now()))::bigint FROM clinicwire.view \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3 \
       AND (keep_until IS NULL OR keep_until > now())";
pub(super) const ENTRIES: &str = "SELECT key, body FROM clinicwire.view_entry \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3";
pub(super) const REPAIRED: &str = "UPDATE clinicwire.view SET dirty = false, suspect = false \
     WHERE tenant = $1 AND aggregate = $2 AND view = $3 AND (dirty OR suspect) \
       AND (epoch < $5 OR epoch = $5 AND version <= $4 OR keep_until <= now())";
pub(super) const SWEEP_VIEWS: &str = "WITH gone AS ( \
       DELETE FROM clinicwire.view WHERE (tenant, aggregate, view) IN ( \
         SELECT tenant, aggregate, view FROM clinicwire.view WHERE keep_until < now() \
         LIMIT $1 FOR UPDATE SKIP LOCKED) \
       RETURNING tenant, aggregate, view), \
     entries AS (DELETE FROM clinicwire.view_entry e USING gone g \
       WHERE e.tenant = g.tenant AND e.aggregate = g.aggregate AND e.view = g.view) \
     SELECT 1 FROM gone";
// Losing one of these in a crash repeats a publication or a repair, which is harmless: no need to
// wait for the disk.
pub(super) const BEGIN_LIGHT: &str = "BEGIN; SET LOCAL synchronous_commit = off";
pub(super) const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
