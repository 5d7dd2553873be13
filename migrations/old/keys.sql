-- Foreign keys to extensions, of any name and age, give way to ours; the audit log keeps none, so
-- that its entries outlive their extension. Its list of actions gives way, too; other checks stay.
DO $$
DECLARE
    link record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS child, conname
        FROM pg_constraint
        WHERE conrelid IN (to_regclass('extension_versions'), to_regclass('extension_instances'),
                to_regclass('extension_health'), to_regclass('extension_audit_log'))
          AND (contype = 'f' AND confrelid = 'extensions'::regclass
              OR contype = 'c' AND conrelid = to_regclass('extension_audit_log')
                  AND conkey @> ARRAY[(SELECT attnum FROM pg_attribute
                                       WHERE attrelid = conrelid AND attname = 'action')])
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', link.child, link.conname);
    END LOOP;

    -- The original has an index on the subjects, not a rule.
    IF NOT EXISTS (
        SELECT FROM pg_index i
        WHERE indrelid = 'extensions'::regclass AND indisunique AND indisvalid AND indpred IS NULL
          AND indkey::text = (SELECT attnum::text FROM pg_attribute
                              WHERE attrelid = indrelid AND attname = 'subject'))
    THEN
        -- Named by Postgres: an index that could not be built may have the name.
        ALTER TABLE extensions ADD UNIQUE (subject);
    END IF;

    -- The original's, of all types; ours is of the enabled ones.
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_extensions_type')
               AND indpred IS NULL) THEN
        ALTER INDEX idx_extensions_type RENAME TO idx_extensions_type_all;
    END IF;
END
$$;

-- Records, for a `migrate` that was interrupted before V1, that this is done; V1 describes the
-- table.
COMMENT ON TABLE extensions IS 'Of the old system; ready for the first migration';
