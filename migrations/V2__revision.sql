-- One number that grows by one with every committed transaction that changed a definition, in
-- commit order; what was deleted lately; and which functions the schema has.

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

CREATE TABLE registry_functions (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sha256 text NOT NULL
);

COMMENT ON TABLE registry_functions IS
    'Of the functions, views and triggers that migrate applied last, with the version they are for';
