-- Webhooks: the endpoints of tenants, their outward events, and the queue of each endpoint. Batches
-- of processors add endpoints and events; senders give events to queues and take deliveries under
-- leases. Times of leases and rests are this server's. No secret is stored: secrets are derived.

-- The endpoints. The aggregate `_webhooks` of a tenant decides them.
CREATE TABLE clinicwire.webhook (
  tenant           text    NOT NULL,
  webhook          text    NOT NULL,
  url              text    NOT NULL,
  -- Kinds of events and locations as arrays of texts. Empty: all.
  events           jsonb   NOT NULL,
  locations        jsonb   NOT NULL,
  state            text    NOT NULL,
  -- The steps that made the secret and the one before the last rotation.
  secret_epoch     bigint  NOT NULL,
  secret_version   bigint  NOT NULL,
  previous_epoch   bigint,
  previous_version bigint,
  previous_until   bigint,
  -- Waves of attempts that failed since the last success.
  failures         int     NOT NULL DEFAULT 0,
  -- Nothing is sent before.
  rests_until      timestamptz,
  -- Deliveries that wait, when they were last counted.
  pending          bigint  NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, webhook)
) WITH (fillfactor = 50);

-- The events of tenants that have webhooks.
CREATE TABLE clinicwire.webhook_event (
  -- The order in which queues get them. Events of one aggregate have growing numbers.
  seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant   text    NOT NULL,
  event    text    NOT NULL,
  location text,
  kind     text    NOT NULL,
  -- The endpoint that alone gets it.
  webhook  text,
  -- When it was decided.
  at       bigint  NOT NULL,
  body     text    NOT NULL,
  -- Whether queues have it.
  queued   boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX webhook_event_id ON clinicwire.webhook_event (tenant, event);
CREATE INDEX webhook_event_new ON clinicwire.webhook_event (seq) WHERE NOT queued;
CREATE INDEX webhook_event_time ON clinicwire.webhook_event (tenant, at, seq);
CREATE INDEX webhook_event_age ON clinicwire.webhook_event (at);

-- The queue of each endpoint, with what was sent and the dead letters.
CREATE TABLE clinicwire.webhook_delivery (
  tenant     text        NOT NULL,
  webhook    text        NOT NULL,
  seq        bigint      NOT NULL,
  event      text        NOT NULL,
  kind       text        NOT NULL,
  at         bigint      NOT NULL,
  -- pending, sent or dead.
  state      text        NOT NULL,
  tries      int         NOT NULL DEFAULT 0,
  -- Whether a sender has it.
  leased     boolean     NOT NULL DEFAULT false,
  -- When it may be taken: at once, after a pause, or when its lease ends.
  not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
  queued_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at   timestamptz,
  attempts   jsonb       NOT NULL DEFAULT '[]',
  PRIMARY KEY (tenant, webhook, seq)
) WITH (fillfactor = 70);
CREATE INDEX webhook_delivery_due ON clinicwire.webhook_delivery (tenant, webhook, not_before, seq)
  WHERE state = 'pending';
CREATE INDEX webhook_delivery_waits ON clinicwire.webhook_delivery (queued_at)
  WHERE state = 'pending';
CREATE INDEX webhook_delivery_dead ON clinicwire.webhook_delivery (tenant, webhook, seq)
  WHERE state = 'dead';
CREATE INDEX webhook_delivery_age ON clinicwire.webhook_delivery (at);

-- Work that batches give to senders, who do it in slices: replays and deletions.
CREATE TABLE clinicwire.webhook_task (
  number   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant   text        NOT NULL,
  webhook  text        NOT NULL,
  -- event, dead, time or delete.
  what     text        NOT NULL,
  event    text,
  -- The time whose events are sent again, and the event after which the next slice begins.
  since    bigint,
  until    bigint,
  after    bigint      NOT NULL DEFAULT 0,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE, DELETE
  ON clinicwire.webhook, clinicwire.webhook_event, clinicwire.webhook_delivery,
    clinicwire.webhook_task
  TO clinicwire_processor;
GRANT SELECT ON clinicwire.webhook, clinicwire.webhook_delivery TO clinicwire_gateway;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['webhook', 'webhook_event', 'webhook_delivery', 'webhook_task'] LOOP
    EXECUTE format('ALTER TABLE clinicwire.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE clinicwire.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY processor ON clinicwire.%I TO clinicwire_processor '
      'USING (true) WITH CHECK (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['webhook', 'webhook_delivery'] LOOP
    EXECUTE format(
      'CREATE POLICY tenant ON clinicwire.%I FOR SELECT TO clinicwire_gateway '
      'USING (tenant = NULLIF(current_setting(''clinicwire.tenant'', true), ''''))', name);
  END LOOP;
END
$$;
