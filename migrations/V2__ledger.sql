-- What one transaction per batch moves forward together. Times (`at`) are integer milliseconds since the Unix epoch, as the
-- log gave them. JSON is kept as `json` or `text`, never `jsonb`: it is handed on byte by byte, and jsonb refuses texts
-- that JSON allows (an escaped NUL), which would stop a partition.

-- How far each partition was applied, and by whom. `owner_epoch` rises with every claim: an older owner's commit finds no row.
CREATE TABLE clinicwire.checkpoint (
  consumer    text   NOT NULL,
  topic       text   NOT NULL,
  partition   int    NOT NULL,
  next_offset bigint NOT NULL,
  owner_epoch bigint NOT NULL,
  PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- The last epoch given out: one row, so that two who ask at once get two.
CREATE TABLE clinicwire.epoch (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  last bigint  NOT NULL
) WITH (fillfactor = 50);
INSERT INTO clinicwire.epoch (last) VALUES (0);

-- What became of every record, for ever: a rebuild folds this and judges nothing again.
CREATE TABLE clinicwire.journal (
  topic     text   NOT NULL,
  partition int    NOT NULL,
  "offset"  bigint NOT NULL,
  at        bigint NOT NULL,
  -- Absent where the record could not be read.
  tenant    text,
  aggregate text,
  command   text,
  actor     json,
  kind      text   NOT NULL CHECK (kind IN ('applied', 'refused', 'repeated', 'parked')),
  epoch     bigint,
  version   bigint,
  events    json,
  code      text,
  PRIMARY KEY (topic, partition, "offset"),
  -- What was applied has a version; what was refused has one where timers were due before it; nothing else has.
  CHECK (num_nulls(epoch, version, events) IN (0, 3)),
  CHECK (CASE kind WHEN 'applied' THEN version IS NOT NULL WHEN 'refused' THEN true ELSE version IS NULL END),
  CHECK ((kind IN ('refused', 'parked')) = (code IS NOT NULL))
);
-- The order a rebuild reads in; and no version of an aggregate is ever given to two records.
CREATE UNIQUE INDEX journal_versions ON clinicwire.journal (tenant, aggregate, epoch, version) WHERE version IS NOT NULL;

-- Locations, runs, and the rules of a tenant: where each stands, and what it keeps beside its parts.
CREATE TABLE clinicwire.aggregate (
  tenant    text   NOT NULL,
  aggregate text   NOT NULL,
  epoch     bigint NOT NULL,
  -- The version before the last step, so that a statement can compare it with what is held.
  step_from bigint NOT NULL,
  version   bigint NOT NULL,
  header    json   NOT NULL,
  -- Where its records stand: whoever owns that partition tells it the time.
  topic     text   NOT NULL,
  partition int    NOT NULL,
  -- When its next timer is due.
  due       bigint,
  PRIMARY KEY (tenant, aggregate)
) WITH (fillfactor = 50);
CREATE INDEX aggregate_due ON clinicwire.aggregate (topic, partition) WHERE due IS NOT NULL;

CREATE TABLE clinicwire.ticket (
  tenant      text    NOT NULL,
  location    text    NOT NULL,
  ticket      text    NOT NULL,
  queue       text    NOT NULL,
  label       text    NOT NULL,
  service_day text    NOT NULL,
  state       text    NOT NULL,
  live        boolean NOT NULL,
  issued_at   bigint  NOT NULL,
  ended_at    bigint,
  body        json    NOT NULL,
  PRIMARY KEY (tenant, location, ticket)
) WITH (fillfactor = 70);
CREATE INDEX ticket_live ON clinicwire.ticket (tenant, location) WHERE live;

CREATE TABLE clinicwire.appointment (
  tenant      text    NOT NULL,
  location    text    NOT NULL,
  appointment text    NOT NULL,
  -- What names it at its source.
  source      text    NOT NULL,
  source_key  text    NOT NULL,
  -- Absent where it has no times. Days are compared byte by byte.
  service_day text    COLLATE "C",
  status      text    NOT NULL,
  -- Whether something is still expected of it.
  open        boolean NOT NULL,
  -- Whether its patient checked in.
  here        boolean NOT NULL,
  body        json    NOT NULL,
  PRIMARY KEY (tenant, location, appointment)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX appointment_source ON clinicwire.appointment (tenant, location, source, source_key);
CREATE INDEX appointment_day ON clinicwire.appointment (tenant, location, service_day);
CREATE INDEX appointment_open ON clinicwire.appointment (tenant, location, service_day) WHERE open AND NOT here;
CREATE INDEX appointment_here ON clinicwire.appointment (tenant, location) WHERE open AND here;

-- The state behind a channel: its position here, its entries below.
CREATE TABLE clinicwire.view (
  tenant     text    NOT NULL,
  aggregate  text    NOT NULL,
  view       text    NOT NULL,
  -- Where the aggregate's records stand: whoever owns that partition repairs the view.
  topic      text    NOT NULL,
  partition  int     NOT NULL,
  epoch      bigint  NOT NULL,
  step_from  bigint  NOT NULL,
  version    bigint  NOT NULL,
  at         bigint  NOT NULL,
  keep_until timestamptz,
  -- The store of live views may lack it.
  dirty      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant, aggregate, view)
) WITH (fillfactor = 70);
CREATE INDEX view_dirty ON clinicwire.view (topic, partition) WHERE dirty;
CREATE INDEX view_keep_until ON clinicwire.view (keep_until) WHERE keep_until IS NOT NULL;

CREATE TABLE clinicwire.view_entry (
  tenant    text NOT NULL,
  aggregate text NOT NULL,
  view      text NOT NULL,
  key       text NOT NULL,
  body      text NOT NULL,
  PRIMARY KEY (tenant, aggregate, view, key)
) WITH (fillfactor = 70);

-- The first answer to each command.
CREATE TABLE clinicwire.outcome (
  tenant  text   NOT NULL,
  source  text   NOT NULL,
  command text   NOT NULL,
  at      bigint NOT NULL,
  body    text   NOT NULL,
  PRIMARY KEY (tenant, source, command)
);

-- Records to publish after the commit. `topic`, `partition` and `offset` are those of the record they come from.
CREATE TABLE clinicwire.outbox (
  topic     text     NOT NULL,
  partition int      NOT NULL,
  "offset"  bigint   NOT NULL,
  part      smallint NOT NULL,
  target    text     NOT NULL,
  key       text     NOT NULL,
  headers   json     NOT NULL,
  value     bytea    NOT NULL,
  PRIMARY KEY (topic, partition, "offset", part)
);

-- Records nobody could apply, untouched, for people to look at.
CREATE TABLE clinicwire.parked (
  topic     text   NOT NULL,
  partition int    NOT NULL,
  "offset"  bigint NOT NULL,
  at        bigint NOT NULL,
  code      text   NOT NULL,
  key       bytea  NOT NULL,
  headers   json   NOT NULL,
  value     bytea  NOT NULL,
  PRIMARY KEY (topic, partition, "offset")
);

-- ---- who may do what ------------------------------------------------------------------------------------------------

-- Nothing is granted on the journal but adding and reading: history is never rewritten.
GRANT SELECT, INSERT ON clinicwire.journal TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  clinicwire.checkpoint, clinicwire.aggregate, clinicwire.ticket, clinicwire.appointment, clinicwire.view, clinicwire.view_entry,
  clinicwire.outcome, clinicwire.outbox, clinicwire.parked
  TO clinicwire_processor;
GRANT SELECT, UPDATE ON clinicwire.epoch TO clinicwire_processor;
GRANT SELECT ON clinicwire.view, clinicwire.view_entry, clinicwire.outcome TO clinicwire_gateway;

-- Row-level security on every table that can hold a tenant's data, the owner included. The processor writes across
-- tenants; a gateway sees the one tenant its transaction has named, and nothing when it has named none: after a
-- transaction the setting reads as an empty text, which must not compare equal to anything.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'journal', 'aggregate', 'ticket', 'appointment', 'view', 'view_entry', 'outcome', 'outbox', 'parked'
  ] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['journal', 'aggregate', 'ticket', 'appointment', 'view', 'view_entry', 'outcome'] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
