-- Adding 10,000 extensions with their parts in one transaction: without work that changes nothing.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- As in V7, but leaves rows of extensions alone that this transaction has stamped already: each
-- statement of parts wrote all of them again.
CREATE OR REPLACE FUNCTION registry_record_parts(kind text, changes registry_change[]) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    verb text := rtrim(kind, 's');
    actor text := registry_actor();
    own_revision bigint;
BEGIN
    changes := ARRAY(SELECT c FROM unnest(changes) AS c JOIN extensions e ON e.id = c.extension_id);
    IF cardinality(changes) = 0 THEN
        RETURN;
    END IF;

    own_revision := registry_take_revision();
    UPDATE extensions
    SET revision = own_revision, updated_at = now(), updated_by = actor
    WHERE id IN (SELECT extension_id FROM unnest(changes))
      AND (revision, updated_at, updated_by) IS DISTINCT FROM (own_revision, now(), actor);
    PERFORM registry_audit(own_revision, ARRAY(
        SELECT ROW(extension_id,
            verb || CASE WHEN bool_and(after IS NULL) THEN '_deleted' ELSE '_put' END,
            jsonb_build_object(kind, jsonb_object_agg(part, registry_difference(before, after))),
            jsonb_build_object(kind, jsonb_object_agg(part, registry_difference(after, before)))
            )::registry_audit_entry
        FROM unnest(changes) GROUP BY extension_id));
END
$$;

-- What needs no look at other columns or rows is a default: a trigger costs several times as much.
-- Defaults run as whoever inserts.
GRANT EXECUTE ON FUNCTION registry_actor(), registry_speaks_for_others() TO PUBLIC;
ALTER TABLE extension_versions ALTER COLUMN created_by SET DEFAULT registry_actor();
ALTER TABLE extension_instances ALTER COLUMN created_by SET DEFAULT registry_actor();

DROP TRIGGER b_fill ON extension_versions;
CREATE TRIGGER b_fill BEFORE INSERT ON extension_versions FOR EACH ROW
    WHEN (NEW.created_at IS NULL OR NEW.created_by IS NULL OR NEW.enabled IS NULL)
    EXECUTE FUNCTION extension_versions_fill();

DROP TRIGGER b_fill ON extension_instances;
CREATE TRIGGER b_fill BEFORE INSERT ON extension_instances FOR EACH ROW
    WHEN (NEW.created_at IS NULL OR NEW.created_by IS NULL OR NEW.version IS NULL)
    EXECUTE FUNCTION extension_instances_fill();
