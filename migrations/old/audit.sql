-- The number of an entry was made by SERIAL, so it would end at 2^31.
DO $$
BEGIN
    EXECUTE format('ALTER SEQUENCE %s AS bigint',
        pg_get_serial_sequence('extension_audit_log', 'id'));
END
$$;

UPDATE extension_audit_log SET timestamp = '-infinity' WHERE timestamp IS NULL;

ALTER TABLE extension_audit_log
    ALTER COLUMN timestamp SET DEFAULT now(),
    ALTER COLUMN timestamp SET NOT NULL;
