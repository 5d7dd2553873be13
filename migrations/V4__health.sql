-- Health of an extension, of the whole fleet, and what each sidecar reported of it. Nothing here
-- takes a revision, notifies or is audited.

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

-- Room on the page for updates that touch no index (HOT).
ALTER TABLE extension_health
    SET (fillfactor = 70),
    ADD CONSTRAINT extension_health_extension_id_fkey
        FOREIGN KEY (extension_id) REFERENCES extensions (id) ON UPDATE CASCADE ON DELETE CASCADE;

CREATE INDEX idx_health_not_closed ON extension_health (extension_id)
    WHERE circuit_breaker_state <> 'closed' OR auto_disabled;

COMMENT ON TABLE extension_health IS 'Health of each extension, summed over the sidecars';
COMMENT ON COLUMN extension_health.circuit_breaker_state IS 'closed, open or half_open';
COMMENT ON COLUMN extension_health.latency_count IS 'Calls whose latency is in latency_total_us';
COMMENT ON COLUMN extension_health.avg_latency_ms IS 'latency_total_us / latency_count / 1000';

CREATE TABLE sidecar_boots (
    boot uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    instance_id text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    flushed_at timestamptz NOT NULL DEFAULT now(),
    flush_interval interval NOT NULL,
    sequence bigint NOT NULL DEFAULT 0,
    held_back text[] NOT NULL DEFAULT '{}',
    folded_at timestamptz
);

COMMENT ON TABLE sidecar_boots IS
    'Starts of sidecars; a folded one is kept for 7 days, so that it cannot count twice';
COMMENT ON COLUMN sidecar_boots.sequence IS 'The last flush written; 0 before the first';
COMMENT ON COLUMN sidecar_boots.held_back IS
    'Extensions that the last flush left out because somebody had them locked';

-- Follows extension_health by trigger rather than by foreign key: TRUNCATE ... CASCADE would demand
-- rights on this table of everybody who may truncate extensions.
CREATE TABLE extension_health_reports (
    boot uuid NOT NULL REFERENCES sidecar_boots (boot) ON DELETE CASCADE,
    extension_id text NOT NULL,
    success_count bigint NOT NULL DEFAULT 0,
    failure_count bigint NOT NULL DEFAULT 0,
    latency_count bigint NOT NULL DEFAULT 0,
    latency_total_us bigint NOT NULL DEFAULT 0,
    last_success timestamptz,
    last_failure timestamptz,
    last_answer timestamptz,
    PRIMARY KEY (boot, extension_id)
) WITH (fillfactor = 70);

CREATE INDEX idx_health_reports_extension ON extension_health_reports (extension_id);

COMMENT ON TABLE extension_health_reports IS
    'The part of extension_health that a boot which is not folded has flushed';
COMMENT ON COLUMN extension_health_reports.last_answer IS
    'When a call of the sidecar itself last succeeded; what routers report is left out';

-- Without a foreign key to extensions: a report of one that has just gone is harmless, and must
-- not wait for whoever deletes it. The next flush of the boot takes it away; until then the incarnation
-- tells that it says nothing of one that was made anew.
CREATE TABLE extension_circuit_reports (
    boot uuid NOT NULL REFERENCES sidecar_boots (boot) ON DELETE CASCADE,
    extension_id text NOT NULL,
    version text NOT NULL,
    incarnation uuid,
    state text NOT NULL CHECK (state IN ('open', 'half_open')),
    opened_at timestamptz NOT NULL,
    retry_at timestamptz NOT NULL,
    half_open_requests integer NOT NULL DEFAULT 0,
    PRIMARY KEY (boot, extension_id, version)
);

CREATE INDEX idx_circuit_reports_extension ON extension_circuit_reports (extension_id, version);

COMMENT ON TABLE extension_circuit_reports IS 'Circuits that a boot holds; closed ones have no row';
