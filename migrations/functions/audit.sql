-- The audit: who, what, and from what to what.
--
-- The daemon names the person in three settings of its transaction; without them it was plain SQL:
--   beamline.actor          changed_by; otherwise the session user
--   beamline.actor_source   subject, header, field or none; otherwise database
--   beamline.action         the action of every entry of the transaction; a second change of the
--                           same extension then joins the first entry, so that a promotion, which
--                           takes several statements, is one entry

-- Any account can set a setting, but only a daemon names other actors: an account that may register
-- a sidecar. All others are audited as the session user, and as what the statement did: no account
-- can pass a deletion off as something else.
CREATE OR REPLACE FUNCTION registry_named(setting text) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN has_any_column_privilege(session_user, 'sidecar_boots'::regclass, 'INSERT')
        THEN nullif(current_setting('beamline.' || setting, true), '') END;

CREATE OR REPLACE FUNCTION registry_actor() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(registry_named('actor'), session_user), 255);

CREATE OR REPLACE FUNCTION registry_actor_source() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(registry_named('actor_source'), 'database'), 50);

-- Defaults run as the inserting role. Set once: ALTER TABLE keeps readers out.
GRANT EXECUTE ON FUNCTION registry_named(text), registry_actor() TO PUBLIC;
DO $$
DECLARE
    of_parts regclass;
BEGIN
    FOR of_parts IN
        SELECT attrelid FROM pg_attribute
        WHERE attrelid IN ('extension_versions'::regclass, 'extension_instances'::regclass)
          AND attname = 'created_by' AND NOT atthasdef
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER created_by SET DEFAULT registry_actor()', of_parts);
    END LOOP;
END
$$;

-- The columns in which two definitions differ, as "old" and "new". Compared as text: 1 and 1.0 are
-- two configurations. In PL/pgSQL, as all that runs for each row, because it keeps its plans.
CREATE OR REPLACE FUNCTION registry_changed_columns(before jsonb, after jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('old', coalesce(jsonb_object_agg(key, value), '{}'),
            'new', coalesce(jsonb_object_agg(key, after -> key), '{}'))
        FROM jsonb_each(before) WHERE value::text IS DISTINCT FROM (after -> key)::text);
END
$$;

