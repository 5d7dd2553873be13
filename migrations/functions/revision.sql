-- The revision: a writer locks its row before it touches anything, so no one else can take the next
-- number until it has committed.
--
-- What others call, and every trigger function, fixes its search path to the schema it is made in;
-- pg_temp comes last, so that no temporary table can shadow ours. What only such functions call, as
-- here, goes by theirs.

-- Locks the row and answers the revision that this transaction's changes have: one more than the
-- last revision, or its own when it has taken one already. A savepoint rolled back takes the
-- revision and last_xid back with it.
CREATE OR REPLACE FUNCTION registry_own_revision() RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    own bigint;
BEGIN
    SELECT CASE WHEN last_xid = pg_current_xact_id() THEN revision ELSE revision + 1 END
    INTO own FROM registry_revision FOR NO KEY UPDATE;
    IF own IS NULL THEN
        RAISE 'registry_revision has lost its row'
            USING HINT = '`beamline-registry migrate --new-epoch` makes it again';
    END IF;
    RETURN own;
END
$$;

-- Takes the revision for this transaction, once, and notifies the listeners.
CREATE OR REPLACE FUNCTION registry_take_revision() RETURNS bigint
    LANGUAGE plpgsql AS $$
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
CREATE OR REPLACE FUNCTION registry_prune_tombstones() RETURNS void
    LANGUAGE sql AS $$
    WITH pruned AS (
        DELETE FROM registry_tombstones WHERE id IN (
            SELECT id FROM registry_tombstones
            WHERE deleted_at < now() - interval '7 days'
            ORDER BY deleted_at LIMIT 1000)
        RETURNING revision
    )
    UPDATE registry_revision
    SET tombstone_floor = greatest(tombstone_floor, (SELECT max(revision) FROM pruned))
    WHERE EXISTS (SELECT FROM pruned)
$$;

-- Refuses changes while one of our triggers is disabled, as a restore that was ended leaves them, or
-- missing: a change without a revision would be served by nobody.
CREATE OR REPLACE FUNCTION registry_check_triggers() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    disabled record;
BEGIN
    SELECT tgname, tgrelid::regclass AS relation INTO disabled FROM pg_trigger
    WHERE tgrelid IN ('extensions'::regclass, 'extension_versions'::regclass,
            'extension_instances'::regclass)
      AND tgenabled IN ('D', 'R') AND obj_description(tgfoid, 'pg_proc') = 'Part of beamline-registry'
    LIMIT 1;
    IF FOUND THEN
        RAISE internal_error USING MESSAGE = format(
            'trigger %s of %s is disabled: run `beamline-registry migrate`',
            disabled.tgname, disabled.relation);
    END IF;
    IF (SELECT count(*) FROM pg_trigger
        WHERE tgrelid IN ('extensions'::regclass, 'extension_versions'::regclass,
                'extension_instances'::regclass)
          AND tgname IN ('a_lock', 'b_fill', 'c_record_insert', 'c_record_update',
              'c_record_delete', 'c_record_truncate', 'd_overrides_go', 'd_overrides_move',
              'z_digest', 'z_stamp')) < 23
    THEN
        RAISE internal_error USING
            MESSAGE = 'a trigger of the registry is missing: run `beamline-registry migrate`';
    END IF;
END
$$;
