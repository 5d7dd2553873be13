-- Automatic switching, for sidecars: they lock the revision and put the reason into an audit entry,
-- so that a daemon's account can rewrite neither. They let their callers do no more than UPDATE
-- auto_disabled, within the cap, and reset the circuits of what is enabled again.

-- Sets extensions.auto_disabled for a sidecar; the triggers do the rest, the reason joins their
-- entry. The caller has locked the revision. What another tool's trigger keeps as it was is an error:
-- nobody is told that it was switched.
CREATE OR REPLACE FUNCTION registry_auto_switch(of_id text, off boolean, instance text, reason jsonb)
    RETURNS bigint
    LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    own_revision bigint;
    is_off boolean;
BEGIN
    PERFORM registry_check_triggers();
    PERFORM set_config('beamline.actor', 'sidecar:' || instance, true),
        set_config('beamline.actor_source', 'database', true),
        set_config('beamline.action', '', true);
    UPDATE extensions SET auto_disabled = off WHERE id = of_id
    RETURNING revision, auto_disabled INTO own_revision, is_off;
    IF is_off IS DISTINCT FROM off THEN
        RAISE '% is kept as it is by a trigger or a rule of the database', of_id;
    END IF;
    UPDATE extension_audit_log SET changes = changes || jsonb_build_object('reason', reason)
    WHERE revision = own_revision AND extension_id = of_id
      AND action IN ('auto_disabled', 'auto_enabled');
    RETURN own_revision;
END
$$;

-- Outcomes: disabled, cap_reached, seen_alive, already_disabled (by an operator too), gone, where
-- the id is another extension's by now too, the version of the reason is not the current one any more,
-- or an operator holds its circuit: a sidecar that has not read that yet must not undo it. The lock of
-- the revision is what makes the cap hold: all who disable wait for it, and what they count afterwards
-- is committed.
CREATE OR REPLACE FUNCTION registry_auto_disable(of_id text, of_incarnation uuid, reason jsonb,
        max_percent integer, instance text,
        OUT outcome text, OUT at_revision bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    serving boolean;
BEGIN
    PERFORM registry_own_revision();
    SELECT enabled AND NOT auto_disabled INTO serving FROM extensions
    WHERE id = of_id AND incarnation = coalesce(of_incarnation, incarnation)
      AND version = coalesce(reason ->> 'version', version);
    IF serving IS NULL OR EXISTS (
        SELECT FROM circuit_overrides o
        WHERE o.extension_id = of_id AND o.version = reason ->> 'version' AND o.action <> 'reset'
          AND (o.until IS NULL OR o.until > now()))
    THEN
        outcome := 'gone';
    ELSIF NOT serving THEN
        outcome := 'already_disabled';
    ELSIF EXISTS (
        SELECT FROM extension_health_reports r JOIN sidecar_boots b USING (boot)
        WHERE r.extension_id = of_id AND b.instance_id <> instance
          AND r.last_answer BETWEEN now() - interval '1 minute' AND now() + interval '1 minute')
    THEN
        outcome := 'seen_alive';
    -- What an operator disabled stays disabled, whether or not it was auto-disabled before.
    ELSIF (SELECT count(*) FROM extensions WHERE auto_disabled AND enabled)
        >= (SELECT greatest(1, count(*) * max_percent / 100) FROM extensions WHERE enabled)
    THEN
        outcome := 'cap_reached';
    ELSE
        outcome := 'disabled';
        at_revision := registry_auto_switch(of_id, true, instance, reason);
    END IF;
END
$$;

-- Has every sidecar reset the circuits of all versions of these extensions, as by an operator's reset,
-- which each heeds once. Overrides in force stay. It is audited as what led to it.
CREATE OR REPLACE FUNCTION registry_reset_circuits(ids text[]) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO circuit_overrides AS o
        (extension_id, version, action, change, until, set_by, actor_source)
    SELECT v.id, v.version, 'reset', gen_random_uuid(), now() + interval '10 minutes',
        registry_actor(), registry_actor_source()
    FROM (
        SELECT e.id, e.version FROM extensions e WHERE e.id = ANY (ids)
        UNION SELECT r.id, r.version FROM extension_versions r WHERE r.id = ANY (ids)) AS v
    ON CONFLICT (extension_id, version) DO UPDATE
    SET action = excluded.action, change = excluded.change, until = excluded.until,
        reason = NULL, set_by = excluded.set_by, actor_source = excluded.actor_source,
        set_at = now()
    WHERE o.action = 'reset' OR o.until <= now();
    IF FOUND THEN
        PERFORM pg_notify('beamline_registry', 'override');
    END IF;
END
$$;

-- Outcomes: enabled, not_disabled, gone, also where another version than the one that answered is the
-- current one by now. What is enabled begins with closed circuits on every sidecar, also on one that
-- has restored an open circuit since.
CREATE OR REPLACE FUNCTION registry_auto_enable(of_id text, of_incarnation uuid, reason jsonb,
        instance text,
        OUT outcome text, OUT at_revision bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    off boolean;
BEGIN
    PERFORM registry_own_revision();
    SELECT auto_disabled INTO off FROM extensions
    WHERE id = of_id AND incarnation = coalesce(of_incarnation, incarnation)
      AND version = coalesce(reason ->> 'version', version);
    IF off IS NULL THEN
        outcome := 'gone';
    ELSIF NOT off THEN
        outcome := 'not_disabled';
    ELSE
        outcome := 'enabled';
        at_revision := registry_auto_switch(of_id, false, instance, reason);
        PERFORM registry_reset_circuits(ARRAY[of_id]);
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION registry_auto_disable(text, uuid, jsonb, integer, text),
    registry_auto_enable(text, uuid, jsonb, text) FROM PUBLIC;
