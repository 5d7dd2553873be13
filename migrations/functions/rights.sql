-- What each role of deploy/postgres/roles.sql may do with what the registry has made in this schema;
-- of anything else that the schema holds it says nothing.
--
-- The triggers run as the owner (SECURITY DEFINER), so a role that changes a definition needs no
-- rights on the revision, the tombstones or the audit, and cannot get round them. INSERT on
-- sidecar_boots makes an account a daemon's: only such a one may name in a transaction who changes
-- something, and as what it is audited (beamline.actor, .actor_source, .action).

-- Gives the rights, and takes back first what is not given here. Run by `migrate` where the tables are
-- beamline_owner's, and by deploy/postgres/grants.sql; with the rights of the caller.
CREATE OR REPLACE FUNCTION registry_grant() RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    relations constant text := 'extensions, extension_versions, extension_instances,
        extension_definitions, extension_version_definitions, extension_instance_definitions,
        extension_health, extension_health_reports, extension_circuit_reports,
        extension_circuit_states, sidecar_boots, live_sidecars, circuit_overrides, probe_lease,
        rollout_attempts, event_claims, extension_audit_log, registry_revision, registry_tombstones,
        registry_functions, refinery_schema_history';
    roles constant text := 'beamline_registry, beamline_operator, beamline_readonly';
    role text;
    shape record;
    own regprocedure;
BEGIN
    FOREACH role IN ARRAY string_to_array(roles, ', ') LOOP
        IF NOT has_schema_privilege(role, current_schema(), 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE ALL ON %s FROM %s', concat_ws(', ', relations,
        pg_get_serial_sequence('extension_audit_log', 'id')), roles);
    EXECUTE format('GRANT SELECT ON %s TO %s', relations, roles);

    -- Definitions: through the views that show what one is, and, for operators whose plain SQL names
    -- the tables, the same columns of those, but for the keys in an UPDATE. What is left out (revision,
    -- created_at, created_by, updated_at, updated_by, digest) is set by the triggers, and cannot be
    -- forged.
    GRANT INSERT, UPDATE, DELETE ON extension_definitions, extension_version_definitions,
        extension_instance_definitions TO beamline_registry, beamline_operator;
    FOR shape IN
        SELECT name, string_agg(quote_ident(attname), ', ') AS columns,
            string_agg(quote_ident(attname), ', ') FILTER (WHERE attname <> ALL (keys)) AS others
        FROM (VALUES ('extensions', ARRAY['id']), ('extension_versions', ARRAY['id', 'version']),
                  ('extension_instances', ARRAY['extension_id', 'instance_id']))
                AS tables (name, keys)
        JOIN pg_attribute ON attrelid = (rtrim(name, 's') || '_definitions')::regclass AND attnum > 0
        GROUP BY name
    LOOP
        EXECUTE format('GRANT DELETE, INSERT (%s), UPDATE (%s) ON %I TO beamline_operator',
            shape.columns, shape.others, shape.name);
    END LOOP;
    -- What a promotion has to remember, and an import forgets.
    GRANT UPDATE (promoted) ON extensions TO beamline_registry, beamline_operator;

    -- Health, by the functions health_flush and health_fold, which run with the rights of their caller.
    GRANT INSERT (extension_id),
        UPDATE (success_count, failure_count, latency_count, latency_total_us, avg_latency_ms,
            last_success, last_failure, circuit_breaker_failure_threshold, half_open_max_requests,
            circuit_breaker_state, circuit_breaker_opened_at, half_open_request_count, auto_disabled,
            updated_at)
        ON extension_health TO beamline_registry;
    GRANT DELETE,
        INSERT (instance_id, flush_interval),
        UPDATE (sequence, held_back, flushed_at, flush_interval, folded_at)
        ON sidecar_boots TO beamline_registry;
    GRANT INSERT, UPDATE, DELETE ON extension_health_reports, extension_circuit_reports
        TO beamline_registry;

    -- What the fleet agrees on. Overrides are audited by the daemon, through a function that writes
    -- their entries and no others.
    GRANT INSERT, UPDATE, DELETE ON circuit_overrides, probe_lease, rollout_attempts
        TO beamline_registry;
    GRANT UPDATE (epoch, revision) ON event_claims TO beamline_registry;
    GRANT EXECUTE ON FUNCTION registry_auto_disable(text, uuid, jsonb, integer, text),
        registry_auto_enable(text, uuid, jsonb, text),
        registry_rollout_halt(text, text, bigint, jsonb),
        registry_audit_override(text, text, text, jsonb, jsonb) TO beamline_registry;

    -- All others that are no owner's run with the rights of their caller, and are everybody's unless
    -- the site's default privileges say otherwise.
    FOR own IN
        SELECT p.oid FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND NOT p.prosecdef
          AND obj_description(p.oid, 'pg_proc') = 'Part of beamline-registry'
          AND p.proname NOT IN ('registry_grant', 'registry_prune_audit')
          AND (r.rolsuper OR p.proowner IN (
              SELECT relowner FROM pg_class WHERE oid = 'registry_revision'::regclass))
          AND pg_has_role(p.proowner, 'USAGE')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', own, roles);
    END LOOP;
END
$$;

-- A mark on what has just been made, by which roles.sql, registry_grant() and `check` recognise our
-- functions: all of ours are made anew by this transaction. Where row security binds the owner too, those
-- that run as the owner fail, for every caller: a change whose extension they cannot see would have
-- no revision.
DO $$
DECLARE
    own record;
BEGIN
    FOR own IN
        SELECT oid::regprocedure AS name, prosecdef AS as_owner FROM pg_proc
        WHERE pronamespace = quote_ident(current_schema())::regnamespace
          AND xmin = pg_current_xact_id()::xid
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', own.name, 'Part of beamline-registry');
        IF own.as_owner THEN
            EXECUTE format('ALTER FUNCTION %s SET row_security = off', own.name);
        END IF;
    END LOOP;
END
$$;

-- Only where roles.sql was run: the roles are the server's, and may be meant for another database.
SELECT registry_grant() FROM pg_class
WHERE oid = 'registry_revision'::regclass AND relowner = to_regrole('beamline_owner');
