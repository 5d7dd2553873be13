-- What the fleet agrees on through the database: overrides of circuits, who probes, and who
-- publishes the events of a revision.

-- A reset is kept for a while too, so that every sidecar sees it. Whoever reads the rows applies
-- one whose `change` it has not applied to that circuit. Follows extensions by trigger, see V4.
CREATE TABLE circuit_overrides (
    extension_id text NOT NULL,
    version text NOT NULL,
    action text NOT NULL CHECK (action IN ('open', 'close', 'reset')),
    change uuid NOT NULL,
    until timestamptz,
    reason text,
    set_by varchar(255) NOT NULL,
    actor_source varchar(50) NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (extension_id, version)
);

COMMENT ON TABLE circuit_overrides IS
    'Circuits forced by operators; not a definition: takes no revision';
COMMENT ON COLUMN circuit_overrides.change IS
    'Named by the writer: a repeated write of the same change does nothing';
COMMENT ON COLUMN circuit_overrides.until IS 'Null: until the next override or reset';

-- Of versions whose share may be given up, and of the current version beside them; for as long as the
-- window of their circuit. A batch that is repeated adds nothing.
CREATE TABLE rollout_attempts (
    batch uuid NOT NULL,
    place integer NOT NULL,
    extension_id text NOT NULL,
    version text NOT NULL,
    revision bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    success_count bigint NOT NULL,
    failure_count bigint NOT NULL,
    PRIMARY KEY (batch, place)
);

CREATE INDEX idx_rollout_attempts_extension ON rollout_attempts (extension_id, counted_at);

COMMENT ON TABLE rollout_attempts IS 'Attempts that sidecars made lately, for rollout.halt';
COMMENT ON COLUMN rollout_attempts.revision IS 'That of the record by which they were made';

CREATE TABLE probe_lease (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    holder text NOT NULL,
    until timestamptz NOT NULL
);

COMMENT ON TABLE probe_lease IS 'The sidecar that probes auto-disabled extensions';

-- Not in registry_revision: claims must not wait for writers of definitions, nor hold them up.
CREATE TABLE event_claims (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch uuid NOT NULL,
    revision bigint NOT NULL
);

INSERT INTO event_claims (epoch, revision) SELECT epoch, revision FROM registry_revision;

COMMENT ON TABLE event_claims IS
    'Up to which revision change events are published, or lost with the sidecar that claimed them';
