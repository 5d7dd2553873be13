//! A desk without data, for tests of what surrounds it.

use std::sync::Arc;

use super::Desk;
use crate::domain::catalog::Catalog;
use crate::domain::policy::Policy;
use crate::domain::source::SourceMode;
use crate::service::administration::Administration;
use crate::service::health::Health;
use crate::service::progress::Progress;
use crate::service::read::Reads;
use crate::service::reload::nobodys_handle;
use crate::service::status::Status;
use crate::service::testing::{stats, tools};

/// The desk; once `progress` announces a revision, it answers from an empty catalog.
pub(crate) fn desk(progress: Progress) -> Arc<Desk> {
    let (catalog, _) = Catalog::new();
    let tools = tools(catalog);
    let reload = nobodys_handle();
    let changes = Administration {
        definitions: None,
        policy: Policy {
            allowed_subjects: Vec::new(),
            forbidden_prefixes: Vec::new(),
            max_timeout_ms: 1000,
            max_retries: 3,
        },
        tools: tools.clone(),
        reload: reload.clone(),
        progress: progress.clone(),
        overrides: None,
    };
    let status = Status::new(SourceMode::Fixtures, std::time::Duration::MAX);
    let stats = stats(&tools, status);
    Arc::new(Desk {
        reads: Reads::new(Arc::clone(&tools.selector), Arc::clone(&tools.runtimes)),
        health: Arc::new(Health::new(tools, Arc::default())),
        stats: Arc::new(stats),
        changes: Arc::new(changes),
        reload,
        progress,
    })
}
