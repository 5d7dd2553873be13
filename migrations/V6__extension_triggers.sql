-- Every change of a row in extensions gets its revision, tombstone, notification and audit entry.
--
-- Order within a statement: lock the revision, stamp each row, then record the statement as a
-- whole. All run as the owner of the schema: a writer needs rights on the definition tables only.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- Locked first, before any row: locked last, two writers could wait for each other.
CREATE FUNCTION registry_lock() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM registry_own_revision();
    RETURN NULL;
END
$$;

-- The column list keeps updates of times alone from locking.
CREATE TRIGGER a_lock
    BEFORE INSERT OR DELETE OR TRUNCATE
        OR UPDATE OF id, type, subject, timeout_ms, retry, enabled, version, config, metadata,
            fallback, routing_rules, rollout, circuit_breaker, auto_disabled
    ON extensions FOR EACH STATEMENT EXECUTE FUNCTION registry_lock();

-- Stamps a row that really changes. Compares as the generated column `digest` of V2 does.
CREATE FUNCTION extensions_stamp() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- Nobody's to choose: who copies a row does not copy what the extension has lived through.
    NEW.incarnation := CASE WHEN TG_OP = 'UPDATE' AND OLD.id = NEW.id THEN OLD.incarnation
        ELSE gen_random_uuid() END;
    IF TG_OP = 'INSERT' THEN
        NEW.created_at := coalesce(NEW.created_at, now());
        NEW.updated_at := coalesce(NEW.updated_at, now());
        NEW.created_by := coalesce(NEW.created_by, registry_actor());
        NEW.updated_by := coalesce(NEW.updated_by, registry_actor());
    ELSIF OLD.digest IS DISTINCT FROM registry_hash(ARRAY[
        NEW.id, NEW.type, NEW.subject, NEW.timeout_ms::text, NEW.retry::text, NEW.enabled::text,
        NEW.version, NEW.config::text, NEW.metadata::text, NEW.fallback::text,
        NEW.routing_rules::text, NEW.rollout::text, NEW.circuit_breaker::text,
        NEW.auto_disabled::text])
    THEN
        NEW.updated_at := now();
        NEW.updated_by := registry_actor();
    ELSE
        -- Only a change of a version or an instance moves the revision of an unchanged row, and
        -- that comes from within their trigger.
        IF pg_trigger_depth() = 1 THEN
            NEW.revision := OLD.revision;
        END IF;
        RETURN NEW;
    END IF;
    NEW.revision := registry_own_revision();
    RETURN NEW;
END
$$;

CREATE TRIGGER b_stamp BEFORE INSERT OR UPDATE ON extensions
    FOR EACH ROW EXECUTE FUNCTION extensions_stamp();

-- What a change of the extension itself is called.
CREATE FUNCTION registry_action(before jsonb, after jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN before IS NULL THEN 'created'
        WHEN after IS NULL THEN 'deleted'
        WHEN before - ARRAY['enabled', 'auto_disabled'] <> after - ARRAY['enabled', 'auto_disabled']
            THEN 'updated'
        WHEN before -> 'enabled' <> after -> 'enabled'
            THEN CASE WHEN (after -> 'enabled')::boolean THEN 'enabled' ELSE 'disabled' END
        WHEN before -> 'auto_disabled' <> after -> 'auto_disabled'
            THEN CASE WHEN (after -> 'auto_disabled')::boolean
                THEN 'auto_disabled' ELSE 'auto_enabled' END
        ELSE 'updated'
        END;
END;

-- Records the changes of one statement.
CREATE FUNCTION extensions_record() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changes registry_change[];
    own_revision bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        changes := ARRAY(
            SELECT ROW(n.id, NULL, NULL, registry_definition(to_jsonb(n)))::registry_change
            FROM new_rows n);
    ELSIF TG_OP = 'UPDATE' THEN
        changes := ARRAY(
            SELECT ROW(coalesce(o.id, n.id), NULL, registry_definition(to_jsonb(o)),
                registry_definition(to_jsonb(n)))::registry_change
            FROM old_rows o FULL JOIN new_rows n ON o.id = n.id
            WHERE o.digest IS DISTINCT FROM n.digest);
    ELSIF TG_OP = 'DELETE' THEN
        changes := ARRAY(
            SELECT ROW(o.id, NULL, registry_definition(to_jsonb(o)), NULL)::registry_change
            FROM old_rows o);
    ELSE
        changes := ARRAY(
            SELECT ROW(o.id, NULL, registry_definition(to_jsonb(o)), NULL)::registry_change
            FROM extensions o);
    END IF;
    IF cardinality(changes) = 0 THEN
        RETURN NULL;
    END IF;

    own_revision := registry_take_revision();

    IF TG_OP <> 'INSERT' THEN
        INSERT INTO registry_tombstones (id, revision)
        SELECT extension_id, own_revision FROM unnest(changes) WHERE after IS NULL
        ON CONFLICT (id) DO UPDATE
        SET revision = EXCLUDED.revision, deleted_at = EXCLUDED.deleted_at;
        IF FOUND THEN
            PERFORM registry_prune_tombstones();
        END IF;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        DELETE FROM registry_tombstones t USING unnest(changes) AS c
        WHERE t.id = c.extension_id AND c.before IS NULL;
    END IF;

    PERFORM registry_audit(own_revision, ARRAY(
        SELECT ROW(c.extension_id, registry_action(c.before, c.after),
            registry_difference(c.before, c.after),
            registry_difference(c.after, c.before))::registry_audit_entry
        FROM unnest(changes) AS c));

    -- A version that stops being the current one stops taking traffic, unless rules or a rollout
    -- give it some of its own.
    IF EXISTS (SELECT FROM unnest(changes) AS c
               WHERE c.before ->> 'version' <> c.after ->> 'version') THEN
        UPDATE extension_versions v SET enabled = false
        FROM unnest(changes) AS c
        WHERE v.id = c.extension_id AND v.version = c.before ->> 'version'
          AND c.before ->> 'version' <> c.after ->> 'version'
          AND v.enabled AND NOT registry_targeted(v.routing_rules, v.rollout);
    END IF;
    RETURN NULL;
END
$$;

-- Whether a version has rules or a rollout, so that it takes only some of the traffic.
CREATE FUNCTION registry_targeted(routing_rules jsonb, rollout jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(routing_rules NOT IN ('{}', 'null'), false)
        OR coalesce(rollout NOT IN ('{}', 'null'), false);

CREATE TRIGGER c_record_insert AFTER INSERT ON extensions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extensions_record();
CREATE TRIGGER c_record_update AFTER UPDATE ON extensions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extensions_record();
CREATE TRIGGER c_record_delete AFTER DELETE ON extensions
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION extensions_record();
-- Before, because afterwards nobody can tell what was there.
CREATE TRIGGER c_record_truncate BEFORE TRUNCATE ON extensions
    FOR EACH STATEMENT EXECUTE FUNCTION extensions_record();

-- Attached to someone else's table, these would write our audit log in our name.
REVOKE EXECUTE ON FUNCTION registry_lock(), extensions_stamp(), extensions_record() FROM PUBLIC;
