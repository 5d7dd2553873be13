-- Who changed what: one entry per extension and statement, kept when the extension goes.

CREATE TABLE IF NOT EXISTS extension_audit_log (
    id bigserial PRIMARY KEY,
    extension_id varchar(255) NOT NULL,
    action varchar(50) NOT NULL,
    changed_by varchar(255),
    changes jsonb,
    timestamp timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE extension_audit_log
    ADD COLUMN IF NOT EXISTS actor_source varchar(50) NOT NULL DEFAULT 'database',
    ADD COLUMN IF NOT EXISTS revision bigint,
    ADD CONSTRAINT extension_audit_log_action_check CHECK (action IN (
        'created', 'updated', 'deleted', 'enabled', 'disabled', 'auto_disabled', 'auto_enabled',
        'version_put', 'version_deleted', 'promoted', 'instance_put', 'instance_deleted',
        'circuit_override', 'rollout_halted'));

CREATE INDEX IF NOT EXISTS idx_audit_extension_id ON extension_audit_log (extension_id);
CREATE INDEX IF NOT EXISTS idx_audit_timestamp ON extension_audit_log (timestamp DESC);
CREATE INDEX idx_audit_revision ON extension_audit_log (revision);
-- For each filter of a page, in the order of pages.
CREATE INDEX idx_audit_extension_page ON extension_audit_log (extension_id, id);
CREATE INDEX idx_audit_changed_by_page ON extension_audit_log (changed_by, id);
CREATE INDEX idx_audit_action_page ON extension_audit_log (action, id);

COMMENT ON TABLE extension_audit_log IS 'Every change of a definition; survives the extension';
COMMENT ON COLUMN extension_audit_log.revision IS
    'Null in entries older than revisions, and of circuit_override';
COMMENT ON COLUMN extension_audit_log.changes IS
    '{"old": ..., "new": ...}: the columns that changed, all of them when created or deleted; of automatic changes also "reason"';
