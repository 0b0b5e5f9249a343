-- The two group roles for row-level security. Neither can log in: a login is granted one of them,
-- and every connection of a service starts with SET ROLE, so that the policies bind even an owner
-- or a superuser.
--
-- Roles belong to the whole server, not to this database: the migration of another database may
-- have created them already, or create them at the same moment. Where a login may not create roles,
-- an administrator creates them first (see README.md).

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
        NULL; -- created by another session since the check
      END;
    END IF;
    -- The migrating login can then run the services too, as tests and small installations do.
    IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
      BEGIN
        EXECUTE format('GRANT %I TO CURRENT_USER', name);
      EXCEPTION
        WHEN unique_violation OR internal_error THEN NULL; -- granted by another session
        WHEN insufficient_privilege THEN
          RAISE NOTICE
            'this login may migrate, but not run the services: % is not granted to it', name;
      END;
    END IF;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA clinicwire TO clinicwire_processor, clinicwire_gateway;
-- Services compare the version that they need with the version that was applied.
GRANT SELECT ON clinicwire.migration TO clinicwire_processor, clinicwire_gateway;
