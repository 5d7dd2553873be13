-- Every change of a definition gets its revision, tombstone, notification and audit entry.
--
-- Order within a statement: lock the revision, fill each row, stamp its digest and the rest, then
-- record the statement as a whole. All but the digest run as the owner of the schema: a writer needs
-- rights on the definition tables only.

-- Locked first, before any row: locked last, two writers could wait for each other.
CREATE OR REPLACE FUNCTION registry_lock() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM registry_own_revision();
    RETURN NULL;
END
$$;

-- Stamps a row that really changes.
CREATE OR REPLACE FUNCTION extensions_stamp() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    actor text;
BEGIN
    -- Not for callers to choose: a copied row does not take over the history of the extension.
    NEW.incarnation := CASE WHEN TG_OP = 'UPDATE' AND OLD.id = NEW.id THEN OLD.incarnation
        ELSE gen_random_uuid() END;
    IF TG_OP = 'INSERT' THEN
        actor := registry_actor();
        NEW.created_at := coalesce(NEW.created_at, now());
        NEW.updated_at := coalesce(NEW.updated_at, now());
        NEW.created_by := coalesce(NEW.created_by, actor);
        NEW.updated_by := coalesce(NEW.updated_by, actor);
    ELSIF registry_texts(OLD) IS DISTINCT FROM registry_texts(NEW) THEN
        NEW.updated_at := now();
        NEW.updated_by := registry_actor();
    ELSE
        -- Only a change of a version or an instance moves the revision of an unchanged row, and
        -- that comes from within their trigger.
        IF pg_trigger_depth() = 1 THEN
            NEW.revision := OLD.revision;
        END IF;
        RETURN NEW;
    END IF;
    NEW.revision := registry_own_revision();
    RETURN NEW;
END
$$;

-- Whether a version has rules or a rollout, so that it takes only some of the traffic.
CREATE OR REPLACE FUNCTION registry_targeted(routing_rules jsonb, rollout jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(routing_rules NOT IN ('{}', 'null'), false)
        OR coalesce(rollout NOT IN ('{}', 'null'), false);

-- What a version or an instance was left without. Left out, enabled is true for a version with rules
-- or a rollout, and for a row that names the current version; any other must not take traffic just
-- because it is kept.
CREATE OR REPLACE FUNCTION registry_fill() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.created_at := coalesce(NEW.created_at, now());
    NEW.created_by := coalesce(NEW.created_by, registry_actor());
    IF TG_TABLE_NAME = 'extension_versions' THEN
        NEW.enabled := coalesce(NEW.enabled, registry_targeted(NEW.routing_rules, NEW.rollout)
            OR EXISTS (SELECT FROM extensions WHERE id = NEW.id AND version = NEW.version));
    ELSE
        NEW.version := coalesce(NEW.version,
            (SELECT version FROM extensions WHERE id = NEW.extension_id));
    END IF;
    RETURN NEW;
END
$$;

-- Runs also where other triggers rest (a restore, logical replication), whatever the search path is
-- there: no row is without its digest.
DO $do$
BEGIN
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION registry_stamp_digest() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.digest := %1$I.registry_hash(%1$I.registry_texts(NEW));
            RETURN NEW;
        END
        $$ $f$, current_schema());
END
$do$;

