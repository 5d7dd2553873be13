//! JSON documents as they are answered, parsed only as far as needed.
//!
//! What is not parsed keeps its text: the order of its fields, the digits of its numbers, and any
//! depth of nesting.

use indexmap::IndexMap;
use serde_json::value::RawValue;

/// The fields of an object, in their order, none of them parsed.
pub(super) type Fields<'a> = IndexMap<String, &'a RawValue>;

/// The fields of an object; none of anything else.
pub(super) fn fields(raw: &RawValue) -> Fields<'_> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// The members of a list; none of anything else.
pub(super) fn members(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// The value at `path`, names with dots between them; nothing where it is null.
pub(super) fn at<'a>(raw: &'a RawValue, path: &str) -> Option<&'a RawValue> {
    let found = path
        .split('.')
        .try_fold(raw, |raw, name| fields(raw).get(name).copied());
    found.filter(|raw| raw.get() != "null")
}

/// The members of the list at `path`.
pub(super) fn list<'a>(raw: &'a RawValue, path: &str) -> Vec<&'a RawValue> {
    at(raw, path).map(members).unwrap_or_default()
}

/// The string at `path`; empty where there is none.
pub(super) fn string(raw: &RawValue, path: &str) -> String {
    let string = at(raw, path).and_then(|raw| serde_json::from_str(raw.get()).ok());
    string.unwrap_or_default()
}

/// Whether `path` is `true`.
pub(super) fn is_true(raw: &RawValue, path: &str) -> bool {
    at(raw, path).is_some_and(|raw| raw.get() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_what_stands_beside_it() {
        let deep = format!("{}0{}", "[".repeat(300), "]".repeat(300));
        let body =
            format!(r#"{{"z":1e400,"a":{{"b":"c","n":null}},"config":{deep},"list":[1.50,{{}}]}}"#);
        let document = serde_json::from_str(&body).unwrap();
        let fields = fields(document);
        assert_eq!(
            fields.keys().collect::<Vec<_>>(),
            ["z", "a", "config", "list"]
        );
        assert_eq!(fields["z"].get(), "1e400");
        assert_eq!(fields["config"].get(), deep);
        assert_eq!(string(document, "a.b"), "c");
        assert!(at(document, "a.n").is_none() && at(document, "a.b.c").is_none());
        assert_eq!(list(document, "list").len(), 2);
    }
}
