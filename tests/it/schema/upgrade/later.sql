-- The same file as the old system's later documents describe it.
CREATE TABLE IF NOT EXISTS extensions (
    id VARCHAR(255) PRIMARY KEY,
    type VARCHAR(50) NOT NULL CHECK (type IN ('pre', 'validator', 'post', 'provider')),
    subject VARCHAR(255) NOT NULL UNIQUE,
    timeout_ms INTEGER NOT NULL DEFAULT 5000,
    retry INTEGER NOT NULL DEFAULT 1,
    enabled BOOLEAN NOT NULL DEFAULT true,
    version VARCHAR(50) NOT NULL DEFAULT 'v1',
    config JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP DEFAULT NOW(),
    updated_at TIMESTAMP DEFAULT NOW(),
    created_by VARCHAR(255),
    updated_by VARCHAR(255)
);

CREATE INDEX IF NOT EXISTS idx_extensions_type ON extensions(type) WHERE enabled = true;
CREATE INDEX IF NOT EXISTS idx_extensions_subject ON extensions(subject);

CREATE TABLE IF NOT EXISTS extension_versions (
    id VARCHAR(255) NOT NULL,
    version VARCHAR(50) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    timeout_ms INTEGER NOT NULL DEFAULT 5000,
    retry INTEGER NOT NULL DEFAULT 1,
    config JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP DEFAULT NOW(),
    PRIMARY KEY (id, version),
    FOREIGN KEY (id) REFERENCES extensions(id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS extension_audit_log (
    id SERIAL PRIMARY KEY,
    extension_id VARCHAR(255) NOT NULL REFERENCES extensions(id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL CHECK (action IN ('created', 'updated', 'deleted', 'enabled', 'disabled')),
    changed_by VARCHAR(255),
    changes JSONB,
    timestamp TIMESTAMP DEFAULT NOW()
);

CREATE INDEX IF NOT EXISTS idx_audit_extension_id ON extension_audit_log(extension_id);
CREATE INDEX IF NOT EXISTS idx_audit_timestamp ON extension_audit_log(timestamp DESC);

CREATE TABLE IF NOT EXISTS extension_health (
    extension_id VARCHAR(255) PRIMARY KEY REFERENCES extensions(id) ON DELETE CASCADE,
    last_success TIMESTAMP,
    last_failure TIMESTAMP,
    failure_count INTEGER DEFAULT 0,
    success_count INTEGER DEFAULT 0,
    avg_latency_ms FLOAT DEFAULT 0,
    circuit_breaker_state VARCHAR(50) DEFAULT 'closed',
    circuit_breaker_opened_at TIMESTAMP,
    circuit_breaker_failure_threshold INTEGER DEFAULT 5,
    updated_at TIMESTAMP DEFAULT NOW()
);

ALTER TABLE extension_health
ADD COLUMN IF NOT EXISTS half_open_request_count INTEGER DEFAULT 0,
ADD COLUMN IF NOT EXISTS half_open_max_requests INTEGER DEFAULT 3,
ADD COLUMN IF NOT EXISTS auto_disabled BOOLEAN DEFAULT FALSE;
