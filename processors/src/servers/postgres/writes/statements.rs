//! The statements that write a batch.

// A statement that finds another number of rows than it must fails: it divides by zero. So the end
// of the transaction can be sent along with the statements, and rolls back after a failure.
pub const FENCE: &str = "WITH moved AS ( \
       UPDATE clinicwire.checkpoint c SET next_offset = s.until \
       FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[]) \
         AS s (partition, next_offset, until, owner_epoch) \
       WHERE c.consumer = $1 AND c.topic = $2 AND c.partition = s.partition \
         AND c.next_offset = s.next_offset AND c.owner_epoch = s.owner_epoch RETURNING 1) \
     SELECT 1 / (count(*) = $7)::int FROM moved";

// A row at another version is not moved. A missing row is created only if the step starts at 0.
pub const AGGREGATES: &str = "WITH moved AS ( \
     INSERT INTO clinicwire.aggregate AS a \
       (tenant, aggregate, epoch, step_from, version, header, due, topic, partition) \
     SELECT tenant, aggregate, epoch, step_from, version, header::json, due, $9, partition \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], \
       $7::bigint[], $8::int[]) \
       AS s (tenant, aggregate, epoch, step_from, version, header, due, partition) \
     WHERE step_from = 0 OR (SELECT true FROM clinicwire.aggregate held \
       WHERE held.tenant = s.tenant AND held.aggregate = s.aggregate) \
     ON CONFLICT (tenant, aggregate) DO UPDATE \
     SET step_from = excluded.step_from, version = excluded.version, header = excluded.header, \
       due = excluded.due, topic = excluded.topic, partition = excluded.partition \
     WHERE a.epoch = excluded.epoch AND a.version = excluded.step_from \
     RETURNING 1) SELECT 1 / (count(*) = $10)::int FROM moved";

// The rule of `from` and `to`. A row that is missing although the step does not start at 0 was
// deleted after it expired: the step then starts it again.
pub const VIEWS: &str = "WITH moved AS ( \
     INSERT INTO clinicwire.view AS v \
       (tenant, aggregate, view, topic, partition, epoch, step_from, version, at, keep_until) \
     SELECT tenant, aggregate, view, $10, partition, epoch, step_from, version, at, \
       now() + make_interval(secs => keep_s) \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], \
       $7::bigint[], $8::int[], $9::int[]) \
       AS s (tenant, aggregate, view, epoch, step_from, version, at, keep_s, partition) \
     ON CONFLICT (tenant, aggregate, view) DO UPDATE \
     SET topic = excluded.topic, partition = excluded.partition, step_from = excluded.step_from, \
       version = excluded.version, at = excluded.at, keep_until = excluded.keep_until \
     WHERE v.epoch = excluded.epoch AND excluded.step_from <= v.version \
       AND v.version < excluded.version \
     RETURNING 1) SELECT 1 / (count(*) = $11)::int FROM moved";

// Rows are looked up one by one (see `statements`) by their only owner, so their `ctid` cannot
// change meanwhile.
pub const REMOVED_ENTRIES: &str = "DELETE FROM clinicwire.view_entry WHERE ctid = ANY (ARRAY( \
       SELECT found.ctid FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
         AS s (tenant, aggregate, view, key) \
       CROSS JOIN LATERAL (SELECT e.ctid FROM clinicwire.view_entry e \
         WHERE e.tenant = s.tenant AND e.aggregate = s.aggregate AND e.view = s.view \
           AND e.key = s.key LIMIT 1) found))";

pub const SET_ENTRIES: &str = "INSERT INTO clinicwire.view_entry \
       (tenant, aggregate, view, key, body) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
     ON CONFLICT (tenant, aggregate, view, key) DO UPDATE SET body = excluded.body";

macro_rules! tickets {
    () => {
        "INSERT INTO clinicwire.ticket AS t \
       (tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
       ended_at, body) \
     SELECT tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
       ended_at, body::json \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::text[], $8::bool[], $9::bigint[], $10::bigint[], $11::text[]) \
       AS s (tenant, location, ticket, queue, label, service_day, state, unfinished, issued_at, \
         ended_at, body) \
     ON CONFLICT (tenant, location, ticket) DO UPDATE \
     SET queue = excluded.queue, label = excluded.label, \
       service_day = excluded.service_day, state = excluded.state, \
       unfinished = excluded.unfinished, \
       issued_at = excluded.issued_at, ended_at = excluded.ended_at, body = excluded.body"
    };
}

