//! An extension as it is stored: its own fields, its versions and its instances.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::ids::{ExtensionId, InstanceId, VersionName};
use super::json::JsonObject;
use super::record::Cut;
use super::rollout::Rollout;
use super::rules::Rules;
use super::subject::Subject;
use super::words::words;

words! {
    /// What an extension does to a message.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum ExtensionType {
        /// Rewrites the reply.
        Post = "post",
        /// Rewrites a message before routing.
        Pre = "pre",
        /// An LLM, RAG, CRM... that answers by itself.
        Provider = "provider",
        /// Accepts or rejects a message.
        Validator = "validator",
    }
}

impl ExtensionType {
    /// The names of all types, in the order in which a message meets them.
    pub const NAMES: [&'static str; 4] = ["pre", "validator", "post", "provider"];

    /// Parses the name of a type; the error is the rule.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = || format!("must be one of {}", Self::NAMES.join(", "));
        Self::named(text).ok_or_else(rule)
    }
}

impl fmt::Display for ExtensionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Distinguishes an extension from a deleted one of the same id: drawn when it is made. Aligned as
/// the fields beside it are, so that no record is padded for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(8))]
pub struct Incarnation(pub u128);

/// The owner of something that outlives reloads, such as counts or a circuit. What began with files
/// goes on with the database's extension; one that was made anew inherits nothing.
#[derive(Debug, Default)]
pub struct Whose(OnceLock<Incarnation>);

impl Whose {
    /// Something of `extension`.
    pub fn of(extension: &Extension) -> Self {
        let own = extension.incarnation;
        Self(own.map_or_else(OnceLock::new, OnceLock::from))
    }

    /// Which extension of the id, once a source has given it.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.0.get().copied()
    }

    /// Whether it belongs to this extension, and not to another one of the same id.
    pub fn is(&self, extension: &Extension) -> bool {
        let own = extension.incarnation;
        own.is_none_or(|own| *self.0.get_or_init(|| own) == own)
    }
}

/// The stored record of one extension. Rows and files become this only when every field is valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Extension {
    /// The logical id.
    pub id: ExtensionId,
    /// What it does (`type` on the wire).
    pub kind: ExtensionType,
    /// Where the current version listens.
    pub subject: Subject,
    /// How long a caller waits, in milliseconds; at least 1.
    pub timeout_ms: u32,
    /// Attempts after the first.
    pub retry: u32,
    /// Whether operators have it enabled.
    pub enabled: bool,
    /// Whether the daemon has taken it out of service.
    pub auto_disabled: bool,
    /// The name of the current version.
    pub version: VersionName,
    /// Its owner.
    pub owner: Option<Box<str>>,
    /// Settings handed to the extension with every call.
    pub config: JsonObject,
    /// Settings and notes for the registry and for operators.
    pub metadata: JsonObject,
    /// The extensions that take over when this one cannot serve, in order of preference.
    pub fallback: Box<[ExtensionId]>,
    /// Which requests the current version is for; `None` for all, as for most.
    pub routing_rules: Option<Box<Rules>>,
    /// Which share of them it is for; `None` for all, as for most.
    pub rollout: Option<Box<Rollout>>,
    /// Circuit breaker settings that differ from the daemon's.
    pub circuit_breaker: Option<Box<JsonObject>>,
    /// Rows of `extension_versions`, by name.
    pub versions: Vec<Version>,
    /// Rows of `extension_instances`, by name.
    pub instances: Vec<Instance>,
    /// The revision of the last change to any of this; 0 for fixtures.
    pub revision: u64,
    /// Which extension of this id it is; `None` for fixtures, which do not have it.
    pub incarnation: Option<Incarnation>,
    /// What the source's digest of this record is; equal definitions have equal digests.
    pub digest: u64,
    /// Its authors and times, where the source knows.
    pub provenance: Provenance,
    /// What was cut to this deployment's limits; nearly always nothing.
    pub cuts: Box<[Cut]>,
}

