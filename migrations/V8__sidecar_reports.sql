-- What each sidecar reports of the health it sees, and what makes a report count exactly once.
--
-- A sidecar registers a boot, then flushes what it counted since its last flush, numbered 1, 2, 3...
-- A number that the boot has had adds nothing, so a flush whose COMMIT got no answer is repeated as
-- it was. The sums in extension_health hold everything ever flushed; the rows of a boot say which
-- part of them is its own. A boot that is silent is folded: its rows go, the sums stay, and its
-- row remains as a fence, so that a late flush is told what was written last and adds nothing.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

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

-- After so long without a flush a sidecar is silent: 3 of its intervals. Within bounds, as one
-- interval that somebody set wrong must not fail what all sidecars ask.
CREATE FUNCTION health_patience(flush_interval interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 3 * greatest(least(flush_interval, interval '1 day'), interval '0');

-- The sidecars whose word on circuits counts. A flush that is still to come is none.
CREATE VIEW live_sidecars AS
    SELECT boot, instance_id FROM sidecar_boots
    WHERE folded_at IS NULL AND sequence > 0
      AND flushed_at BETWEEN now() - health_patience(flush_interval)
          AND now() + interval '1 minute';

COMMENT ON VIEW live_sidecars IS 'Sidecars that flushed within 3 of their intervals';

-- Room on the page for updates that touch no index (HOT).
ALTER TABLE extension_health SET (fillfactor = 70);

COMMENT ON COLUMN extension_health.latency_count IS 'Calls whose latency is in latency_total_us';
COMMENT ON COLUMN extension_health.avg_latency_ms IS 'latency_total_us / latency_count / 1000';

CREATE INDEX idx_health_not_closed ON extension_health (extension_id)
    WHERE circuit_breaker_state <> 'closed' OR auto_disabled;

CREATE INDEX idx_extensions_auto_disabled ON extensions (id) WHERE auto_disabled;

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
    PRIMARY KEY (boot, extension_id)
) WITH (fillfactor = 70);

CREATE INDEX idx_health_reports_extension ON extension_health_reports (extension_id);

COMMENT ON TABLE extension_health_reports IS
    'The part of extension_health that a boot which is not folded has flushed';

CREATE FUNCTION health_reports_follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE extension_health_reports SET extension_id = NEW.extension_id
        WHERE extension_id = OLD.extension_id;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM extension_health_reports WHERE extension_id = OLD.extension_id;
    ELSE
        DELETE FROM extension_health_reports;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER reports_go AFTER DELETE ON extension_health
    FOR EACH ROW EXECUTE FUNCTION health_reports_follow();
CREATE TRIGGER reports_move AFTER UPDATE OF extension_id ON extension_health
    FOR EACH ROW WHEN (OLD.extension_id <> NEW.extension_id)
    EXECUTE FUNCTION health_reports_follow();
CREATE TRIGGER reports_go_all AFTER TRUNCATE ON extension_health
    FOR EACH STATEMENT EXECUTE FUNCTION health_reports_follow();

REVOKE EXECUTE ON FUNCTION health_reports_follow() FROM PUBLIC;

-- Without a foreign key to extensions: a report of one that has just gone is harmless, and must
-- not wait for whoever deletes it. The next flush of the boot takes it away.
CREATE TABLE extension_circuit_reports (
    boot uuid NOT NULL REFERENCES sidecar_boots (boot) ON DELETE CASCADE,
    extension_id text NOT NULL,
    version text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'half_open')),
    opened_at timestamptz NOT NULL,
    retry_at timestamptz NOT NULL,
    half_open_requests integer NOT NULL DEFAULT 0,
    PRIMARY KEY (boot, extension_id, version)
);

CREATE INDEX idx_circuit_reports_extension ON extension_circuit_reports (extension_id, version);

COMMENT ON TABLE extension_circuit_reports IS 'Circuits that a boot holds; closed ones have no row';

-- What extension_health should say of the circuit of the current version.
CREATE VIEW extension_circuit_states AS
    SELECT e.id AS extension_id, e.auto_disabled,
        CASE WHEN bool_or(held.state = 'open') THEN 'open'
             WHEN bool_or(held.state = 'half_open') THEN 'half_open'
             ELSE 'closed' END AS state,
        min(held.opened_at) AS opened_at,
        least(greatest(coalesce(sum(held.half_open_requests), 0), 0), 2147483647)::integer
            AS half_open_requests
    FROM extensions e
    LEFT JOIN (
        SELECT c.* FROM extension_circuit_reports c JOIN live_sidecars USING (boot)
    ) AS held ON held.extension_id = e.id AND held.version = e.version
    GROUP BY e.id;

COMMENT ON VIEW extension_circuit_states IS
    'open while any live sidecar has the circuit of the current version open';
