//! Where two definitions differ, field by field.

use std::collections::BTreeSet;
use std::fmt;

use super::{Field, Value, instance, own, version};
use crate::domain::extension::{Extension, Instance, Version};
use crate::domain::json::JsonObject;

/// A field that two definitions have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `timeout_ms`, `config.mode`, `versions/v2`, `versions/v2/config`, `instances/blue/weight`...
    pub field: String,
    /// What it is in the first; `None` when it is not set there.
    pub first: Option<String>,
    /// What it is in the second.
    pub second: Option<String>,
}

/// Whether both define the same extension. Parts must be in the order of their names.
pub fn same(first: &Extension, second: &Extension) -> bool {
    own(first) == own(second)
        && same_parts(&first.versions, &second.versions, version)
        && same_parts(&first.instances, &second.instances, instance)
}

fn same_parts<'a, T, const N: usize>(
    first: &'a [T],
    second: &'a [T],
    fields: fn(&'a T) -> [Field<'a>; N],
) -> bool {
    let mut pairs = first.iter().zip(second);
    first.len() == second.len() && pairs.all(|(a, b)| fields(a) == fields(b))
}

/// Every field in which two definitions of one extension differ.
pub fn differences(first: &Extension, second: &Extension) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", &own(first), &own(second), &mut found);
    let of_versions = Parts {
        kind: "versions",
        name: |part: &Version| part.version.as_str(),
        fields: version,
    };
    of_versions.compare(&first.versions, &second.versions, &mut found);
    let of_instances = Parts {
        kind: "instances",
        name: |part: &Instance| part.instance_id.as_str(),
        fields: instance,
    };
    of_instances.compare(&first.instances, &second.instances, &mut found);
    found
}

fn compare(prefix: &str, first: &[Field<'_>], second: &[Field<'_>], found: &mut Vec<Difference>) {
    for ((name, first), (_, second)) in first.iter().zip(second).filter(|(a, b)| a != b) {
        let field = format!("{prefix}{name}");
        match (first, second) {
            (Value::Json(first), Value::Json(second)) => members(&field, first, second, found),
            (first, second) => found.push(Difference {
                field,
                first: shown(*first),
                second: shown(*second),
            }),
        }
    }
}

/// The members in which two objects differ; the objects, if it is only how they are written.
fn members(field: &str, first: &JsonObject, second: &JsonObject, found: &mut Vec<Difference>) {
    let (old, new) = (first.members(), second.members());
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let before = found.len();
    for name in names {
        let text = |raw: &&_| serde_json::value::RawValue::get(raw).to_owned();
        let (first, second) = (old.get(name).map(text), new.get(name).map(text));
        if first != second {
            found.push(Difference {
                field: format!("{field}.{name}"),
                first,
                second,
            });
        }
    }
    if found.len() == before {
        found.push(Difference {
            field: field.to_owned(),
            first: Some(first.to_string()),
            second: Some(second.to_string()),
        });
    }
}

/// What is known of one kind of parts.
struct Parts<T, const N: usize> {
    kind: &'static str,
    name: fn(&T) -> &str,
    fields: fn(&T) -> [Field<'_>; N],
}

impl<T, const N: usize> Parts<T, N> {
    fn compare(&self, first: &[T], second: &[T], found: &mut Vec<Difference>) {
        let (kind, fields) = (self.kind, self.fields);
        for old in first {
            let name = (self.name)(old);
            match second.iter().find(|new| (self.name)(new) == name) {
                Some(new) => {
                    let prefix = format!("{kind}/{name}/");
                    compare(&prefix, &fields(old), &fields(new), found);
                }
                None => found.push(self.lone(old, |whole| (Some(whole), None))),
            }
        }
        let known = |new: &&T| first.iter().any(|old| (self.name)(old) == (self.name)(new));
        let added = second.iter().filter(|new| !known(new));
        found.extend(added.map(|new| self.lone(new, |whole| (None, Some(whole)))));
    }

    /// A part that only one of both has.
    fn lone(&self, part: &T, sides: fn(String) -> (Option<String>, Option<String>)) -> Difference {
        let fields = (self.fields)(part);
        let set = fields.iter().skip(1).filter_map(|(name, value)| {
            let value = shown(*value)?;
            Some(format!("{name} {value}"))
        });
        let (first, second) = sides(set.collect::<Vec<_>>().join(", "));
        let field = format!("{}/{}", self.kind, (self.name)(part));
        Difference {
            field,
            first,
            second,
        }
    }
}

fn shown(value: Value<'_>) -> Option<String> {
    match value {
        Value::Unset => None,
        value => Some(value.to_string()),
    }
}

/// For people; JSON as it is kept.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("-"),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Json(json) => f.write_str(json.as_str()),
            Self::Ids(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
                f.write_str(&ids.join(", "))
            }
        }
    }
}
