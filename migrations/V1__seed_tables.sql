-- The tables of the old system, with the types that ours have. In an empty database they are made
-- here; in one that the old system made they are there already, brought to this by `old/`, and
-- nothing happens. From V2 on both take the same path, so a database's history cannot show in its
-- schema.

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

CREATE TABLE IF NOT EXISTS extension_health (
    extension_id varchar(255) PRIMARY KEY,
    last_success timestamptz,
    last_failure timestamptz,
    failure_count bigint DEFAULT 0,
    success_count bigint DEFAULT 0,
    avg_latency_ms double precision DEFAULT 0,
    latency_count bigint NOT NULL DEFAULT 0,
    latency_total_us bigint NOT NULL DEFAULT 0,
    circuit_breaker_state varchar(50) DEFAULT 'closed',
    circuit_breaker_opened_at timestamptz,
    circuit_breaker_failure_threshold integer DEFAULT 5,
    half_open_request_count integer DEFAULT 0,
    half_open_max_requests integer DEFAULT 3,
    auto_disabled boolean DEFAULT false,
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS extension_audit_log (
    id bigserial PRIMARY KEY,
    extension_id varchar(255) NOT NULL,
    action varchar(50) NOT NULL,
    changed_by varchar(255),
    changes jsonb,
    timestamp timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_extensions_type ON extensions (type) WHERE enabled = true;
CREATE INDEX IF NOT EXISTS idx_extensions_subject ON extensions (subject);
CREATE INDEX IF NOT EXISTS idx_audit_extension_id ON extension_audit_log (extension_id);
CREATE INDEX IF NOT EXISTS idx_audit_timestamp ON extension_audit_log (timestamp DESC);
