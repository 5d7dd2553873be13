-- Health of an extension: one row each, of the whole fleet. Nothing here takes a revision,
-- notifies or is audited.

ALTER TABLE extension_health
    ADD COLUMN IF NOT EXISTS circuit_breaker_state varchar(50) DEFAULT 'closed',
    ADD COLUMN IF NOT EXISTS circuit_breaker_opened_at timestamptz,
    ADD COLUMN IF NOT EXISTS circuit_breaker_failure_threshold integer DEFAULT 5,
    ADD COLUMN IF NOT EXISTS half_open_request_count integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS half_open_max_requests integer DEFAULT 3,
    ADD COLUMN IF NOT EXISTS auto_disabled boolean DEFAULT false;

ALTER TABLE extension_health
    ALTER COLUMN last_success TYPE timestamptz,
    ALTER COLUMN last_failure TYPE timestamptz,
    ALTER COLUMN failure_count TYPE bigint,
    ALTER COLUMN success_count TYPE bigint,
    ALTER COLUMN circuit_breaker_opened_at TYPE timestamptz,
    ALTER COLUMN updated_at TYPE timestamptz,
    ADD CONSTRAINT extension_health_extension_id_fkey
        FOREIGN KEY (extension_id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

COMMENT ON TABLE extension_health IS 'Health of each extension, summed over the sidecars';
COMMENT ON COLUMN extension_health.circuit_breaker_state IS 'closed, open or half_open';
