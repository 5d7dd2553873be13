//! Documents as registries answer them, taken apart only as far as they are needed.
//!
//! A record may hold what [`Value`] cannot: numbers beyond an `f64`, or nesting without end. None
//! of that may hide the rest of an answer, so whatever does not fit stays text, digit for digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::failure::Failure;

/// What users put into records as they like: it is shown as it is, or not at all.
const OPEN: [&str; 3] = ["config", "metadata", "payload"];
/// Our own documents nest less than this.
const MAX_DEPTH: usize = 16;

/// The fields of an answer, none of them parsed.
pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

/// The document in `body`.
///
/// # Errors
/// It is no JSON.
pub(super) fn raw(body: &[u8]) -> Result<Box<RawValue>, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::Unanswered("the answer is no JSON: is this a registry?".to_owned()))
}

/// The document in `body`, fit for a view.
///
/// # Errors
/// It is no JSON.
pub(super) fn parsed(body: &[u8]) -> Result<Value, Failure> {
    raw(body).map(|raw| value(&raw))
}

/// The members of a list that nobody needs to read.
pub(super) fn members(list: Option<&RawValue>) -> Vec<&RawValue> {
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}

/// `raw` as a value, in which text stands for what a [`Value`] cannot hold.
pub(super) fn value(raw: &RawValue) -> Value {
    fitted(raw, MAX_DEPTH)
}

fn fitted(raw: &RawValue, depth: usize) -> Value {
    let text = raw.get();
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    let as_it_is = || Value::String(text.to_owned());
    let Some(depth) = depth.checked_sub(1) else {
        return as_it_is();
    };
    if let Ok(fields) = serde_json::from_str::<Fields>(text) {
        let fields = fields.into_iter().map(|(name, raw)| {
            // In one piece: half of it parsed would show a number as a string.
            let depth = if OPEN.contains(&name.as_str()) {
                0
            } else {
                depth
            };
            let value = fitted(&raw, depth);
            (name, value)
        });
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    match serde_json::from_str::<Vec<Box<RawValue>>>(text) {
        Ok(members) => members.iter().map(|raw| fitted(raw, depth)).collect(),
        Err(_) => as_it_is(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_stays_text_and_hides_nothing_else() {
        let body = br#"{"id":"a","n":1e400,"list":[{"config":{"big": 1e400},"retry":1},2]}"#;
        let expected = json!({"id": "a", "n": "1e400",
            "list": [{"config": "{\"big\": 1e400}", "retry": 1}, 2]});
        assert_eq!(parsed(body).unwrap(), expected);
        for open in ["[", "{\"a\":"] {
            let close = if open == "[" { "]" } else { "}" };
            let deep = format!("{}0{}", open.repeat(300), close.repeat(300));
            let body = format!("{{\"id\":\"a\",\"config\":{deep}}}");
            let expected = json!({"id": "a", "config": deep});
            assert_eq!(parsed(body.as_bytes()).unwrap(), expected);
        }
        for body in [&b"oops"[..], b"", b"{", b"\"\xff\""] {
            parsed(body).unwrap_err();
        }
    }

    #[test]
    fn members_are_counted_unread() {
        let list = raw(b"[1e400, {}]").unwrap();
        assert_eq!(members(Some(&list)).len(), 2);
        assert_eq!(members(None).len(), 0);
    }
}
