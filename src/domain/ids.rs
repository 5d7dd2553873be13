//! Names of extensions, versions and instances.
//!
//! They appear as tokens of NATS subjects, as keys and as metric labels, so each is a short run of
//! harmless ASCII. A parsed name needs no further check anywhere.
//!
//! Up to 23 bytes are stored in the name itself, so that finding an id in the catalog follows no
//! pointer.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;
use thiserror::Error;

/// A text that is not a name; the message states the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must match {rule}")]
pub struct NameError {
    /// The rule, as a regular expression a person can read.
    pub rule: &'static str,
}

fn check(text: &str, max: usize, extra: &[u8], rule: &'static str) -> Result<(), NameError> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
    let fits = starts_well && text.bytes().all(is_allowed) && text.len() <= max;
    fits.then_some(()).ok_or(NameError { rule })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $extra:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// The rule, as shown in error messages.
            pub const RULE: &'static str = $rule;

            /// Parses `text`; the error names the rule.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $max, $extra, $rule)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The logical id by which routers know an extension.
    ExtensionId, 128, b"_-", "[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
);
name!(
    /// A version of an extension, such as `v2` or `2.1.0`.
    VersionName, 64, b"._-", "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
);
name!(
    /// One running copy of a version with a subject of its own.
    InstanceId, 128, b"_-", "[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
);

impl ExtensionId {
    /// Reserved because `<prefix>.health` is a verb and `.../extensions/health` a path.
    const RESERVED: &'static str = "health";

    /// Parses an id that may be given to an extension: [`ExtensionId::parse`] less reserved words.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        if text == Self::RESERVED {
            return Err(NameError {
                rule: "[A-Za-z0-9][A-Za-z0-9_-]{0,127} and not be `health`",
            });
        }
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::domain::actor::{Actor, ActorSource};

    #[test]
    fn names_follow_the_contract() {
        for (text, valid) in [
            ("normalize_text", true),
            ("a", true),
            ("9-x_Y", true),
            ("", false),
            ("_a", false),
            ("a.b", false),
            ("a b", false),
            ("a*", false),
            ("\u{e4}", false),
        ] {
            assert_eq!(ExtensionId::parse(text).is_ok(), valid, "{text:?}");
        }
        assert!(ExtensionId::parse(&"a".repeat(128)).is_ok());
        assert!(ExtensionId::parse(&"a".repeat(129)).is_err());
        assert!(ExtensionId::parse_new("health").is_err());
        assert!(VersionName::parse("1.0.0-rc_1").is_ok());
        assert!(VersionName::parse(&"1".repeat(64)).is_ok());
        assert!(VersionName::parse(&"1".repeat(65)).is_err());
    }

    type Checked = fn(&str) -> bool;

    #[test]
    fn each_rule_says_what_is_checked() {
        let new = ExtensionId::parse_new("health").unwrap_err().rule;
        let new = new.strip_suffix(" and not be `health`").unwrap();
        let names: [(&str, Checked); 5] = [
            (ExtensionId::RULE, |it| ExtensionId::parse(it).is_ok()),
            (new, |it| ExtensionId::parse_new(it).is_ok()),
            (VersionName::RULE, |it| VersionName::parse(it).is_ok()),
            (InstanceId::RULE, |it| InstanceId::parse(it).is_ok()),
            (Actor::RULE, |it| {
                Actor::parse(it, ActorSource::None).is_ok()
            }),
        ];
        for (rule, is_name) in names {
            let pattern = Regex::new(&format!("^{rule}$")).unwrap();
            let characters = (0..=u8::MAX).map(char::from);
            let texts = characters.flat_map(|c| [format!("{c}"), format!("a{c}")]);
            let long = [0, 63, 64, 65, 127, 128, 129].map(|length| "a".repeat(length));
            for text in texts.chain(long) {
                assert_eq!(is_name(&text), pattern.is_match(&text), "{text:?}: {rule}");
            }
        }
    }
}
