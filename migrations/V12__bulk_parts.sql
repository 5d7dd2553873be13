-- Adding many extensions with their parts wrote each row of extensions again for every statement of
-- parts, although this transaction had stamped it already. Now a row is written only where that
-- changes it: an import of 10,000 spends half its time, and leaves no dead rows behind.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

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
