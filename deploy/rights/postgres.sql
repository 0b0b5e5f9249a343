-- Logins of the programs, with the least rights: for psql, as the owner of the database, after
-- `clinicwire-processors prepare`. Safe to repeat: it then sets the passwords of the two files.
--
--   GATEWAY_PASSWORD_FILE=… PROCESSORS_PASSWORD_FILE=… psql -f postgres.sql DATABASE
\set ON_ERROR_STOP on
\set gateway `cat "$GATEWAY_PASSWORD_FILE"`
\set processors `cat "$PROCESSORS_PASSWORD_FILE"`
SELECT format('CREATE ROLE %I LOGIN', login)
FROM unnest(ARRAY['gateways_1', 'processors_1']) AS login
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login)
\gexec
ALTER ROLE gateways_1 PASSWORD :'gateway';
ALTER ROLE processors_1 PASSWORD :'processors';
GRANT clinicwire_gateway TO gateways_1;
GRANT clinicwire_processor TO processors_1;
