//! Whether a whole record, with all its parts, may be written: the rules that single changes obey.

use super::plan::MAX_PARTS;
use super::size::{MAX_RECORD_BYTES, PART_BYTES, weigh};
use crate::domain::definition::{self, Field, Value};
use crate::domain::extension::Extension;

/// Every rule that `extension` breaks, readable after its id. What was cut to a limit when it was
/// read breaks that limit.
pub fn record_faults(extension: &Extension) -> Vec<String> {
    let mut faults: Vec<String> = extension.all_cuts().map(beyond).collect();
    for (kind, count) in [
        ("versions", extension.versions.len()),
        ("instances", extension.instances.len()),
    ] {
        if count > MAX_PARTS {
            faults.push(format!("`{kind}` has {count} of at most {MAX_PARTS}"));
        }
    }
    let mut bytes = (1 + extension.versions.len() + extension.instances.len()) * PART_BYTES;
    bytes += json(&definition::own(extension), "", &mut faults);
    for version in &extension.versions {
        let place = format!("version {}: ", version.version);
        bytes += json(&definition::version(version), &place, &mut faults);
    }
    if bytes > MAX_RECORD_BYTES {
        faults.push(format!("is larger than {MAX_RECORD_BYTES} bytes"));
    }
    faults
}

fn beyond(cut: String) -> String {
    cut.replace("is cut to", "must be at most")
}

/// The bytes of all JSON among `fields`.
fn json(fields: &[Field<'_>], place: &str, faults: &mut Vec<String>) -> usize {
    let mut bytes = 0;
    for (name, value) in fields {
        let Value::Json(json) = value else { continue };
        match weigh(json.as_str()).and_then(|size| storable(json.as_str()).map(|()| size)) {
            Ok(size) => bytes += size,
            Err(rule) => faults.push(format!("{place}`{name}` {rule}")),
        }
    }
    bytes
}

/// Texts that JSON can write and the database cannot hold. Expects valid JSON.
fn storable(json: &str) -> Result<(), &'static str> {
    let mut rest = json;
    while let Some((_, escape)) = rest.split_once('\\') {
        let unit = escape.strip_prefix('u').and_then(|hex| hex.get(..4));
        // The character after a backslash may be another one.
        rest = escape.get(1..).unwrap_or_default();
        let Some(unit) = unit.and_then(|hex| u16::from_str_radix(hex, 16).ok()) else {
            continue;
        };
        rest = escape.get(5..).unwrap_or_default();
        match unit {
            0 => return Err("holds the character \\u0000"),
            0xD800..=0xDBFF => {
                let second = rest.strip_prefix("\\u").and_then(|hex| hex.get(..4));
                let second = second.and_then(|hex| u16::from_str_radix(hex, 16).ok());
                if !second.is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit)) {
                    return Err("holds half of a surrogate pair");
                }
                rest = rest.get(6..).unwrap_or_default();
            }
            0xDC00..=0xDFFF => return Err("holds half of a surrogate pair"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::draft::ExtensionDraft;
    use crate::domain::json::JsonObject;
    use crate::domain::testing::{extension, policy, version};

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

    #[test]
    fn every_fault_of_a_record_is_named() {
        assert_eq!(record_faults(&extension("a")), [""; 0]);
        let draft = ExtensionDraft {
            id: "a",
            kind: "pre",
            subject: "beamline.ext.a",
            timeout_ms: Some(200_000),
            config: Some(r#"{"n":1e1000}"#),
            ..ExtensionDraft::default()
        };
        let mut faulty = draft.check(&policy()).unwrap();
        let mut second = version("v2");
        second.metadata = Some(JsonObject::parse(r#"{"z":"\u0000"}"#).unwrap());
        faulty.versions.push(second);
        assert_eq!(
            record_faults(&faulty),
            [
                "`timeout_ms` 200000 must be at most 120000",
                "`config` has a number with an exponent of more than 3 digits",
                "version v2: `metadata` holds the character \\u0000",
            ]
        );
        let mut large = extension("a");
        large.versions = vec![version("v2"); MAX_PARTS + 1];
        large.config = JsonObject::parse(&format!(r#"{{"a":"{}"}}"#, "x".repeat(600_000))).unwrap();
        assert_eq!(
            record_faults(&large),
            [
                "`versions` has 101 of at most 100",
                "is larger than 524288 bytes"
            ]
        );
    }
}
