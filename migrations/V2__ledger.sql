-- The tables of the ledger: one transaction per batch changes them together. Times (`at`) are
-- integer milliseconds since the Unix epoch, as given by the log. JSON is stored as `json` or
-- `text`, never `jsonb`: its bytes must not change, and jsonb refuses an escaped NUL, which would
-- stop a partition.

-- The next offset of each partition, and its owner. `owner_epoch` rises with every claim, so that
-- the commit of an older owner finds no row.
CREATE TABLE clinicwire.checkpoint (
  consumer    text   NOT NULL,
  topic       text   NOT NULL,
  partition   int    NOT NULL,
  next_offset bigint NOT NULL,
  owner_epoch bigint NOT NULL,
  PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- The last epoch that was issued: one row, so that two concurrent requests get different epochs.
CREATE TABLE clinicwire.epoch (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  last bigint  NOT NULL
) WITH (fillfactor = 50);
INSERT INTO clinicwire.epoch (last) VALUES (0);

-- The result of every record, never deleted: a rebuild folds the events without deciding again.
CREATE TABLE clinicwire.journal (
  topic     text   NOT NULL,
  partition int    NOT NULL,
  "offset"  bigint NOT NULL,
  at        bigint NOT NULL,
  -- The owner's clock at the decision, which expires commands. "at" is the clock of the aggregate.
  decided_at bigint NOT NULL,
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
  -- An applied record has a version. A refused record has one when timers were due before it. Other
  -- records have none.
  CHECK (num_nulls(epoch, version, events) IN (0, 3)),
  CHECK (
    CASE kind
      WHEN 'applied' THEN version IS NOT NULL
      WHEN 'refused' THEN true
      ELSE version IS NULL
    END
  ),
  CHECK ((kind IN ('refused', 'parked')) = (code IS NOT NULL))
);
-- The order in which a rebuild reads. Unique: no two records have the same version of an aggregate.
CREATE UNIQUE INDEX journal_versions ON clinicwire.journal (tenant, aggregate, epoch, version)
  WHERE version IS NOT NULL;

-- Locations, runs and rule books: the version of each, and its state apart from tickets and
-- appointments.
CREATE TABLE clinicwire.aggregate (
  tenant    text   NOT NULL,
  aggregate text   NOT NULL,
  epoch     bigint NOT NULL,
  -- The version before the last step, which a statement compares with the stored version.
  step_from bigint NOT NULL,
  version   bigint NOT NULL,
  header    json   NOT NULL,
  -- The partition of its records. The partition's owner sends its ticks.
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
  -- The ticket has not ended, or its move to another location is not settled.
  unfinished  boolean NOT NULL,
  issued_at   bigint  NOT NULL,
  ended_at    bigint,
  body        json    NOT NULL,
  PRIMARY KEY (tenant, location, ticket)
) WITH (fillfactor = 70);
CREATE INDEX ticket_unfinished ON clinicwire.ticket (tenant, location) WHERE unfinished;

CREATE TABLE clinicwire.appointment (
  tenant      text    NOT NULL,
  location    text    NOT NULL,
  appointment text    NOT NULL,
  -- The key of the appointment at its source.
  source      text    NOT NULL,
  source_key  text    NOT NULL,
  -- When the location needs the appointment in memory: at its start, or, without times, when its
  -- last timer fires.
  wakes_at    bigint,
  status      text    NOT NULL,
  -- The appointment has not reached a final state.
  open        boolean NOT NULL,
  -- The patient has a ticket that has not ended, or the move to another location is not settled.
  kept        boolean NOT NULL,
  body        json    NOT NULL,
  PRIMARY KEY (tenant, location, appointment)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX appointment_source
  ON clinicwire.appointment (tenant, location, source, source_key);
CREATE INDEX appointment_wakes ON clinicwire.appointment (tenant, location, wakes_at);
CREATE INDEX appointment_open ON clinicwire.appointment (tenant, location, wakes_at)
  WHERE open AND NOT kept;
CREATE INDEX appointment_kept ON clinicwire.appointment (tenant, location) WHERE kept;

-- The state behind a channel: the position. Its entries are in view_entry.
CREATE TABLE clinicwire.view (
  tenant     text    NOT NULL,
  aggregate  text    NOT NULL,
  view       text    NOT NULL,
  -- The partition of the aggregate's records. The partition's owner repairs the view.
  topic      text    NOT NULL,
  partition  int     NOT NULL,
  epoch      bigint  NOT NULL,
  step_from  bigint  NOT NULL,
  version    bigint  NOT NULL,
  at         bigint  NOT NULL,
  keep_until timestamptz,
  -- The view store may lack the last steps of the view.
  dirty      boolean NOT NULL DEFAULT false,
  -- The view store was emptied or replaced, and may lack the view or hold it as it was.
  suspect    boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant, aggregate, view)
) WITH (fillfactor = 70);
CREATE INDEX view_dirty ON clinicwire.view (topic, partition) WHERE dirty;
CREATE INDEX view_suspect ON clinicwire.view (topic, partition) WHERE suspect;
CREATE INDEX view_keep_until ON clinicwire.view (keep_until) WHERE keep_until IS NOT NULL;

CREATE TABLE clinicwire.view_entry (
  tenant    text NOT NULL,
  aggregate text NOT NULL,
  view      text NOT NULL,
  key       text NOT NULL,
  body      text NOT NULL,
  PRIMARY KEY (tenant, aggregate, view, key)
) WITH (fillfactor = 70);

-- The outcome of each command whose key is kept.
CREATE TABLE clinicwire.outcome (
  tenant      text   NOT NULL,
  source      text   NOT NULL,
  -- Empty for a program without an actor.
  subject     text   NOT NULL,
  command     text   NOT NULL,
  -- The aggregate that decided the command.
  aggregate   text   NOT NULL,
  -- The fingerprint that a repeat must share. Absent: any repeat gets the outcome.
  fingerprint text,
  -- The append time of the first record. Rows of a partition are deleted by it.
  first_at    bigint NOT NULL,
  topic       text   NOT NULL,
  partition   int    NOT NULL,
  body        text   NOT NULL,
  PRIMARY KEY (tenant, source, subject, command)
);
CREATE INDEX outcome_age ON clinicwire.outcome (topic, partition, first_at);

-- Records to publish after the commit. `topic`, `partition` and `offset` are those of the record
-- that caused them.
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

-- Records that cannot be read, unchanged, for inspection by an operator.
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

-- ---- privileges ------------------------------------------------------------------------------

-- The journal can only be read and appended to: history is never rewritten.
GRANT SELECT, INSERT ON clinicwire.journal TO clinicwire_processor;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  clinicwire.checkpoint, clinicwire.aggregate, clinicwire.ticket, clinicwire.appointment,
  clinicwire.view, clinicwire.view_entry, clinicwire.outcome, clinicwire.outbox, clinicwire.parked
  TO clinicwire_processor;
GRANT SELECT, UPDATE ON clinicwire.epoch TO clinicwire_processor;
GRANT SELECT ON clinicwire.view, clinicwire.view_entry, clinicwire.outcome TO clinicwire_gateway;

-- Row-level security on every table with data of tenants, for the owner too. The processor writes
-- for all tenants. A gateway sees the tenant that its transaction has named, and no row without
-- one: after a transaction the setting is an empty text, which must not be equal to any tenant.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'journal', 'aggregate', 'ticket', 'appointment', 'view', 'view_entry', 'outcome', 'outbox',
    'parked'
  ] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY[
    'journal', 'aggregate', 'ticket', 'appointment', 'view', 'view_entry', 'outcome'
  ] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
