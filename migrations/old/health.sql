-- An old average counts as the average of the calls it was made of. What no latency can be is left.
ALTER TABLE extension_health
    ADD COLUMN IF NOT EXISTS circuit_breaker_state varchar(50) DEFAULT 'closed',
    ADD COLUMN IF NOT EXISTS circuit_breaker_opened_at timestamptz,
    ADD COLUMN IF NOT EXISTS circuit_breaker_failure_threshold integer DEFAULT 5,
    ADD COLUMN IF NOT EXISTS half_open_request_count integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS half_open_max_requests integer DEFAULT 3,
    ADD COLUMN IF NOT EXISTS auto_disabled boolean DEFAULT false,
    ADD COLUMN latency_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN latency_total_us bigint NOT NULL DEFAULT 0,
    ALTER COLUMN avg_latency_ms SET DEFAULT 0;

UPDATE extension_health
SET latency_count = calls, latency_total_us = round(avg_latency_ms * 1000 * calls)
FROM (
    SELECT extension_id AS id,
        coalesce(success_count, 0)::numeric + coalesce(failure_count, 0) AS calls
    FROM extension_health
) AS counted
WHERE id = extension_id AND calls BETWEEN 1 AND 9223372036854775807
    AND avg_latency_ms > 0 AND avg_latency_ms < 1e15 / nullif(calls, 0);