impl Extension {
    /// What was cut of it and of its versions.
    pub fn all_cuts(&self) -> impl Iterator<Item = String> {
        let own = self.cuts.iter().map(ToString::to_string);
        let versions = self.versions.iter().flat_map(|version| {
            let cuts = version.cuts.iter();
            cuts.map(|cut| format!("version {}: {cut}", version.version))
        });
        own.chain(versions)
    }
}

/// The actors that created a record and changed it last. There are few, who share their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Provenance {
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// When it was last changed.
    pub updated_at: Option<SystemTime>,
    /// The actor that created it.
    pub created_by: Option<Arc<str>>,
    /// The actor that changed it last.
    pub updated_by: Option<Arc<str>>,
}

/// Another version of an extension. `None` means the extension's own value.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The name of the version.
    pub version: VersionName,
    /// Where it listens.
    pub subject: Subject,
    /// How long a caller waits, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// Attempts after the first.
    pub retry: Option<u32>,
    /// Settings handed to the extension.
    pub config: Option<JsonObject>,
    /// Settings and notes.
    pub metadata: Option<JsonObject>,
    /// Which requests it is for; `None` for all.
    pub routing_rules: Option<Box<Rules>>,
    /// Which share of them it is for; `None` for all.
    pub rollout: Option<Box<Rollout>>,
    /// The higher goes first among versions that match.
    pub priority: i32,
    /// Whether it takes part at all.
    pub enabled: bool,
    /// Its author and time.
    pub provenance: Provenance,
    /// See [`Extension::cuts`].
    pub cuts: Box<[Cut]>,
}

impl Version {
    /// Whether it gives up its share by itself.
    pub fn halts(&self) -> bool {
        let rollout = self.rollout.as_ref();
        rollout.is_some_and(|rollout| rollout.halt().is_some())
    }
}

/// One running copy of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The name of the instance.
    pub instance_id: InstanceId,
    /// The version it runs.
    pub version: VersionName,
    /// Where it listens.
    pub subject: Subject,
    /// Its share of the calls, 0 to 100, relative to its siblings.
    pub weight: u8,
    /// Whether operators have it enabled.
    pub enabled: bool,
}

impl Instance {
    /// Whether calls may go to it: enabled, with a share above nothing.
    pub fn serves(&self) -> bool {
        self.enabled && self.weight > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing;

    #[test]
    fn what_is_of_an_extension_is_of_no_other_one_of_its_id() {
        let of = |number: Option<u128>| Extension {
            incarnation: number.map(Incarnation),
            ..testing::extension("e")
        };
        let first = Whose::of(&of(Some(1)));
        assert_eq!(first.incarnation(), Some(Incarnation(1)));
        assert!(first.is(&of(Some(1))) && first.is(&of(None)));
        assert!(!first.is(&of(Some(2))));
        // Known once a source has given it.
        let unknown = Whose::of(&of(None));
        assert_eq!(unknown.incarnation(), None);
        assert!(unknown.is(&of(Some(2))));
        assert!(!unknown.is(&of(Some(1))));
    }

    /// A hundred thousand are held: what few of them have is in a box.
    #[test]
    fn a_record_holds_no_room_for_what_most_lack() {
        assert!(size_of::<Extension>() <= 336);
        assert!(size_of::<Version>() <= 208);
        assert_eq!(size_of::<Option<Incarnation>>(), 24);
    }

    #[test]
    fn types_are_listed_in_the_order_of_their_names() {
        assert!(
            ExtensionType::ALL
                .windows(2)
                .all(|pair| { pair[0] < pair[1] && pair[0].as_str() < pair[1].as_str() })
        );
        for kind in ExtensionType::ALL {
            assert_eq!(ExtensionType::parse(kind.as_str()), Ok(kind));
        }
        let mut names = ExtensionType::NAMES;
        names.sort_unstable();
        assert_eq!(names, ExtensionType::ALL.map(ExtensionType::as_str));
        let rule = "must be one of pre, validator, post, provider";
        assert_eq!(ExtensionType::parse("Pre"), Err(rule.to_owned()));
    }
}
