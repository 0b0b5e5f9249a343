-- Tables that grow every day become range partitions by time: `journal` by day, `stay` by week and
-- `parked` by month. Partitions are made ahead and dropped as a whole. ADR 40 says why these, and
-- why not the others. No row is moved here: each table becomes the first partition of its
-- successor. PostgreSQL reads each once meanwhile.

-- Programs that run go on. Each commit of theirs begins with its checkpoint: from here on commits
-- wait for the migration before they hold anything that it needs, so that neither is a deadlock.
LOCK TABLE clinicwire.checkpoint IN EXCLUSIVE MODE;

-- ---- settings ----------------------------------------------------------------------------------

-- For how many days rows are kept. Only the owner changes it (`clinicwire-processors prepare`), so
-- that no service can shorten it.
CREATE TABLE clinicwire.retention (
  name text PRIMARY KEY,
  days int  NOT NULL CHECK (days >= 1)
);
INSERT INTO clinicwire.retention (name, days) VALUES
  ('journal', 400), ('stay', 400), ('parked', 400), ('ticket', 35), ('appointment', 100);

-- The partitioned tables, apart from those of the audit and of findings.
CREATE TABLE clinicwire.partitioned (
  name       text    PRIMARY KEY,
  -- The column of the partition key: milliseconds since the Unix epoch.
  key        text    NOT NULL,
  period     text    NOT NULL CHECK (period IN ('day', 'week', 'month')),
  -- Periods that are prepared after the current one. All cover at least five weeks, so that a month
  -- without maintenance needs no default partition.
  ahead      int     NOT NULL,
  -- Storage parameters of each partition.
  options    text    NOT NULL,
  -- Statements that add the indexes that only partitions have.
  indexes    text    NOT NULL,
  -- A partition is dropped only when the archive has it.
  is_archived boolean NOT NULL
);
INSERT INTO clinicwire.partitioned VALUES
  -- Rows never change. A vacuum after inserts freezes them at once, so that no later one has to
  -- write the partition again.
  ('journal', 'decided_at', 'day', 35,
    'autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.1',
    'ALTER TABLE clinicwire.%1$I ADD PRIMARY KEY (topic, partition, "offset"); '
    'CREATE UNIQUE INDEX ON clinicwire.%1$I (tenant, aggregate, epoch, version) '
    'WHERE version IS NOT NULL', true),
  -- A row changes once, minutes after it was added.
  ('stay', 'since', 'week', 5,
    'fillfactor = 85, autovacuum_freeze_min_age = 0, autovacuum_vacuum_scale_factor = 0.05', '',
    false),
  ('parked', 'at', 'month', 2, 'autovacuum_freeze_min_age = 0',
    'ALTER TABLE clinicwire.%1$I ADD PRIMARY KEY (topic, partition, "offset")', false);

-- Each partition except the defaults: [since, until).
CREATE TABLE clinicwire.partition (
  parent text   NOT NULL REFERENCES clinicwire.partitioned,
  child  text   NOT NULL UNIQUE,
  since  bigint NOT NULL,
  until  bigint NOT NULL CHECK (since < until),
  PRIMARY KEY (parent, until)
);

-- ---- the archive of the journal ----------------------------------------------------------------

-- Partitions of the journal that are in the archive, complete.
CREATE TABLE clinicwire.journal_archive (
  child       text        PRIMARY KEY,
  rows        bigint      NOT NULL,
  objects     int         NOT NULL,
  bytes       bigint      NOT NULL,
  archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Each aggregate of the partition has a snapshot that includes it.
  is_covered  boolean     NOT NULL DEFAULT false
);

-- The newest snapshot of each aggregate in the archive: a rebuild begins there.
CREATE TABLE clinicwire.snapshot (
  tenant    text        NOT NULL,
  aggregate text        NOT NULL,
  epoch     bigint      NOT NULL,
  version   bigint      NOT NULL,
  object    text        NOT NULL,
  bytes     bigint      NOT NULL,
  -- Of the object as it is stored.
  sha256    bytea       NOT NULL CHECK (length(sha256) = 32),
  taken_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant, aggregate)
);

-- ---- functions ---------------------------------------------------------------------------------

-- Services may neither create nor drop tables. The functions for them do it with the rights of
-- their owner, for periods that follow from this server's clock.

