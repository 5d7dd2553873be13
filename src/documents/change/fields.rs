//! Fields of a body, taken one by one; faults are gathered.

use super::Body;
use crate::domain::quote::quoted;
use crate::domain::record::{Field, Fields, Value};
use crate::service::administration::Values;
use crate::service::error::{BadField, MAX_FAULTS, RegistryError};

/// What a body gives.
pub(super) struct Given {
    body: Body,
    faults: Vec<BadField>,
}

/// Letters by which a name may differ from the one that was meant. Longer ones than these are no
/// typing error.
const NEAR: usize = 2;
const MAX_NAME: usize = 64;

fn unknown_field(name: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    // Time and memory of a comparison grow with the name.
    let comparable = known.iter().filter(|_| name.len() <= MAX_NAME);
    let near = comparable.min_by_key(distance);
    match near.filter(|near| distance(near) <= NEAR.min(name.len() / 2)) {
        Some(near) => format!("is unknown; did you mean `{near}`?"),
        None => "is unknown".to_owned(),
    }
}

impl Given {
    /// The fields of `body`; those not `known` are faults.
    pub(super) fn new(body: Body, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<_> = known.collect();
        let names = body.fields.keys();
        let unknown = names.filter(|name| !known.contains(&name.as_str()));
        let unknown = unknown.map(|name| (name, unknown_field(name, &known)));
        let repeated = body.repeated.iter();
        let repeated = repeated.map(|name| (name, "is given twice".to_owned()));
        let faults = repeated.chain(unknown).take(MAX_FAULTS);
        let faults = faults.map(|(name, rule)| BadField {
            field: quoted(name).into(),
            value: None,
            rule: rule.into(),
        });
        Self {
            faults: faults.collect(),
            body,
        }
    }

    /// The id that the subject or path has; one in the body must be the same.
    pub(super) fn id_stands_elsewhere(&mut self, id: Option<&str>) {
        let Some(id) = id else { return };
        match self.text("id") {
            None => self.body.fields.extend(Body::of_id(id).fields),
            Some(own) if own != id => {
                self.fault("id", "differs from the id in the subject or path")
            }
            Some(_) => {}
        }
    }

    /// A field that must not be there; null is as good as absent.
    pub(super) fn refuse(&mut self, field: &'static str, rule: &str) {
        if self.is_there(field) {
            self.fault(field, rule);
        }
    }

    /// A field that must not be there in an update, where null means a default.
    pub(super) fn refuse_change(&mut self, field: &'static str, rule: &str) {
        if self.body.fields.contains_key(field) {
            self.fault(field, rule);
        }
    }

    /// A name that must be there.
    pub(super) fn name<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.required(field);
        let text = self.text(field)?;
        let parsed = parse(&text).map_err(|rule| self.fault(field, &rule.to_string()));
        parsed.ok()
    }

    /// A text; none and null are the same.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        let text = match Value::read(self.body.fields.get(field)?.get()) {
            Value::Unset => return None,
            value => value.as_text().map(str::to_owned),
        };
        text.map_err(|rule| self.fault(field, rule)).ok()
    }

    /// The fields of `table` that the body mentions, unchecked.
    pub(super) fn fields(&self, table: &'static [Field]) -> Fields<'static> {
        let known = table.iter().filter(|field| !field.automatic);
        let said = known.filter_map(|field| {
            let value = self.body.fields.get(field.name)?;
            Some((field.name, Value::read(value.get()).into_owned()))
        });
        said.collect()
    }

    /// True or false; false where it is not there.
    pub(super) fn switch(&mut self, field: &'static str) -> bool {
        match self.body.fields.get(field).map(|raw| raw.get()) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => {
                self.fault(field, "must be true or false");
                false
            }
        }
    }

    /// What `read` makes of the JSON of a field that is there; none and null are the same.
    pub(super) fn read<T, E: ToString>(
        &mut self,
        field: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = read(self.body.json(field)?);
        read.map_err(|rule| self.fault(field, &rule.to_string()))
            .ok()
    }

    /// Notes that `field` is missing, where it is.
    pub(super) fn required(&mut self, field: &'static str) {
        if !self.is_there(field) {
            self.fault(field, "is missing");
        }
    }

    /// The JSON of a field that is there; none and null are the same.
    pub(super) fn json(&self, field: &str) -> Option<String> {
        self.body.json(field).map(str::to_owned)
    }

    /// The values for later errors, or all faults so far.
    pub(super) fn finish(self) -> Result<Values, RegistryError> {
        if !self.faults.is_empty() {
            return Err(RegistryError::BadFields(self.faults));
        }
        Ok(self.body.fields)
    }

    pub(super) fn is_there(&self, field: &str) -> bool {
        self.body.json(field).is_some()
    }

    /// Notes that `field` breaks `rule`; a field has one fault.
    pub(super) fn fault(&mut self, field: &'static str, rule: &str) {
        if self.faults.iter().any(|fault| *fault.field == *field) {
            return;
        }
        self.faults.push(BadField {
            field: field.into(),
            value: self.body.fields.get(field).map(|raw| raw.get().into()),
            rule: quoted(rule).into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::whole::whole;

    fn faults(text: &str) -> Vec<(String, String)> {
        let body = serde_json::from_str(text).unwrap();
        let mut given = Given::new(body, ["id", "retry"].into_iter());
        given.text("id");
        given.read("retry", |json| whole(json, &(0..=10)));
        match given.finish() {
            Err(RegistryError::BadFields(faults)) => {
                let faults = faults.into_iter();
                let faults = faults.map(|fault| (fault.field.into(), fault.rule.into()));
                faults.collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_field_that_is_repeated_or_unknown_is_a_fault() {
        assert!(faults(r#"{"id":"a","retry":1}"#).is_empty());
        let fault = |field: &str, rule: &str| (field.to_owned(), rule.to_owned());
        assert_eq!(
            faults(r#"{"id":"a","retry":1,"id":"a","\u0069d":"b"}"#),
            [fault("id", "is given twice")]
        );
        let half = fault("id", "holds half of a surrogate pair");
        assert_eq!(faults(r#"{"id":"\ud800"}"#), [half]);
        assert_eq!(faults(r#"{"id":7}"#), [fault("id", "must be a string")]);
        assert_eq!(
            faults(r#"{"x":1,"retry":1,"retry":"2"}"#),
            [fault("retry", "is given twice"), fault("x", "is unknown")]
        );
    }
}
