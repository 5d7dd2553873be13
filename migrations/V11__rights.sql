-- What a daemon needs no rights of its own for, so that its account cannot rewrite the audit or the
-- revision. See deploy/postgres/.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- They lock the revision, and put the reason into an audit entry. For whoever may call them they do
-- no more than an UPDATE of auto_disabled, within the cap.
ALTER FUNCTION registry_auto_disable(text, jsonb, integer, text) SECURITY DEFINER;
ALTER FUNCTION registry_auto_enable(text, jsonb, text) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION registry_auto_disable(text, jsonb, integer, text),
    registry_auto_enable(text, jsonb, text) FROM PUBLIC;

-- Anyone can set a setting, but only a daemon speaks for others: an account that may register a
-- sidecar. Everybody else is audited as the session user.
CREATE FUNCTION registry_speaks_for_others() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN has_any_column_privilege(session_user, 'sidecar_boots'::regclass, 'INSERT');

CREATE OR REPLACE FUNCTION registry_actor() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(
        CASE WHEN registry_speaks_for_others()
            THEN nullif(current_setting('beamline.actor', true), '') END,
        session_user), 255);

CREATE OR REPLACE FUNCTION registry_actor_source() RETURNS text
    LANGUAGE sql STABLE
    RETURN left(coalesce(
        CASE WHEN registry_speaks_for_others()
            THEN nullif(current_setting('beamline.actor_source', true), '') END,
        'database'), 50);

-- As in V4, but that the action too is a daemon's to name: whoever else named it could pass a
-- deletion off as something that is nobody's event.
CREATE OR REPLACE FUNCTION registry_audit(at_revision bigint, entries registry_audit_entry[])
    RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    override text := CASE WHEN registry_speaks_for_others()
        THEN nullif(current_setting('beamline.action', true), '') END;
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

-- The one entry that a daemon writes by itself, so that it needs no right to write others.
CREATE FUNCTION registry_audit_override(of_id text, actor text, source text, before jsonb,
        after jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
BEGIN ATOMIC
    INSERT INTO extension_audit_log (extension_id, action, changed_by, actor_source, changes)
    VALUES (of_id, 'circuit_override', actor, source,
        jsonb_build_object('old', before, 'new', after));
END;
REVOKE EXECUTE ON FUNCTION registry_audit_override(text, text, text, jsonb, jsonb) FROM PUBLIC;
