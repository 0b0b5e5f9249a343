//! The statements of the audit.

pub const HEADS: &str = "SELECT tenant, number, logged_at, hash FROM clinicwire.audit_head \
     WHERE tenant = ANY ($1::text[]) ORDER BY tenant FOR UPDATE";
pub const ADD_DAYS: &str =
    "SELECT clinicwire.audit_add_day(day) FROM unnest($1::int[]) AS d (day) ORDER BY day";
pub const DROP_DAY: &str = "SELECT clinicwire.audit_drop_day()";
pub const ROWS: &str = "INSERT INTO clinicwire.audit \
       (tenant, number, logged_at, subject, action, code, body, hash) \
     SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], \
       $6::text[], $7::text[], $8::bytea[])";
pub const PERSONS: &str = "INSERT INTO clinicwire.audit_person (tenant, person, logged_at, number) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])";
// A day has an anchor already when the head of its chain was removed. The chain is broken then and
// begins anew; the audit goes on.
pub const ANCHORS: &str = "INSERT INTO clinicwire.audit_anchor (tenant, day, before, hash) \
     SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[]) \
     ON CONFLICT (tenant, day) DO NOTHING";
// `HEADS` has locked the rows that exist. For a new tenant, the insert of the later of two owners
// adds no row.
pub const NEW_HEADS: &str = "INSERT INTO clinicwire.audit_head (tenant, number, logged_at, hash) \
     SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) \
     ON CONFLICT (tenant) DO NOTHING";
pub const MOVED_HEADS: &str = "UPDATE clinicwire.audit_head h \
     SET number = s.number, logged_at = s.logged_at, hash = s.hash \
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) \
       AS s (tenant, number, logged_at, hash) WHERE h.tenant = s.tenant";

pub const HEAD: &str =
    "SELECT tenant, number, logged_at, hash FROM clinicwire.audit_head WHERE tenant = $1";
pub const HASH: &str = "SELECT hash FROM clinicwire.audit \
     WHERE tenant = $1 AND logged_at = $2 AND number = $3";
// A chain whose head was removed still has its anchors, or at least its rows. The recursion asks
// the primary key of each day for the next tenant, and ends at the limit.
pub const TENANTS: &str = "WITH RECURSIVE stored AS ( \
       SELECT min(tenant) AS tenant FROM clinicwire.audit WHERE tenant > $1 \
       UNION ALL SELECT (SELECT min(a.tenant) FROM clinicwire.audit a WHERE a.tenant > s.tenant) \
         FROM stored s WHERE s.tenant IS NOT NULL) \
     SELECT tenant FROM clinicwire.audit_head WHERE tenant > $1 \
     UNION SELECT tenant FROM clinicwire.audit_anchor WHERE tenant > $1 \
     UNION (SELECT tenant FROM stored WHERE tenant IS NOT NULL LIMIT $2) ORDER BY 1 LIMIT $2";
pub const STORED_ANCHORS: &str =
    "SELECT day, before, hash FROM clinicwire.audit_anchor WHERE tenant = $1 ORDER BY day";
pub const DAYS: &str = "SELECT to_date(substring(c.relname FROM '^audit_([0-9]{8})$'), 'YYYYMMDD') \
       - date '1970-01-01' \
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
     WHERE i.inhparent = 'clinicwire.audit'::regclass ORDER BY 1";
pub const STORED_ROWS: &str = "SELECT number, logged_at, subject, action, code, body, hash \
     FROM clinicwire.audit WHERE tenant = $1 AND logged_at >= $2 AND logged_at < $3 \
       AND (logged_at, number) > ($4, $5) ORDER BY logged_at, number LIMIT $6";
pub const SET_RETENTION: &str = "UPDATE clinicwire.audit_retention SET days = $1";
