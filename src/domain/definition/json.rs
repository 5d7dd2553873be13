//! The fields that hold JSON, to be written as somebody else writes them.

use crate::domain::extension::{Extension, Version};
use crate::domain::json::JsonObject;
use crate::domain::rollout::Rollout;
use crate::domain::rules::Rules;

/// A place that holds JSON.
#[derive(Debug)]
pub enum JsonField<'a> {
    /// Free-form.
    Object(&'a mut JsonObject),
    /// Routing rules.
    Rules(&'a mut Rules),
    /// A rollout.
    Rollout(&'a mut Rollout),
}

impl JsonField<'_> {
    /// The JSON as it stands there.
    pub fn text(&self) -> &str {
        match self {
            Self::Object(object) => object.as_str(),
            Self::Rules(rules) => rules.source().as_str(),
            Self::Rollout(rollout) => rollout.source().as_str(),
        }
    }

    /// Replaces it by `text`, which should mean the same.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn rewrite(&mut self, text: &str) -> Result<(), String> {
        fn parsed<T, E: ToString>(result: Result<T, E>) -> Result<T, String> {
            result.map_err(|error| error.to_string())
        }
        match self {
            Self::Object(object) => **object = parsed(JsonObject::parse(text))?,
            Self::Rules(rules) => **rules = parsed(Rules::parse(text))?,
            Self::Rollout(rollout) => **rollout = parsed(Rollout::parse(text))?,
        }
        Ok(())
    }
}

/// Every place of an extension and its versions that holds more than `{}`.
pub fn json_fields(extension: &mut Extension) -> Vec<JsonField<'_>> {
    let own = [
        Some(JsonField::Object(&mut extension.config)),
        Some(JsonField::Object(&mut extension.metadata)),
        extension.routing_rules.as_mut().map(JsonField::Rules),
        extension.rollout.as_mut().map(JsonField::Rollout),
        extension.circuit_breaker.as_mut().map(JsonField::Object),
    ];
    let versions = extension.versions.iter_mut().flat_map(of_version);
    let all = own.into_iter().chain(versions).flatten();
    all.filter(|field| field.text() != "{}").collect()
}

fn of_version(version: &mut Version) -> [Option<JsonField<'_>>; 4] {
    [
        version.config.as_mut().map(JsonField::Object),
        version.metadata.as_mut().map(JsonField::Object),
        version.routing_rules.as_mut().map(JsonField::Rules),
        version.rollout.as_mut().map(JsonField::Rollout),
    ]
}
