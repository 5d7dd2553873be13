-- What an extension is: its record, its versions, its instances, and a digest of them all.
--
-- Patterns, ranges and subjects are not checked here: the daemon does that when it loads and
-- quarantines what it cannot serve, so that an old or odd row can neither stop this upgrade nor
-- stand in the way of its own repair.

-- The digest of one row: of the text of its columns, in order. The outer hash is what makes a sum
-- of digests notice that two rows swapped a value; hash_array_extended alone is linear.
CREATE FUNCTION registry_hash(columns text[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended(hash_array_extended(columns, 0)::text, 0);

ALTER TABLE extensions
    ADD COLUMN IF NOT EXISTS fallback jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb,
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS circuit_breaker jsonb,
    ADD COLUMN IF NOT EXISTS auto_disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN promoted jsonb,
    ADD COLUMN incarnation uuid NOT NULL DEFAULT gen_random_uuid();

ALTER TABLE extensions
    ADD COLUMN digest bigint NOT NULL GENERATED ALWAYS AS (registry_hash(ARRAY[
        id, type, subject, timeout_ms::text, retry::text, enabled::text, version,
        config::text, metadata::text, fallback::text, routing_rules::text, rollout::text,
        circuit_breaker::text, auto_disabled::text])) STORED;

CREATE INDEX idx_extensions_revision ON extensions (revision);

COMMENT ON TABLE extensions IS 'Central registry of all extensions';
COMMENT ON COLUMN extensions.subject IS 'NATS subject for this extension';
COMMENT ON COLUMN extensions.config IS 'Default configuration (can be overridden in policy)';
COMMENT ON COLUMN extensions.timeout_ms IS 'Milliseconds to wait for a reply';
COMMENT ON COLUMN extensions.retry IS 'Retries after the first attempt';
COMMENT ON COLUMN extensions.enabled IS 'Set by people; serves only while auto_disabled is false too';
COMMENT ON COLUMN extensions.auto_disabled IS 'Set by the daemon when the circuit opens';
COMMENT ON COLUMN extensions.version IS 'The current version';
COMMENT ON COLUMN extensions.fallback IS 'List of extension ids, tried in order';
COMMENT ON COLUMN extensions.routing_rules IS 'Object: all keys must match the context';
COMMENT ON COLUMN extensions.rollout IS 'Object: {"by": key, "percent": 0..100, "salt": text}';
COMMENT ON COLUMN extensions.circuit_breaker IS 'Object: overrides of the circuit breaker settings';
COMMENT ON COLUMN extensions.promoted IS
    'What the row of the current version held when it was promoted, for when it is replaced: rules, and which values were the extension''s own then, as hashes';
COMMENT ON COLUMN extensions.incarnation IS
    'Drawn when the row is made: deleted and made again, an id is another extension';
COMMENT ON COLUMN extensions.revision IS
    'Revision of the last change of this record, its versions or its instances';
COMMENT ON COLUMN extensions.digest IS 'Hash of the definition columns';

ALTER TABLE extension_versions
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT extension_versions_id_fkey
        FOREIGN KEY (id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE extension_versions
    ADD COLUMN digest bigint NOT NULL GENERATED ALWAYS AS (registry_hash(ARRAY[
        id, version, subject, timeout_ms::text, retry::text, config::text, metadata::text,
        routing_rules::text, rollout::text, priority::text, enabled::text])) STORED;

COMMENT ON TABLE extension_versions IS
    'Versions besides the current one; a row naming the current one adds only rules, rollout and enabled';
COMMENT ON COLUMN extension_versions.config IS 'Null, as in timeout_ms, retry and metadata: the extension''s own';
COMMENT ON COLUMN extension_versions.priority IS 'The highest one that matches is chosen';

ALTER TABLE extension_instances
    ADD CONSTRAINT extension_instances_extension_id_fkey
        FOREIGN KEY (extension_id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE extension_instances
    ADD COLUMN digest bigint NOT NULL GENERATED ALWAYS AS (registry_hash(ARRAY[
        extension_id, instance_id, version, subject, weight::text, enabled::text])) STORED;

COMMENT ON TABLE extension_instances IS 'Instances of a version, each with a subject of its own';
COMMENT ON COLUMN extension_instances.version IS
    'Null in an INSERT: the version that is current then';
COMMENT ON COLUMN extension_instances.weight IS 'Share of the calls; 0 takes none';
COMMENT ON COLUMN extension_instances.health_status IS 'Not part of the definition: never notifies';

-- The digest of the whole catalog: the sum of all row digests modulo 2^64, in 16 hex digits. A
-- reader that sums the digests of the rows it holds, wrapping, comes to the same.
CREATE FUNCTION registry_digest() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH total AS (
        SELECT mod(coalesce(sum(digest), 0), 18446744073709551616) AS signed
        FROM (
            SELECT digest FROM extensions
            UNION ALL SELECT digest FROM extension_versions
            UNION ALL SELECT digest FROM extension_instances
        ) AS rows
    )
    -- to_hex reads the two's complement, so the sum is brought into the range of a bigint.
    SELECT lpad(to_hex(CASE
        WHEN signed >= 9223372036854775808 THEN (signed - 18446744073709551616)::bigint
        WHEN signed < -9223372036854775808 THEN (signed + 18446744073709551616)::bigint
        ELSE signed::bigint END), 16, '0')
    FROM total;
END;
