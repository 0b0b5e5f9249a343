-- The owner of the database and the logins of the programs. Runs once, when the volume is new.
\set ON_ERROR_STOP on
\set owner `cat /run/secrets/prepare-password`
\set gateway `cat /run/secrets/gateway-password`
\set processors `cat /run/secrets/processors-password`
CREATE ROLE clinicwire LOGIN PASSWORD :'owner';
CREATE DATABASE clinicwire OWNER clinicwire;
CREATE ROLE clinicwire_processor NOLOGIN;
CREATE ROLE clinicwire_gateway NOLOGIN;
-- Migrations that change rows take the role of the processors.
GRANT clinicwire_processor, clinicwire_gateway TO clinicwire;
CREATE ROLE processors_1 LOGIN PASSWORD :'processors' IN ROLE clinicwire_processor;
CREATE ROLE gateways_1 LOGIN PASSWORD :'gateway' IN ROLE clinicwire_gateway;
