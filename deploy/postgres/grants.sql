-- What each role of roles.sql may do. Run after `beamline-registry migrate`, at the first time and
-- after each upgrade, by beamline_owner, whoever ran roles.sql, or a superuser; again at any time,
-- since it takes back first what it does not give:
--
--   psql -d beamline -U beamline_owner -f deploy/postgres/grants.sql
--
-- The triggers run as the owner of the schema (SECURITY DEFINER), so whoever changes a definition
-- needs no rights on the revision, the tombstones or the audit, and cannot get round them. INSERT on
-- sidecar_boots makes an account a daemon's: only such a one may name in a transaction who changes
-- something, and as what it is audited (beamline.actor, .actor_source, .action).

BEGIN;

DO $$
DECLARE
    roles constant text := 'beamline_registry, beamline_operator, beamline_readonly';
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', current_schema(), roles);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %s', current_schema(), roles);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %s', current_schema(), roles);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %s', current_schema(), roles);
END
$$;

-- Definitions: through the views that show what one is, and, for operators whose plain SQL names the
-- tables, the same columns of those, but for the keys in an UPDATE. What is left out (revision, created_at,
-- created_by, updated_at, updated_by, digest) is the triggers', and says the truth.
GRANT INSERT, UPDATE, DELETE ON extension_definitions, extension_version_definitions,
    extension_instance_definitions TO beamline_registry, beamline_operator;
DO $$
DECLARE
    shape record;
BEGIN
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
END
$$;
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
GRANT EXECUTE ON FUNCTION registry_auto_disable(text, jsonb, integer, text),
    registry_auto_enable(text, jsonb, text),
    registry_rollout_halt(text, text, bigint, jsonb),
    registry_audit_override(text, text, text, jsonb, jsonb) TO beamline_registry;

COMMIT;
