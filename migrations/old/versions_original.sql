-- The original served a version other than the current one only to requests that its rules named,
-- and its rows were enabled by default: as we read them, one without rules would take over all
-- traffic, so it is switched off. A row that names the current version never kept that from
-- serving: a disabled one is switched on, without the rules that were not in force.
ALTER TABLE extension_versions
    ADD COLUMN original jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb;
COMMENT ON COLUMN extension_versions.original IS
    'What the upgrade of the original''s database changed, as it was';

UPDATE extension_versions v
SET original = jsonb_build_object('enabled', v.enabled, 'routing_rules', v.routing_rules),
    enabled = named.current,
    routing_rules = CASE WHEN named.current THEN NULL ELSE v.routing_rules END
FROM (
    SELECT v.id, v.version, v.version = e.version AS current,
        coalesce(v.routing_rules NOT IN ('{}', 'null'), false) AS targeted
    FROM extension_versions v JOIN extensions e USING (id)
) AS named
WHERE v.id = named.id AND v.version = named.version
  AND CASE WHEN named.current THEN NOT coalesce(v.enabled, true)
      ELSE coalesce(v.enabled, true) AND NOT named.targeted END;

UPDATE extension_versions SET enabled = true WHERE enabled IS NULL;
