-- What an extension is: its record, its versions, its instances, and a digest of them all.
--
-- Old TIMESTAMP values are read in the database's own time zone, the one now() wrote them in.
-- Patterns, ranges and subjects are not checked here: the daemon does that when it loads and
-- quarantines what it cannot serve, so that an old or odd row can neither stop this upgrade nor
-- stand in the way of its own repair.

-- The digest of one row: of the text of its columns, in order. The outer hash is what makes a sum
-- of digests notice that two rows swapped a value; hash_array_extended alone is linear.
CREATE FUNCTION registry_hash(columns text[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended(hash_array_extended(columns, 0)::text, 0);

-- Foreign keys of any name and age give way to those below; the audit log keeps none, so that its
-- entries outlive their extension.
DO $$
DECLARE
    link record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS child, conname
        FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'extensions'::regclass
          AND conrelid IN ('extension_versions'::regclass, 'extension_health'::regclass,
                           'extension_audit_log'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', link.child, link.conname);
    END LOOP;
END
$$;

UPDATE extensions
SET created_at = coalesce(created_at, updated_at, now()), updated_at = coalesce(updated_at, now())
WHERE created_at IS NULL OR updated_at IS NULL;

ALTER TABLE extensions
    ADD COLUMN IF NOT EXISTS version text NOT NULL DEFAULT 'v1',
    ADD COLUMN IF NOT EXISTS created_by varchar(255),
    ADD COLUMN IF NOT EXISTS updated_by varchar(255),
    ADD COLUMN IF NOT EXISTS fallback jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb,
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS circuit_breaker jsonb,
    ADD COLUMN IF NOT EXISTS auto_disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 0;

UPDATE extensions SET version = 'v1' WHERE version IS NULL;

ALTER TABLE extensions
    ALTER COLUMN version TYPE text,
    ALTER COLUMN version SET DEFAULT 'v1',
    ALTER COLUMN version SET NOT NULL,
    ALTER COLUMN created_at TYPE timestamptz,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at TYPE timestamptz,
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET NOT NULL;

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
COMMENT ON COLUMN extensions.revision IS
    'Revision of the last change of this record, its versions or its instances';
COMMENT ON COLUMN extensions.digest IS 'Hash of the definition columns';

-- enabled has no default: a trigger decides by rules and rollout where an INSERT leaves it out.
ALTER TABLE extension_versions
    ADD COLUMN IF NOT EXISTS timeout_ms integer,
    ADD COLUMN IF NOT EXISTS retry integer,
    ADD COLUMN IF NOT EXISTS config jsonb,
    ADD COLUMN IF NOT EXISTS metadata jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb,
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS enabled boolean,
    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS created_by varchar(255);

-- A version kept by the old system must not take traffic that it did not take there; a row that
-- names the current version must not switch that off.
UPDATE extension_versions v
SET created_at = coalesce(v.created_at, now()), enabled = coalesce(v.enabled, v.version = e.version)
FROM extensions e
WHERE e.id = v.id AND (v.created_at IS NULL OR v.enabled IS NULL);

ALTER TABLE extension_versions
    ALTER COLUMN version TYPE text,
    ALTER COLUMN timeout_ms DROP NOT NULL,
    ALTER COLUMN timeout_ms DROP DEFAULT,
    ALTER COLUMN retry DROP NOT NULL,
    ALTER COLUMN retry DROP DEFAULT,
    ALTER COLUMN config DROP NOT NULL,
    ALTER COLUMN config DROP DEFAULT,
    ALTER COLUMN metadata DROP NOT NULL,
    ALTER COLUMN metadata DROP DEFAULT,
    ALTER COLUMN enabled SET NOT NULL,
    ALTER COLUMN created_at TYPE timestamptz,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL,
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

CREATE TABLE extension_instances (
    extension_id varchar(255) NOT NULL
        REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE,
    instance_id varchar(255) NOT NULL,
    version text,
    subject varchar(255) NOT NULL,
    weight integer NOT NULL DEFAULT 100 CHECK (weight BETWEEN 0 AND 100),
    enabled boolean NOT NULL DEFAULT true,
    health_status varchar(50) NOT NULL DEFAULT 'unknown',
    last_health_check timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255),
    digest bigint NOT NULL GENERATED ALWAYS AS (registry_hash(ARRAY[
        extension_id, instance_id, version, subject, weight::text, enabled::text])) STORED,
    PRIMARY KEY (extension_id, instance_id)
);

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
