-- The tables of the old system, as its SQL left them. In a database that it made, each of them is
-- there already and nothing happens here; in an empty one they are made the same. From V2 on both
-- take the same path, so a database's history cannot show in its schema.

CREATE TABLE IF NOT EXISTS extensions (
    id VARCHAR(255) PRIMARY KEY,
    type VARCHAR(50) NOT NULL CHECK (type IN ('pre', 'validator', 'post', 'provider')),
    subject VARCHAR(255) NOT NULL UNIQUE,
    timeout_ms INTEGER NOT NULL DEFAULT 5000,
    retry INTEGER NOT NULL DEFAULT 1,
    enabled BOOLEAN NOT NULL DEFAULT true,
    config JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP DEFAULT now(),
    updated_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS extension_versions (
    id VARCHAR(255) NOT NULL REFERENCES extensions (id) ON DELETE CASCADE,
    version VARCHAR(50) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    timeout_ms INTEGER,
    retry INTEGER,
    config JSONB,
    metadata JSONB,
    created_at TIMESTAMP DEFAULT now(),
    PRIMARY KEY (id, version)
);

CREATE TABLE IF NOT EXISTS extension_health (
    extension_id VARCHAR(255) PRIMARY KEY REFERENCES extensions (id) ON DELETE CASCADE,
    last_success TIMESTAMP,
    last_failure TIMESTAMP,
    failure_count INTEGER DEFAULT 0,
    success_count INTEGER DEFAULT 0,
    avg_latency_ms FLOAT DEFAULT 0,
    updated_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS extension_audit_log (
    id SERIAL PRIMARY KEY,
    extension_id VARCHAR(255) NOT NULL REFERENCES extensions (id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL
        CHECK (action IN ('created', 'updated', 'deleted', 'enabled', 'disabled')),
    changed_by VARCHAR(255),
    changes JSONB,
    timestamp TIMESTAMP DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_extensions_type ON extensions (type) WHERE enabled = true;
CREATE INDEX IF NOT EXISTS idx_extensions_subject ON extensions (subject);
CREATE INDEX IF NOT EXISTS idx_audit_extension_id ON extension_audit_log (extension_id);
CREATE INDEX IF NOT EXISTS idx_audit_timestamp ON extension_audit_log (timestamp DESC);
