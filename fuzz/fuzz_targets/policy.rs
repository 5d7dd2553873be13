//! What a daemon with default settings allows.

use std::sync::LazyLock;

use beamline_registry::domain::policy::Policy;
use beamline_registry::domain::subject::SubjectPattern;

pub static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    allowed_subjects: ["beamline.ext.>", "beamline.provider.>"]
        .map(|pattern| SubjectPattern::parse(pattern).unwrap())
        .into(),
    forbidden_prefixes: ["$", "_INBOX.", "beamline.registry."]
        .map(str::to_owned)
        .into(),
    max_timeout_ms: 120_000,
    max_retries: 10,
});