pub const TICKETS: &str = tickets!();
// A ticket keeps the time at which it was issued, so another time means another ticket.
pub const NEW_TICKETS: &str = concat!(
    "WITH kept AS (",
    tickets!(),
    " WHERE t.issued_at = excluded.issued_at RETURNING 1) \
     SELECT 1 / (count(*) = $12)::int FROM kept"
);

pub const APPOINTMENTS: &str = "INSERT INTO clinicwire.appointment \
       (tenant, location, appointment, source, source_key, wakes_at, status, open, kept, body) \
     SELECT tenant, location, appointment, source, source_key, wakes_at, status, open, kept, \
       body::json \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
       $7::text[], $8::bool[], $9::bool[], $10::text[]) \
       AS t (tenant, location, appointment, source, source_key, wakes_at, status, open, kept, \
         body) \
     ON CONFLICT (tenant, location, appointment) DO UPDATE SET wakes_at = excluded.wakes_at, \
       status = excluded.status, open = excluded.open, kept = excluded.kept, body = excluded.body";

pub const JOURNAL: &str = "INSERT INTO clinicwire.journal \
       (topic, partition, \"offset\", at, decided_at, tenant, aggregate, command, actor, kind, \
         epoch, version, events, code) \
     SELECT $1, partition, o, at, decided_at, tenant, aggregate, command, actor::json, kind, \
       epoch, version, events::json, code \
     FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], \
       $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::text[], \
       $14::text[]) \
       AS j (partition, o, at, decided_at, tenant, aggregate, command, actor, kind, epoch, \
         version, events, code)";

// A row replaces only one whose key is no longer kept ($11). Any other row stops the transaction.
pub const NEW_OUTCOMES: &str = "WITH kept AS (INSERT INTO clinicwire.outcome AS o \
       (tenant, source, subject, command, aggregate, fingerprint, first_at, body, topic, \
       partition) \
     SELECT tenant, source, subject, command, aggregate, fingerprint, first_at, body, $10, \
       partition \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
       $7::bigint[], $8::text[], $9::int[]) \
       AS s (tenant, source, subject, command, aggregate, fingerprint, first_at, body, partition) \
     ON CONFLICT (tenant, source, subject, command) DO UPDATE \
     SET aggregate = excluded.aggregate, body = excluded.body, topic = excluded.topic, \
       partition = excluded.partition, fingerprint = excluded.fingerprint, \
       first_at = excluded.first_at \
     WHERE excluded.first_at - o.first_at >= $11 RETURNING 1) \
     SELECT 1 / (count(*) = $12)::int FROM kept";

// A row replaces only the outcome of the same aggregate that is `moving` since that version. The
// owner of another partition can replace the outcome meanwhile, so the row is judged again.
pub const SETTLED: &str = "UPDATE clinicwire.outcome o SET body = found.body FROM ( \
       SELECT held.ctid, s.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], \
         $5::text[], $6::bigint[], $7::text[]) \
         AS s (tenant, source, subject, command, aggregate, settles, body) \
       CROSS JOIN LATERAL (SELECT h.ctid FROM clinicwire.outcome h WHERE h.tenant = s.tenant \
         AND h.source = s.source AND h.subject = s.subject AND h.command = s.command \
           LIMIT 1) held) found \
     WHERE o.ctid = found.ctid AND o.tenant = found.tenant AND o.source = found.source \
       AND o.subject = found.subject AND o.command = found.command \
       AND o.aggregate = found.aggregate AND o.body::json->>'outcome' = 'moving' \
       AND (o.body::json->>'version')::bigint = found.settles";

pub const OUTBOX: &str = "INSERT INTO clinicwire.outbox \
       (topic, partition, \"offset\", part, target, key, headers, value) \
     SELECT $1, partition, o, part, target, key, headers::json, value \
     FROM unnest($2::int[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[], \
       $8::bytea[]) \
       AS r (partition, o, part, target, key, headers, value)";

/// The time is that of this server, whose clock also makes and drops the partitions: a record is
/// often set aside because its own time is wrong.
pub const PARKED: &str = "INSERT INTO clinicwire.parked \
       (topic, partition, \"offset\", at, code, key, headers, value) \
     SELECT $1, $2, o, (extract(epoch FROM now()) * 1000)::bigint, code, key, headers::json, value \
     FROM unnest($3::bigint[], $4::text[], $5::bytea[], $6::text[], $7::bytea[]) \
       AS p (o, code, key, headers, value)";
