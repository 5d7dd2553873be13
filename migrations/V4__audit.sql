-- Who changed what: one entry per extension and statement, kept when the extension goes.
--
-- The daemon names the person in three settings of its transaction; without them it was plain SQL:
--   beamline.actor          changed_by; otherwise the session user
--   beamline.actor_source   subject, header, field or none; otherwise database
--   beamline.action         the action of every entry of the transaction; a second change of the
--                           same extension then joins the first entry, so that a promotion, which
--                           takes several statements, is one entry

-- Every function fixes its search path to the schema it is made in; pg_temp comes last, so that
-- nobody's temporary table stands in for ours.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

ALTER TABLE extension_audit_log
    ADD COLUMN IF NOT EXISTS actor_source varchar(50) NOT NULL DEFAULT 'database',
    ADD COLUMN IF NOT EXISTS revision bigint,
    ADD CONSTRAINT extension_audit_log_action_check CHECK (action IN (
        'created', 'updated', 'deleted', 'enabled', 'disabled', 'auto_disabled', 'auto_enabled',
        'version_put', 'version_deleted', 'promoted', 'instance_put', 'instance_deleted',
        'circuit_override'));

COMMENT ON TABLE extension_audit_log IS 'Every change of a definition; survives the extension';
COMMENT ON COLUMN extension_audit_log.changes IS
    '{"old": ..., "new": ...}: the columns that changed, all of them when created or deleted';
COMMENT ON COLUMN extension_audit_log.revision IS 'Null in entries older than revisions';

CREATE FUNCTION registry_actor() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(nullif(current_setting('beamline.actor', true), ''), session_user), 255);

CREATE FUNCTION registry_actor_source() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(nullif(current_setting('beamline.actor_source', true), ''), 'database'), 50);

-- A row before and after: of an extension, or of the part of one (a version, an instance).
CREATE TYPE registry_change AS (extension_id text, part text, before jsonb, after jsonb);

CREATE TYPE registry_audit_entry AS (extension_id text, action text, before jsonb, after jsonb);

-- The definition columns of a row: what counts as a change of it.
CREATE FUNCTION registry_definition(row_columns jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN row_columns - ARRAY['created_at', 'created_by', 'updated_at', 'updated_by', 'revision',
        'digest', 'promoted', 'incarnation',
        'health_status', 'last_health_check'];

-- The columns of `side` that `other` has differently; all of them when there is no other.
-- Compared as text, as the digest does: 1 and 1.0 are two configurations. In PL/pgSQL, as all that
-- runs for each row, because it keeps its plans.
CREATE FUNCTION registry_difference(side jsonb, other jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF side IS NULL OR other IS NULL THEN
        RETURN side;
    END IF;
    RETURN coalesce(
        (SELECT jsonb_object_agg(key, value) FROM jsonb_each(side)
         WHERE value::text IS DISTINCT FROM (other -> key)::text),
        '{}');
END
$$;

-- `base` overlaid with `top`, key by key; versions and instances one level deeper.
CREATE FUNCTION registry_overlay(base jsonb, top jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN nullif(base, 'null') IS NULL THEN top
                WHEN nullif(top, 'null') IS NULL THEN base
                ELSE base || top || coalesce(
                    (SELECT jsonb_object_agg(key, (base -> key) || (top -> key))
                     FROM unnest(ARRAY['versions', 'instances']) AS key
                     WHERE base ? key AND top ? key), '{}')
           END;
END;

-- Writes the entries of one statement.
CREATE FUNCTION registry_audit(at_revision bigint, entries registry_audit_entry[]) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    override text := nullif(current_setting('beamline.action', true), '');
BEGIN
    IF override IS NOT NULL THEN
        -- A revision belongs to one transaction, so only entries of this one can be found.
        UPDATE extension_audit_log AS entry
        SET changes = jsonb_build_object(
            'old', registry_overlay(added.before, entry.changes -> 'old'),
            'new', registry_overlay(entry.changes -> 'new', added.after))
        FROM unnest(entries) AS added
        WHERE entry.extension_id = added.extension_id
          AND entry.revision = at_revision AND entry.action = override;
    END IF;

    INSERT INTO extension_audit_log
        (extension_id, action, changed_by, actor_source, changes, revision)
    SELECT added.extension_id, coalesce(override, added.action), registry_actor(),
           registry_actor_source(),
           jsonb_build_object('old', added.before, 'new', added.after), at_revision
    FROM unnest(entries) AS added
    WHERE override IS NULL OR NOT EXISTS (
        SELECT FROM extension_audit_log AS entry
        WHERE entry.extension_id = added.extension_id
          AND entry.revision = at_revision AND entry.action = override)
    ORDER BY added.extension_id;
END
$$;
