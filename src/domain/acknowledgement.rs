//! Acknowledgements of JetStream among the replies to a request: contract, section 3.2.
//!
//! A stream that stores the subject of an extension answers every request to it, on the reply
//! subject like the extension: that it has stored the request, or that it could not. Neither is a
//! sign of the extension's health. Such a reply has no headers and a body that no extension would
//! make by chance: nothing but these fields.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// No acknowledgement is as long: names of streams and domains, and one sentence.
const MAX_BYTES: usize = 4096;

/// The field by which nearly every other body is recognised without being read.
const TELLING: &[u8] = b"\"seq\"";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "named so that no other field may be there")]
struct Acknowledgement {
    stream: String,
    seq: f64,
    domain: Option<IgnoredAny>,
    duplicate: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
    batch: Option<IgnoredAny>,
    count: Option<IgnoredAny>,
    val: Option<IgnoredAny>,
}

/// The stream whose acknowledgement a reply without headers is; `None` for any other reply.
pub fn stream(body: &[u8]) -> Option<String> {
    let short = body.len() <= MAX_BYTES;
    if !short || !body.windows(TELLING.len()).any(|window| window == TELLING) {
        return None;
    }
    // A list of as many values would be read as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let read = serde_json::from_slice::<Acknowledgement>(body);
    Some(read.ok()?.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        assert_eq!(stream(body.as_bytes()).as_deref(), expected, "{body}");
    }

    #[test]
    fn what_a_stream_says_is_an_acknowledgement() {
        check(r#"{"stream":"S","seq":1}"#, Some("S"));
        check(r#" { "seq" : 0, "stream" : "S" } "#, Some("S"));
        check(
            r#"{"stream":"S","seq":18446744073709551615,"domain":"hub","duplicate":true}"#,
            Some("S"),
        );
        check(
            r#"{"stream":"S","seq":7,"batch":"b","count":3,"val":"41"}"#,
            Some("S"),
        );
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"S","seq":0}"#;
        check(full, Some("S"));
    }

    #[test]
    fn what_an_extension_says_is_none() {
        for body in [
            "",
            "{}",
            "null",
            "oops \"seq\"",
            r#"{"stream":"S"}"#,
            r#"{"seq":1}"#,
            r#"{"stream":1,"seq":1}"#,
            r#"{"stream":null,"seq":1}"#,
            r#"{"stream":"S","seq":"1"}"#,
            r#"{"stream":"S","seq":null}"#,
            r#"{"stream":"S","seq":1,"payload":{}}"#,
            r#"{"stream":"S","seq":1,"status":"ok"}"#,
            r#"[{"stream":"S","seq":1}]"#,
            r#"["seq",1,2,3,4,5,6,7]"#,
            r#"{"payload":{"stream":"S","seq":1}}"#,
            r#"{"stream":"S","seq":1} {}"#,
        ] {
            check(body, None);
        }
        let long = format!(r#"{{"stream":"{}","seq":1}}"#, "S".repeat(MAX_BYTES));
        check(&long, None);
    }
}
