-- The store of the audit: who opened, read, changed or was refused what. The sink of the processors
-- adds the entries of `clinicwire.audit.v1`, and nobody changes them.

-- One row for each entry. The entries of a tenant are a chain: `number` is 1, 2, 3 …, and `hash`
-- covers the hash before it and everything of the entry. The rows of a day of UTC are one
-- partition, so that days whose retention is over are dropped as a whole.
CREATE TABLE clinicwire.audit (
  tenant    text   NOT NULL,
  number    bigint NOT NULL,
  -- When the log appended the entry. It never goes back within a tenant.
  logged_at bigint NOT NULL,
  -- The columns by which entries are found. They follow from the body.
  subject   text   NOT NULL,
  action    text   NOT NULL,
  code      text,
  -- The bytes of the entry as the gateway wrote them.
  body      text   NOT NULL,
  hash      bytea  NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (tenant, logged_at, number)
) PARTITION BY RANGE (logged_at);
CREATE INDEX audit_subject ON clinicwire.audit (tenant, subject, logged_at, number);
CREATE INDEX audit_action ON clinicwire.audit (tenant, action, logged_at, number);

-- The entries that name a person's tickets or appointments. `person` is what the ids of one person
-- share. An index, which the chain does not cover.
CREATE TABLE clinicwire.audit_person (
  tenant    text   NOT NULL,
  person    text   NOT NULL,
  logged_at bigint NOT NULL,
  number    bigint NOT NULL,
  PRIMARY KEY (tenant, person, logged_at, number)
) PARTITION BY RANGE (logged_at);

-- The last entry of each chain.
CREATE TABLE clinicwire.audit_head (
  tenant    text   PRIMARY KEY,
  number    bigint NOT NULL,
  logged_at bigint NOT NULL,
  hash      bytea  NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 50);

-- What a chain was before its first entry of a day, so that it can be verified after earlier days
-- were dropped. Kept for ever: a row for each tenant and day.
CREATE TABLE clinicwire.audit_anchor (
  tenant text   NOT NULL,
  -- Days since 1970-01-01.
  day    int    NOT NULL,
  -- The number of the last entry before the day.
  before bigint NOT NULL,
  hash   bytea  NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (tenant, day)
);

-- How long entries are kept. Only the owner changes it (`clinicwire-processors prepare`), so that
-- no service can shorten it.
CREATE TABLE clinicwire.audit_retention (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  days int     NOT NULL CHECK (days >= 1)
);
INSERT INTO clinicwire.audit_retention (days) VALUES (2192);

-- ---- days --------------------------------------------------------------------------------------

-- The sink may neither create nor drop tables. These two functions do it with the rights of their
-- owner, within bounds.

-- Adds the partitions of a day, given in days since 1970-01-01. Returns whether they were missing.
-- They are attached and not created in place, because that would lock out readers.
CREATE FUNCTION clinicwire.audit_add_day(day int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
  today  int    := (now() AT TIME ZONE 'UTC')::date - date '1970-01-01';
  starts bigint := day::bigint * 86400000;
  ends   bigint := (day + 1)::bigint * 86400000;
  suffix text   := to_char(date '1970-01-01' + day, 'YYYYMMDD');
  parent text;
  child  text;
BEGIN
  -- Kafka keeps the topic for ten years at most, and the sink dates nothing far ahead.
  IF day < today - 3660 OR day > today + 9 THEN
    RAISE EXCEPTION 'the day is too far from today' USING ERRCODE = 'data_exception';
  END IF;
  IF to_regclass('clinicwire.audit_' || suffix) IS NOT NULL THEN
    RETURN false;
  END IF;
  -- Two processors may come at once. Only the lock of a relation also makes a session see tables
  -- that another one has made meanwhile; an advisory lock does not. Inserts go on.
  LOCK TABLE clinicwire.audit IN SHARE UPDATE EXCLUSIVE MODE;
  IF to_regclass('clinicwire.audit_' || suffix) IS NOT NULL THEN
    RETURN false;
  END IF;
  FOREACH parent IN ARRAY ARRAY['audit', 'audit_person'] LOOP
    child := parent || '_' || suffix;
    EXECUTE format(
      'CREATE TABLE clinicwire.%I (LIKE clinicwire.%I INCLUDING ALL, '
      'CHECK (logged_at >= %s AND logged_at < %s))', child, parent, starts, ends);
    -- Services reach the rows by the parent, whose policies count. Without one here, nobody but a
    -- superuser reads the partition itself.
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', child);
    EXECUTE format(
      'ALTER TABLE clinicwire.%I ATTACH PARTITION clinicwire.%I FOR VALUES FROM (%s) TO (%s)',
      parent, child, starts, ends);
  END LOOP;
  RETURN true;
END
$$;

-- Drops the oldest day if its retention is over. Returns whether it did.
CREATE FUNCTION clinicwire.audit_drop_day() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
  oldest text;
BEGIN
  LOCK TABLE clinicwire.audit IN SHARE UPDATE EXCLUSIVE MODE;
  SELECT min(substring(c.relname FROM '^audit_([0-9]{8})$')) INTO oldest
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'clinicwire.audit'::regclass;
  IF oldest IS NULL OR to_date(oldest, 'YYYYMMDD')
      >= (now() AT TIME ZONE 'UTC')::date - (SELECT days FROM clinicwire.audit_retention) THEN
    RETURN false;
  END IF;
  EXECUTE format(
    'DROP TABLE clinicwire.%I, clinicwire.%I', 'audit_' || oldest, 'audit_person_' || oldest);
  RETURN true;
END
$$;

REVOKE ALL ON FUNCTION clinicwire.audit_add_day(int), clinicwire.audit_drop_day() FROM PUBLIC;

-- ---- privileges --------------------------------------------------------------------------------

GRANT EXECUTE ON FUNCTION clinicwire.audit_add_day(int), clinicwire.audit_drop_day()
  TO clinicwire_processor;
-- Entries and anchors can only be read and appended.
GRANT SELECT, INSERT ON clinicwire.audit, clinicwire.audit_person, clinicwire.audit_anchor
  TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE ON clinicwire.audit_head TO clinicwire_processor;
GRANT SELECT ON clinicwire.audit_retention TO clinicwire_processor;
GRANT SELECT ON clinicwire.audit, clinicwire.audit_person TO clinicwire_gateway;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['audit', 'audit_person', 'audit_head', 'audit_anchor'] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['audit', 'audit_person'] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
