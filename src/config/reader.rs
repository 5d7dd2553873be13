//! Values by variable, with every fault noted on the way.
//!
//! A reading that fails gives `None` and leaves a fault; a concern reads all its variables before
//! it gives up, so that one pass finds everything.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::Surroundings;
use super::effective::Effective;
use super::fault::{Fault, Faults, Origin, Warning};
use super::layers::{Layers, read_text};
use super::parse::{self, Rule};
use super::secret::Secret;
use super::variables::{CONFIG, Variable};
use crate::domain::text::without_mark;

/// Reads the layers.
pub(super) struct Reader<'a> {
    layers: Layers,
    surroundings: &'a Surroundings<'a>,
    computed: BTreeMap<&'static str, String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: Layers, surroundings: &'a Surroundings<'a>) -> Self {
        let computed = BTreeMap::new();
        Self {
            layers,
            surroundings,
            computed,
        }
    }

    /// Whether any layer sets `variable`.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        self.layers.given.contains_key(variable.name)
    }

    /// Who set `variable`.
    pub(super) fn origin(&self, variable: &Variable) -> Origin {
        match self.layers.given.get(variable.name) {
            Some(given) => given.origin.clone(),
            None => Origin::Default,
        }
    }

    /// What `parse` makes of a variable that may be unset: `None` when faulty, `Some(None)` when
    /// neither a layer nor the table has a value.
    pub(super) fn optional<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Option<Option<T>> {
        let text = match self.layers.given.get(variable.name) {
            Some(given) => given.text.as_deref()?,
            None => match variable.default {
                Some(default) => default,
                None => return Some(None),
            },
        };
        match parse(text) {
            Ok(value) => Some(Some(value)),
            Err(rule) => {
                self.fault(variable, rule);
                None
            }
        }
    }

    /// What `parse` makes of a variable that has a default; `None` when faulty.
    pub(super) fn value<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        self.optional(variable, parse)?
    }

    /// What `parse` makes of a variable whose default is worked out here and shown by `check`.
    pub(super) fn value_or<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
        default: impl FnOnce() -> String,
    ) -> Option<T> {
        if self.is_set(variable) {
            return self.value(variable, parse);
        }
        let default = default();
        self.show(variable, &default);
        parse(&default).ok()
    }

    /// Shows `text` as the value of a variable that nobody set.
    pub(super) fn show(&mut self, variable: &'static Variable, text: &str) {
        self.computed.insert(variable.name, text.to_owned());
    }

    pub(super) fn boolean(&mut self, variable: &Variable) -> Option<bool> {
        self.value(variable, parse::boolean)
    }

    pub(super) fn number<T>(&mut self, variable: &Variable, range: RangeInclusive<T>) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        self.value(variable, |text| parse::number(text, &range))
    }

    pub(super) fn duration(
        &mut self,
        variable: &Variable,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.value(variable, |text| parse::duration(text, variable, &range))
    }

    pub(super) fn secret(&mut self, variable: &Variable) -> Option<Option<Secret>> {
        let text = self.optional(variable, |text| match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(SecretString::from(text)),
        })?;
        Some(text.map(|text| Secret::new(text, self.secret_file(variable))))
    }

    /// The file that the value of `variable` stands in, if a `_FILE` key named one.
    pub(super) fn secret_file(&self, variable: &Variable) -> Option<PathBuf> {
        self.layers.given.get(variable.name)?.file.clone()
    }

    /// A file that can be read now. Only its path is kept: its owner reads it again at every
    /// connection, since certificates and credentials are renewed under a running process.
    pub(super) fn readable_file(&mut self, variable: &Variable) -> Option<Option<PathBuf>> {
        let readable = self.readable();
        self.optional(variable, |text| readable(Path::new(text)))
    }

    /// A file of certificates or keys that the NATS client reads, which knows no byte order mark.
    pub(super) fn nats_pem_file(&mut self, variable: &Variable) -> Option<Option<PathBuf>> {
        let path = self.readable_file(variable)?;
        let Some(path) = path else { return Some(None) };
        let bytes = (self.surroundings.read_file)(&path).ok()?;
        if without_mark(&bytes).len() == bytes.len() {
            return Some(Some(path));
        }
        let rule = "which begins with a byte order mark: save it without";
        self.fault(variable, format!("names {}, {rule}", path.display()));
        None
    }

    /// A file that can be read now, and its text.
    pub(super) fn text_of_file(
        &mut self,
        variable: &Variable,
    ) -> Option<Option<(PathBuf, String)>> {
        let surroundings = self.surroundings;
        let path = self.readable_file(variable)?;
        let Some(path) = path else { return Some(None) };
        match read_text(&path, surroundings) {
            Ok(text) => Some(Some((path, text))),
            Err(message) => {
                self.fault(variable, message);
                None
            }
        }
    }

    /// The check behind [`Self::readable_file`], for paths that stand inside other values.
    pub(super) fn readable(&self) -> impl Fn(&Path) -> Result<PathBuf, Rule> + use<'a> {
        let surroundings = self.surroundings;
        |path| match (surroundings.read_file)(path) {
            Ok(_) => Ok(path.to_owned()),
            Err(error) => Err(format!(
                "names {}, which cannot be read: {error}",
                path.display()
            )),
        }
    }

    /// Notes that `variable` breaks `rule`.
    pub(super) fn fault(&mut self, variable: &Variable, rule: impl Into<Rule>) {
        let key = variable.name.to_owned();
        let origin = self.origin(variable);
        let message = rule.into();
        self.layers.faults.push(Fault {
            key,
            origin,
            message,
        });
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.layers.warnings.push(warning);
    }

    /// The outcome of all readings: `settings` unless anything was faulty.
    pub(super) fn finish<T>(
        self,
        settings: Option<T>,
    ) -> Result<(T, Vec<Warning>, Effective), Faults> {
        let Layers {
            given,
            mut faults,
            warnings,
        } = self.layers;
        match settings {
            Some(settings) if faults.is_empty() => {
                Ok((settings, warnings, Effective::new(&given, &self.computed)))
            }
            _ => {
                if faults.is_empty() {
                    // A reading that failed without saying so would otherwise end the process
                    // without a word.
                    faults.push(Fault {
                        key: CONFIG.to_owned(),
                        origin: Origin::Default,
                        message: "could not be read; this is a bug".to_owned(),
                    });
                }
                Err(Faults(faults))
            }
        }
    }
}
