//! Many extensions enabled or disabled at once.

use super::fields::Given;
use super::{Body, WriteVerb};
use crate::domain::ids::ExtensionId;
use crate::domain::selector::Selector;
use crate::service::definitions::Which;
use crate::service::error::RegistryError;

/// The most ids of one request.
const MOST: usize = 1000;

/// What is asked for.
#[derive(Debug)]
pub struct Bulk {
    /// Which extensions.
    pub which: Which,
    /// Whether they are to serve.
    pub enabled: bool,
    /// Whether everything is done but the commit.
    pub dry_run: bool,
    /// The actor, if nothing else names it.
    pub actor: Option<String>,
}

/// Reads `body`, if it is about many.
///
/// # Errors
/// All faults of the body.
pub fn bulk(
    verb: WriteVerb,
    body: &Body,
    id_elsewhere: Option<&str>,
) -> Result<Option<Bulk>, RegistryError> {
    let many = ["ids", "selector"].map(|name| body.json(name).is_some());
    let (enabled, [has_ids, has_selector]) = match (verb, many) {
        (WriteVerb::Enable, [true, _] | [_, true]) => (true, many),
        (WriteVerb::Disable, [true, _] | [_, true]) => (false, many),
        _ => return Ok(None),
    };
    let mut given = Given::new(body.clone(), verb.fields());
    if has_ids && has_selector {
        given.fault("selector", "must not be combined with `ids`");
    }
    for name in ["id", "if_revision"] {
        given.refuse(name, "must not be combined with `ids` or `selector`");
    }
    if id_elsewhere.is_some() {
        let name = if has_ids { "ids" } else { "selector" };
        given.fault(name, "must not be given when the subject or path has an id");
    }
    let ids = given.read("ids", ids);
    let selector = given.read("selector", Selector::parse);
    let actor = given.text("actor");
    let dry_run = given.switch("dry_run");
    given.finish()?;
    let which = ids.map(Which::Ids).or(selector.map(Which::Matching));
    Ok(Some(Bulk {
        // What is neither has been a fault.
        which: which.ok_or(RegistryError::Internal)?,
        enabled,
        dry_run,
        actor,
    }))
}

fn ids(json: &str) -> Result<Vec<ExtensionId>, String> {
    let ids: Vec<String> = serde_json::from_str(json).map_err(|_| "must be a list of ids")?;
    if !(1..=MOST).contains(&ids.len()) {
        return Err(format!("must have 1 to {MOST} ids"));
    }
    let ids = ids.iter().map(|id| ExtensionId::parse(id));
    ids.collect::<Result<_, _>>()
        .map_err(|rule| rule.to_string())
}
