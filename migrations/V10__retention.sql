-- What `prepare` changes is safe beside everything else that reads the tables, and a retention that
-- was shorter once is remembered.

-- Rows before this moment may have been deleted while the retention was shorter than it is now.
ALTER TABLE clinicwire.retention ADD COLUMN retired_before bigint NOT NULL DEFAULT 0;

-- Makes the default partition an ordinary one, if it has rows, and adds an empty one. Returns the
-- new name. The rows must lie between two neighbouring partitions, or after the last and not after
-- the present period. Reads the rows twice under a lock, so `prepare` does it, and no service. A
-- lock that is not free within half a second is an error: commits wait behind it.
CREATE OR REPLACE FUNCTION clinicwire.adopt_default_partition(parent text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
  kind   clinicwire.partitioned;
  first  bigint;
  last   bigint;
  starts bigint;
  ends   bigint;
  strays text := parent || '_default';
  child  text;
  has_strays boolean;
BEGIN
  SELECT * INTO STRICT kind FROM clinicwire.partitioned p WHERE p.name = parent;
  -- Mostly there is nothing to do, and nobody waits for that answer.
  EXECUTE format('SELECT EXISTS (SELECT FROM clinicwire.%I)', strays) INTO has_strays;
  IF NOT has_strays THEN
    RETURN NULL;
  END IF;
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
  IF ends IS NULL THEN
    -- A partition up to a time far ahead would take the rows of all periods until then.
    ends := clinicwire.period_start(kind.period, now() AT TIME ZONE 'UTC', 1);
    IF last >= ends THEN
      RAISE WARNING 'rows of % have times in the future and stay there', strays;
      RETURN NULL;
    END IF;
  END IF;
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

-- For each table: when its partitions end (0 without any), and how many rows its default partition
-- has, at most 10,000.
CREATE OR REPLACE FUNCTION clinicwire.partition_report()
RETURNS TABLE (name text, until bigint, strays bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR name, until IN
    SELECT t.name, coalesce(max(p.until), 0) FROM clinicwire.partitioned t
    LEFT JOIN clinicwire.partition p ON p.parent = t.name GROUP BY t.name ORDER BY t.name
  LOOP
    EXECUTE format('SELECT count(*) FROM (SELECT FROM clinicwire.%I LIMIT 10000) s',
      name || '_default') INTO strays;
    RETURN NEXT;
  END LOOP;
END
$$;
