-- What an extension is: its record, its versions, its instances.
--
-- The CREATE TABLEs are the old system's, with our types. In a database that it made they are there
-- already, brought to this by `old/`; what is ours is added to both, so a database's history cannot
-- show in its schema. Functions, views and triggers follow in `functions/`: what a definition is,
-- they read from the columns here.
--
-- Patterns, ranges and subjects are not checked here: the daemon does that when it loads and
-- quarantines what it cannot serve, so that an old or odd row can neither stop this upgrade nor
-- stand in the way of its own repair.

CREATE TABLE IF NOT EXISTS extensions (
    id varchar(255) PRIMARY KEY,
    type varchar(50) NOT NULL CHECK (type IN ('pre', 'validator', 'post', 'provider')),
    subject varchar(512) NOT NULL UNIQUE,
    timeout_ms integer NOT NULL DEFAULT 5000,
    retry integer NOT NULL DEFAULT 1,
    enabled boolean NOT NULL DEFAULT true,
    version text NOT NULL DEFAULT 'v1',
    config jsonb DEFAULT '{}',
    metadata jsonb DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255),
    updated_by varchar(255)
);

ALTER TABLE extensions
    ADD COLUMN IF NOT EXISTS fallback jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb,
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS circuit_breaker jsonb,
    ADD COLUMN IF NOT EXISTS owner text,
    ADD COLUMN IF NOT EXISTS auto_disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN promoted jsonb,
    ADD COLUMN incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN digest bigint NOT NULL DEFAULT 0;

CREATE INDEX IF NOT EXISTS idx_extensions_type ON extensions (type) WHERE enabled = true;
CREATE INDEX IF NOT EXISTS idx_extensions_subject ON extensions (subject);
CREATE INDEX idx_extensions_revision ON extensions (revision);
CREATE INDEX idx_extensions_auto_disabled ON extensions (id) WHERE auto_disabled;

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
COMMENT ON COLUMN extensions.owner IS 'Who answers for it';
COMMENT ON COLUMN extensions.promoted IS
    'What the row of the current version held when it was promoted, for when it is replaced: rules, and which values were the extension''s own then, as hashes';
COMMENT ON COLUMN extensions.incarnation IS
    'Drawn when the row is made: deleted and made again, an id is another extension';
COMMENT ON COLUMN extensions.revision IS
    'Revision of the last change of this record, its versions or its instances';
COMMENT ON COLUMN extensions.digest IS 'Hash of the definition, by trigger';

-- enabled has no default: a trigger decides by rules and rollout where an INSERT leaves it out.
CREATE TABLE IF NOT EXISTS extension_versions (
    id varchar(255) NOT NULL,
    version text NOT NULL,
    subject varchar(512) NOT NULL,
    timeout_ms integer,
    retry integer,
    config jsonb,
    metadata jsonb,
    routing_rules jsonb,
    enabled boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255),
    PRIMARY KEY (id, version)
);

ALTER TABLE extension_versions
    ADD COLUMN IF NOT EXISTS rollout jsonb,
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
    ADD COLUMN digest bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT extension_versions_id_fkey
        FOREIGN KEY (id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

COMMENT ON TABLE extension_versions IS
    'Versions besides the current one; a row naming the current one adds only rules, rollout and enabled';
COMMENT ON COLUMN extension_versions.config IS 'Null, as in timeout_ms, retry and metadata: the extension''s own';
COMMENT ON COLUMN extension_versions.priority IS 'The highest one that matches is chosen';

CREATE TABLE IF NOT EXISTS extension_instances (
    extension_id varchar(255) NOT NULL,
    instance_id varchar(255) NOT NULL,
    version text,
    subject varchar(512) NOT NULL,
    weight integer NOT NULL DEFAULT 100 CHECK (weight BETWEEN 0 AND 100),
    enabled boolean NOT NULL DEFAULT true,
    health_status varchar(50) NOT NULL DEFAULT 'unknown',
    last_health_check timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by varchar(255),
    PRIMARY KEY (extension_id, instance_id)
);

ALTER TABLE extension_instances
    ADD COLUMN digest bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT extension_instances_extension_id_fkey
        FOREIGN KEY (extension_id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

COMMENT ON TABLE extension_instances IS 'Instances of a version, each with a subject of its own';
COMMENT ON COLUMN extension_instances.version IS
    'Null in an INSERT: the version that is current then';
COMMENT ON COLUMN extension_instances.weight IS 'Share of the calls; 0 takes none';
COMMENT ON COLUMN extension_instances.health_status IS 'Not part of the definition: never notifies';
