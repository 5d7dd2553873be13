-- What the fleet agrees on through the database: overrides of circuits, automatic switching, who
-- probes, and who publishes the events of a revision.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A reset is kept for a while too, so that every sidecar sees it. Whoever reads the rows applies
-- one whose `change` it has not applied to that circuit.
CREATE TABLE circuit_overrides (
    extension_id text NOT NULL,
    version text NOT NULL,
    action text NOT NULL CHECK (action IN ('open', 'close', 'reset')),
    change uuid NOT NULL,
    until timestamptz,
    reason text,
    set_by varchar(255) NOT NULL,
    actor_source varchar(50) NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (extension_id, version)
);

COMMENT ON TABLE circuit_overrides IS
    'Circuits forced by operators; not a definition: takes no revision';
COMMENT ON COLUMN circuit_overrides.change IS
    'Named by the writer: a repeated write of the same change does nothing';
COMMENT ON COLUMN circuit_overrides.until IS 'Null: until the next override or reset';
COMMENT ON COLUMN extension_audit_log.revision IS
    'Null in entries older than revisions, and of circuit_override';
COMMENT ON COLUMN extension_audit_log.changes IS
    '{"old": ..., "new": ...}: the columns that changed, all of them when created or deleted; of automatic changes also "reason"';

-- By trigger rather than by foreign key, as in V8.
CREATE FUNCTION circuit_overrides_follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE circuit_overrides SET extension_id = NEW.id WHERE extension_id = OLD.id;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM circuit_overrides WHERE extension_id = OLD.id;
    ELSE
        DELETE FROM circuit_overrides;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER d_overrides_go AFTER DELETE ON extensions
    FOR EACH ROW EXECUTE FUNCTION circuit_overrides_follow();
CREATE TRIGGER d_overrides_move AFTER UPDATE OF id ON extensions
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION circuit_overrides_follow();
CREATE TRIGGER d_overrides_go_all AFTER TRUNCATE ON extensions
    FOR EACH STATEMENT EXECUTE FUNCTION circuit_overrides_follow();

REVOKE EXECUTE ON FUNCTION circuit_overrides_follow() FROM PUBLIC;

CREATE TABLE probe_lease (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    holder text NOT NULL,
    until timestamptz NOT NULL
);

COMMENT ON TABLE probe_lease IS 'The sidecar that probes auto-disabled extensions';

-- Not in registry_revision: claims must not wait for writers of definitions, nor hold them up.
CREATE TABLE event_claims (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch uuid NOT NULL,
    revision bigint NOT NULL
);

INSERT INTO event_claims (epoch, revision) SELECT epoch, revision FROM registry_revision;

COMMENT ON TABLE event_claims IS
    'Up to which revision change events are published, or lost with the sidecar that claimed them';

CREATE INDEX idx_audit_revision ON extension_audit_log (revision);

-- Sets extensions.auto_disabled for a sidecar; the triggers do the rest, the reason joins their
-- entry. The caller has locked the revision.
CREATE FUNCTION registry_auto_switch(of_id text, off boolean, instance text, reason jsonb)
    RETURNS bigint
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    own_revision bigint;
BEGIN
    PERFORM set_config('beamline.actor', 'sidecar:' || instance, true),
        set_config('beamline.actor_source', 'database', true),
        set_config('beamline.action', '', true);
    UPDATE extensions SET auto_disabled = off WHERE id = of_id RETURNING revision INTO own_revision;
    UPDATE extension_audit_log SET changes = changes || jsonb_build_object('reason', reason)
    WHERE revision = own_revision AND extension_id = of_id
      AND action IN ('auto_disabled', 'auto_enabled');
    RETURN own_revision;
END
$$;

-- Outcomes: disabled, cap_reached, seen_alive, already_disabled (by people too), gone.
-- The lock of the revision is what makes the cap hold: all who disable wait for it, and what they
-- count afterwards is committed.
CREATE FUNCTION registry_auto_disable(of_id text, reason jsonb, max_percent integer, instance text,
        OUT outcome text, OUT at_revision bigint)
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    serving boolean;
BEGIN
    PERFORM registry_own_revision();
    SELECT enabled AND NOT auto_disabled INTO serving FROM extensions WHERE id = of_id;
    IF serving IS NULL THEN
        outcome := 'gone';
    ELSIF NOT serving THEN
        outcome := 'already_disabled';
    ELSIF EXISTS (
        SELECT FROM extension_health_reports r JOIN sidecar_boots b USING (boot)
        WHERE r.extension_id = of_id AND b.instance_id <> instance
          AND r.last_success BETWEEN now() - interval '1 minute' AND now() + interval '1 minute')
    THEN
        outcome := 'seen_alive';
    -- What people switched off is out of service by their will, whatever the machine did before.
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

-- Outcomes: enabled, not_disabled, gone.
CREATE FUNCTION registry_auto_enable(of_id text, reason jsonb, instance text,
        OUT outcome text, OUT at_revision bigint)
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    off boolean;
BEGIN
    PERFORM registry_own_revision();
    SELECT auto_disabled INTO off FROM extensions WHERE id = of_id;
    IF off IS NULL THEN
        outcome := 'gone';
    ELSIF NOT off THEN
        outcome := 'not_disabled';
    ELSE
        outcome := 'enabled';
        at_revision := registry_auto_switch(of_id, false, instance, reason);
    END IF;
END
$$;
