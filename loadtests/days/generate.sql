-- Rows of one day as batches write them: `tickets` tickets at 500 locations of 100 tenants, each
-- issued, called, served and completed, half of them with an appointment. Texts are as long as
-- those of real rows. psql variables: day (days before today), tickets, and whether the rows of
-- tickets, appointments and outcomes are still kept.

SET ROLE clinicwire_processor;
SET synchronous_commit = off;

CREATE TEMP TABLE visit AS
SELECT i, i % 500 AS place, 't-' || i % 500 / 5 AS tenant, 'clinic-' || i % 500 AS location,
  'clinic-' || i % 500 || '.' || md5(:day || '-' || i) AS ticket,
  'clinic-' || i % 500 || '.general' AS queue, 'A-' || lpad((i / 500 % 999)::text, 3, '0') AS label,
  to_char(now() - :day * interval '1 day', 'YYYY-MM-DD') AS service_day,
  -- Ten hours from eight o'clock on.
  (extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') - :day * interval '1 day')
    * 1000)::bigint + 28800000 + i * 36000000 / :tickets AS at
FROM generate_series(1::bigint, :tickets) i;

CREATE TEMP TABLE step AS
SELECT * FROM (VALUES
  (1, 'ticket_issued', 'waiting', 0, '"queue":"clinic-000.general","day":"2026-11-29",'
    '"number":123,"label":"A-123","priority":0,"rank":27200000080000,"method":"desk"'),
  (2, 'ticket_called', 'called', 1200000,
    '"station":"clinic-000.room-1","recalls":0,"forced":false'),
  (3, 'service_started', 'in_service', 1260000, '"station":"clinic-000.room-1"'),
  (4, 'ticket_completed', 'completed', 1800000, '"served_s":540')) s (n, event, state, later, rest);

INSERT INTO clinicwire.journal (topic, partition, "offset", at, decided_at, tenant, aggregate,
  command, actor, kind, epoch, version, events)
SELECT 'clinicwire.care.v1', v.place % 12, (100 - :day) * 4000000000 + v.i * 4 + s.n,
  v.at + s.later, v.at + s.later + 5, v.tenant, v.location, md5(v.ticket || s.n),
  CASE WHEN s.n > 1 THEN '{"subject":"reception-7","role":"reception"}'::json END, 'applied',
  1700000000, (100 - :day) * 400000 + v.i / 500 * 4 + s.n,
  format('[{"event":"%s","ticket":"%s",%s}]', s.event, v.ticket, s.rest)::json
FROM visit v CROSS JOIN step s ORDER BY v.i;

INSERT INTO clinicwire.stay (tenant, location, ticket, number, label, queue, state, since, until,
  station)
SELECT v.tenant, v.location, v.ticket, s.n, v.label, v.queue, s.state, v.at + s.later,
  CASE WHEN s.n < 4 THEN v.at + s.later + 60000 END,
  CASE WHEN s.n > 1 THEN v.location || '.room-1' END
FROM visit v CROSS JOIN step s ORDER BY v.i;

INSERT INTO clinicwire.ticket (tenant, location, ticket, queue, label, service_day, state,
  unfinished, issued_at, ended_at, body)
SELECT v.tenant, v.location, v.ticket, v.queue, v.label, v.service_day, 'completed', false, v.at,
  v.at + 1800000, format('{"id":"%s","label":"%s","body":"%s"}', v.ticket, v.label,
    repeat(md5(v.ticket), 20))::json
FROM visit v WHERE :'keeps_tickets'::boolean;

INSERT INTO clinicwire.appointment (tenant, location, appointment, source, source_key, wakes_at,
  status, open, kept, body)
SELECT v.tenant, v.location, 'a-' || v.ticket, 'his', md5('k' || v.ticket), v.at + 600000,
  'fulfilled', false, false,
  format('{"id":"%s","body":"%s"}', v.ticket, repeat(md5(v.ticket), 20))::json
FROM visit v WHERE v.i % 2 = 0;

INSERT INTO clinicwire.outcome (tenant, source, subject, command, aggregate, fingerprint, first_at,
  topic, partition, body)
SELECT v.tenant, 'clinicwire-gateway', 'reception-7', md5(v.ticket || s.n), v.location,
  md5(v.ticket || 'f' || s.n), v.at + s.later, 'clinicwire.care.v1', v.place % 12,
  format('{"command":"%s","at":%s,"outcome":"applied","epoch":"1700000000","version":%s}',
    md5(v.ticket || s.n), v.at + s.later, v.i)
FROM visit v CROSS JOIN step s WHERE :'keeps_outcomes'::boolean;

DROP TABLE visit, step;
RESET ROLE;
