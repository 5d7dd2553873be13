//! The fields that hold JSON, to be written as somebody else writes them.

use crate::domain::extension::{Extension, Version};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::json::JsonObject;
use crate::domain::rollout::Rollout;
use crate::domain::rules::Rules;

/// A field that holds JSON.
#[derive(Debug)]
pub struct JsonField<'a> {
    id: &'a ExtensionId,
    version: Option<&'a VersionName>,
    name: &'static str,
    place: Place<'a>,
}

#[derive(Debug)]
enum Place<'a> {
    Object(&'a mut JsonObject),
    Rules(&'a mut Rules),
    Rollout(&'a mut Rollout),
}

impl JsonField<'_> {
    /// The JSON as it stands there.
    pub fn text(&self) -> &str {
        match &self.place {
            Place::Object(object) => object.as_str(),
            Place::Rules(rules) => rules.source().as_str(),
            Place::Rollout(rollout) => rollout.source().as_str(),
        }
    }

    /// Replaces it by `text`, which should mean the same.
    ///
    /// # Errors
    /// The field, and the rule that `text` breaks; not the text, which may be long.
    pub fn rewrite(&mut self, text: &str) -> Result<(), String> {
        let rule = match &mut self.place {
            Place::Object(object) => replace(*object, JsonObject::parse(text)),
            Place::Rules(rules) => replace(*rules, Rules::parse(text)),
            Place::Rollout(rollout) => replace(*rollout, Rollout::parse(text)),
        };
        rule.map_err(|rule| match self.version {
            Some(version) => format!("{}: `versions/{version}/{}` {rule}", self.id, self.name),
            None => format!("{}: `{}` {rule}", self.id, self.name),
        })
    }
}

fn replace<T, E: ToString>(place: &mut T, by: Result<T, E>) -> Result<(), String> {
    by.map(|value| *place = value)
        .map_err(|error| error.to_string())
}

/// Every field of an extension and its versions that holds more than `{}`.
pub fn json_fields(extension: &mut Extension) -> Vec<JsonField<'_>> {
    let id = &extension.id;
    let own = [
        Some(("config", Place::Object(&mut extension.config))),
        Some(("metadata", Place::Object(&mut extension.metadata))),
        optional("routing_rules", &mut extension.routing_rules, Place::Rules),
        optional("rollout", &mut extension.rollout, Place::Rollout),
        optional(
            "circuit_breaker",
            &mut extension.circuit_breaker,
            Place::Object,
        ),
    ];
    let own = own.into_iter().map(|place| (None, place));
    let versions = extension.versions.iter_mut().flat_map(|it| {
        let (version, places) = of_version(it);
        places.map(|place| (Some(version), place))
    });
    let all = own.chain(versions).filter_map(|(version, place)| {
        let (name, place) = place?;
        Some(JsonField {
            id,
            version,
            name,
            place,
        })
    });
    all.filter(|field| field.text() != "{}").collect()
}

type Named<'a> = Option<(&'static str, Place<'a>)>;

fn of_version(it: &mut Version) -> (&VersionName, [Named<'_>; 4]) {
    let places = [
        optional("config", &mut it.config, Place::Object),
        optional("metadata", &mut it.metadata, Place::Object),
        optional("routing_rules", &mut it.routing_rules, Place::Rules),
        optional("rollout", &mut it.rollout, Place::Rollout),
    ];
    (&it.version, places)
}

fn optional<'a, T>(
    name: &'static str,
    value: &'a mut Option<T>,
    place: fn(&'a mut T) -> Place<'a>,
) -> Named<'a> {
    value.as_mut().map(|value| (name, place(value)))
}
