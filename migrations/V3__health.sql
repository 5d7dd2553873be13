-- Health of an extension: one row each, of the whole fleet. Nothing here takes a revision,
-- notifies or is audited.

ALTER TABLE extension_health
    ADD CONSTRAINT extension_health_extension_id_fkey
        FOREIGN KEY (extension_id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

COMMENT ON TABLE extension_health IS 'Health of each extension, summed over the sidecars';
COMMENT ON COLUMN extension_health.circuit_breaker_state IS 'closed, open or half_open';
