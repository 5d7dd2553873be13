-- Rows as the original may hold them, with nulls wherever it allows them: $extensions extensions, a
-- half as many versions, as many instances, $entries entries of the audit log, a tenth of them of
-- extensions that are gone.
SELECT setseed(0.42);
ALTER TABLE extension_audit_log DROP CONSTRAINT extension_audit_log_extension_id_fkey;

CREATE FUNCTION pg_temp.maybe(value anyelement) RETURNS anyelement LANGUAGE sql VOLATILE
    AS $$ SELECT CASE WHEN random() < 0.7 THEN value END $$;

INSERT INTO extensions
SELECT CASE WHEN n % 50 = 0 THEN 'not an id: ' || n ELSE 'ext-' || n END,
    (ARRAY['pre', 'validator', 'post', 'provider'])[1 + n % 4],
    'beamline.ext.e' || n || CASE WHEN n % 20 = 0 THEN '.' || repeat('x', 480) ELSE '' END,
    1 + n % 9000, n % 12, n % 7 <> 0, 'v' || 1 + n % 3,
    pg_temp.maybe(jsonb_build_object('n', n, 'exact', 1.10)), pg_temp.maybe('{"team": "a"}'::jsonb),
    pg_temp.maybe('2025-01-27 10:00+00'::timestamptz + n * interval '1 min'),
    pg_temp.maybe('2025-03-01 10:00+00'::timestamptz + n * interval '1 s'),
    pg_temp.maybe('ops'::text), pg_temp.maybe('kim'::text)
FROM generate_series(1, $extensions) n;

-- Of the current version and of others, with and without rules, off and on.
INSERT INTO extension_versions
SELECT e.id, 'v' || 1 + n % 4, e.subject || '.old', 100 + n % 50, n % 4,
    pg_temp.maybe('{"old": true}'::jsonb), pg_temp.maybe('{}'::jsonb),
    CASE n % 5 WHEN 0 THEN '{}' WHEN 1 THEN NULL WHEN 2 THEN 'null'
        ELSE '{"tenant_id": ["t1", "t2"]}' END::jsonb,
    n % 3 <> 0, pg_temp.maybe('2025-01-01'::timestamptz), pg_temp.maybe('ops'::text)
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM extensions) e WHERE n % 2 = 0;

INSERT INTO extension_instances
SELECT e.id, 'i-' || i, e.subject || '.' || i, pg_temp.maybe(i * 30), i <> 2,
    pg_temp.maybe((ARRAY['healthy', 'degraded', 'unhealthy', 'unknown'])[1 + i]),
    pg_temp.maybe('2025-02-01'::timestamptz), pg_temp.maybe('2025-01-02'::timestamptz),
    pg_temp.maybe('2025-01-03'::timestamptz)
FROM extensions e, generate_series(1, 3) i WHERE e.timeout_ms % 3 = 0;

INSERT INTO extension_health
SELECT e.id, pg_temp.maybe('2025-01-03'::timestamptz), pg_temp.maybe('2025-01-04'::timestamptz),
    pg_temp.maybe(n * 5000000000), pg_temp.maybe(n % 9), pg_temp.maybe((n % 300)::numeric + 0.37),
    pg_temp.maybe(1.25), pg_temp.maybe(9.99), pg_temp.maybe(99999999.99), pg_temp.maybe(7),
    pg_temp.maybe(n), pg_temp.maybe(n * 13), pg_temp.maybe('2025-01-05'::timestamptz),
    pg_temp.maybe((ARRAY['closed', 'open', 'half_open'])[1 + n % 3]),
    pg_temp.maybe('2025-01-06'::timestamptz), pg_temp.maybe(5), pg_temp.maybe(0.25),
    pg_temp.maybe(30), pg_temp.maybe(4), pg_temp.maybe(2), pg_temp.maybe('2025-01-07'::timestamptz)
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM extensions) e WHERE n % 10 <> 0;

INSERT INTO extension_audit_log (extension_id, action, old_values, new_values, changed_by, changed_at)
SELECT CASE WHEN n % 10 = 0 THEN 'gone-' ELSE 'ext-' END || n % $extensions,
    (ARRAY['create', 'update', 'delete', 'enable', 'disable'])[1 + n % 5],
    pg_temp.maybe(jsonb_build_object('timeout_ms', n, 'by', 'old')),
    pg_temp.maybe(jsonb_build_object('timeout_ms', n + 1)), pg_temp.maybe('ops'::text),
    -- Many of one moment.
    pg_temp.maybe('2025-01-27 10:00+00'::timestamptz + (n / 5) * interval '1 min')
FROM generate_series(1, $entries) n;
