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
