-- The columns of the old tables whose type ours have otherwise, with their type in V1. A column that
-- has it already is not named: whatever depends on it may stay.
SELECT c.relname::text AS table_name, a.attname::text AS column_name, a.attrelid, a.attnum, want.type
FROM (VALUES
    ('extensions', 'subject', 'character varying(512)'),
    ('extensions', 'version', 'text'),
    ('extensions', 'created_at', 'timestamp with time zone'),
    ('extensions', 'updated_at', 'timestamp with time zone'),
    ('extension_versions', 'version', 'text'),
    ('extension_versions', 'subject', 'character varying(512)'),
    ('extension_versions', 'created_at', 'timestamp with time zone'),
    ('extension_instances', 'version', 'text'),
    ('extension_instances', 'subject', 'character varying(512)'),
    ('extension_instances', 'last_health_check', 'timestamp with time zone'),
    ('extension_instances', 'created_at', 'timestamp with time zone'),
    ('extension_health', 'last_success', 'timestamp with time zone'),
    ('extension_health', 'last_failure', 'timestamp with time zone'),
    ('extension_health', 'failure_count', 'bigint'),
    ('extension_health', 'success_count', 'bigint'),
    ('extension_health', 'avg_latency_ms', 'double precision'),
    ('extension_health', 'circuit_breaker_opened_at', 'timestamp with time zone'),
    ('extension_health', 'updated_at', 'timestamp with time zone'),
    ('extension_audit_log', 'id', 'bigint'),
    ('extension_audit_log', 'changed_at', 'timestamp with time zone'),
    ('extension_audit_log', 'timestamp', 'timestamp with time zone')
) AS want (relation, attribute, type)
JOIN pg_class c ON c.relname = want.relation
    AND c.relnamespace = quote_ident(current_schema())::regnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = want.attribute AND NOT a.attisdropped
WHERE format_type(a.atttypid, a.atttypmod) <> want.type
  -- The original's uuid is kept beside a number, see audit_original.sql.
  AND a.atttypid <> 'uuid'::regtype
