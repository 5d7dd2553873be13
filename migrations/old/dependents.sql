-- What of other tools depends on a column that changes its type or goes, by column. Follows the
-- SELECT of types.sql as `changing`. Postgres would refuse at the first of them.
, going AS (
    SELECT a.attrelid::regclass::text AS table_name, a.attname::text AS column_name, a.attrelid,
        a.attnum, NULL::text AS type
    FROM pg_attribute a
    WHERE a.attrelid = to_regclass('extension_audit_log')
      AND a.attname IN ('old_values', 'new_values')
)
SELECT changing.table_name || '.' || changing.column_name,
    array_agg(DISTINCT pg_describe_object(d.classid, d.objid, 0))
FROM (SELECT * FROM changing UNION ALL SELECT * FROM going) AS changing
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = changing.attrelid
    AND d.refobjsubid = changing.attnum
WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass,
        'pg_proc'::regclass, 'pg_publication_rel'::regclass)
   -- A generated column; a column's own default is none.
   OR d.classid = 'pg_attrdef'::regclass AND EXISTS (
       SELECT FROM pg_attrdef WHERE oid = d.objid AND (adrelid, adnum)
           IS DISTINCT FROM (changing.attrelid, changing.attnum))
   -- An index on what is computed of a time, or where it is compared: with a zone, that would go by the
   -- session's. Whether there is a time does not.
   OR d.classid = 'pg_class'::regclass AND changing.type = 'timestamp with time zone' AND EXISTS (
       SELECT FROM pg_index
       WHERE indexrelid = d.objid AND strpos(
           regexp_replace(
               concat(pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)),
               quote_ident(changing.column_name) || ' IS (NOT )?NULL', '', 'g'),
           quote_ident(changing.column_name)) > 0)
GROUP BY 1 ORDER BY 1
