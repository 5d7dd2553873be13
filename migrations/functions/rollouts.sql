-- Versions that fail give up their share by themselves: `rollout.halt`.
--
-- Sidecars report the attempts that they made, in batches that add nothing when they are repeated,
-- and get the sums over all sidecars. A sidecar that finds a version failing asks for its share to
-- be set to 0; that is decided here, under the lock of the revision, so that one of them does it.

-- The revision of the last change that figures of a version have to begin after: of the version
-- itself, or of which one is the current. What the audit no longer has is older than any figure.
CREATE OR REPLACE FUNCTION registry_rollout_since(of_id text, of_version text) RETURNS bigint
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(a.revision), 0) FROM extension_audit_log a
    WHERE a.extension_id = of_id
      AND (a.action = 'created'
        OR a.changes -> 'old' -> 'versions' ? of_version
        OR a.changes -> 'new' -> 'versions' ? of_version
        OR jsonb_typeof(a.changes -> 'new') = 'object' AND a.changes -> 'new' ? 'version')
$$;

-- Whether a version has a share that it may give up.
CREATE OR REPLACE FUNCTION registry_rollout_halts(rollout jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(jsonb_typeof(rollout -> 'halt') = 'object'
        AND jsonb_typeof(rollout -> 'percent') = 'number' AND rollout -> 'percent' <> '0', false);

-- Takes in a batch of attempts, and answers the sums for the extensions named in `windows`: of each
-- version that has a share it may give up, and of the current one, since the version last changed
-- and at most the window old. Ages and windows are milliseconds.
CREATE OR REPLACE FUNCTION registry_rollout_report(of_batch uuid, attempts jsonb, windows jsonb)
    RETURNS TABLE (extension_id text, version text, since bigint, successes bigint, failures bigint,
        current_successes bigint, current_failures bigint)
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO rollout_attempts (batch, place, extension_id, version, revision, counted_at,
        success_count, failure_count)
    SELECT of_batch, a.place, a.id, a.version, a.revision, now() - a.age * interval '1 ms',
        a.successes, a.failures
    FROM jsonb_to_recordset(attempts) AS a (place integer, id text, version text, revision bigint,
        age bigint, successes bigint, failures bigint)
    ON CONFLICT DO NOTHING;

    -- A day is the longest window.
    DELETE FROM rollout_attempts WHERE (batch, place) IN (
        SELECT a.batch, a.place FROM rollout_attempts a
            LEFT JOIN jsonb_to_recordset(windows) AS w (id text, length bigint)
                ON w.id = a.extension_id
        WHERE a.counted_at
            < now() - least(coalesce(w.length, 86400000), 86400000) * interval '1 ms'
        LIMIT 10000 FOR UPDATE OF a SKIP LOCKED);

    RETURN QUERY
    SELECT v.id::text, v.version, began.revision,
        -- Within bigint: one wrong number must not fail the report of all. Below zero is none.
        least(coalesce(sum(greatest(a.success_count, 0)) FILTER (WHERE a.version = v.version), 0),
            9223372036854775807)::bigint,
        least(coalesce(sum(greatest(a.failure_count, 0)) FILTER (WHERE a.version = v.version), 0),
            9223372036854775807)::bigint,
        least(coalesce(sum(greatest(a.success_count, 0)) FILTER (WHERE a.version = e.version), 0),
            9223372036854775807)::bigint,
        least(coalesce(sum(greatest(a.failure_count, 0)) FILTER (WHERE a.version = e.version), 0),
            9223372036854775807)::bigint
    FROM jsonb_to_recordset(windows) AS w (id text, length bigint)
        JOIN extensions e ON e.id = w.id
        JOIN extension_versions v ON v.id = e.id AND v.version <> e.version
        CROSS JOIN LATERAL (
            SELECT registry_rollout_since(v.id, v.version) AS revision) AS began
        LEFT JOIN rollout_attempts a ON a.extension_id = v.id AND a.revision >= began.revision
            AND a.version IN (v.version, e.version)
            AND a.counted_at BETWEEN
                now() - least(w.length, 86400000) * interval '1 ms' AND now() + interval '1 minute'
    WHERE v.enabled AND registry_rollout_halts(v.rollout)
    GROUP BY v.id, v.version, began.revision;
END
$$;

-- Sets the share of a version to 0, for a sidecar that found it failing by figures since revision
-- `of_since`. Outcomes: halted, over (it has no share, or has become the current version, or another
-- sidecar was faster), changed (the figures are of another version by now), gone.
CREATE OR REPLACE FUNCTION registry_rollout_halt(of_id text, of_version text, of_since bigint,
        reason jsonb, OUT outcome text, OUT at_revision bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    runs boolean;
BEGIN
    PERFORM registry_own_revision();
    SELECT v.enabled AND v.version <> e.version AND registry_rollout_halts(v.rollout) INTO runs
    FROM extension_versions v JOIN extensions e ON e.id = v.id
    WHERE v.id = of_id AND v.version = of_version;
    IF runs IS NULL THEN
        outcome := 'gone';
    ELSIF NOT runs THEN
        outcome := 'over';
    ELSIF registry_rollout_since(of_id, of_version) <> of_since THEN
        outcome := 'changed';
    ELSE
        PERFORM registry_check_triggers();
        PERFORM set_config('beamline.actor', 'auto', true),
            set_config('beamline.actor_source', 'database', true),
            set_config('beamline.action', 'rollout_halted', true);
        UPDATE extension_versions SET rollout = jsonb_set(rollout, '{percent}', '0')
        WHERE id = of_id AND version = of_version
        RETURNING registry_rollout_halts(rollout) INTO runs;
        -- Left out, or put back.
        IF runs IS DISTINCT FROM false THEN
            RAISE '% % is kept as it is by a trigger or a rule of the database', of_id, of_version;
        END IF;
        SELECT revision INTO at_revision FROM extensions WHERE id = of_id;
        UPDATE extension_audit_log SET changes = changes || jsonb_build_object('reason', reason)
        WHERE revision = at_revision AND extension_id = of_id AND action = 'rollout_halted';
        outcome := 'halted';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION registry_rollout_halt(text, text, bigint, jsonb) FROM PUBLIC;
