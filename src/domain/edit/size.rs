//! How much a record may hold, so that it can always be answered, served and audited in a message.
//!
//! Counted as the database writes it back, which may be more than was sent: `jsonb` writes numbers
//! without an exponent, and puts a space after commas and colons.

use super::plan::EditError;
use super::stored::{ExtensionFields, StoredRecord, VersionFields};
use crate::domain::draft::FieldFault;

/// The most bytes of one record: half of what a nats-server takes by default.
pub(super) const MAX_RECORD_BYTES: usize = 512 * 1024;
/// Deeper JSON than anyone means; parsers stop at 128.
const MAX_DEPTH: usize = 100;
/// The longest exponent of a number, in digits: 1e999 is a thousand digits, 1e99999 a megabyte.
const MAX_EXPONENT_DIGITS: usize = 3;
/// Room for names and numbers around the texts of an extension or of one of its parts.
pub(super) const PART_BYTES: usize = 700;

/// Refuses a record that would be too large; one that shrinks may still be, as it is on the mend.
pub(super) fn bounded(
    before: Option<&StoredRecord>,
    after: &StoredRecord,
) -> Result<(), EditError> {
    let size = record_bytes(after);
    if size > MAX_RECORD_BYTES && before.is_none_or(|before| size > record_bytes(before)) {
        return Err(EditError::TooLarge(MAX_RECORD_BYTES));
    }
    Ok(())
}

/// What is wrong with the numbers and the depth of the JSON of an extension.
pub(super) fn faults(fields: &ExtensionFields) -> Vec<FieldFault> {
    json_faults(&[
        ("config", &fields.config),
        ("metadata", &fields.metadata),
        ("fallback", &fields.fallback),
        ("routing_rules", &fields.routing_rules),
        ("rollout", &fields.rollout),
        ("circuit_breaker", &fields.circuit_breaker),
    ])
}

/// The same for a version.
pub(super) fn version_faults(fields: &VersionFields) -> Vec<FieldFault> {
    json_faults(&[
        ("config", &fields.config),
        ("metadata", &fields.metadata),
        ("routing_rules", &fields.routing_rules),
        ("rollout", &fields.rollout),
    ])
}

fn json_faults(fields: &[(&'static str, &Option<String>)]) -> Vec<FieldFault> {
    let faults = fields.iter().filter_map(|(field, text)| {
        let rule = weigh(text.as_deref()?).err()?.to_owned();
        Some(FieldFault { field, rule })
    });
    faults.collect()
}

fn record_bytes(record: &StoredRecord) -> usize {
    let own = &record.extension;
    let own = [
        &own.config,
        &own.metadata,
        &own.fallback,
        &own.routing_rules,
        &own.rollout,
        &own.circuit_breaker,
    ];
    let versions = record.versions.iter().flat_map(|version| {
        [
            &version.config,
            &version.metadata,
            &version.routing_rules,
            &version.rollout,
        ]
    });
    let texts = own.into_iter().chain(versions).flatten();
    let bytes: usize = texts.map(|text| weigh(text).unwrap_or(text.len())).sum();
    bytes + (1 + record.versions.len() + record.instances.len()) * PART_BYTES
}

/// The bytes of valid JSON as it will be written back, or the rule that it breaks.
pub(super) fn weigh(text: &str) -> Result<usize, &'static str> {
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
                    exponent = exponent
                        .saturating_mul(10)
                        .saturating_add(usize::from(digit - b'0'));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_weighed_as_the_database_writes_it() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for (text, expected) in [
            ("{}", Ok(2)),
            (r#"{"a":1,"b":2}"#, Ok(13 + 3)),
            (r#"{"a,b:e99999[\"":1}"#, Ok(19 + 1)),
            ("[true,false]", Ok(12 + 1)),
            ("[1e20]", Ok(6 + 20)),
            ("[1.5E-300]", Ok(10 + 300)),
            (
                "[1e1000]",
                Err("has a number with an exponent of more than 3 digits"),
            ),
            (
                "[1e99999999999999999999999999999]",
                Err("has a number with an exponent of more than 3 digits"),
            ),
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
    fn a_record_that_is_too_large_may_only_shrink() {
        let of = |bytes: usize| StoredRecord {
            extension: ExtensionFields {
                config: Some(format!("{{\"a\":\"{}\"}}", "x".repeat(bytes))),
                ..ExtensionFields::default()
            },
            ..StoredRecord::default()
        };
        let (small, large) = (of(500_000), of(600_000));
        let too_large = Err(EditError::TooLarge(MAX_RECORD_BYTES));
        assert_eq!(bounded(None, &small), Ok(()));
        assert_eq!(bounded(None, &large), too_large);
        assert_eq!(bounded(Some(&small), &large), too_large);
        assert_eq!(bounded(Some(&of(700_000)), &large), Ok(()));
    }
}
