//! Values as operators read them. Whatever comes from a record is cleaned first: a terminal obeys
//! control characters, and a name must not be able to draw on the operator's screen.

use std::time::SystemTime;

use serde_json::value::RawValue;

use crate::cli::document::{at, fields, members, string};
use crate::cli::table::NONE;
use crate::domain::moment;
use crate::domain::quote::turns_writing;

/// What users put into records as they like: it is shown as it is, digit for digit.
const OPEN: &str = "config metadata routing_rules rollout circuit_breaker body";

/// `text` without what a terminal would obey: control characters, and those that change the
/// direction of writing, are shown as escapes.
pub(in crate::cli) fn clean(text: &str) -> String {
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

/// Any value, exactly: a string as it is, everything else as JSON.
pub(super) fn exact(value: &RawValue) -> String {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if text.is_empty() => "\"\"".to_owned(),
        Ok(text) => clean(&text),
        Err(_) if value.get() == "null" => NONE.to_owned(),
        Err(_) => clean(value.get()),
    }
}

/// The value at `path`, exactly.
pub(super) fn plain(document: &RawValue, path: &str) -> String {
    at(document, path).map_or_else(|| NONE.to_owned(), exact)
}

/// A value called `name`: ratios in percent, milliseconds to three digits, objects of ours as
/// `name=value`.
pub(super) fn shown(name: &str, value: &RawValue) -> String {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'{') if OPEN.split(' ').all(|open| open != name) => pairs(value),
        Some(b'[') => {
            let members: Vec<String> = members(value).into_iter().map(exact).collect();
            named(&members.join(", "))
        }
        Some(b't') => "yes".to_owned(),
        Some(b'f') => "no".to_owned(),
        Some(b'0'..=b'9' | b'-') => number(name, json),
        _ => exact(value),
    }
}

/// The fields of an object in one line, those that are null left out.
pub(super) fn pairs(object: &RawValue) -> String {
    let fields = fields(object);
    let fields = fields.iter().filter(|(_, value)| value.get() != "null");
    let pairs = fields.map(|(name, value)| {
        let text = exact(value);
        // A string is quoted where its end could not be seen.
        let text = match value.get() {
            json if text.contains(' ') => clean(json),
            json if !json.starts_with('"') => number(name, &text),
            _ => text,
        };
        format!("{}={text}", clean(name))
    });
    named(&pairs.collect::<Vec<_>>().join(" "))
}

fn named(text: &str) -> String {
    let text = if text.is_empty() { NONE } else { text };
    text.to_owned()
}

fn number(name: &str, json: &str) -> String {
    match json.parse::<f64>() {
        // As on the page: 100 % only when nothing failed.
        Ok(ratio) if name.ends_with("_rate") && ratio > 0.999 && ratio < 1.0 => {
            format!("{:.2}%", (ratio * 1e4 + 1e-6).floor() / 100.0)
        }
        Ok(ratio) if name.ends_with("_rate") => format!("{:.1}%", ratio * 100.0),
        Ok(ms) if name.ends_with("_ms") && json.contains('.') => match ms {
            ms if ms < 10.0 => format!("{ms:.2}"),
            ms if ms < 100.0 => format!("{ms:.1}"),
            ms => format!("{ms:.0}"),
        },
        _ => clean(json),
    }
}

/// A moment in UTC to the millisecond, where `text` is one as the daemon writes it.
pub(super) fn time(text: &str) -> String {
    let parts = text.strip_suffix('Z').and_then(|text| text.split_once('.'));
    // Subjects and versions have dots too, and may end in that letter.
    match parts.filter(|_| moment::parse(text).is_some()) {
        Some((seconds, fraction)) => {
            let fraction: String = fraction.chars().take(3).collect();
            format!("{seconds}.{fraction}Z")
        }
        None => text.to_owned(),
    }
}

/// How long ago the moment in `text` was, or how far ahead it is; nothing where it is none.
pub(super) fn age(text: &str, now: SystemTime) -> Option<String> {
    let at = humantime::parse_rfc3339(text).ok()?;
    let span = |seconds| match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    };
    let ahead = at.duration_since(now).unwrap_or_default().as_secs();
    let past = now.duration_since(at).unwrap_or_default().as_secs();
    Some(match ahead {
        0 => format!("{} ago", span(past)),
        _ => format!("in {}", span(ahead)),
    })
}

/// What rests after push-back, and when calls go there again: each instance by its name; a version
/// without any is the only one, and has none.
pub(super) fn resting(list: &RawValue, now: SystemTime) -> String {
    let texts = members(list).into_iter().map(|it| {
        let until = string(it, "until");
        let until = age(&until, now).unwrap_or_else(|| clean(&until));
        match at(it, "instance_id") {
            Some(instance) => format!("{} {until}", exact(instance)),
            None => until,
        }
    });
    named(&texts.collect::<Vec<_>>().join(", "))
}

