-- sql/011_extensions_registry.sql of the old system, first phase.
CREATE TABLE IF NOT EXISTS extensions (
    id VARCHAR(255) PRIMARY KEY,
    type VARCHAR(50) NOT NULL CHECK (type IN ('pre', 'validator', 'post', 'provider')),
    subject VARCHAR(255) NOT NULL UNIQUE,
    timeout_ms INTEGER NOT NULL DEFAULT 5000,
    retry INTEGER NOT NULL DEFAULT 1,
    enabled BOOLEAN NOT NULL DEFAULT true,
    config JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP DEFAULT NOW(),
    updated_at TIMESTAMP DEFAULT NOW()
);

CREATE INDEX idx_extensions_type ON extensions(type) WHERE enabled = true;
CREATE INDEX idx_extensions_subject ON extensions(subject);

CREATE TABLE IF NOT EXISTS extension_audit_log (
    id SERIAL PRIMARY KEY,
    extension_id VARCHAR(255) NOT NULL REFERENCES extensions(id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL CHECK (action IN ('created', 'updated', 'deleted', 'enabled', 'disabled')),
    changed_by VARCHAR(255),
    changes JSONB,
    timestamp TIMESTAMP DEFAULT NOW()
);

CREATE INDEX idx_audit_extension_id ON extension_audit_log(extension_id);
CREATE INDEX idx_audit_timestamp ON extension_audit_log(timestamp DESC);

CREATE TABLE IF NOT EXISTS extension_health (
    extension_id VARCHAR(255) PRIMARY KEY REFERENCES extensions(id) ON DELETE CASCADE,
    last_success TIMESTAMP,
    last_failure TIMESTAMP,
    failure_count INTEGER DEFAULT 0,
    success_count INTEGER DEFAULT 0,
    avg_latency_ms FLOAT DEFAULT 0,
    updated_at TIMESTAMP DEFAULT NOW()
);

COMMENT ON TABLE extensions IS 'Central registry of all extensions';
COMMENT ON COLUMN extensions.subject IS 'NATS subject for this extension';
COMMENT ON COLUMN extensions.config IS 'Default configuration (can be overridden in policy)';
