//! What only writing refuses: a record that is there already serves without it.
//!
//! The rules that [`Gate::strict`](super::Gate::strict) has and [`Gate::of`](super::Gate::of) has
//! not, for a whole extension that has passed the latter.

use super::gate::NO_HALT;
use crate::domain::call_rules::CallRules;
use crate::domain::extension::Extension;
use crate::domain::json::JsonObject;
use crate::domain::quote::quoted;
use crate::domain::rollout::Rollout;

/// Every such rule that it breaks, readable after its id.
pub fn refusals(it: &Extension) -> Vec<String> {
    let mut all = of_part(Some(&it.metadata), it.rollout.as_deref());
    for row in &it.versions {
        let of_current = row.rollout.as_deref().filter(|_| row.version == it.version);
        let faults = of_part(row.metadata.as_ref(), of_current).into_iter();
        all.extend(faults.map(|fault| format!("version {}: {fault}", row.version)));
    }
    all
}

/// Of the extension itself or of a version; `rollout` is one of the current version.
fn of_part(metadata: Option<&JsonObject>, rollout: Option<&Rollout>) -> Vec<String> {
    let unreadable = metadata.map(|it| CallRules::read(it).1).unwrap_or_default();
    let unreadable = unreadable.iter().map(|fault| quoted(&fault.to_string()));
    let unreadable = unreadable.map(|rule| format!("`metadata` {rule}"));
    let halts = rollout.filter(|it| it.halt().is_some());
    let halts = halts.map(|_| format!("`rollout` {NO_HALT}"));
    unreadable.chain(halts).collect()
}
