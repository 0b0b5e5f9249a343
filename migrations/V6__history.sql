-- The history of tickets and the figures of locations. Batches of processors write both.

-- One row for each time that a ticket spends in one state, queue and room. Nothing here names a
-- patient. Rows are deleted by age.
CREATE TABLE clinicwire.stay (
  tenant   text   NOT NULL,
  location text   NOT NULL,
  ticket   text   NOT NULL,
  -- Counts the stays of the ticket, from 1 on.
  number   int    NOT NULL,
  label    text   NOT NULL,
  queue    text   NOT NULL,
  state    text   NOT NULL,
  since    bigint NOT NULL,
  -- Absent while the stay lasts. In no index, so that the end of a stay changes none.
  until    bigint,
  station  text,
  reason   text,
  PRIMARY KEY (tenant, ticket, number)
) WITH (fillfactor = 85);
-- The orders in which pages are read.
CREATE INDEX stay_of_location ON clinicwire.stay (tenant, location, since, ticket, number);
CREATE INDEX stay_of_queue ON clinicwire.stay (tenant, queue, since, ticket, number);

-- Counts, and sums of times in milliseconds, by service day and hour of the location, queue and
-- doctor. Batches add to them. Queue and doctor are empty where there is none.
CREATE TABLE clinicwire.figure (
  tenant   text     NOT NULL,
  location text     NOT NULL,
  day      text     NOT NULL,
  hour     smallint NOT NULL,
  queue    text     NOT NULL,
  doctor   text     NOT NULL,
  measure  text     NOT NULL,
  bucket   smallint NOT NULL,
  count    bigint   NOT NULL,
  total_ms bigint   NOT NULL,
  PRIMARY KEY (tenant, location, day, hour, queue, doctor, measure, bucket)
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE, DELETE ON clinicwire.stay, clinicwire.figure
  TO clinicwire_processor;
GRANT SELECT ON clinicwire.stay, clinicwire.figure TO clinicwire_gateway;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['stay', 'figure'] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
