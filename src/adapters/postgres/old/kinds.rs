//! Types of columns that the upgrade leaves as they are and the daemon relies on. A column that only
//! ours have may be there too, as another tool's, and would be taken for ours.

use super::shape::{AUDIT, EXTENSIONS, HEALTH, INSTANCES, VERSIONS};

const TEXT: &[&str] = &["character varying", "text"];
const INTEGER: &[&str] = &["integer"];
const BOOLEAN: &[&str] = &["boolean"];
const JSON: &[&str] = &["jsonb"];

/// Columns of a table, where they are there, and the types that they may have. `types.sql` has those
/// that are changed to ours.
pub(super) const KINDS: [(&str, &str, &[&str]); 15] = [
    (EXTENSIONS, "id type owner created_by updated_by", TEXT),
    (EXTENSIONS, "timeout_ms retry", INTEGER),
    (EXTENSIONS, "enabled auto_disabled", BOOLEAN),
    (
        EXTENSIONS,
        "config metadata fallback routing_rules rollout circuit_breaker",
        JSON,
    ),
    (VERSIONS, "id created_by", TEXT),
    (VERSIONS, "timeout_ms retry priority", INTEGER),
    (VERSIONS, "enabled", BOOLEAN),
    (VERSIONS, "config metadata routing_rules rollout", JSON),
    (
        INSTANCES,
        "extension_id instance_id health_status created_by",
        TEXT,
    ),
    (INSTANCES, "weight", INTEGER),
    (INSTANCES, "enabled", BOOLEAN),
    (HEALTH, "extension_id circuit_breaker_state", TEXT),
    (
        HEALTH,
        "circuit_breaker_failure_threshold half_open_request_count half_open_requests_count \
         half_open_max_requests",
        INTEGER,
    ),
    (AUDIT, "extension_id action changed_by actor_source", TEXT),
    (AUDIT, "changes", JSON),
];
