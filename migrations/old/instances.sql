-- The original's instances are of no version in particular: of the one that is current.
ALTER TABLE extension_instances
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS health_status varchar(50),
    ADD COLUMN IF NOT EXISTS last_health_check timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz,
    ADD COLUMN IF NOT EXISTS updated_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_by varchar(255);

UPDATE extension_instances i
SET version = coalesce(i.version, e.version), weight = coalesce(i.weight, 100),
    health_status = coalesce(i.health_status, 'unknown'),
    created_at = coalesce(i.created_at, i.updated_at, now())
FROM extensions e
WHERE e.id = i.extension_id;

ALTER TABLE extension_instances
    ALTER COLUMN weight SET DEFAULT 100,
    ALTER COLUMN weight SET NOT NULL,
    ALTER COLUMN enabled SET DEFAULT true,
    ALTER COLUMN health_status SET DEFAULT 'unknown',
    ALTER COLUMN health_status SET NOT NULL,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL;
