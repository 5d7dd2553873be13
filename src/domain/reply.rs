//! The top level of an extension's reply body.
//!
//! It is read to the end, for a body that breaks off is not JSON, and nothing is built of it.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::json::{compact, members, string};

/// What a reply body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing, or only white space.
    Empty,
    /// Not JSON.
    Undecodable,
    /// An object with an `error` that is neither null nor false, or with `"status":"error"`.
    Error,
    /// Any other JSON.
    Fine,
}

/// Reads a reply body.
pub fn inspect(body: &[u8]) -> Body {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Body::Empty;
    }
    // JSON is UTF-8 (RFC 8259), and serde_json does not look into strings that it skips.
    match std::str::from_utf8(body) {
        Ok(text) if is_json(text) => match says_error(text) {
            true => Body::Error,
            false => Body::Fine,
        },
        Ok(_) | Err(_) => Body::Undecodable,
    }
}

/// The most of a body that is read for its words.
const MOST_READ: usize = 64 * 1024;

/// The error text in a body: of `error` the text, or its `message`; else the body's own `message`
/// or `reason`. With `plain`, a body that is not JSON is all text.
pub fn error_text(body: &[u8], plain: bool) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?.trim();
    if body.len() > MOST_READ {
        return None;
    }
    if !is_json(body) {
        return (plain && !body.is_empty()).then(|| body.to_owned());
    }
    let error = member(body, "error").and_then(|error| match error.starts_with('{') {
        true => {
            let message = member(error, "message").and_then(text);
            message.or_else(|| Some(compact(error)))
        }
        false => text(error),
    });
    error
        .or_else(|| member(body, "message").and_then(text))
        .or_else(|| member(body, "reason").and_then(text))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The value of the last member `name` of the object that `json` is.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let named = members(json)?.filter(|member| member.key.as_deref() == Some(name));
    named.last().map(|member| member.value)
}

/// The string that `json` is; with half of a surrogate pair in it, as it was written.
fn text(json: &str) -> Option<String> {
    let written = json.strip_prefix('"')?.strip_suffix('"')?;
    Some(string(json).map_or_else(|| written.to_owned(), Cow::into_owned))
}

/// Whether the object that `json` is has an error. Most have no place where one could be, and are
/// not read a second time: a letter can be written otherwise as \u and its number only. Of a field that
/// comes twice the last counts, as for most readers.
fn says_error(json: &str) -> bool {
    if !json.contains(r#""error""#) && !json.contains(r"\u") {
        return false;
    }
    let (mut error, mut status) = (false, false);
    for member in members(json).into_iter().flatten() {
        match member.key.as_deref() {
            Some("error") => error = !matches!(member.value, "null" | "false"),
            Some("status") => status = is_status_error(member.value),
            _ => {}
        }
    }
    error || status
}

