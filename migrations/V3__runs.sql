-- Checks of claims files: the list of runs, the work queue of workers, and the findings.

-- One row per run, for lists and for access to its findings. Processors update it from the run's
-- events.
CREATE TABLE clinicwire.run (
  tenant       text    NOT NULL,
  run          text    NOT NULL,
  state        text    NOT NULL,
  requested_at bigint  NOT NULL,
  ended_at     bigint,
  -- The attempt whose findings are shown: the one that completed.
  attempt      int     NOT NULL,
  -- The columns of a list.
  head         json    NOT NULL,
  -- The file, while the run may still need it: it waits, is under way, or may be requested again.
  file         text,
  -- When the run is deleted; absent before its end.
  keep_until   timestamptz,
  PRIMARY KEY (tenant, run)
) WITH (fillfactor = 70);
CREATE INDEX run_newest ON clinicwire.run (tenant, requested_at DESC, run DESC);
CREATE INDEX run_file ON clinicwire.run (tenant, file) WHERE file IS NOT NULL;
CREATE INDEX run_keep_until ON clinicwire.run (keep_until) WHERE keep_until IS NOT NULL;

-- The work queue: one row per run that has not ended. A worker holds a row while its lease lasts.
-- Lease times are this server's, so that no worker's clock matters.
CREATE TABLE clinicwire.run_work (
  tenant      text        NOT NULL,
  run         text        NOT NULL,
  -- The attempt that waits, or is under way on `worker`. It rises with each takeover, so that the
  -- statements of an older attempt find no row.
  attempt     int         NOT NULL,
  -- Attempts since the last request.
  tries       int         NOT NULL DEFAULT 0,
  queued_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  not_before  timestamptz NOT NULL DEFAULT clock_timestamp(),
  worker      text,
  lease_until timestamptz,
  cancel      boolean     NOT NULL DEFAULT false,
  -- The record that reports the end of the attempt, once decided. It is published until this row is
  -- deleted.
  ended       json,
  -- The place in line that was last reported.
  told_ahead  int,
  -- The run's file, and the options a worker needs.
  request     json        NOT NULL,
  PRIMARY KEY (tenant, run)
) WITH (fillfactor = 50);
CREATE INDEX run_work_line ON clinicwire.run_work (queued_at);

-- When each tenant last got a worker. Among tenants with equally many runs under way, the one that
-- waited longest is next.
CREATE TABLE clinicwire.run_turn (
  tenant    text        NOT NULL PRIMARY KEY,
  served_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Findings by the UTC day of the attempt's end: an expired day is dropped as a whole. No column
-- names a patient, not even by a pseudonym. Workers copy into the partition of a day, since
-- PostgreSQL refuses COPY into a table with row-level security. Gateways may not read a partition;
-- of this table they see the rows of their tenant.
CREATE TABLE clinicwire.finding (
  day      date     NOT NULL,
  tenant   text     NOT NULL,
  run      text     NOT NULL,
  attempt  int      NOT NULL,
  -- Sort key of the list: severity, then the amount, greatest first, then the row.
  place    bigint   NOT NULL,
  -- The order in which findings were made.
  n        int      NOT NULL,
  severity text     NOT NULL,
  rule     text     NOT NULL,
  body     text     NOT NULL,
  PRIMARY KEY (tenant, run, attempt, place, n, day)
) PARTITION BY RANGE (day);

-- Creates the partitions of today and tomorrow, and drops those of days before `oldest`.
CREATE FUNCTION clinicwire.keep_finding_days(oldest date) RETURNS int
-- A lock that is not free within a second is requested again by a later call: waiting for it would
-- block readers of findings.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  wanted date;
  part record;
  dropped int := 0;
BEGIN
  -- One session at a time: several workers call this function in parallel.
  PERFORM pg_advisory_xact_lock(hashtext('clinicwire.keep_finding_days'));
  FOREACH wanted IN ARRAY ARRAY[today, today + 1] LOOP
    IF to_regclass(format('clinicwire.finding_%s', to_char(wanted, 'YYYYMMDD'))) IS NULL THEN
      EXECUTE format(
        'CREATE TABLE clinicwire.finding_%s PARTITION OF clinicwire.finding '
        'FOR VALUES FROM (%L) TO (%L)', to_char(wanted, 'YYYYMMDD'), wanted, wanted + 1);
      EXECUTE format(
        'GRANT SELECT, INSERT ON clinicwire.finding_%s TO clinicwire_processor',
        to_char(wanted, 'YYYYMMDD'));
    END IF;
  END LOOP;
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'clinicwire.finding'::regclass AND c.relname ~ '^finding_[0-9]{8}$'
      AND to_date(substr(c.relname, 9), 'YYYYMMDD') < least(oldest, today)
  LOOP
    EXECUTE format('DROP TABLE clinicwire.%I', part.relname);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION clinicwire.keep_finding_days(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clinicwire.keep_finding_days(date) TO clinicwire_processor;
SELECT clinicwire.keep_finding_days((clock_timestamp() AT TIME ZONE 'UTC')::date);

GRANT SELECT, INSERT, UPDATE, DELETE ON clinicwire.run, clinicwire.run_work, clinicwire.run_turn
  TO clinicwire_processor;
GRANT SELECT, INSERT ON clinicwire.finding TO clinicwire_processor;
GRANT SELECT ON clinicwire.run, clinicwire.finding TO clinicwire_gateway;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['run', 'run_work', 'run_turn', 'finding'] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['run', 'finding'] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
