//! Values by variable, with every fault noted on the way.
//!
//! A value that is faulty is noted, and the default is read in its place, so that one pass finds
//! everything: what is read counts only if [`Reader::finish`] finds no fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use std::ops::RangeInclusive;

use super::Surroundings;
use super::effective::Effective;
use super::fault::{Faults, Origin};
use super::layers::Layers;
use super::parse::{self, Rule};
use super::secret::Secret;
use super::variables::{CONFIG, Variable};

/// Reads the layers.
pub(super) struct Reader<'a> {
    layers: Layers,
    /// What the files hold that values name.
    pub(super) surroundings: &'a Surroundings<'a>,
    shown: BTreeMap<&'static str, String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: Layers, surroundings: &'a Surroundings<'a>) -> Self {
        let shown = BTreeMap::new();
        Self {
            layers,
            surroundings,
            shown,
        }
    }

    /// Whether any layer sets `variable`.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        self.layers.given.contains_key(variable.name)
    }

    /// Who set `variable`.
    pub(super) fn origin(&self, variable: &Variable) -> Origin {
        let given = self.layers.given.get(variable.name);
        given.map_or(Origin::Default, |given| given.origin.clone())
    }

    /// What `parse` makes of a variable that may be unset.
    pub(super) fn optional<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let text = match self.layers.given.get(variable.name) {
            Some(given) => given.text.as_deref()?,
            None => variable.default?,
        };
        parse(text).map_err(|rule| self.fault(variable, rule)).ok()
    }

    /// What `parse` makes of a variable that has a default; `None` when that is a bug.
    pub(super) fn value<T>(
        &mut self,
        variable: &Variable,
        parse: impl Fn(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let value = self.optional(variable, &parse);
        value.or_else(|| parse(variable.default?).ok())
    }

    /// What `parse` makes of a variable whose default is worked out here and shown by `check`.
    pub(super) fn value_or<T>(
        &mut self,
        variable: &'static Variable,
        default: &str,
        parse: impl Fn(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        self.show(variable, default);
        let value = self.optional(variable, &parse);
        value.or_else(|| parse(default).ok())
    }

    /// Shows `text` as the value of a variable if nobody sets it.
    pub(super) fn show(&mut self, variable: &'static Variable, text: &str) {
        self.shown.insert(variable.name, text.to_owned());
    }

    /// A duration within a range of seconds.
    pub(super) fn duration(
        &mut self,
        variable: &Variable,
        seconds: RangeInclusive<f64>,
    ) -> Option<Duration> {
        self.value(variable, parse::duration(variable, seconds))
    }

    pub(super) fn secret(&mut self, variable: &Variable) -> Option<Secret> {
        let file = self.secret_file(variable);
        self.optional(variable, |text| match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(Secret::new(text.into(), file)),
        })
    }

    /// The file that the value of `variable` stands in, if a `_FILE` key named one.
    pub(super) fn secret_file(&self, variable: &Variable) -> Option<PathBuf> {
        self.layers.given.get(variable.name)?.file.clone()
    }

    /// A file that can be read now. Only its path is kept: its owner reads it again at every
    /// connection, since certificates and credentials are renewed under a running process.
    pub(super) fn readable_file(&mut self, variable: &Variable) -> Option<PathBuf> {
        let surroundings = self.surroundings;
        self.optional(variable, |text| {
            surroundings.bytes(Path::new(text)).map(|_| text.into())
        })
    }

    /// Faults whichever of two variables is set without the other.
    pub(super) fn both_or_neither(&mut self, one: &Variable, other: &Variable) {
        for (given, missing) in [(one, other), (other, one)] {
            if self.is_set(given) && !self.is_set(missing) {
                self.fault(given, format!("needs {} to be set too", missing.name));
            }
        }
    }

    /// Of `variables`, faults all that are set but the first.
    pub(super) fn at_most_one(&mut self, variables: &[&Variable]) {
        let set = variables.iter().filter(|variable| self.is_set(variable));
        let set: Vec<_> = set.collect();
        if let [first, others @ ..] = set.as_slice() {
            for other in others {
                self.fault(
                    other,
                    format!("is set beside {}; give one of them", first.name),
                );
            }
        }
    }

    /// Notes that `variable` breaks `rule`.
    pub(super) fn fault(&mut self, variable: &Variable, rule: impl Into<Rule>) {
        let origin = self.origin(variable);
        self.layers.fault(variable.name, &origin, rule);
    }

    /// Notes a rule that `variable` breaks by what `other` is, unless one of them is faulty by
    /// itself: then its default has been read.
    pub(super) fn conflict(&mut self, variable: &Variable, other: &Variable, rule: Rule) {
        let mut keys = self.layers.faults.iter().map(|fault| &fault.key);
        if !keys.any(|key| key == variable.name || key == other.name) {
            self.fault(variable, rule);
        }
    }

    /// Notes something worth saying that keeps nothing from starting.
    pub(super) fn warn(&mut self, warning: String) {
        self.layers.warnings.push(warning);
    }

    /// The outcome of all readings: `settings` unless anything was faulty.
    pub(super) fn finish<T>(
        self,
        settings: Option<T>,
    ) -> Result<(T, Vec<String>, Effective), Faults> {
        let mut layers = self.layers;
        match settings {
            Some(settings) if layers.faults.is_empty() => {
                let effective = Effective::new(&layers.given, &self.shown);
                return Ok((settings, layers.warnings, effective));
            }
            // Otherwise the process would end without a word.
            None if layers.faults.is_empty() => {
                let rule = "could not be read; this is a bug";
                layers.fault(CONFIG, &Origin::Default, rule);
            }
            _ => {}
        }
        Err(Faults(layers.faults))
    }
}