-- Where the period begins that is `further` periods after that of `moment`.
CREATE FUNCTION clinicwire.period_start(period text, moment timestamp, further int) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT (extract(epoch FROM date_trunc(period, moment) + further * ('1 ' || period)::interval)
    * 1000)::bigint
$$;

-- Adds the first missing partition as of `moment`. Returns its name, or nothing if none is missing.
-- It is attached and not created in place, because that would lock out readers. A period whose rows
-- are in the default partition already is left out.
CREATE FUNCTION clinicwire.add_partition_at(parent text, moment timestamp) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kind   clinicwire.partitioned;
  starts bigint;
  ends   bigint;
  child  text;
  has_strays boolean;
BEGIN
  SELECT * INTO STRICT kind FROM clinicwire.partitioned p WHERE p.name = parent;
  FOR further IN 0 .. kind.ahead LOOP
    starts := clinicwire.period_start(kind.period, moment, further);
    ends := clinicwire.period_start(kind.period, moment, further + 1);
    CONTINUE WHEN EXISTS (SELECT FROM clinicwire.partition p
      WHERE p.parent = kind.name AND p.since < ends AND p.until > starts);
    -- Two processors may come at once: the later one finds the partition.
    EXECUTE format('LOCK TABLE clinicwire.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    CONTINUE WHEN EXISTS (SELECT FROM clinicwire.partition p
      WHERE p.parent = kind.name AND p.since < ends AND p.until > starts);
    EXECUTE format('SELECT EXISTS (SELECT FROM clinicwire.%I WHERE %I >= $1 AND %I < $2)',
      parent || '_default', kind.key, kind.key) INTO has_strays USING starts, ends;
    CONTINUE WHEN has_strays;
    child := parent || '_' || to_char(to_timestamp(starts / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD');
    PERFORM clinicwire.create_partition(kind, child);
    EXECUTE format(
      'ALTER TABLE clinicwire.%I ATTACH PARTITION clinicwire.%I FOR VALUES FROM (%s) TO (%s)',
      parent, child, starts, ends);
    INSERT INTO clinicwire.partition VALUES (parent, child, starts, ends);
    RETURN child;
  END LOOP;
  RETURN NULL;
END
$$;

-- Creates a table that can become a partition. Services reach its rows by the parent, whose
-- policies count. Without a policy and a right of their own they cannot read it directly.
CREATE FUNCTION clinicwire.create_partition(kind clinicwire.partitioned, child text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format(
    'CREATE TABLE clinicwire.%I (LIKE clinicwire.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) '
    'WITH (%s)', child, kind.name, kind.options);
  EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', child);
  IF kind.indexes <> '' THEN
    EXECUTE format(kind.indexes, child);
  END IF;
END
$$;

-- Adds a default partition: it takes rows of periods that have no partition. The index finds them.
CREATE FUNCTION clinicwire.add_default_partition(parent text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kind clinicwire.partitioned;
BEGIN
  SELECT * INTO STRICT kind FROM clinicwire.partitioned p WHERE p.name = parent;
  PERFORM clinicwire.create_partition(kind, parent || '_default');
  EXECUTE format('CREATE INDEX ON clinicwire.%I (%I)', parent || '_default', kind.key);
  EXECUTE format('ALTER TABLE clinicwire.%I ATTACH PARTITION clinicwire.%I DEFAULT',
    parent, parent || '_default');
END
$$;

-- Makes the default partition an ordinary one, if it has rows, and adds an empty one. Returns the
-- new name. The rows must lie between two neighbouring partitions, or after the last. Reads the
-- rows twice under a lock, so `prepare` does it, and no service.
CREATE FUNCTION clinicwire.adopt_default_partition(parent text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kind   clinicwire.partitioned;
  first  bigint;
  last   bigint;
  starts bigint;
  ends   bigint;
  strays text := parent || '_default';
  child  text;
BEGIN
  SELECT * INTO STRICT kind FROM clinicwire.partitioned p WHERE p.name = parent;
  EXECUTE format('LOCK TABLE clinicwire.%I IN ACCESS EXCLUSIVE MODE', parent);
  EXECUTE format('SELECT min(%I), max(%I) FROM clinicwire.%I', kind.key, kind.key, strays)
    INTO first, last;
  IF first IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT max(p.until) INTO starts FROM clinicwire.partition p
    WHERE p.parent = kind.name AND p.until <= first;
  SELECT min(p.since) INTO ends FROM clinicwire.partition p
    WHERE p.parent = kind.name AND p.since > first;
  ends := coalesce(ends,
    clinicwire.period_start(kind.period, to_timestamp(last / 1000) AT TIME ZONE 'UTC', 1));
  IF last >= ends THEN
    RAISE WARNING 'the rows of % are in several gaps and stay there', strays;
    RETURN NULL;
  END IF;
  starts := coalesce(starts, -9223372036854775808);
  child := parent || '_until_' || to_char(to_timestamp(ends / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD');
  EXECUTE format('ALTER TABLE clinicwire.%I DETACH PARTITION clinicwire.%I', parent, strays);
  EXECUTE format('ALTER TABLE clinicwire.%I RENAME TO %I', strays, child);
  EXECUTE format(
    'ALTER TABLE clinicwire.%I ATTACH PARTITION clinicwire.%I FOR VALUES FROM (%s) TO (%s)',
    parent, child, starts, ends);
  INSERT INTO clinicwire.partition VALUES (parent, child, starts, ends);
  PERFORM clinicwire.add_default_partition(parent);
  RETURN child;
END
$$;

-- Adds the first missing partition as of now. A lock that is not free within half a second is
-- requested again by a later call: commits wait behind it.
CREATE FUNCTION clinicwire.add_partition(parent text) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
  SELECT clinicwire.add_partition_at(parent, now() AT TIME ZONE 'UTC')
$$;

-- Drops the oldest partition, if its retention is over and, where the table has an archive, the
-- archive has it. Returns its name.
CREATE FUNCTION clinicwire.drop_partition(parent text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
  kind   clinicwire.partitioned;
  oldest clinicwire.partition;
  kept_since bigint;
BEGIN
  SELECT * INTO STRICT kind FROM clinicwire.partitioned p WHERE p.name = parent;
  EXECUTE format('LOCK TABLE clinicwire.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
  SELECT * INTO oldest FROM clinicwire.partition p
    WHERE p.parent = kind.name ORDER BY p.until LIMIT 1;
  SELECT (extract(epoch FROM now()) * 1000)::bigint - r.days * 86400000::bigint INTO kept_since
    FROM clinicwire.retention r WHERE r.name = kind.name;
  IF (oldest.until > kept_since) IS NOT FALSE THEN
    RETURN NULL;
  END IF;
  IF kind.is_archived AND NOT EXISTS (SELECT FROM clinicwire.journal_archive a
      WHERE a.child = oldest.child AND a.is_covered) THEN
    RETURN NULL;
  END IF;
  EXECUTE format('DROP TABLE clinicwire.%I', oldest.child);
  DELETE FROM clinicwire.partition p WHERE p.parent = kind.name AND p.until = oldest.until;
  RETURN oldest.child;
END
$$;

-- For each table: when its partitions end, and how many rows its default partition has, at most
-- 10,000.
CREATE FUNCTION clinicwire.partition_report() RETURNS TABLE (name text, until bigint, strays bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR name, until IN
    SELECT p.parent, max(p.until) FROM clinicwire.partition p GROUP BY p.parent ORDER BY p.parent
  LOOP
    EXECUTE format('SELECT count(*) FROM (SELECT FROM clinicwire.%I LIMIT 10000) s',
      name || '_default') INTO strays;
    RETURN NEXT;
  END LOOP;
END
$$;

-- ---- the tables --------------------------------------------------------------------------------

-- A unique key of a partitioned table would have to contain the partition key. `journal` and
-- `parked` have none: their partitions have the keys as they were. Over all partitions, the
-- checkpoint permits each offset once, and the row of the aggregate each version once, in the
-- transaction that adds the rows.
ALTER TABLE clinicwire.journal RENAME TO journal_before;
CREATE TABLE clinicwire.journal
  (LIKE clinicwire.journal_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
  PARTITION BY RANGE (decided_at);
ALTER TABLE clinicwire.parked RENAME TO parked_before;
CREATE TABLE clinicwire.parked
  (LIKE clinicwire.parked_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
  PARTITION BY RANGE (at);

-- The row of a ticket counts its stays, so no two stays of a ticket have the same number.
ALTER TABLE clinicwire.stay RENAME TO stay_before;
ALTER TABLE clinicwire.stay_before DROP CONSTRAINT stay_pkey;
ALTER INDEX clinicwire.stay_of_location RENAME TO stay_before_of_location;
ALTER INDEX clinicwire.stay_of_queue RENAME TO stay_before_of_queue;
CREATE TABLE clinicwire.stay
  (LIKE clinicwire.stay_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  PRIMARY KEY (tenant, ticket, number, since))
  PARTITION BY RANGE (since);
CREATE INDEX stay_of_location ON clinicwire.stay (tenant, location, since, ticket, number);
CREATE INDEX stay_of_queue ON clinicwire.stay (tenant, queue, since, ticket, number);

-- The first partition ends where the first period begins that has no row yet.
DO $$
DECLARE
  kind clinicwire.partitioned;
  old  text;
  last timestamp;
  cut  bigint;
BEGIN
  FOR kind IN SELECT * FROM clinicwire.partitioned LOOP
    old := kind.name || '_before';
    -- The owner must see the rows, and the services only those of the parent.
    EXECUTE format('ALTER TABLE clinicwire.%I NO FORCE ROW LEVEL SECURITY', old);
    EXECUTE format(
      'REVOKE ALL ON clinicwire.%I FROM clinicwire_processor, clinicwire_gateway', old);
    EXECUTE format('SELECT to_timestamp(max(%I) / 1000) AT TIME ZONE ''UTC'' FROM clinicwire.%I',
      kind.key, old) INTO last;
    cut := clinicwire.period_start(kind.period, greatest(last, now() AT TIME ZONE 'UTC'), 1);
    EXECUTE format('ALTER TABLE clinicwire.%I SET (%s)', old, kind.options);
    EXECUTE format('ALTER TABLE clinicwire.%I ATTACH PARTITION clinicwire.%I '
      'FOR VALUES FROM (MINVALUE) TO (%s)', kind.name, old, cut);
    INSERT INTO clinicwire.partition VALUES (kind.name, old, -9223372036854775808, cut);
    PERFORM clinicwire.add_default_partition(kind.name);
    WHILE clinicwire.add_partition_at(kind.name, now() AT TIME ZONE 'UTC') IS NOT NULL LOOP
    END LOOP;
  END LOOP;
END
$$;

-- Tickets that have ended, in the order in which their retention ends. New entries come at the end
-- of the index, so it costs a commit little.
CREATE INDEX ticket_ended ON clinicwire.ticket (ended_at) WHERE NOT unfinished;

-- ---- vacuum ------------------------------------------------------------------------------------

-- The default scale of a fifth leaves a table of some 30 million rows alone until 6 million rows
-- are dead. These tables change all day; the figures follow from docs/operations.md.
ALTER TABLE clinicwire.ticket SET
  (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE clinicwire.appointment SET
  (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE clinicwire.outcome SET
  (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE clinicwire.aggregate SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE clinicwire.view SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE clinicwire.view_entry SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE clinicwire.figure SET (autovacuum_vacuum_scale_factor = 0.05);
-- A queue: some hundred live rows among the dead ones of the last minute, read from its beginning.
ALTER TABLE clinicwire.outbox SET (autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- ---- privileges --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION clinicwire.period_start(text, timestamp, int),
  clinicwire.add_partition_at(text, timestamp),
  clinicwire.create_partition(clinicwire.partitioned, text),
  clinicwire.add_default_partition(text), clinicwire.adopt_default_partition(text),
  clinicwire.add_partition(text), clinicwire.drop_partition(text), clinicwire.partition_report()
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clinicwire.add_partition(text), clinicwire.drop_partition(text),
  clinicwire.partition_report() TO clinicwire_processor;
GRANT SELECT ON clinicwire.retention, clinicwire.partitioned, clinicwire.partition
  TO clinicwire_processor;
-- The journal can only be read and appended to. Stays are deleted one by one only for tenants that
-- keep them for less time than the others, by their key: a `ctid` names rows of several partitions.
GRANT SELECT, INSERT ON clinicwire.journal TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE, DELETE ON clinicwire.stay TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE, DELETE ON clinicwire.parked TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE ON clinicwire.journal_archive, clinicwire.snapshot
  TO clinicwire_processor;
GRANT SELECT ON clinicwire.stay TO clinicwire_gateway;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['journal', 'stay', 'parked', 'snapshot'] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['journal', 'stay'] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
