//! Values as operators read them. Whatever comes from a record is cleaned first: a terminal obeys
//! control characters, and a name must not be able to draw on somebody's screen.

use serde_json::Value;

/// What stands where there is no value.
pub(super) const NONE: &str = "-";

/// `text` without what a terminal would obey: control characters, and those that change the
/// direction of writing, are shown as escapes.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns_writing(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

const fn turns_writing(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Any value: a string as it is, everything else as JSON.
pub(super) fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NONE.to_owned(),
        Some(Value::String(text)) if text.is_empty() => "\"\"".to_owned(),
        Some(Value::String(text)) => clean(text),
        Some(value) => clean(&value.to_string()),
    }
}

/// The string at `pointer`, or nothing.
pub(super) fn string<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A ratio in percent, without the sign.
pub(super) fn percent(value: Option<&Value>) -> String {
    number(value, |ratio| format!("{:.1}", ratio * 100.0))
}

/// Milliseconds, with as many digits as matter.
pub(super) fn milliseconds(value: Option<&Value>) -> String {
    number(value, |ms| match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    })
}

fn number(value: Option<&Value>, show: impl Fn(f64) -> String) -> String {
    let number = value.and_then(Value::as_f64);
    number.map_or_else(|| NONE.to_owned(), show)
}

/// A moment in UTC, as the daemon writes it, to the millisecond.
pub(super) fn time(value: Option<&Value>) -> String {
    let text = plain(value);
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((seconds, fraction)) => {
            let fraction: String = fraction.chars().take(3).collect();
            format!("{seconds}.{fraction}Z")
        }
        None => text,
    }
}

/// The members of a list, by commas.
pub(super) fn list(value: Option<&Value>) -> String {
    let members = value.and_then(Value::as_array).into_iter().flatten();
    let members: Vec<String> = members.map(|member| plain(Some(member))).collect();
    match members.is_empty() {
        true => NONE.to_owned(),
        false => members.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("plain, naïve 表"), "plain, naïve 表");
        assert_eq!(clean("a\x1b[31mb\nc\0"), "a\\u{1b}[31mb\\nc\\u{0}");
        assert_eq!(clean("\u{9b}2J\u{7f}\u{202e}"), "\\u{9b}2J\\u{7f}\\u{202e}");
        assert_eq!(clean("\u{61c}"), "\\u{61c}");
        assert_eq!(plain(Some(&json!({"k": "\u{9b}"}))), r#"{"k":"\u{9b}"}"#);
    }

    #[test]
    fn values_are_short_and_absent_ones_a_dash() {
        assert_eq!(plain(None), "-");
        assert_eq!(plain(Some(&json!(null))), "-");
        assert_eq!(plain(Some(&json!(7))), "7");
        assert_eq!(percent(Some(&json!(0.98765))), "98.8");
        assert_eq!(percent(Some(&json!(null))), "-");
        for (ms, text) in [(0.1234, "0.12"), (12.345, "12.3"), (1234.5, "1234")] {
            assert_eq!(milliseconds(Some(&json!(ms))), text);
        }
        let at = |text: &str| time(Some(&json!(text)));
        assert_eq!(
            at("2026-11-21T15:00:00.123456Z"),
            "2026-11-21T15:00:00.123Z"
        );
        assert_eq!(at("2026-11-21T15:00:00Z"), "2026-11-21T15:00:00Z");
        assert_eq!(list(Some(&json!(["a", "b"]))), "a, b");
        assert_eq!(list(Some(&json!([]))), "-");
    }
}
