//! Keys given twice. Readers differ in which of the values counts, so none does.

use std::borrow::Cow;

use super::ObjectError;
use super::scan::{Quoted, structural};

/// An object or a list that is being read.
enum Level {
    /// The keys of this object begin here in the list of all keys.
    Object { first_key: usize },
    /// The number of the item, from 0.
    List { item: usize },
}

/// Looks for a key that an object within `json` has twice, however it is escaped. Expects valid JSON
/// of any depth; one pass, no recursion.
///
/// # Errors
/// The first such key.
pub fn check_keys(json: &str) -> Result<(), ObjectError> {
    let mut levels: Vec<Level> = Vec::new();
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    // Whether a string that begins now is a key.
    let mut key_next = false;
    let mut rest = json;
    while let Some((byte, after)) = structural(rest) {
        rest = after;
        match byte {
            b'"' => {
                let (key, after) = Quoted::split(rest);
                rest = after;
                if key_next {
                    keys.push(key.decoded().ok_or(ObjectError::KeyIsNoText)?);
                    key_next = false;
                }
            }
            b'{' => {
                let first_key = keys.len();
                levels.push(Level::Object { first_key });
                key_next = true;
            }
            b'[' => {
                levels.push(Level::List { item: 0 });
                key_next = false;
            }
            b',' => match levels.last_mut() {
                Some(Level::List { item }) => *item += 1,
                _ => key_next = true,
            },
            _ => {
                key_next = false;
                let Some(Level::Object { first_key }) = levels.pop() else {
                    continue;
                };
                let own = keys.get_mut(first_key..).unwrap_or_default();
                let twice = twice(own);
                keys.truncate(first_key);
                if let Some(key) = twice {
                    keys.push(key.into());
                    levels.push(Level::Object { first_key });
                    return Err(ObjectError::Twice(place(&levels, &keys)));
                }
            }
        }
    }
    Ok(())
}

/// A key that is there twice; the order of the keys is lost.
fn twice(keys: &mut [Cow<'_, str>]) -> Option<String> {
    keys.sort_unstable();
    let mut pairs = keys.windows(2);
    pairs.find_map(|pair| match pair {
        [first, second] if first == second => Some(first.to_string()),
        _ => None,
    })
}

/// The place of the last key: the keys and numbers that lead there.
fn place(levels: &[Level], keys: &[Cow<'_, str>]) -> String {
    let mut place = String::new();
    for (level, inner) in levels.iter().zip(1..) {
        match level {
            Level::List { item } => place.push_str(&format!("[{item}]")),
            Level::Object { .. } => {
                // The last key of this level comes before the first one of the next object.
                let ends = levels.iter().skip(inner).find_map(|next| match next {
                    Level::Object { first_key } => Some(*first_key),
                    Level::List { .. } => None,
                });
                let last = ends.unwrap_or(keys.len()).checked_sub(1);
                if let Some(key) = last.and_then(|last| keys.get(last)) {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(key);
                }
            }
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_given_twice_is_found_wherever_it_stands() {
        for json in [
            "{}",
            "[]",
            "1",
            r#""a""#,
            r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}],"A":1}"#,
            r#"{"a":"a","b":"{\"a\":1,\"a\":2}","c":"\\"}"#,
            r#"{"a":["x","x",{"x":"x"},"x"],"x":[[],{}],"b":{"x":{}}}"#,
        ] {
            assert_eq!(check_keys(json), Ok(()), "{json}");
        }
        for (json, place) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"b":2,"\u0061":3}"#, "a"),
            (r#"{"x":{"y":{"a":1,"b":[],"a":2}}}"#, "x.y.a"),
            (
                r#"{"x":[1,[2,{"k":0}],{"y":[{"a":{},"a":2}]}]}"#,
                "x[2].y[0].a",
            ),
            (r#"[{"a":1},{"a":1,"a":2}]"#, "[1].a"),
            (r#"{"a":{"b":1},"c":{"d":2},"a":3}"#, "a"),
            (r#"{"":1,"":2}"#, ""),
            (r#"{"q\"":1,"q\"":2}"#, "q\""),
        ] {
            assert_eq!(
                check_keys(json),
                Err(ObjectError::Twice(place.into())),
                "{json}"
            );
        }
        let half = r#"{"a":{"b":1,"\ud800":1}}"#;
        assert_eq!(check_keys(half), Err(ObjectError::KeyIsNoText));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(check_keys(&deep), Ok(()));
    }

    /// JSON of any shape, some objects of which have a key twice, and whether any has.
    fn json() -> impl Strategy<Value = (String, bool)> {
        let leaf = prop_oneof![
            Just("1".to_owned()),
            Just("null".to_owned()),
            "[a-c{}\\[\\],:]{0,3}".prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_map(|text| (text, false))
            .prop_recursive(4, 40, 5, |inner| {
                let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                    let twice = items.iter().any(|(_, twice)| *twice);
                    let items: Vec<_> = items.into_iter().map(|(text, _)| text).collect();
                    (format!("[{}]", items.join(",")), twice)
                });
                let object =
                    prop::collection::vec(("[a-f\",}]", inner), 0..4).prop_map(|members| {
                        let mut keys: Vec<_> = members.iter().map(|(key, _)| key.clone()).collect();
                        keys.sort();
                        keys.dedup();
                        let twice = keys.len() < members.len()
                            || members.iter().any(|(_, (_, twice))| *twice);
                        let members = members
                            .into_iter()
                            .map(|(key, (text, _))| format!("{}:{text}", Value::from(key)));
                        (
                            format!("{{{}}}", members.collect::<Vec<_>>().join(",")),
                            twice,
                        )
                    });
                prop_oneof![list, object]
            })
    }

    proptest! {
        #[test]
        fn exactly_what_has_a_key_twice_is_refused((text, twice) in json()) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            prop_assert_eq!(check_keys(&text).is_err(), twice, "{}", text);
        }
    }
}
