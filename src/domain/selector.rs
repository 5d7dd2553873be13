//! Which extensions are meant: those whose fields equal all that is given.

use super::context::Scalar;
use super::extension::Extension;
use super::json::{Member, members};
use super::quote::quoted;

/// The most keys of a selector.
const MAX_KEYS: usize = 8;

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Type,
    Owner,
    Version,
    Metadata(String),
}

/// The required values, by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<(Key, Scalar)>);

/// The fields of a record that a selector looks at.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its owner.
    pub owner: Option<&'a str>,
    /// Its current version.
    pub version: &'a str,
    /// Its metadata, as JSON.
    pub metadata: &'a str,
}

impl Selector {
    /// Reads valid JSON.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(json: &str) -> Result<Self, String> {
        let keys_fault = || format!("must be an object of 1 to {MAX_KEYS} keys");
        let mut all: Vec<(Key, Scalar)> = Vec::new();
        for Member { key, value } in members(json).ok_or_else(keys_fault)? {
            let name = key.unwrap_or_default();
            let key = match &*name {
                "type" => Key::Type,
                "owner" => Key::Owner,
                "version" => Key::Version,
                other => match other.strip_prefix("metadata.") {
                    Some(key) => Key::Metadata(key.to_owned()),
                    None => {
                        return Err(format!(
                            "has the key `{}`: it may have type, owner, version and metadata.<key>",
                            quoted(&name)
                        ));
                    }
                },
            };
            if all.iter().any(|(known, _)| *known == key) {
                return Err(format!("has the key `{}` twice", quoted(&name)));
            }
            let value = Scalar::read(value).ok_or_else(|| {
                format!(
                    "`{}` must be a string, true or false, or a number of up to 64 digits below \
                     1e308",
                    quoted(&name)
                )
            })?;
            // No key is compared with more than these, however many there are.
            if all.len() == MAX_KEYS {
                return Err(keys_fault());
            }
            all.push((key, value));
        }
        match all.is_empty() {
            false => Ok(Self(all)),
            true => Err(keys_fault()),
        }
    }

    /// Whether all of it is true of a record.
    pub fn matches(&self, record: Selected<'_>) -> bool {
        let text = |wanted: &Scalar, text: &str| matches!(wanted, Scalar::Text(it) if it == text);
        self.0.iter().all(|(key, wanted)| match key {
            Key::Type => text(wanted, record.kind),
            Key::Owner => record.owner.is_some_and(|owner| text(wanted, owner)),
            Key::Version => text(wanted, record.version),
            Key::Metadata(key) => {
                let mut known = members(record.metadata).into_iter().flatten();
                let value = known.find(|member| member.key.as_deref() == Some(key));
                value.and_then(|it| Scalar::read(it.value)).as_ref() == Some(wanted)
            }
        })
    }
}

impl<'a> From<&'a Extension> for Selected<'a> {
    fn from(extension: &'a Extension) -> Self {
        Self {
            kind: extension.kind.as_str(),
            owner: extension.owner.as_deref(),
            version: extension.version.as_str(),
            metadata: extension.metadata.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::extension_with;

    #[test]
    fn all_keys_must_equal() {
        let extension = extension_with(
            "x",
            r#"{"owner":"Team 7","metadata":{"team":"z","tier":2,"a.b":true,"n":null,"o":{}}}"#,
        );
        for (selector, matches) in [
            (r#"{"type":"pre"}"#, true),
            (r#"{"type":"post"}"#, false),
            (r#"{"owner":"Team 7","version":"v1"}"#, true),
            (r#"{"owner":"Team 8","version":"v1"}"#, false),
            (r#"{"metadata.team":"z","metadata.tier":2.0}"#, true),
            (r#"{"metadata.tier":"2"}"#, false),
            (r#"{"metadata.a.b":true}"#, true),
            (r#"{"metadata.gone":"z"}"#, false),
            (r#"{"metadata.n":false}"#, false),
        ] {
            let parsed = Selector::parse(selector).unwrap();
            assert_eq!(parsed.matches((&extension).into()), matches, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let nine: Vec<_> = (0..9).map(|n| format!(r#""metadata.{n}":1"#)).collect();
        for (json, rule) in [
            ("{}", "1 to 8 keys"),
            ("[]", "1 to 8 keys"),
            (&format!("{{{}}}", nine.join(",")), "1 to 8 keys"),
            // Nothing beyond the ninth key is looked at.
            (
                &format!(r#"{{{},"id":"x"}}"#, nine.join(",")),
                "1 to 8 keys",
            ),
            (r#"{"id":"x"}"#, "`id`"),
            (r#"{"metadata":{}}"#, "`metadata`"),
            (r#"{"owner":"a","owner":"b"}"#, "twice"),
            (r#"{"owner":null}"#, "must be a string"),
            (r#"{"metadata.a":["z"]}"#, "`metadata.a`"),
        ] {
            let error = Selector::parse(json).unwrap_err();
            assert!(error.contains(rule), "{json}: {error}");
        }
    }
}
