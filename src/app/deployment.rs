//! What the settings as a whole mean: the source that is asked, the subjects, what an extension may
//! be. The daemon and the command line both go by it.

use crate::adapters::nats::subjects::Layout;
use crate::config::{DatabaseSettings, Settings};
use crate::domain::policy::Policy;
use crate::domain::source::SourceMode;
use crate::service::clock::millis;

/// `auto` without a database means fixtures.
pub(super) fn mode(settings: &Settings) -> SourceMode {
    match settings.source.mode {
        SourceMode::Auto if settings.database.is_none() => SourceMode::Fixtures,
        mode => mode,
    }
}

/// The database, unless it is never asked.
pub(crate) fn uses_database(settings: &Settings) -> Option<&DatabaseSettings> {
    settings
        .database
        .as_ref()
        .filter(|_| mode(settings) != SourceMode::Fixtures)
}

/// Whether files may ever be served.
pub(super) fn uses_fixtures(settings: &Settings) -> bool {
    mode(settings) != SourceMode::Database
}

/// Where this deployment's subjects begin.
pub(crate) fn layout(settings: &Settings) -> Layout {
    Layout {
        prefix: settings.subjects.prefix.as_str().to_owned(),
        queue_group: settings.subjects.queue_group.clone(),
        instance_id: settings.identity.instance_id.clone(),
    }
}

/// What this deployment allows an extension to be.
pub(crate) fn policy(settings: &Settings) -> Policy {
    let own = format!("{}.", settings.subjects.prefix);
    let replies = settings.subjects.reply_prefixes.iter().cloned();
    Policy {
        allowed_subjects: settings.subjects.allowed.clone(),
        forbidden_prefixes: replies.chain([own, "$".to_owned()]).collect(),
        max_timeout_ms: u32::try_from(millis(settings.limits.max_timeout)).unwrap_or(u32::MAX),
        max_retries: settings.limits.max_retries,
    }
}
