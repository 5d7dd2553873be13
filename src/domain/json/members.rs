//! The members of an object as they were written: the reader of requests, which may be faulty in
//! one place and sound in all others.

use std::borrow::Cow;

use super::scan::{Quoted, value};

/// A key and its value, unread.
#[derive(Debug)]
pub struct Member<'a> {
    /// The key; `None` where it is no text: half of a surrogate pair.
    pub key: Option<Cow<'a, str>>,
    /// The value, valid JSON.
    pub value: &'a str,
}

/// The members of an object in order, whatever is in them, keys given twice included. `None` when
/// `json`, which must be valid JSON, is no object.
pub fn members(json: &str) -> Option<impl Iterator<Item = Member<'_>>> {
    let mut rest = json.trim_ascii_start().strip_prefix('{')?;
    Some(std::iter::from_fn(move || {
        let next = rest.trim_ascii_start();
        let next = next.strip_prefix(',').unwrap_or(next).trim_ascii_start();
        let (key, after) = Quoted::split(next.strip_prefix('"')?);
        let after = after.trim_ascii_start().strip_prefix(':')?;
        let (value, after) = value(after.trim_ascii_start());
        rest = after;
        let key = key.decoded();
        Some(Member { key, value })
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn one_bad_member_leaves_the_others_readable() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        let json = format!(
            r#" {{ "a":1e400,"\ud800":1, "b\n" : "\ud800}}\"" ,"a":{deep},"":null,"o":{{"x":"]}}"}} }} "#
        );
        let read: Vec<_> = members(&json).unwrap().collect();
        let read: Vec<_> = read
            .iter()
            .map(|member| (member.key.as_deref(), member.value))
            .collect();
        let expected = [
            (Some("a"), "1e400"),
            (None, "1"),
            (Some("b\n"), r#""\ud800}\"""#),
            (Some("a"), deep.as_str()),
            (Some(""), "null"),
            (Some("o"), r#"{"x":"]}"}"#),
        ];
        assert_eq!(read, expected);
        assert_eq!(members("{ }").unwrap().count(), 0);
        for none in ["[]", "1", "\"{}\"", "null"] {
            assert!(members(none).is_none(), "{none}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "[a-c{}\\[\\]\",:\\\\\u{e9}\n ]{0,6}".prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let object = prop::collection::hash_map("[a-c{}\",:\\\\]{0,3}", inner, 0..4);
            prop_oneof![list, object.prop_map(|map| map.into_iter().collect())]
        })
    }

    proptest! {
        /// Compact and laid out, it is read as a full parser reads it.
        #[test]
        fn members_are_those_that_a_parser_finds(
            object in prop::collection::btree_map("[a-c{}\",:\\\\ ]{0,4}", json(), 0..5)
        ) {
            for text in [
                serde_json::to_string(&object).unwrap(),
                serde_json::to_string_pretty(&object).unwrap(),
            ] {
                let found = members(&text).unwrap().map(|member| {
                    let value = serde_json::from_str::<Value>(member.value).unwrap();
                    (member.key.unwrap().into_owned(), value)
                });
                prop_assert_eq!(&found.collect::<BTreeMap<_, _>>(), &object);
            }
        }
    }
}
