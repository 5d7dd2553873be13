-- Triggers and rules of other tools stay and rest meanwhile: one that stamps times would stamp what it
-- must not, and one that keeps the audit log as it is would keep it from being carried over. Answers
-- statements in pairs: that each rests, and that it is put back to what it was.
SELECT format('ALTER TABLE %s DISABLE %s', relation, name),
    format('ALTER TABLE %s ENABLE %s %s', relation,
        CASE enabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, name)
FROM (
    SELECT tgrelid::regclass AS relation, format('TRIGGER %I', tgname) AS name, tgenabled AS enabled
    FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal
    UNION ALL
    SELECT ev_class::regclass, format('RULE %I', rulename), ev_enabled
    FROM pg_rewrite WHERE ev_class = to_regclass($1)
) AS others
WHERE enabled <> 'D'
