-- One number that grows by one with every committed transaction that changed a definition, in
-- commit order: a writer locks the row before it touches anything, so no one else can take the next
-- number until it has committed.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

CREATE TABLE registry_revision (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    revision bigint NOT NULL DEFAULT 0,
    last_xid xid8,
    tombstone_floor bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO registry_revision DEFAULT VALUES;

COMMENT ON TABLE registry_revision IS 'Exactly one row: the revision of the whole catalog';
COMMENT ON COLUMN registry_revision.epoch IS 'Another epoch means another history: load everything';
COMMENT ON COLUMN registry_revision.last_xid IS 'The transaction that took the revision';
COMMENT ON COLUMN registry_revision.tombstone_floor IS
    'Tombstones up to here may be gone: whoever is at a lower revision loads everything';

CREATE TABLE registry_tombstones (
    id varchar(255) PRIMARY KEY,
    revision bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idx_tombstones_revision ON registry_tombstones (revision);
CREATE INDEX idx_tombstones_deleted_at ON registry_tombstones (deleted_at);

COMMENT ON TABLE registry_tombstones IS 'Ids that went, for 7 days; never one that exists';

-- Locks the row and answers the revision that this transaction's changes have: one more than that
-- of the last one, or its own when it has taken one already. A savepoint rolled back takes the
-- revision and last_xid back with it.
CREATE FUNCTION registry_own_revision() RETURNS bigint
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    own bigint;
BEGIN
    SELECT CASE WHEN last_xid = pg_current_xact_id() THEN revision ELSE revision + 1 END
    INTO own FROM registry_revision FOR NO KEY UPDATE;
    IF own IS NULL THEN
        RAISE 'registry_revision has lost its row'
            USING HINT = 'INSERT INTO registry_revision DEFAULT VALUES begins a new epoch';
    END IF;
    RETURN own;
END
$$;

-- Takes the revision for this transaction, once, and tells the listeners.
CREATE FUNCTION registry_take_revision() RETURNS bigint
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    own bigint := registry_own_revision();
BEGIN
    UPDATE registry_revision
    SET revision = own, last_xid = pg_current_xact_id(), changed_at = now()
    WHERE revision < own;
    IF FOUND THEN
        PERFORM pg_notify('beamline_registry', own::text);
    END IF;
    RETURN own;
END
$$;

-- Forgets tombstones older than 7 days, at most 1000 at a time.
CREATE FUNCTION registry_prune_tombstones() RETURNS void
    LANGUAGE sql SET search_path FROM CURRENT
BEGIN ATOMIC
    WITH pruned AS (
        DELETE FROM registry_tombstones WHERE id IN (
            SELECT id FROM registry_tombstones
            WHERE deleted_at < now() - interval '7 days'
            ORDER BY deleted_at LIMIT 1000)
        RETURNING revision
    )
    UPDATE registry_revision
    SET tombstone_floor = greatest(tombstone_floor, (SELECT max(revision) FROM pruned))
    WHERE EXISTS (SELECT FROM pruned);
END;
