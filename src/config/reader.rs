//! Values by variable, with every fault noted on the way.
//!
//! Where a value is faulty its default is read in its place, so that one pass finds everything:
//! what is read counts only if no fault was noted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Surroundings;
use super::fault::{Fault, Origin};
use super::layers::Layers;
use super::parse::Rule;
use super::secret::Secret;
use super::variables::Variable;

/// Finds in the bytes of a file what it should hold, or why it does not.
type Look<T> = fn(&[u8]) -> Result<T, String>;

/// Reads the layers.
pub(super) struct Reader<'a> {
    pub(super) layers: Layers,
    pub(super) surroundings: &'a Surroundings<'a>,
    /// Defaults that are worked out at the start, by variable.
    pub(super) defaults: BTreeMap<&'static str, String>,
}

impl Reader<'_> {
    /// Whether any layer sets `variable`.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        self.layers.given.contains_key(variable.name)
    }

    /// Where `variable` was set.
    pub(super) fn origin(&self, variable: &Variable) -> Origin {
        let given = self.layers.given.get(variable.name);
        given.map_or_else(|| variable.by_default(), |given| given.origin.clone())
    }

    /// The value when `variable` is not set.
    pub(super) fn default(&self, variable: &Variable) -> Option<&str> {
        let default = self.defaults.get(variable.name).map(String::as_str);
        default.or(variable.default)
    }

    /// What `parse` makes of a variable's text, which is empty when there is none; `None` only when
    /// the default is faulty, too.
    pub(super) fn value<T>(
        &mut self,
        variable: &Variable,
        parse: impl Fn(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let default = self.default(variable).unwrap_or_default().to_owned();
        let value = match self.layers.given.get(variable.name) {
            Some(given) => given.text.clone().and_then(|text| parse(&text)),
            None => parse(&default),
        };
        let value = value.map_err(|rule| self.fault(variable, rule));
        value.ok().or_else(|| parse(&default).ok())
    }

    /// A secret that `variable` holds, with its file if a `_FILE` key named one.
    pub(super) fn secret(&self, variable: &Variable, text: Option<SecretString>) -> Option<Secret> {
        text.map(|text| Secret::new(text, self.file(variable)))
    }

    /// The file with the value of `variable`, if a `_FILE` key named one.
    pub(super) fn file(&self, variable: &Variable) -> Option<PathBuf> {
        self.layers.given.get(variable.name)?.file.clone()
    }

    /// The rule that the file at `path` breaks by what is in it. One that cannot be read is a fault
    /// already.
    pub(super) fn broken<T>(&self, path: &Path, look: Look<T>) -> Option<Rule> {
        let text = self.surroundings.bytes(path).ok()?;
        let why = look(&text).err()?;
        Some(format!("names {}, which {why}", path.display()))
    }

    /// Faults `variable` for what is in the file that it names.
    pub(super) fn look<T>(&mut self, variable: &Variable, path: Option<&Path>, look: Look<T>) {
        if let Some(rule) = path.and_then(|path| self.broken(path, look)) {
            self.fault(variable, rule);
        }
    }

    /// Faults whichever of two variables is set without the other.
    pub(super) fn both_or_neither(&mut self, one: &Variable, other: &Variable) {
        for (given, missing) in [(one, other), (other, one)] {
            if self.is_set(given) && !self.is_set(missing) {
                self.fault(given, format!("needs {} to be set too", missing.name));
            }
        }
    }

    /// Notes that `variable` breaks `rule`.
    pub(super) fn fault(&mut self, variable: &Variable, rule: impl Into<Rule>) {
        let (origin, rule) = (self.origin(variable), rule.into());
        self.layers.faults.push(Fault { origin, rule });
    }

    /// Notes a rule that `variable` breaks by what `other` is, unless one of them is faulty by
    /// itself: then its default has been read.
    pub(super) fn conflict(&mut self, variable: &Variable, other: &Variable, rule: Rule) {
        let both = [self.origin(variable), self.origin(other)];
        let mut faults = self.layers.faults.iter();
        if !faults.any(|fault| both.contains(&fault.origin)) {
            self.fault(variable, rule);
        }
    }

    /// Notes something worth saying that keeps nothing from starting.
    pub(super) fn warn(&mut self, warning: String) {
        self.layers.warnings.push(warning);
    }
}
