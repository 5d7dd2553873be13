//! Answers as people read them: one file per document. Each is a function of the document alone.

pub(super) mod health;
pub(super) mod list;
pub(super) mod record;

use serde_json::Value;

/// The members of the list called `name`.
fn members<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    let list = document.get(name).and_then(Value::as_array);
    list.into_iter().flatten().collect()
}
