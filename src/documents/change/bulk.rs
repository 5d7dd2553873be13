//! Many extensions enabled or disabled at once.

use super::Body;
use super::fields::Given;
use crate::documents::verb::Verb;
use crate::domain::actor::Actor;
use crate::domain::ids::ExtensionId;
use crate::domain::selector::Selector;
use crate::service::definitions::{Switch, Which};
use crate::service::error::RegistryError;

/// The most ids of one request.
const MOST: usize = 1000;

/// The change that `body` asks for, if it is about many. `actor` decides who asks, given the actor that
/// the body names.
///
/// # Errors
/// All faults of the body.
pub fn bulk(
    verb: Verb,
    body: &Body,
    id_elsewhere: Option<&str>,
    actor: impl Fn(Option<&str>) -> Result<Actor, RegistryError>,
) -> Result<Option<Switch>, RegistryError> {
    let many = ["ids", "selector"].map(|name| body.json(name).is_some());
    let (enabled, [has_ids, has_selector]) = match (verb, many) {
        (Verb::Enable, [true, _] | [_, true]) => (true, many),
        (Verb::Disable, [true, _] | [_, true]) => (false, many),
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
    let named = given.text("actor");
    let dry_run = given.switch("dry_run");
    given.finish()?;
    let which = ids.map(Which::Ids).or(selector.map(Which::Matching));
    Ok(Some(Switch {
        // What is neither has been a fault.
        which: which.ok_or(RegistryError::Internal)?,
        enabled,
        actor: actor(named.as_deref())?,
        dry_run,
    }))
}

fn ids(json: &str) -> Result<Vec<ExtensionId>, String> {
    let count_fault = || format!("must have 1 to {MOST} ids");
    // Before they are kept: an id has no comma.
    if json.matches(',').count() >= MOST {
        return Err(count_fault());
    }
    let ids: Vec<String> = serde_json::from_str(json).map_err(|_| "must be a list of ids")?;
    if ids.is_empty() {
        return Err(count_fault());
    }
    let ids = ids.iter().map(|id| ExtensionId::parse(id));
    ids.collect::<Result<_, _>>()
        .map_err(|rule| rule.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_before_they_are_kept() {
        let many = |count: usize, item: &str| format!("[{}]", vec![item; count].join(","));
        let count_fault = Err("must have 1 to 1000 ids".to_owned());
        assert_eq!(ids(&many(MOST, r#""a""#)).map(|ids| ids.len()), Ok(MOST));
        assert_eq!(ids(&many(MOST + 1, r#""a""#)), count_fault);
        assert_eq!(ids(&many(MOST + 1, "0")), count_fault, "not read");
        assert_eq!(ids("[]"), count_fault);
        assert_eq!(ids("[0]"), Err("must be a list of ids".to_owned()));
    }
}
