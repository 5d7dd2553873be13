//! Answers as operators read them: one file per document. Each is a function of the document alone.

pub(super) mod audit;
pub(super) mod circuits;
pub(super) mod event;
pub(super) mod explain;
pub(super) mod health;
pub(super) mod list;
pub(super) mod lookup;
pub(super) mod ping;
pub(super) mod record;
pub(super) mod reload;
pub(super) mod stats;

use serde_json::Value;

/// The members of the list called `name`.
fn members<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    let list = document.get(name).and_then(Value::as_array);
    list.into_iter().flatten().collect()
}
