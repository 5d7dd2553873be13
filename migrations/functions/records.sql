-- Definitions written as JSON, with the rights of the caller. A member is a column of the view of
-- that name; null in JSON is null in SQL, also in a column of JSON. Only the columns that are written are
-- read: another one may be of a domain that takes no null.

-- Adds or replaces rows of extensions, versions or instances, as `kind` says. Columns that no record
-- names are another tool's, or of a later version: they keep their values, and have their defaults in
-- new rows. What is not an operator's to say stays: auto_disabled. What was remembered of the current
-- version's promotion is forgotten.
CREATE OR REPLACE FUNCTION registry_put(kind text, records jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    shown text;
    keys text[];
    same text;
    columns text;
    given text;
    changed text;
    typed text;
BEGIN
    CASE kind
        WHEN 'extensions' THEN shown := 'extension_definitions'; keys := '{id}';
        WHEN 'versions' THEN shown := 'extension_version_definitions'; keys := '{id, version}';
        WHEN 'instances' THEN
            shown := 'extension_instance_definitions'; keys := '{extension_id, instance_id}';
    END CASE;
    same := (SELECT string_agg(format('o.%1$I = n.%1$I', key), ' AND ') FROM unnest(keys) AS key);
    SELECT string_agg(quote_ident(attname), ', '),
        string_agg(CASE
            WHEN attname = 'auto_disabled' THEN 'coalesce(auto_disabled, false)'
            WHEN named THEN quote_ident(attname)
            ELSE format('(SELECT o.%I FROM %I o WHERE %s)', attname, shown, same) END, ', '),
        string_agg(format('%1$I = excluded.%1$I', attname), ', ')
            FILTER (WHERE named AND attname <> ALL (keys || 'auto_disabled'::text)),
        string_agg(format('%I %s', attname, type_name), ', ') FILTER (WHERE named)
    INTO columns, given, changed, typed
    FROM (
        SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type_name,
            a.attname = ANY (keys || '{subject, auto_disabled}'::text[])
                OR a.attname IN (
                    SELECT jsonb_object_keys(value) FROM jsonb_array_elements(records)) AS named,
            -- Checked of the row to be inserted, also where one is there: it has that one's value.
            t.attnotnull AND NOT t.atthasdef AND t.attidentity = '' AND EXISTS (
                SELECT FROM pg_type d WHERE d.oid = t.atttypid AND d.typdefault IS NULL) AS needed
        FROM pg_attribute a LEFT JOIN pg_attribute t
            ON t.attrelid = replace(shown, '_definitions', 's')::regclass AND t.attname = a.attname
        -- What is numbered always cannot be written. With OFFSET the names are read of the records
        -- once, not at each place that asks for them.
        WHERE a.attrelid = shown::regclass AND a.attnum > 0
            AND t.attidentity IS DISTINCT FROM 'a'
        OFFSET 0
    ) AS of_view
    WHERE named OR needed;
    EXECUTE format(
        'INSERT INTO %1$I (%2$s) SELECT %3$s FROM jsonb_to_recordset($1) AS n (%6$s)
         ON CONFLICT (%4$s) DO UPDATE SET %5$s',
        shown, columns, given, array_to_string(keys, ', '), changed, typed) USING records;
    IF kind = 'extensions' THEN
        UPDATE extensions SET promoted = NULL
        WHERE promoted IS NOT NULL
          AND id IN (SELECT value ->> 'id' FROM jsonb_array_elements(records));
    END IF;
END
$$;

-- Writes the columns of one extension that `patch` names, and no others.
CREATE OR REPLACE FUNCTION registry_patch(of_id text, patch jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    changed text;
    typed text;
    unknown text;
BEGIN
    SELECT string_agg(format('%1$I = p.%1$I', attname), ', ') FILTER (WHERE attname IS NOT NULL),
        string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ')
            FILTER (WHERE attname IS NOT NULL),
        string_agg(key, ', ') FILTER (WHERE attname IS NULL)
    INTO changed, typed, unknown
    FROM jsonb_object_keys(patch) AS key LEFT JOIN pg_attribute
        ON attrelid = 'extension_definitions'::regclass AND attnum > 0 AND attname = key;
    IF unknown IS NOT NULL THEN
        RAISE undefined_column USING MESSAGE = 'an extension has no ' || unknown;
    ELSIF changed IS NOT NULL THEN
        EXECUTE format(
            'UPDATE extension_definitions AS e SET %s
             FROM jsonb_to_record($2) AS p (%s) WHERE e.id = $1',
            changed, typed) USING of_id, patch;
    END IF;
END
$$;
