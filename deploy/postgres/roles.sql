-- The roles of a registry's database. Run once, in the registry's database; again at any time:
--
--   psql -d beamline -f deploy/postgres/roles.sql
--   EXTENSION_REGISTRY_DB_USER=beamline_owner ... beamline-registry migrate
--
-- All or nothing: psql stops at the first error, and exits 3. In a database that is migrated already,
-- grants.sql comes after it.
--
-- No password is set here, since it would end up in files and logs. In psql, which hashes before it
-- sends:  \password beamline_registry  and so on.
--
-- By a superuser, or, where there is none, by a role that may create roles (CREATEROLE) and owns the
-- database; of one that is in use, its tables too, directly or as a member of who does. Such a role
-- becomes a member of beamline_owner, to hand things over to it and to run grants.sql. Roles of
-- these names that others have made need ADMIN OPTION on them.
--
-- Afterwards only owners, superusers and these four roles, their members included, can connect to
-- this database. To let others in: GRANT CONNECT ON DATABASE ... TO the other roles. See
-- docs/access.md.
--
-- The schema is the first of the search_path, as for `migrate`. Other tools may have tables and
-- functions there: nothing is done to theirs. But a role that may create objects in it could shadow
-- our functions, so PUBLIC may not; give CREATE only to roles that you trust with the registry
-- itself.

\set ON_ERROR_STOP on

BEGIN;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['beamline_owner', 'beamline_registry', 'beamline_operator',
        'beamline_readonly']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        -- To say NOSUPERUSER takes a superuser, so it is used only where there is something to
        -- lose.
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = name AND (rolsuper OR rolcreatedb
            OR rolcreaterole OR rolreplication OR rolbypassrls))
        THEN
            EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
                NOBYPASSRLS', name);
        END IF;
    END LOOP;
    IF NOT pg_has_role('beamline_owner', 'USAGE') THEN
        EXECUTE format('GRANT beamline_owner TO %I', current_user);
    END IF;
END
$$;

COMMENT ON ROLE beamline_owner IS 'Owns the schema; for `beamline-registry migrate` only';
COMMENT ON ROLE beamline_registry IS 'The daemon';
COMMENT ON ROLE beamline_operator IS 'Operators who change definitions with plain SQL';
COMMENT ON ROLE beamline_readonly IS 'Dashboards';

-- PUBLIC can neither connect nor create anything here.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO beamline_owner, beamline_registry,
        beamline_operator, beamline_readonly', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO beamline_registry, beamline_operator,
        beamline_readonly', current_schema());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO beamline_owner', current_schema());
END
$$;

-- A database that another role has migrated, or that the old system made, changes hands: what the
-- owner does not own it cannot migrate. Functions that `migrate` has marked as made by it: a mark
-- on another owner's function is ignored.
DO $$
DECLARE
    home constant regnamespace := quote_ident(current_schema())::regnamespace;
    thing record;
BEGIN
    FOR thing IN
        SELECT 'TABLE' AS kind, oid::regclass::text AS name FROM pg_class
        WHERE relnamespace = home AND relkind IN ('r', 'v')
          AND relname IN ('extensions', 'extension_versions', 'extension_instances',
              'extension_health', 'extension_audit_log', 'registry_revision',
              'registry_tombstones', 'sidecar_boots', 'extension_health_reports',
              'extension_circuit_reports', 'circuit_overrides', 'rollout_attempts', 'probe_lease',
              'event_claims', 'registry_functions', 'live_sidecars', 'extension_circuit_states',
              'extension_definitions', 'extension_version_definitions',
              'extension_instance_definitions', 'refinery_schema_history')
        UNION ALL
        SELECT 'FUNCTION', p.oid::regprocedure::text
        FROM pg_proc p JOIN pg_roles ON pg_roles.oid = proowner
        WHERE pronamespace = home AND obj_description(p.oid, 'pg_proc') = 'Part of beamline-registry'
          AND (rolsuper OR rolname = current_user OR proowner IN (SELECT relowner FROM pg_class
              WHERE relnamespace = home AND relname = 'registry_revision'))
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO beamline_owner', thing.kind, thing.name);
    END LOOP;
END
$$;

COMMIT;
