-- Triggers of other tools stay and rest meanwhile: one that stamps times would stamp what it must
-- not. Answers the statements that put each back to what it was.
SELECT format('ALTER TABLE %s %s TRIGGER %I', tgrelid::regclass, CASE tgenabled
    WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS'
    ELSE 'ENABLE' END, tgname)
FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'
