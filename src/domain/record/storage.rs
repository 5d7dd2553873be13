//! What the database can hold, and how large one record may be, so that it always fits into a
//! message when it is answered, served or audited.
//!
//! Counted as the database writes it back, which may be more than was sent: `jsonb` writes numbers
//! without an exponent, and puts a space after commas and colons.

use super::{FieldFault, Fields, Record, Value, record};
use crate::domain::extension::Extension;
use crate::domain::json::strings;

/// The most bytes of one record: half of what a nats-server takes by default.
pub const MAX_RECORD_BYTES: usize = 512 * 1024;
/// More versions or instances than are run in practice; a bound on what one record can cost.
pub const MAX_PARTS: usize = 100;
/// Deeper JSON than is used in practice; parsers stop at 128.
const MAX_DEPTH: usize = 100;
/// The longest exponent of a number, in digits: 1e999 is a thousand digits, 1e99999 a megabyte.
const MAX_EXPONENT_DIGITS: usize = 3;
/// Room for names and numbers around the texts of an extension or of one of its parts.
const PART_BYTES: usize = 700;

/// The bytes of a record.
pub fn size(record: &Record<'_>) -> usize {
    let bytes = |json: &str| weigh(json).unwrap_or(json.len());
    let json = record.all().flat_map(json).map(|(_, json)| bytes(json));
    json.sum::<usize>() + record.all().count() * PART_BYTES
}

/// What the database could not hold of the JSON in `fields`.
pub fn faults(fields: &Fields<'_>) -> Vec<FieldFault> {
    let faults = json(fields).filter_map(|(field, json)| {
        let rule = weigh(json).err().or(storable(json).err())?.to_owned();
        Some(FieldFault { field, rule })
    });
    faults.collect()
}

/// The limits of written records that an extension exceeds, each readable after its id. A value
/// that was cut to a limit when it was read exceeds that limit. The database can hold such an
/// extension all the same.
pub fn beyond_limits(extension: &Extension) -> Vec<String> {
    let cuts = extension.all_cuts();
    let cuts = cuts.map(|cut| cut.replace("is cut to", "must be at most"));
    let mut all: Vec<_> = cuts.collect();
    let record = record(extension);
    for (kind, parts) in [
        ("versions", &record.versions),
        ("instances", &record.instances),
    ] {
        let count = parts.len();
        if count > MAX_PARTS {
            all.push(format!("`{kind}` has {count} of at most {MAX_PARTS}"));
        }
    }
    if size(&record) > MAX_RECORD_BYTES {
        all.push(format!("is larger than {MAX_RECORD_BYTES} bytes"));
    }
    all
}

/// Everything of a whole extension that the database could not hold, readable after its id.
pub fn unstorable(extension: &Extension) -> Vec<String> {
    let record = record(extension);
    let own = faults(&record.own);
    let mut all: Vec<_> = own.iter().map(ToString::to_string).collect();
    for version in &record.versions {
        let name = version.get("version");
        let its = faults(version).into_iter();
        all.extend(its.map(|fault| format!("version {name}: {fault}")));
    }
    all
}

fn json<'f>(fields: &'f Fields<'_>) -> impl Iterator<Item = (&'static str, &'f str)> {
    fields.iter().filter_map(|(name, value)| match value {
        Value::Json(json) => Some((*name, &**json)),
        _ => None,
    })
}

/// The bytes of valid JSON as it will be written back, or the rule that it breaks.
fn weigh(text: &str) -> Result<usize, &'static str> {
    let (mut bytes, mut depth) = (text.len(), 0usize);
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                while rest.next().is_some_and(|byte| match byte {
                    b'\\' => rest.next().is_some(),
                    byte => byte != b'"',
                }) {}
            }
            b',' | b':' => bytes += 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            // Outside of strings, in numbers, and in `true` and `false`, where no digits follow.
            b'e' | b'E' => {
                let _sign = rest.next_if(|byte| matches!(byte, b'+' | b'-'));
                let (mut digits, mut exponent) = (0, 0usize);
                while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
                    digits += 1;
                    exponent = exponent.saturating_mul(10);
                    exponent = exponent.saturating_add(usize::from(digit - b'0'));
                }
                if digits > MAX_EXPONENT_DIGITS {
                    return Err("has a number with an exponent of more than 3 digits");
                }
                bytes += exponent;
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err("is nested more than 100 levels deep");
        }
    }
    Ok(bytes)
}

/// Texts that JSON can write and the database cannot hold. Expects valid JSON.
fn storable(json: &str) -> Result<(), &'static str> {
    for text in strings(json) {
        if text.ok_or("holds half of a surrogate pair")?.contains('\0') {
            return Err("holds the character \\u0000");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_weighed_as_the_database_writes_it() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let exponent = Err("has a number with an exponent of more than 3 digits");
        for (text, expected) in [
            ("{}", Ok(2)),
            (r#"{"a":1,"b":2}"#, Ok(13 + 3)),
            (r#"{"a,b:e99999[\"":1}"#, Ok(19 + 1)),
            ("[true,false]", Ok(12 + 1)),
            ("[1e20]", Ok(6 + 20)),
            ("[1.5E-300]", Ok(10 + 300)),
            ("[1e1000]", exponent),
            ("[1e99999999999999999999999999999]", exponent),
            (&deep, Ok(200)),
            (
                &format!("[{deep}]"),
                Err("is nested more than 100 levels deep"),
            ),
        ] {
            assert_eq!(weigh(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_no_database_holds_are_found() {
        let (zero, half) = (
            Err("holds the character \\u0000"),
            Err("holds half of a surrogate pair"),
        );
        for (json, expected) in [
            (r#"{"a":"\u00e4\n\\u0000\ud83d\ude00"}"#, Ok(())),
            (r#"{"a":"\\\u0000"}"#, zero),
            (r#"{"\u0000":1}"#, zero),
            (r#"{"a":"\ud83d"}"#, half),
            (r#"{"a":"\ud83d\u0041"}"#, half),
            (r#"{"a":"\ude00"}"#, half),
        ] {
            assert_eq!(storable(json), expected, "{json}");
        }
    }
}
