//! Where two records differ, field by field.

use std::collections::BTreeSet;

use super::{Fields, Record, Value};
use crate::domain::json::JsonObject;

/// A field that two records have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `timeout_ms`, `config.mode`, `versions/v2`, `versions/v2/config`, `instances/blue/weight`...
    pub field: String,
    /// What it is in the first; `None` when it is not set there.
    pub first: Option<String>,
    /// What it is in the second.
    pub second: Option<String>,
}

impl Difference {
    fn new(field: String, first: Option<String>, second: Option<String>) -> Self {
        Self {
            field,
            first,
            second,
        }
    }
}

/// Every field in which two checked records of one extension differ.
pub fn differences(first: &Record<'_>, second: &Record<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", &first.own, &second.own, &mut found);
    parts("versions", &first.versions, &second.versions, &mut found);
    parts("instances", &first.instances, &second.instances, &mut found);
    found
}

fn compare(prefix: &str, first: &Fields<'_>, second: &Fields<'_>, found: &mut Vec<Difference>) {
    for (name, old) in first.iter() {
        let (new, field) = (second.get(name), format!("{prefix}{name}"));
        match (old, new) {
            (old, new) if old == new => {}
            (Value::Json(old), Value::Json(new)) => members(field, old, new, found),
            (old, new) => found.push(Difference::new(field, shown(old), shown(new))),
        }
    }
}

/// The members in which two objects differ; the whole, if it is only how they are written.
fn members(field: String, first: &str, second: &str, found: &mut Vec<Difference>) {
    let parse = |text| JsonObject::parse(text).unwrap_or_default();
    let (old, new) = (parse(first), parse(second));
    let (old, new) = (old.members(), new.members());
    let before = found.len();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let text = |raw: &&_| serde_json::value::RawValue::get(raw).to_owned();
        let (first, second) = (old.get(name).map(text), new.get(name).map(text));
        if first != second {
            found.push(Difference::new(format!("{field}.{name}"), first, second));
        }
    }
    if found.len() == before {
        let [first, second] = [first, second].map(|text| Some(text.to_owned()));
        found.push(Difference::new(field, first, second));
    }
}

/// The parts of one kind. The first field of each is its name.
fn parts(kind: &str, first: &[Fields<'_>], second: &[Fields<'_>], found: &mut Vec<Difference>) {
    let name = |part: &Fields<'_>| part.iter().next().map(|(_, name)| name.to_string());
    for old in first {
        let of = name(old).unwrap_or_default();
        match second.iter().find(|new| name(new) == name(old)) {
            Some(new) => compare(&format!("{kind}/{of}/"), old, new, found),
            None => {
                let field = format!("{kind}/{of}");
                found.push(Difference::new(field, Some(whole(old)), None));
            }
        }
    }
    for new in second {
        if first.iter().all(|old| name(old) != name(new)) {
            let field = format!("{kind}/{}", name(new).unwrap_or_default());
            found.push(Difference::new(field, None, Some(whole(new))));
        }
    }
}

/// A part that only one of both has.
fn whole(part: &Fields<'_>) -> String {
    let set = part.iter().skip(1).filter_map(|(name, value)| {
        let value = shown(value)?;
        Some(format!("{name} {value}"))
    });
    set.collect::<Vec<_>>().join(", ")
}

fn shown(value: &Value<'_>) -> Option<String> {
    (*value != Value::Unset).then(|| value.to_string())
}
