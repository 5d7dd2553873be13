-- A version kept by the old system must not take traffic that it did not take there; a row that
-- names the current version must not switch that off.
ALTER TABLE extension_versions
    ADD COLUMN IF NOT EXISTS timeout_ms integer,
    ADD COLUMN IF NOT EXISTS retry integer,
    ADD COLUMN IF NOT EXISTS config jsonb,
    ADD COLUMN IF NOT EXISTS metadata jsonb,
    ADD COLUMN IF NOT EXISTS routing_rules jsonb,
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS enabled boolean,
    ADD COLUMN IF NOT EXISTS created_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_by varchar(255);

UPDATE extension_versions v
SET created_at = coalesce(v.created_at, now()), enabled = coalesce(v.enabled, v.version = e.version),
    priority = coalesce(v.priority, 0)
FROM extensions e
WHERE e.id = v.id AND (v.created_at IS NULL OR v.enabled IS NULL OR v.priority IS NULL);

ALTER TABLE extension_versions
    ALTER COLUMN timeout_ms DROP NOT NULL,
    ALTER COLUMN timeout_ms DROP DEFAULT,
    ALTER COLUMN retry DROP NOT NULL,
    ALTER COLUMN retry DROP DEFAULT,
    ALTER COLUMN config DROP NOT NULL,
    ALTER COLUMN config DROP DEFAULT,
    ALTER COLUMN metadata DROP NOT NULL,
    ALTER COLUMN metadata DROP DEFAULT,
    ALTER COLUMN routing_rules DROP NOT NULL,
    ALTER COLUMN routing_rules DROP DEFAULT,
    ALTER COLUMN priority SET DEFAULT 0,
    ALTER COLUMN priority SET NOT NULL,
    ALTER COLUMN enabled SET NOT NULL,
    ALTER COLUMN enabled DROP DEFAULT,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL;
