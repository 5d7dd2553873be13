-- What each sidecar reports of the health it sees, and what makes a report count exactly once.
--
-- A sidecar registers a boot, then flushes what it counted since its last flush, numbered 1, 2, 3...
-- A number that the boot has had adds nothing, so a flush whose COMMIT got no answer is repeated as
-- it was. The sums in extension_health hold everything ever flushed; the rows of a boot say which
-- part of them is its own. A boot that is silent is folded: its rows go, the sums stay, and its
-- row remains as a fence, so that a late flush learns what was written last and adds nothing.
--
-- A flush is a function: it is decided on the spot whether it still counts, no lock is held across
-- the network, and a sidecar that dies leaves nothing half done. It waits for no row. Two
-- flushes, or a flush and a DELETE with its cascade, would otherwise lock the same rows in different
-- orders; and an idle psql transaction would silence the whole fleet. A locked row is held back
-- instead, and comes with a later flush.

-- A sidecar without a flush for this long is silent: 3 of its intervals. Within bounds, as one
-- wrong interval must not fail the queries of all sidecars.
CREATE OR REPLACE FUNCTION health_patience(flush_interval interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 3 * greatest(least(flush_interval, interval '1 day'), interval '0');

-- The sidecars whose word on circuits counts. A flush that is still to come is none.
SELECT registry_view('live_sidecars', $$
    SELECT boot, instance_id FROM sidecar_boots
    WHERE folded_at IS NULL AND sequence > 0
      AND flushed_at BETWEEN now() - health_patience(flush_interval)
          AND now() + interval '1 minute' $$);
COMMENT ON VIEW live_sidecars IS 'Sidecars that flushed within 3 of their intervals';

-- What extension_health should say of the circuit of the current version.
SELECT registry_view('extension_circuit_states', $$
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
        AND coalesce(held.incarnation, e.incarnation) = e.incarnation
    GROUP BY e.id $$);
COMMENT ON VIEW extension_circuit_states IS
    'open while any live sidecar has the circuit of the current version open';

-- A count and what was counted since, within bigint: one wrong number must not fail the flush of
-- all. Below zero is none.
CREATE OR REPLACE FUNCTION health_sum(known bigint, more bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN least(greatest(coalesce(known, 0), 0)::numeric + more, 9223372036854775807)::bigint;

-- The later of two times. A time in the future cannot be one that has happened.
CREATE OR REPLACE FUNCTION health_latest(known timestamptz, seen timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN seen IS NULL OR known <= now() THEN greatest(known, seen) ELSE seen END;

-- Makes the rows that extension_health lacks of the extensions named in reports or circuits: all of
-- a flush at once and in the order of ids, as this alone waits for another flush that makes the same.
CREATE OR REPLACE FUNCTION health_rows(named jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    lacking text[];
BEGIN
    -- Until the flush ends none of these is deleted.
    lacking := ARRAY(
        SELECT e.id FROM extensions e
            JOIN jsonb_to_recordset(named) AS f (id text, incarnation uuid) ON f.id = e.id
        WHERE coalesce(f.incarnation, e.incarnation) = e.incarnation
          AND NOT EXISTS (SELECT FROM extension_health h WHERE h.extension_id = e.id)
        ORDER BY e.id FOR KEY SHARE OF e SKIP LOCKED);
    IF lacking <> '{}' THEN
        INSERT INTO extension_health (extension_id)
        SELECT DISTINCT id FROM unnest(lacking) AS id ORDER BY id
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;

-- Adds reports to the sums and to the boot's part of them; answers the ids held back. Reports of
-- extensions that do not exist are dropped, and so are reports of another one that had the same id.
-- Ages are milliseconds before now, null for never.
CREATE OR REPLACE FUNCTION health_add(of_boot uuid, reports jsonb) RETURNS text[]
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    known text[];
    locked text[];
BEGIN
    known := ARRAY(
        SELECT e.id FROM extensions e
            JOIN jsonb_to_recordset(reports) AS f (id text, incarnation uuid) ON f.id = e.id
        WHERE coalesce(f.incarnation, e.incarnation) = e.incarnation);
    -- Until the flush ends none of these is deleted, and none made again in its place; in the order of
    -- ids, as another flush may be adding the same rows.
    locked := ARRAY(
        SELECT e.id FROM extensions e
            JOIN jsonb_to_recordset(reports) AS f (id text, incarnation uuid) ON f.id = e.id
        WHERE coalesce(f.incarnation, e.incarnation) = e.incarnation
        ORDER BY e.id FOR KEY SHARE OF e SKIP LOCKED);

    locked := ARRAY(SELECT extension_id FROM extension_health WHERE extension_id = ANY (locked)
                    FOR NO KEY UPDATE SKIP LOCKED);

    UPDATE extension_health h
    SET success_count = health_sum(h.success_count, f.successes),
        failure_count = health_sum(h.failure_count, f.failures),
        latency_count = health_sum(h.latency_count, f.latency_count),
        latency_total_us = health_sum(h.latency_total_us, f.latency_total_us),
        avg_latency_ms = CASE
            WHEN health_sum(h.latency_count, f.latency_count) = 0 THEN h.avg_latency_ms
            ELSE health_sum(h.latency_total_us, f.latency_total_us)::float
                / health_sum(h.latency_count, f.latency_count) / 1000 END,
        last_success = health_latest(h.last_success, now() - f.success_age * interval '1 ms'),
        last_failure = health_latest(h.last_failure, now() - f.failure_age * interval '1 ms'),
        circuit_breaker_failure_threshold = f.failure_threshold,
        half_open_max_requests = f.half_open_maximum,
        updated_at = now()
    FROM jsonb_to_recordset(reports) AS f (id text, successes bigint, failures bigint,
        latency_count bigint, latency_total_us bigint, success_age bigint, failure_age bigint,
        failure_threshold integer, half_open_maximum integer)
    WHERE h.extension_id = f.id AND h.extension_id = ANY (locked);

    INSERT INTO extension_health_reports AS r (boot, extension_id, success_count, failure_count,
        latency_count, latency_total_us, last_success, last_failure, last_answer)
    SELECT of_boot, f.id, f.successes, f.failures, f.latency_count, f.latency_total_us,
        now() - f.success_age * interval '1 ms', now() - f.failure_age * interval '1 ms',
        now() - f.answer_age * interval '1 ms'
    FROM jsonb_to_recordset(reports) AS f (id text, successes bigint, failures bigint,
        latency_count bigint, latency_total_us bigint, success_age bigint, failure_age bigint,
        answer_age bigint)
    WHERE f.id = ANY (locked)
    ON CONFLICT (boot, extension_id) DO UPDATE
    SET success_count = health_sum(r.success_count, EXCLUDED.success_count),
        failure_count = health_sum(r.failure_count, EXCLUDED.failure_count),
        latency_count = health_sum(r.latency_count, EXCLUDED.latency_count),
        latency_total_us = health_sum(r.latency_total_us, EXCLUDED.latency_total_us),
        last_success = health_latest(r.last_success, EXCLUDED.last_success),
        last_failure = health_latest(r.last_failure, EXCLUDED.last_failure),
        last_answer = health_latest(r.last_answer, EXCLUDED.last_answer);

    RETURN ARRAY(SELECT unnest(known) EXCEPT SELECT unnest(locked));
END
$$;

-- Replaces the circuits that a boot holds, and answers which extensions may be in another state for that,
-- null if none: the thousandth sidecar that opens a circuit changes nothing. Times are
-- milliseconds before and after now; a row is rewritten only for a change that is more than the jitter
-- of their conversion. Reckoned with the new times, which are within a century: an old one may be any.
CREATE OR REPLACE FUNCTION health_hold(of_boot uuid, circuits jsonb) RETURNS text[]
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    gone text[];
    changed text[];
BEGIN
    -- Looked at first, as nearly always none has gone.
    gone := ARRAY(SELECT extension_id FROM (
        SELECT c.extension_id, c.version FROM extension_circuit_reports c WHERE c.boot = of_boot
        EXCEPT SELECT g.id, g.version
        FROM jsonb_to_recordset(circuits) AS g (id text, version text)) AS held);
    IF gone <> '{}' THEN
        DELETE FROM extension_circuit_reports c
        WHERE c.boot = of_boot AND c.extension_id = ANY (gone) AND NOT EXISTS (
            SELECT FROM jsonb_to_recordset(circuits) AS g (id text, version text)
            WHERE g.id = c.extension_id AND g.version = c.version);
        gone := ARRAY(SELECT extension_id FROM extension_health
            WHERE extension_id = ANY (gone) AND circuit_breaker_state IS DISTINCT FROM 'closed');
    END IF;
    IF circuits <> '[]' THEN
        WITH held AS (
            INSERT INTO extension_circuit_reports AS c (boot, extension_id, version, incarnation, state,
                opened_at, retry_at, half_open_requests)
            SELECT of_boot, g.id, g.version, g.incarnation, g.state, now() - g.age * interval '1 ms',
                now() + g.wait * interval '1 ms', g.trials
            FROM jsonb_to_recordset(circuits) AS g (id text, version text, incarnation uuid,
                state text, age bigint, wait bigint, trials integer)
            ON CONFLICT (boot, extension_id, version) DO UPDATE
            SET incarnation = EXCLUDED.incarnation, state = EXCLUDED.state,
                opened_at = EXCLUDED.opened_at, retry_at = EXCLUDED.retry_at,
                half_open_requests = EXCLUDED.half_open_requests
            WHERE c.incarnation IS DISTINCT FROM EXCLUDED.incarnation OR c.state <> EXCLUDED.state
               OR c.half_open_requests <> EXCLUDED.half_open_requests
               OR c.retry_at NOT BETWEEN EXCLUDED.retry_at - interval '1 s'
                   AND EXCLUDED.retry_at + interval '1 s'
               OR c.opened_at NOT BETWEEN EXCLUDED.opened_at - interval '1 s'
                   AND EXCLUDED.opened_at + interval '1 s'
            RETURNING c.extension_id, c.state)
        SELECT array_agg(extension_id) INTO changed FROM held JOIN extension_health h USING (extension_id)
        WHERE h.circuit_breaker_state IS DISTINCT FROM held.state;
    END IF;
    RETURN nullif(gone, '{}') || changed;
END
$$;

-- Brings circuit_breaker_state and auto_disabled of extension_health up to date, of these extensions, or
-- of all, also where a sidecar went silent. What is locked is left to the next caller.
CREATE OR REPLACE FUNCTION health_settle_states(ids text[]) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
BEGIN
    ids := coalesce(ids, ARRAY(
        SELECT extension_id FROM extension_circuit_reports
        UNION SELECT extension_id FROM extension_health
              WHERE circuit_breaker_state <> 'closed' OR auto_disabled
        UNION SELECT id FROM extensions WHERE auto_disabled));
    IF cardinality(ids) = 0 THEN
        RETURN;
    END IF;
    ids := ARRAY(
        SELECT h.extension_id FROM extension_health h JOIN extension_circuit_states s
            ON s.extension_id = h.extension_id
        WHERE h.extension_id = ANY (ids) AND s.extension_id = ANY (ids)
          AND (h.circuit_breaker_state, h.circuit_breaker_opened_at, h.half_open_request_count,
               h.auto_disabled)
              IS DISTINCT FROM (s.state, s.opened_at, s.half_open_requests, s.auto_disabled));
    ids := ARRAY(SELECT extension_id FROM extension_health WHERE extension_id = ANY (ids)
                 FOR NO KEY UPDATE SKIP LOCKED);
    -- Read again now that they are locked: another flush may have settled them meanwhile.
    UPDATE extension_health h
    SET circuit_breaker_state = s.state, circuit_breaker_opened_at = s.opened_at,
        half_open_request_count = s.half_open_requests, auto_disabled = s.auto_disabled,
        updated_at = now()
    FROM extension_circuit_states s
    WHERE s.extension_id = h.extension_id
      AND h.extension_id = ANY (ids) AND s.extension_id = ANY (ids);
END
$$;

-- The flush itself. It settles the states of its own circuits and reports; the sidecar that tidies
-- does the rest. Figures count only under a number that the boot has not had; circuits are replaced
-- by any but an overtaken one. Fenced: the boot was folded, nothing is written, and `last_sequence`
-- says what had been; null when even the fence is gone.
CREATE OR REPLACE FUNCTION health_flush(of_boot uuid, of_sequence bigint, every interval,
        reports jsonb, circuits jsonb,
        OUT fenced boolean, OUT last_sequence bigint, OUT left_out text[])
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    own sidecar_boots;
    mine text[];
BEGIN
    SELECT * INTO own FROM sidecar_boots WHERE boot = of_boot FOR NO KEY UPDATE;
    fenced := own.boot IS NULL OR own.folded_at IS NOT NULL;
    last_sequence := own.sequence;
    left_out := own.held_back;
    IF fenced OR own.sequence > of_sequence THEN
        RETURN;
    END IF;

    PERFORM health_rows(reports || circuits);
    IF own.sequence < of_sequence THEN
        left_out := CASE reports WHEN '[]' THEN '{}' ELSE health_add(of_boot, reports) END;
        last_sequence := of_sequence;
    END IF;
    mine := health_hold(of_boot, circuits);
    UPDATE sidecar_boots
    SET sequence = last_sequence, held_back = left_out, flushed_at = now(), flush_interval = every
    WHERE boot = of_boot;
    IF mine IS NOT NULL THEN
        PERFORM health_settle_states(mine);
    END IF;
END
$$;

-- Tidies: settles all states, and folds boots that have been silent for 10 minutes, or 3 intervals where that is longer, or whose
-- last flush is still to come, and answers how many. Any sidecar may call it at any time. What is
-- locked waits for the next call.
CREATE OR REPLACE FUNCTION health_fold() RETURNS bigint
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    folded bigint;
BEGIN
    UPDATE sidecar_boots SET folded_at = now()
    WHERE boot IN (
        SELECT boot FROM sidecar_boots
        WHERE folded_at IS NULL
          AND flushed_at NOT BETWEEN
              now() - greatest(interval '10 minutes', health_patience(flush_interval))
              AND now() + interval '10 minutes'
        LIMIT 100 FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS folded = ROW_COUNT;

    DELETE FROM extension_health_reports WHERE (boot, extension_id) IN (
        SELECT r.boot, r.extension_id
        FROM extension_health_reports r JOIN sidecar_boots b USING (boot)
        WHERE b.folded_at IS NOT NULL
        LIMIT 10000 FOR UPDATE OF r SKIP LOCKED);
    DELETE FROM extension_circuit_reports WHERE (boot, extension_id, version) IN (
        SELECT c.boot, c.extension_id, c.version
        FROM extension_circuit_reports c JOIN sidecar_boots b USING (boot)
        WHERE b.folded_at IS NOT NULL
        LIMIT 10000 FOR UPDATE OF c SKIP LOCKED);
    DELETE FROM sidecar_boots WHERE boot IN (
        SELECT boot FROM sidecar_boots b
        WHERE folded_at < now() - interval '7 days'
          AND NOT EXISTS (SELECT FROM extension_health_reports r WHERE r.boot = b.boot)
          AND NOT EXISTS (SELECT FROM extension_circuit_reports c WHERE c.boot = b.boot)
        LIMIT 1000 FOR UPDATE SKIP LOCKED);
    PERFORM health_settle_states(NULL);
    RETURN folded;
END
$$;
