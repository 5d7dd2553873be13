-- A time that was never written is taken from the other one; where there is none, from now. Columns of
-- ours that another tool has added already have no nulls and our defaults from now on.
ALTER TABLE extensions
    ADD COLUMN IF NOT EXISTS version text NOT NULL DEFAULT 'v1',
    ADD COLUMN IF NOT EXISTS auto_disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS created_by varchar(255),
    ADD COLUMN IF NOT EXISTS updated_by varchar(255);

UPDATE extensions
SET created_at = coalesce(created_at, updated_at, now()),
    updated_at = coalesce(updated_at, created_at, now()),
    version = coalesce(version, 'v1'),
    auto_disabled = coalesce(auto_disabled, false)
WHERE created_at IS NULL OR updated_at IS NULL OR version IS NULL OR auto_disabled IS NULL;

ALTER TABLE extensions
    ALTER COLUMN retry SET DEFAULT 1,
    ALTER COLUMN version SET DEFAULT 'v1',
    ALTER COLUMN version SET NOT NULL,
    ALTER COLUMN auto_disabled SET DEFAULT false,
    ALTER COLUMN auto_disabled SET NOT NULL,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET NOT NULL;
