-- Versions and instances are parts of their extension: a change of one takes a revision, moves the
-- revision of the extension, and is audited there.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

CREATE TRIGGER a_lock
    BEFORE INSERT OR DELETE OR TRUNCATE
        OR UPDATE OF id, version, subject, timeout_ms, retry, config, metadata, routing_rules,
            rollout, priority, enabled
    ON extension_versions FOR EACH STATEMENT EXECUTE FUNCTION registry_lock();

-- health_status and last_health_check are not in this list: probes must not wait for writers.
CREATE TRIGGER a_lock
    BEFORE INSERT OR DELETE OR TRUNCATE
        OR UPDATE OF extension_id, instance_id, version, subject, weight, enabled
    ON extension_instances FOR EACH STATEMENT EXECUTE FUNCTION registry_lock();

-- Left out, enabled is true for a version with rules or a rollout, and for a row that names the
-- current version; any other must not take traffic just because it is kept.
CREATE FUNCTION extension_versions_fill() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.created_at := coalesce(NEW.created_at, now());
    NEW.created_by := coalesce(NEW.created_by, registry_actor());
    NEW.enabled := coalesce(NEW.enabled, registry_targeted(NEW.routing_rules, NEW.rollout)
        OR EXISTS (SELECT FROM extensions WHERE id = NEW.id AND version = NEW.version));
    RETURN NEW;
END
$$;

CREATE TRIGGER b_fill BEFORE INSERT ON extension_versions
    FOR EACH ROW EXECUTE FUNCTION extension_versions_fill();

CREATE FUNCTION extension_instances_fill() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.created_at := coalesce(NEW.created_at, now());
    NEW.created_by := coalesce(NEW.created_by, registry_actor());
    NEW.version := coalesce(NEW.version,
        (SELECT version FROM extensions WHERE id = NEW.extension_id));
    RETURN NEW;
END
$$;

CREATE TRIGGER b_fill BEFORE INSERT ON extension_instances
    FOR EACH ROW EXECUTE FUNCTION extension_instances_fill();

-- Records the changes of one statement; `kind` is versions or instances. Parts whose extension is
-- gone went with it, and its own entry says so.
CREATE FUNCTION registry_record_parts(kind text, changes registry_change[]) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    verb text := rtrim(kind, 's');
    own_revision bigint;
BEGIN
    changes := ARRAY(SELECT c FROM unnest(changes) AS c JOIN extensions e ON e.id = c.extension_id);
    IF cardinality(changes) = 0 THEN
        RETURN;
    END IF;

    own_revision := registry_take_revision();
    UPDATE extensions
    SET revision = own_revision, updated_at = now(), updated_by = registry_actor()
    WHERE id IN (SELECT extension_id FROM unnest(changes));
    PERFORM registry_audit(own_revision, ARRAY(
        SELECT ROW(extension_id,
            verb || CASE WHEN bool_and(after IS NULL) THEN '_deleted' ELSE '_put' END,
            jsonb_build_object(kind, jsonb_object_agg(part, registry_difference(before, after))),
            jsonb_build_object(kind, jsonb_object_agg(part, registry_difference(after, before)))
            )::registry_audit_entry
        FROM unnest(changes) GROUP BY extension_id));
END
$$;

CREATE FUNCTION extension_versions_record() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changes registry_change[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        changes := ARRAY(
            SELECT ROW(n.id, n.version, NULL, registry_definition(to_jsonb(n)))::registry_change
            FROM new_rows n);
    ELSIF TG_OP = 'UPDATE' THEN
        -- An extension that changed its id takes its versions along and speaks for them.
        IF NOT EXISTS (SELECT FROM old_rows o JOIN extensions e ON e.id = o.id) THEN
            RETURN NULL;
        END IF;
        changes := ARRAY(
            SELECT ROW(coalesce(o.id, n.id), coalesce(o.version, n.version),
                registry_definition(to_jsonb(o)), registry_definition(to_jsonb(n)))::registry_change
            FROM old_rows o FULL JOIN new_rows n ON o.id = n.id AND o.version = n.version
            WHERE o.digest IS DISTINCT FROM n.digest);
    ELSIF TG_OP = 'DELETE' THEN
        changes := ARRAY(
            SELECT ROW(o.id, o.version, registry_definition(to_jsonb(o)), NULL)::registry_change
            FROM old_rows o);
    ELSE
        -- A tombstone beside a living row: TRUNCATE ... CASCADE is about to take the extension.
        changes := ARRAY(
            SELECT ROW(o.id, o.version, registry_definition(to_jsonb(o)), NULL)::registry_change
            FROM extension_versions o
            WHERE NOT EXISTS (SELECT FROM registry_tombstones t WHERE t.id = o.id));
    END IF;
    PERFORM registry_record_parts('versions', changes);
    RETURN NULL;
END
$$;

CREATE FUNCTION extension_instances_record() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changes registry_change[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        changes := ARRAY(
            SELECT ROW(n.extension_id, n.instance_id, NULL,
                registry_definition(to_jsonb(n)))::registry_change
            FROM new_rows n);
    ELSIF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (SELECT FROM old_rows o JOIN extensions e ON e.id = o.extension_id) THEN
            RETURN NULL;
        END IF;
        changes := ARRAY(
            SELECT ROW(coalesce(o.extension_id, n.extension_id),
                coalesce(o.instance_id, n.instance_id),
                registry_definition(to_jsonb(o)), registry_definition(to_jsonb(n)))::registry_change
            FROM old_rows o FULL JOIN new_rows n
                ON o.extension_id = n.extension_id AND o.instance_id = n.instance_id
            WHERE o.digest IS DISTINCT FROM n.digest);
    ELSIF TG_OP = 'DELETE' THEN
        changes := ARRAY(
            SELECT ROW(o.extension_id, o.instance_id, registry_definition(to_jsonb(o)),
                NULL)::registry_change
            FROM old_rows o);
    ELSE
        changes := ARRAY(
            SELECT ROW(o.extension_id, o.instance_id, registry_definition(to_jsonb(o)),
                NULL)::registry_change
            FROM extension_instances o
            WHERE NOT EXISTS (SELECT FROM registry_tombstones t WHERE t.id = o.extension_id));
    END IF;
    PERFORM registry_record_parts('instances', changes);
    RETURN NULL;
END
$$;

CREATE TRIGGER c_record_insert AFTER INSERT ON extension_versions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_versions_record();
CREATE TRIGGER c_record_update AFTER UPDATE ON extension_versions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_versions_record();
CREATE TRIGGER c_record_delete AFTER DELETE ON extension_versions
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_versions_record();
CREATE TRIGGER c_record_truncate BEFORE TRUNCATE ON extension_versions
    FOR EACH STATEMENT EXECUTE FUNCTION extension_versions_record();

CREATE TRIGGER c_record_insert AFTER INSERT ON extension_instances
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_instances_record();
CREATE TRIGGER c_record_update AFTER UPDATE ON extension_instances
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_instances_record();
CREATE TRIGGER c_record_delete AFTER DELETE ON extension_instances
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extension_instances_record();
CREATE TRIGGER c_record_truncate BEFORE TRUNCATE ON extension_instances
    FOR EACH STATEMENT EXECUTE FUNCTION extension_instances_record();

REVOKE EXECUTE ON FUNCTION extension_versions_fill(), extension_instances_fill(),
    extension_versions_record(), extension_instances_record() FROM PUBLIC;
