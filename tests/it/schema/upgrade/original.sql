-- sql/011_extensions_registry.sql as the original deployed it: tables, keys, checks, indexes.
CREATE TABLE extensions (id varchar(255) PRIMARY KEY, type varchar(32) NOT NULL CHECK (type IN ('pre','validator','post','provider')),
  subject varchar(512) NOT NULL, timeout_ms integer NOT NULL DEFAULT 5000 CHECK (timeout_ms > 0), retry integer NOT NULL DEFAULT 0 CHECK (retry >= 0),
  enabled boolean NOT NULL DEFAULT true, version varchar(32) NOT NULL DEFAULT 'v1', config jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}',
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), created_by varchar(255), updated_by varchar(255));
CREATE INDEX idx_extensions_type ON extensions (type);
CREATE INDEX idx_extensions_enabled ON extensions (enabled) WHERE enabled;
CREATE INDEX idx_extensions_subject ON extensions (subject);
CREATE INDEX idx_extensions_updated_at ON extensions (updated_at);
CREATE TABLE extension_versions (id varchar(255) NOT NULL REFERENCES extensions (id) ON DELETE CASCADE, version varchar(32) NOT NULL, subject varchar(512) NOT NULL,
  timeout_ms integer NOT NULL, retry integer NOT NULL, config jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}', routing_rules jsonb DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true, created_at timestamptz DEFAULT now(), created_by varchar(255), PRIMARY KEY (id, version));
CREATE INDEX idx_extension_versions_id ON extension_versions (id);
CREATE INDEX idx_extension_versions_created_at ON extension_versions (created_at);
CREATE TABLE extension_instances (extension_id varchar(255) NOT NULL REFERENCES extensions (id) ON DELETE CASCADE, instance_id varchar(255) NOT NULL, subject varchar(512) NOT NULL,
  weight integer DEFAULT 100 CHECK (weight >= 0 AND weight <= 100), enabled boolean NOT NULL DEFAULT true,
  health_status varchar(32) DEFAULT 'unknown' CHECK (health_status IN ('healthy','degraded','unhealthy','unknown')), last_health_check timestamptz,
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), PRIMARY KEY (extension_id, instance_id));
CREATE INDEX idx_extension_instances_extension_id ON extension_instances (extension_id);
CREATE INDEX idx_extension_instances_enabled ON extension_instances (extension_id, enabled) WHERE enabled;
CREATE INDEX idx_extension_instances_health ON extension_instances (extension_id, health_status);
CREATE TABLE extension_health (extension_id varchar(255) PRIMARY KEY REFERENCES extensions (id) ON DELETE CASCADE, last_success timestamptz, last_failure timestamptz,
  success_count bigint DEFAULT 0, failure_count bigint DEFAULT 0, avg_latency_ms numeric(10,2), p50_latency_ms numeric(10,2), p95_latency_ms numeric(10,2), p99_latency_ms numeric(10,2),
  last_latency_ms integer, latency_samples bigint DEFAULT 0, latency_sum bigint DEFAULT 0, latency_samples_window_start timestamptz DEFAULT now(),
  circuit_breaker_state varchar(32) DEFAULT 'closed' CHECK (circuit_breaker_state IN ('closed','open','half_open')), circuit_breaker_opened_at timestamptz,
  circuit_breaker_failure_threshold integer DEFAULT 5, circuit_breaker_error_rate_threshold numeric(5,2) DEFAULT 0.5, circuit_breaker_window_seconds integer DEFAULT 60,
  half_open_max_requests integer DEFAULT 3, half_open_requests_count integer DEFAULT 0, updated_at timestamptz DEFAULT now());
CREATE INDEX idx_extension_health_circuit_state ON extension_health (circuit_breaker_state);
CREATE TABLE extension_audit_log (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), extension_id varchar(255) NOT NULL REFERENCES extensions (id) ON DELETE CASCADE,
  action varchar(32) NOT NULL CHECK (action IN ('create','update','delete','enable','disable')), old_values jsonb, new_values jsonb, changed_by varchar(255), changed_at timestamptz DEFAULT now());
CREATE INDEX idx_extension_audit_extension_id ON extension_audit_log (extension_id);
CREATE INDEX idx_extension_audit_changed_at ON extension_audit_log (changed_at);
CREATE INDEX idx_extension_audit_action ON extension_audit_log (action);