-- The same; all columns of the one where the other is missing.
CREATE OR REPLACE FUNCTION registry_difference(before jsonb, after jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN before IS NULL OR after IS NULL
        THEN jsonb_build_object('old', before, 'new', after)
        ELSE registry_changed_columns(before, after) END;

-- `base` overlaid with `top`, key by key; versions and instances one level deeper.
CREATE OR REPLACE FUNCTION registry_overlay(base jsonb, top jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN nullif(base, 'null') IS NULL THEN top
                WHEN nullif(top, 'null') IS NULL THEN base
                ELSE base || top || coalesce(
                    (SELECT jsonb_object_agg(key, (base -> key) || (top -> key))
                     FROM unnest(ARRAY['versions', 'instances']) AS key
                     WHERE base ? key AND top ? key), '{}')
           END
$$;

-- Writes the entries of one statement, one for each extension.
CREATE OR REPLACE FUNCTION registry_audit(at_revision bigint, ids text[], actions text[],
        differences jsonb[]) RETURNS void
    LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    actor text := registry_actor();
    source text := registry_actor_source();
    override text := registry_named('action');
BEGIN
    IF override IS NOT NULL THEN
        -- A revision belongs to one transaction, so only entries of this one can be found.
        UPDATE extension_audit_log AS entry
        SET changes = jsonb_build_object(
            'old', registry_overlay(added.changes -> 'old', entry.changes -> 'old'),
            'new', registry_overlay(entry.changes -> 'new', added.changes -> 'new'))
        FROM unnest(ids, differences) AS added (id, changes)
        WHERE entry.extension_id = added.id
          AND entry.revision = at_revision AND entry.action = override;
    END IF;

    INSERT INTO extension_audit_log
        (extension_id, action, changed_by, actor_source, changes, revision)
    SELECT added.id, coalesce(override, added.action), actor, source, added.changes, at_revision
    FROM unnest(ids, actions, differences) AS added (id, action, changes)
    WHERE override IS NULL OR NOT EXISTS (
        SELECT FROM extension_audit_log AS entry
        WHERE entry.extension_id = added.id
          AND entry.revision = at_revision AND entry.action = override)
    ORDER BY added.id;
END
$$;

-- The one entry that a daemon writes by itself, so that it needs no right to write others.
CREATE OR REPLACE FUNCTION registry_audit_override(of_id text, actor text, source text,
        before jsonb, after jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO extension_audit_log (extension_id, action, changed_by, actor_source, changes)
    VALUES (of_id, 'circuit_override', actor, source,
        jsonb_build_object('old', before, 'new', after))
$$;
REVOKE EXECUTE ON FUNCTION registry_audit_override(text, text, text, jsonb, jsonb) FROM PUBLIC;

-- A page of the audit, newest first, of at most `most` entries and about `max_bytes` of changes: no entry
-- that is not answered is unpacked. The first comes in any case, without its changes if those alone are
-- too large. `more`, of the last: whether there are others behind it. A filter that is null is none, and
-- no part of the query, so that an index serves those that are given.
CREATE OR REPLACE FUNCTION registry_audit_page(of_id text, by_whom text, of_action text, since timestamptz,
        until timestamptz, before bigint, most bigint, max_bytes bigint,
        OUT id bigint, OUT extension_id text, OUT action text, OUT changed_by text,
        OUT actor_source text, OUT changes text, OUT "timestamp" timestamptz, OUT revision bigint,
        OUT more boolean)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    entry record;
    place bigint := 0;
    bytes bigint := 0;
BEGIN
    FOR entry IN EXECUTE 'SELECT * FROM extension_audit_log e WHERE true'
            || CASE WHEN of_id IS NOT NULL THEN ' AND e.extension_id = $1' ELSE '' END
            || CASE WHEN by_whom IS NOT NULL THEN ' AND e.changed_by = $2' ELSE '' END
            || CASE WHEN of_action IS NOT NULL THEN ' AND e.action = $3' ELSE '' END
            || CASE WHEN since IS NOT NULL THEN ' AND e.timestamp >= $4' ELSE '' END
            || CASE WHEN until IS NOT NULL THEN ' AND e.timestamp <= $5' ELSE '' END
            || CASE WHEN before IS NOT NULL THEN ' AND e.id < $6' ELSE '' END
            || ' ORDER BY e.id DESC LIMIT $7'
        USING of_id, by_whom, of_action, since, until, before, most + 1
    LOOP
        more := true;
        EXIT WHEN place = most;
        bytes := bytes + coalesce(octet_length(entry.changes::text), 0);
        EXIT WHEN place > 0 AND bytes > max_bytes;
        IF place > 0 THEN
            RETURN NEXT;
        END IF;
        place := place + 1;
        more := false;
        id := entry.id;
        extension_id := entry.extension_id;
        action := entry.action;
        changed_by := entry.changed_by;
        actor_source := entry.actor_source;
        changes := CASE WHEN bytes <= max_bytes THEN entry.changes::text END;
        "timestamp" := entry."timestamp";
        revision := entry.revision;
    END LOOP;
    IF place > 0 THEN
        RETURN NEXT;
    END IF;
END
$$;

-- Deletes entries older than `age` whose events are published: up to the claimed revision, or
-- without one. At most 10,000 at a time; answers how many.
CREATE OR REPLACE FUNCTION registry_prune_audit(age interval) RETURNS bigint
    LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH pruned AS (
        DELETE FROM extension_audit_log WHERE id IN (
            SELECT a.id FROM extension_audit_log a
            WHERE a.timestamp < now() - registry_prune_audit.age
              AND (a.revision IS NULL OR a.revision <= (
                  SELECT c.revision FROM event_claims c JOIN registry_revision r USING (epoch)))
            ORDER BY a.timestamp LIMIT 10000)
        RETURNING true)
    SELECT count(*) FROM pruned
$$;
REVOKE EXECUTE ON FUNCTION registry_prune_audit(interval) FROM PUBLIC;