/// `template` with the values of `document` for the paths in braces. Text in brackets is left out
/// where one of its values is null; there is no line at all where one outside of them is.
pub(super) fn line(template: &str, document: &RawValue) -> Option<String> {
    let mut line = String::new();
    for (number, part) in template.split(['[', ']']).enumerate() {
        let pieces = part.split(['{', '}']).enumerate();
        let filled = pieces.map(|(number, piece)| match number % 2 {
            0 => Some(piece.to_owned()),
            _ => Some(time(&shown(piece, at(document, piece)?))),
        });
        match filled.collect::<Option<String>>() {
            Some(text) => line += &text,
            None if number % 2 == 0 => return None,
            None => {}
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn show(name: &str, json: &str) -> String {
        shown(name, serde_json::from_str(json).unwrap())
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("plain, naïve 表"), "plain, naïve 表");
        assert_eq!(clean("a\x1b[31mb\nc\0"), "a\\u{1b}[31mb\\nc\\u{0}");
        assert_eq!(clean("\u{9b}2J\u{7f}\u{202e}"), "\\u{9b}2J\\u{7f}\\u{202e}");
        assert_eq!(clean("\u{61c}"), "\\u{61c}");
        let escaped = "{\"k\":\"\\u{9b}\"}";
        assert_eq!(show("config", "{\"k\":\"\u{9b}\"}"), escaped);
        assert_eq!(
            show("other", "{\"k\u{9b}\":\"\u{9b}\"}"),
            "k\\u{9b}=\\u{9b}"
        );
    }

    #[test]
    fn values_are_short_and_absent_ones_a_dash() {
        for (name, json, text) in [
            ("any", "null", "-"),
            ("any", "\"\"", "\"\""),
            ("any", "7", "7"),
            ("any", "1.50", "1.50"),
            ("any", "true", "yes"),
            ("success_rate", "0.98765", "98.8%"),
            ("success_rate", "0.999", "99.9%"),
            ("success_rate", "0.9996", "99.96%"),
            ("success_rate", "0.99999", "99.99%"),
            ("success_rate", "1.0", "100.0%"),
            ("latency_ms", "0.1234", "0.12"),
            ("latency_ms", "12.345", "12.3"),
            ("latency_ms", "1234.5", "1234"),
            ("timeout_ms", "30000", "30000"),
            ("any", r#"["a",{"b":1}]"#, r#"a, {"b":1}"#),
            ("any", "[]", "-"),
            (
                "any",
                r#"{"a":"b c","d":null,"e":"f","hit_rate":0.5}"#,
                r#"a="b c" e=f hit_rate=50.0%"#,
            ),
            ("config", r#"{"a":1.50}"#, r#"{"a":1.50}"#),
        ] {
            assert_eq!(show(name, json), text, "{json}");
        }
    }

    #[test]
    fn a_line_has_what_there_is() {
        let document = r#"{"id":"a","took_ms":1.234,"by":null,"last":{"error":"x"},"names":[]}"#;
        let fill = |template| line(template, serde_json::from_str(document).unwrap());
        let all = "{id} in {took_ms} ms[ by {by}][, last {last.error}]";
        assert_eq!(fill(all).as_deref(), Some("a in 1.23 ms, last x"));
        assert_eq!(fill("{id} by {by}"), None);
    }

    #[test]
    fn who_rests_is_named_with_the_time_that_is_left() {
        let now = SystemTime::UNIX_EPOCH;
        for (list, text) in [
            ("[]", "-"),
            (
                r#"[{"instance_id":null,"until":"1970-01-01T00:00:30Z"}]"#,
                "in 30s",
            ),
            (
                r#"[{"instance_id":"a","until":"1970-01-01T00:00:30Z"},
                    {"instance_id":"b","until":"1970-01-01T00:04:00.5Z"}]"#,
                "a in 30s, b in 4m",
            ),
        ] {
            let list = serde_json::from_str(list).unwrap();
            assert_eq!(resting(list, now), text);
        }
    }

    #[test]
    fn moments_are_cut_or_an_age() {
        assert_eq!(
            time("2026-11-21T15:00:00.123456Z"),
            "2026-11-21T15:00:00.123Z"
        );
        assert_eq!(time("2026-11-21T15:00:00Z"), "2026-11-21T15:00:00Z");
        assert_eq!(
            time("1066-10-14T09:00:00.123456Z"),
            "1066-10-14T09:00:00.123Z"
        );
        for none in ["beamline.ext.JazzZ", "v1.12345Z", "1.2345Z", ".Z"] {
            assert_eq!(time(none), none);
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * 86_400);
        for (text, shown) in [
            ("1970-01-10T23:59:01.5Z", Some("58s ago")),
            ("1970-01-11T00:00:00.5Z", Some("0s ago")),
            ("1970-01-11T01:00:00Z", Some("in 60m")),
            ("1970-01-10T00:00:00Z", Some("24h ago")),
            ("1970-01-01T00:00:00Z", Some("10d ago")),
            ("soon", None),
        ] {
            assert_eq!(age(text, now).as_deref(), shown);
        }
    }
}