/// Compared as text first: an escaped spelling is possible, but rare.
fn is_status_error(text: &str) -> bool {
    text == r#""error""#
        || text.contains('\\') && serde_json::from_str::<String>(text).is_ok_and(|s| s == "error")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn bodies() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let deep_field = format!(r#"{{"a":{deep},"error":{deep}}}"#);
        for (body, expected) in [
            ("", Body::Empty),
            (" \n", Body::Empty),
            ("nope", Body::Undecodable),
            (r#"{"a":1"#, Body::Undecodable),
            (r#"{"a":1}}"#, Body::Undecodable),
            (r#"{"error":1} x"#, Body::Undecodable),
            (r#"{"a":nope,"error":1}"#, Body::Undecodable),
            ("{}", Body::Fine),
            ("[]", Body::Fine),
            (r#"[{"error":1}]"#, Body::Fine),
            ("null", Body::Fine),
            ("-1", Body::Fine),
            ("18446744073709551616", Body::Fine),
            ("1.5e300", Body::Fine),
            ("1e999", Body::Fine),
            (r#"{"a":1e999}"#, Body::Fine),
            (r#""error""#, Body::Fine),
            (" true ", Body::Fine),
            (r#"{"payload":{"error":true},"status":"ok"}"#, Body::Fine),
            (r#"{"status":"reject","reason":"pii"}"#, Body::Fine),
            (r#"{"error":null}"#, Body::Fine),
            (r#"{"error":false}"#, Body::Fine),
            (r#"{"error": false }"#, Body::Fine),
            (r#"{"error":true}"#, Body::Error),
            (r#"{"error":0}"#, Body::Error),
            (r#"{"error":""}"#, Body::Error),
            (r#"{"error":{}}"#, Body::Error),
            (r#"{"error":{"code":"x"},"payload":1}"#, Body::Error),
            (r#"{"\u0065rror":1}"#, Body::Error),
            (r#"{"status":"error"}"#, Body::Error),
            (r#"{"status":"\u0065rror"}"#, Body::Error),
            (r#"{ "a" : "error" , "status" : "ok" }"#, Body::Fine),
            (
                r#"{"a":["error",{"error":1}],"b":"\"error\":1"}"#,
                Body::Fine,
            ),
            ("{ \"a\": {}, \n\"error\" :\t1 }", Body::Error),
            (r#"{"status":"ERROR"}"#, Body::Fine),
            (r#"{"status":["error"]}"#, Body::Fine),
            (r#"{"status":"error","error":null}"#, Body::Error),
            (r#"{"error":1,"error":null}"#, Body::Fine),
            (r#"{"\ud800":1,"a":"\ud800"}"#, Body::Fine),
            (r#"{"\ud800":1,"error":1}"#, Body::Error),
            (r#"{"error":1,"\ud800":1,"error":null}"#, Body::Fine),
            (r#"{"\ud800":1,"status":"error"}"#, Body::Error),
            (r#"{"\ud800":1"#, Body::Undecodable),
            (&deep_field, Body::Error),
        ] {
            let shown = body.get(..60).unwrap_or(body);
            assert_eq!(inspect(body.as_bytes()), expected, "{shown}");
        }
        assert_eq!(inspect(b"{\"a\":\"\xff\"}"), Body::Undecodable);
    }

    #[test]
    fn an_errors_words_are_found_wherever_extensions_put_them() {
        for (body, plain, said) in [
            (
                r#"{"error":"model not loaded"}"#,
                false,
                Some("model not loaded"),
            ),
            (
                r#"{"error":{"code":"x","message":"no model"}}"#,
                false,
                Some("no model"),
            ),
            (r#"{"error":{"code":"x"}}"#, false, Some(r#"{"code":"x"}"#)),
            (
                r#"{"error":true,"message":"no model"}"#,
                false,
                Some("no model"),
            ),
            (
                r#"{"status":"error","reason":"no model"}"#,
                false,
                Some("no model"),
            ),
            (
                r#"{"error":{"message":"no model","limit":1e400,"\ud800":1}}"#,
                false,
                Some("no model"),
            ),
            (
                r#"{"error":{"tenant": 18446744073709551617}}"#,
                false,
                Some(r#"{"tenant":18446744073709551617}"#),
            ),
            (
                r#"{"error":"cannot read \ud83d"}"#,
                false,
                Some(r"cannot read \ud83d"),
            ),
            (r#"{"error":1,"error":"no model"}"#, false, Some("no model")),
            (r#"["secret",null,null]"#, true, None),
            (r#"{"status":"error","payload":"secret"}"#, true, None),
            ("[1]", true, None),
            ("", true, None),
            ("no model\n", true, Some("no model")),
            // Without the code of an error it may be a payload.
            ("secret", false, None),
        ] {
            let found = error_text(body.as_bytes(), plain);
            assert_eq!(found.as_deref(), said, "{body}");
        }
        assert_eq!(error_text(b"\xff", true), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            inspect(&body);
            error_text(&body, true);
        }

        /// What is JSON to serde_json is JSON here too, and the other way round.
        #[test]
        fn agrees_with_a_full_parse(body in r#"[\[\]{}:,"a-e0-9. -]{0,24}"#) {
            let full = serde_json::from_str::<&RawValue>(&body).is_ok();
            let here = matches!(inspect(body.as_bytes()), Body::Fine | Body::Error);
            prop_assert_eq!(full, here);
        }
    }
}