-- What a change of the extension itself is called.
CREATE OR REPLACE FUNCTION registry_action(before jsonb, after jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN before = 'null' THEN 'created'
        WHEN after = 'null' THEN 'deleted'
        -- Empty where the session shows two values alike, as floats.
        WHEN after = '{}' OR after - ARRAY['enabled', 'auto_disabled'] <> '{}' THEN 'updated'
        WHEN after ? 'enabled'
            THEN CASE WHEN (after -> 'enabled')::boolean THEN 'enabled' ELSE 'disabled' END
        WHEN (after -> 'auto_disabled')::boolean THEN 'auto_disabled'
        ELSE 'auto_enabled' END;

-- Records the changes of extensions by one statement: definitions before and after, null where there
-- is none.
CREATE OR REPLACE FUNCTION registry_extensions_changed(olds jsonb[], news jsonb[]) RETURNS void
    LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    own_revision bigint := registry_take_revision();
    ids text[];
    actions text[];
    differences jsonb[];
BEGIN
    SELECT array_agg(id), array_agg(registry_action(changes -> 'old', changes -> 'new')),
        array_agg(changes)
    INTO ids, actions, differences
    FROM (SELECT coalesce(old, new) ->> 'id' AS id, registry_difference(old, new) AS changes
          FROM unnest(olds, news) AS c (old, new) OFFSET 0) AS change;

    INSERT INTO registry_tombstones (id, revision)
    SELECT id, own_revision FROM unnest(ids, actions) AS c (id, action) WHERE action = 'deleted'
    ON CONFLICT (id) DO UPDATE
    SET revision = EXCLUDED.revision, deleted_at = EXCLUDED.deleted_at;
    IF FOUND THEN
        PERFORM registry_prune_tombstones();
    END IF;
    DELETE FROM registry_tombstones t USING unnest(ids, actions) AS c (id, action)
    WHERE t.id = c.id AND c.action = 'created';

    PERFORM registry_audit(own_revision, ids, actions, differences);

    -- Another tool's trigger whose name comes after ours has changed a row that was stamped before:
    -- without its revision no follower would find the change.
    IF EXISTS (SELECT FROM extensions e WHERE e.id = ANY (ids) AND e.revision <> own_revision) THEN
        UPDATE extensions e
        SET revision = own_revision, updated_at = now(), updated_by = registry_actor()
        WHERE e.id = ANY (ids) AND e.revision <> own_revision;
    END IF;

    -- A version that stops being the current one stops taking traffic, unless rules or a rollout
    -- give it some of its own.
    UPDATE extension_versions v SET enabled = false
    FROM unnest(ids, differences, actions) AS c (id, changes, action)
    WHERE c.action = 'updated' AND v.id = c.id AND v.version = c.changes -> 'old' ->> 'version'
      AND v.enabled AND NOT registry_targeted(v.routing_rules, v.rollout);
END
$$;

-- The same of versions or instances, as `kind` says; `owner` and `name` are the columns with the id
-- of the extension and their own. They are parts of it: a change takes a revision, moves the
-- extension's revision and is audited there. Not where the extension is gone: they went with it;
-- nor where it changed its id, and took them along. Rows of extensions that this transaction has
-- stamped already are left alone.
CREATE OR REPLACE FUNCTION registry_parts_changed(kind text, owner text, name text, olds jsonb[],
        news jsonb[]) RETURNS void
    LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    actor text := registry_actor();
    own_revision bigint;
    ids text[];
    actions text[];
    differences jsonb[];
    kept text;
BEGIN
    SELECT array_agg(id), array_agg(rtrim(kind, 's') || CASE WHEN gone THEN '_deleted' ELSE '_put' END),
        array_agg(jsonb_build_object('old', jsonb_build_object(kind, old),
            'new', jsonb_build_object(kind, new)))
    INTO ids, actions, differences
    FROM (
        SELECT id, bool_and(gone) AS gone, jsonb_object_agg(part, changes -> 'old') AS old,
            jsonb_object_agg(part, changes -> 'new') AS new
        FROM (SELECT coalesce(old, new) ->> owner AS id, coalesce(old, new) ->> name AS part,
                  new IS NULL AS gone, registry_difference(old, new) AS changes
              FROM unnest(olds, news) AS c (old, new) OFFSET 0) AS change
        WHERE EXISTS (SELECT FROM extensions e WHERE e.id = change.id)
        GROUP BY id
    ) AS entry;
    IF ids IS NULL OR olds IS NOT NULL AND news IS NOT NULL AND NOT EXISTS (
        SELECT FROM unnest(olds) AS c (old) JOIN extensions e ON e.id = c.old ->> owner)
    THEN
        RETURN;
    END IF;

    own_revision := registry_take_revision();
    UPDATE extensions SET revision = own_revision, updated_at = now(), updated_by = actor
    WHERE id = ANY (ids)
      AND (revision, updated_at, updated_by) IS DISTINCT FROM (own_revision, now(), actor);
    -- Without its revision no follower would find the change.
    SELECT e.id INTO kept FROM extensions e
    WHERE e.id = ANY (ids) AND e.revision <> own_revision LIMIT 1;
    IF FOUND THEN
        RAISE '% is kept as it is by a trigger or a rule of the database', kept;
    END IF;
    PERFORM registry_audit(own_revision, ids, actions, differences);
END
$$;

-- Afterwards the old rows could not be known, so before a TRUNCATE the rows are deleted, and that
-- is recorded.
CREATE OR REPLACE FUNCTION registry_empty() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('DELETE FROM %I', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

-- Overrides follow their extension by trigger rather than by foreign key, as V4 says of reports.
CREATE OR REPLACE FUNCTION circuit_overrides_follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE circuit_overrides SET extension_id = NEW.id WHERE extension_id = OLD.id;
        IF FOUND THEN
            PERFORM pg_notify('beamline_registry', 'override');
        END IF;
    ELSE
        DELETE FROM circuit_overrides WHERE extension_id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;

-- Plain SQL changes an override under the name of the change that sidecars have applied already.
CREATE OR REPLACE FUNCTION circuit_overrides_edited() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.change := gen_random_uuid();
    PERFORM pg_notify('beamline_registry', 'override');
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION health_reports_follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE extension_health_reports SET extension_id = NEW.extension_id
        WHERE extension_id = OLD.extension_id;
    ELSE
        DELETE FROM extension_health_reports WHERE extension_id = OLD.extension_id;
    END IF;
    RETURN NULL;
END
$$;

-- Attached to someone else's table, these would write our tables in our name.
REVOKE EXECUTE ON FUNCTION registry_lock(), extensions_stamp(), registry_fill(), registry_empty(),
    circuit_overrides_follow(), health_reports_follow() FROM PUBLIC;

-- Last, by its name: a row that another tool's trigger changes or puts back is stamped by what it is
-- then. What one changes that comes later still is stamped by registry_extensions_changed(). Before,
-- it was the first; looked for, because DROP TRIGGER keeps readers out.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'extensions'::regclass AND tgname = 'b_stamp') THEN
        DROP TRIGGER b_stamp ON extensions;
    END IF;
END
$$;
CREATE OR REPLACE TRIGGER z_stamp BEFORE INSERT OR UPDATE ON extensions
    FOR EACH ROW EXECUTE FUNCTION extensions_stamp();
CREATE OR REPLACE TRIGGER b_fill BEFORE INSERT ON extension_versions FOR EACH ROW
    WHEN (NEW.created_at IS NULL OR NEW.created_by IS NULL OR NEW.enabled IS NULL)
    EXECUTE FUNCTION registry_fill();
CREATE OR REPLACE TRIGGER b_fill BEFORE INSERT ON extension_instances FOR EACH ROW
    WHEN (NEW.created_at IS NULL OR NEW.created_by IS NULL OR NEW.version IS NULL)
    EXECUTE FUNCTION registry_fill();

-- What the three tables have alike. The columns of a_lock keep updates of bookkeeping from locking:
-- probes must not wait for writers.
DO $do$
DECLARE
    shape record;
    waking text;
BEGIN
    FOR shape IN
        SELECT *, (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
            WHERE attrelid = (rtrim(name, 's') || '_definitions')::regclass AND attnum > 0) AS columns
        FROM (VALUES
            ('extensions', 'extensions', 'o.id = n.id', 'PERFORM registry_extensions_changed(olds, news)'),
            ('extension_versions', 'versions', 'o.id = n.id AND o.version = n.version',
                $$PERFORM registry_parts_changed('versions', 'id', 'version', olds, news)$$),
            ('extension_instances', 'instances',
                'o.extension_id = n.extension_id AND o.instance_id = n.instance_id',
                $$PERFORM registry_parts_changed('instances', 'extension_id', 'instance_id', olds, news)$$))
            AS tables (name, kind, same, record)
    LOOP
        EXECUTE format($f$
            CREATE OR REPLACE FUNCTION registry_record_%2$s() RETURNS trigger
                LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
            DECLARE
                olds jsonb[];
                news jsonb[];
            BEGIN
                IF TG_OP = 'INSERT' THEN
                    news := ARRAY(SELECT registry_definition((n.*)::%1$I) FROM new_rows n);
                ELSIF TG_OP = 'DELETE' THEN
                    olds := ARRAY(SELECT registry_definition((o.*)::%1$I) FROM old_rows o);
                ELSE
                    SELECT array_agg(registry_definition((o.*)::%1$I)),
                        array_agg(registry_definition((n.*)::%1$I))
                    INTO olds, news
                    FROM old_rows o FULL JOIN new_rows n ON %3$s
                    WHERE registry_texts((o.*)::%1$I) IS DISTINCT FROM registry_texts((n.*)::%1$I);
                END IF;
                IF cardinality(coalesce(olds, news)) > 0 THEN
                    %4$s;
                END IF;
                RETURN NULL;
            END
            $$;
            -- Attached to someone else's table, it would write our tables in our name.
            REVOKE EXECUTE ON FUNCTION registry_record_%2$s() FROM PUBLIC;

            CREATE OR REPLACE TRIGGER a_lock BEFORE INSERT OR DELETE OR TRUNCATE OR UPDATE OF %5$s
                ON %1$I FOR EACH STATEMENT EXECUTE FUNCTION registry_lock();
            CREATE OR REPLACE TRIGGER c_record_insert AFTER INSERT ON %1$I
                REFERENCING NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION registry_record_%2$s();
            CREATE OR REPLACE TRIGGER c_record_update AFTER UPDATE ON %1$I
                REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION registry_record_%2$s();
            CREATE OR REPLACE TRIGGER c_record_delete AFTER DELETE ON %1$I
                REFERENCING OLD TABLE AS old_rows
                FOR EACH STATEMENT EXECUTE FUNCTION registry_record_%2$s();
            CREATE OR REPLACE TRIGGER c_record_truncate BEFORE TRUNCATE ON %1$I
                FOR EACH STATEMENT EXECUTE FUNCTION registry_empty();
            CREATE OR REPLACE TRIGGER z_digest BEFORE INSERT OR UPDATE ON %1$I
                FOR EACH ROW EXECUTE FUNCTION registry_stamp_digest();
            ALTER TABLE %1$I ENABLE ALWAYS TRIGGER z_digest $f$,
            shape.name, shape.kind, shape.same, shape.record, shape.columns);
        -- Rows of the old system, and those that a new column gave another digest. Other tools'
        -- triggers rest meanwhile: they would take it for a change.
        waking := (
            SELECT string_agg(format('ALTER TABLE %I ENABLE %s TRIGGER %I', shape.name,
                CASE tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, tgname), ';')
            FROM pg_trigger
            WHERE tgrelid = shape.name::regclass AND NOT tgisinternal AND tgenabled <> 'D');
        EXECUTE format($f$
            ALTER TABLE %1$I DISABLE TRIGGER USER;
            UPDATE %1$I t SET digest = registry_hash(registry_texts((t.*)::%1$I))
                WHERE t.digest <> registry_hash(registry_texts((t.*)::%1$I));
            %2$s $f$, shape.name, waking);
    END LOOP;
END
$do$;

CREATE OR REPLACE TRIGGER d_overrides_go AFTER DELETE ON extensions
    FOR EACH ROW EXECUTE FUNCTION circuit_overrides_follow();
CREATE OR REPLACE TRIGGER d_overrides_move AFTER UPDATE OF id ON extensions
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION circuit_overrides_follow();
CREATE OR REPLACE TRIGGER edited BEFORE UPDATE OF action, until ON circuit_overrides FOR EACH ROW
    WHEN (OLD.change = NEW.change
        AND (OLD.action, OLD.until) IS DISTINCT FROM (NEW.action, NEW.until))
    EXECUTE FUNCTION circuit_overrides_edited();
CREATE OR REPLACE TRIGGER reports_go AFTER DELETE ON extension_health
    FOR EACH ROW EXECUTE FUNCTION health_reports_follow();
CREATE OR REPLACE TRIGGER reports_move AFTER UPDATE OF extension_id ON extension_health
    FOR EACH ROW WHEN (OLD.extension_id <> NEW.extension_id)
    EXECUTE FUNCTION health_reports_follow();
CREATE OR REPLACE TRIGGER reports_go_all BEFORE TRUNCATE ON extension_health
    FOR EACH STATEMENT EXECUTE FUNCTION registry_empty();
