-- What a definition is: read from the columns of its table, so that a new column is one line in a
-- migration and nothing else. `migrate` runs these files again whenever a text or a table changes.
--
-- A column may have any name: where a function reads a table that other tools may add to (definitions,
-- health, audit) beside variables of its own, those come first (`use_variable`), and columns are named
-- with their table.

-- The columns that are no part of a definition; `original` is what an upgrade left.
CREATE OR REPLACE FUNCTION registry_bookkeeping() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['created_at', 'created_by', 'updated_at', 'updated_by', 'revision', 'digest',
        'promoted', 'incarnation', 'original', 'health_status', 'last_health_check'];

-- The digest of one row. Texts that are null are left out, so that a new column changes no digest
-- of the rows that lack it.
CREATE OR REPLACE FUNCTION registry_hash(texts text[]) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ('x' || encode(substr(sha256(convert_to(array_remove(texts, NULL)::text, 'UTF8')), 1, 8),
        'hex'))::bit(64)::bigint;

-- The whole hash of one text. A server in FIPS mode has no md5().
CREATE OR REPLACE FUNCTION registry_sha256(content text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(content, 'UTF8')), 'hex');

-- Makes or changes a view. One that loses or renames a column is made anew; `migrate` gives it the
-- rights again that were given on it.
CREATE OR REPLACE FUNCTION registry_view(name text, query text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW %I AS %s', name, query);
EXCEPTION WHEN invalid_table_definition THEN
    EXECUTE format('DROP VIEW %I', name);
    EXECUTE format('CREATE VIEW %I AS %s', name, query);
END
$$;

-- For each table a view that shows what a definition is; registry_definition(row), the same as JSON,
-- null of no row; and registry_texts(row), its columns as texts, by name, by which the triggers see
-- whether something changed. Null in JSON is null. A generated column is no part of it: it cannot be
-- written, and has no value yet where a trigger stamps the row. What a session's settings show
-- otherwise (times, floats, bytes, money) goes in as its bytes, so that a digest is the same in all.
DO $$
DECLARE
    shape record;
BEGIN
    FOR shape IN
        SELECT relname AS name, rtrim(relname, 's') || '_definitions' AS shown,
            string_agg(format('($1).%I', attname), ', ' ORDER BY attnum) AS columns,
            string_agg(format(CASE
                    WHEN kind = 'jsonb'::regtype THEN '%1$L || nullif(($1).%2$I::text, ''null'')'
                    WHEN typcategory IN ('D', 'T')
                            OR kind = ANY ('{float4,float8,bytea,money}'::regtype[])
                        THEN '%1$L || encode(%3$s(($1).%2$I), ''hex'')'
                    ELSE '%1$L || ($1).%2$I::text' END,
                attname || '=', attname, typsend), ', ' ORDER BY attname COLLATE "C") AS texts
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            JOIN pg_type t ON t.oid = atttypid,
            LATERAL (SELECT coalesce(nullif(typbasetype, 0), t.oid) AS kind) AS base
        WHERE pg_class.oid IN ('extensions'::regclass, 'extension_versions'::regclass,
                'extension_instances'::regclass)
          AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
          AND attname <> ALL (registry_bookkeeping())
        GROUP BY relname
    LOOP
        PERFORM registry_view(shape.shown, format('SELECT %s FROM %I',
            replace(shape.columns, '($1).', ''), shape.name));
        EXECUTE format('COMMENT ON VIEW %I IS %L', shape.shown,
            'What the daemon, operators and imports write: ' || shape.name || ' without bookkeeping');
        EXECUTE format('CREATE OR REPLACE FUNCTION registry_definition(%I) RETURNS jsonb
            LANGUAGE sql STABLE PARALLEL SAFE AS %L', shape.name,
            format('SELECT CASE WHEN ($1).digest IS NOT NULL THEN to_jsonb(ROW(%s)::%I) END',
                shape.columns, shape.shown));
        EXECUTE format('CREATE OR REPLACE FUNCTION registry_texts(%I) RETURNS text[]
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS %L',
            shape.name, format('SELECT ARRAY[%s]', shape.texts));
    END LOOP;
END
$$;

-- The digest of the whole catalog: the sum of all row digests modulo 2^64, in 16 hex digits. A
-- reader that sums the digests of the rows it holds, wrapping, gets the same value.
CREATE OR REPLACE FUNCTION registry_digest() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
    -- to_hex reads the two's complement, so the sum is brought into the range of a bigint.
    SELECT lpad(to_hex((mod(mod(coalesce(sum(digest), 0), 2 * half) + 3 * half, 2 * half)
        - half)::bigint), 16, '0')
    FROM (SELECT 9223372036854775808 AS half) AS constants LEFT JOIN (
        SELECT digest FROM extensions
        UNION ALL SELECT digest FROM extension_versions
        UNION ALL SELECT digest FROM extension_instances) AS rows ON true
    GROUP BY half
$$;
