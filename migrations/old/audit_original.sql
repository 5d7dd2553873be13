-- The original's entries as ours: numbered in the order in which they were written, the uuid beside
-- the number. One without a time is older than all others.
DO $$
DECLARE
    same record;
BEGIN
    -- Indexes that ours replace.
    FOR same IN
        SELECT indexrelid::regclass AS index, attname
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum::text = indkey::text
        WHERE indrelid = 'extension_audit_log'::regclass AND NOT indisunique AND indpred IS NULL
          AND attname IN ('extension_id', 'changed_at')
    LOOP
        EXECUTE format('DROP INDEX %s', same.index);
    END LOOP;
END
$$;

ALTER TABLE extension_audit_log RENAME COLUMN id TO original_id;
ALTER TABLE extension_audit_log RENAME COLUMN changed_at TO timestamp;
-- A column with a sequence makes the table anew: with its rows in the order in which they lie.
SET LOCAL synchronize_seqscans = off;
-- Postgres wants one owner for the table and its sequence: bigserial gives it the table's, CREATE
-- SEQUENCE the migrating role.
ALTER TABLE extension_audit_log
    ALTER COLUMN original_id DROP DEFAULT,
    ADD COLUMN id bigserial,
    ADD COLUMN changes jsonb;
COMMENT ON COLUMN extension_audit_log.original_id IS 'The id that the original gave its entry';

UPDATE extension_audit_log AS entry
SET id = numbered.id,
    changes = jsonb_build_object('old', old_values, 'new', new_values),
    timestamp = coalesce(timestamp, '-infinity'),
    action = CASE action WHEN 'create' THEN 'created' WHEN 'update' THEN 'updated'
        WHEN 'delete' THEN 'deleted' WHEN 'enable' THEN 'enabled' WHEN 'disable' THEN 'disabled'
        ELSE action END
FROM (
    -- Of one moment, as they lie in the table.
    SELECT ctid AS place, row_number() OVER (ORDER BY timestamp NULLS FIRST, ctid) AS id
    FROM extension_audit_log
) AS numbered
WHERE entry.ctid = numbered.place;

-- Only now: no row of a published table can be updated while it has no key.
DO $$
BEGIN
    -- By an index that may be the one that goes, which would leave it without any.
    IF (SELECT relreplident = 'i' FROM pg_class WHERE oid = 'extension_audit_log'::regclass) THEN
        ALTER TABLE extension_audit_log REPLICA IDENTITY DEFAULT;
    END IF;
    EXECUTE format('ALTER TABLE extension_audit_log DROP CONSTRAINT %I',
        (SELECT conname FROM pg_constraint
         WHERE conrelid = 'extension_audit_log'::regclass AND contype = 'p'));
END
$$;
ALTER TABLE extension_audit_log
    ALTER COLUMN original_id DROP NOT NULL,
    ADD PRIMARY KEY (id),
    DROP COLUMN old_values,
    DROP COLUMN new_values;
