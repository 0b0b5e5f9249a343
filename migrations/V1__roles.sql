-- The two group roles behind row-level security. Nobody logs in as one of them: a login is granted one of them, and every
-- connection of a service begins with SET ROLE, so that the policies hold even where the login is the owner or a superuser.
--
-- Roles belong to the whole server, not to this database: another database's migration may have made them already, or be
-- making them at this moment. Where a login may not make roles, an administrator makes them first (see README.md).

CREATE SCHEMA IF NOT EXISTS clinicwire;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['clinicwire_processor', 'clinicwire_gateway'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- made by somebody else since the check
      END;
    END IF;
    -- So that the migrating login can run the services too: one machine, tests.
    IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
      BEGIN
        EXECUTE format('GRANT %I TO CURRENT_USER', name);
      EXCEPTION
        WHEN unique_violation OR internal_error THEN NULL; -- granted by somebody else at the same moment
        WHEN insufficient_privilege THEN
          RAISE NOTICE 'this login may migrate, but not run the services: % is not granted to it', name;
      END;
    END IF;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA clinicwire TO clinicwire_processor, clinicwire_gateway;
-- The services compare the version they were built for with what was applied.
GRANT SELECT ON clinicwire.migration TO clinicwire_processor, clinicwire_gateway;
