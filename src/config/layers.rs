//! Flags over environment over file: for every variable the one text that counts, and who gave it.
//!
//! Nothing is interpreted here but the layering itself; see [`super::reader`] for the values.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::fault::{Fault, Origin, Warning};
use super::secret;
use super::variables::{self, CONFIG, Kind, PREFIX, Variable};
use crate::domain::text::text;

/// A text that somebody gave. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Given {
    /// `None` when it could not be made out, which is a fault noted already. It still counts as
    /// given: a lower layer must not take its place, nor a second fault say it is missing.
    pub(super) text: Option<String>,
    pub(super) origin: Origin,
    /// Where the text stands, when a `_FILE` key named its file.
    pub(super) file: Option<PathBuf>,
}

impl Given {
    fn direct(text: Option<String>, origin: Origin) -> Self {
        Self {
            text,
            origin,
            file: None,
        }
    }
}

/// One layer, by key.
type Layer = BTreeMap<String, Given>;

/// The layers laid over each other, by variable name; what nobody gave is absent.
pub(super) struct Layers {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
}

impl Layers {
    /// Lays `flags` (by key) over the environment over the file that either of them names.
    pub(super) fn new(flags: BTreeMap<String, String>, surroundings: &Surroundings<'_>) -> Self {
        let mut this = Self {
            given: BTreeMap::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        let flags = flags
            .into_iter()
            .map(|(key, text)| {
                let origin = Origin::Flag(variables::flag(&key));
                (key, Given::direct(Some(text), origin))
            })
            .collect();
        let (environment, fallbacks) = this.environment(&surroundings.env);
        let file = this.file(&[&flags, &environment], surroundings);
        for variable in variables::ALL {
            let given = this
                .topmost(variable, &[&flags, &environment, &file], surroundings)
                .or_else(|| fallbacks.get(variable.name).cloned());
            if let Some(given) = given {
                this.given.insert(variable.name, given);
            }
        }
        this
    }

    /// The names with our prefix, and the ones without that serve as fallbacks. An empty value
    /// counts as unset: that is how compose files and pod templates leave something out.
    fn environment(&mut self, env: &BTreeMap<OsString, OsString>) -> (Layer, Layer) {
        let known: BTreeSet<String> = variables::keys().chain([CONFIG.to_owned()]).collect();
        let (mut prefixed, mut fallbacks) = (Layer::new(), Layer::new());
        for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
            let name = name.to_string_lossy();
            let (key, layer) = match name.strip_prefix(PREFIX) {
                Some(key) if known.contains(key) => (key, &mut prefixed),
                Some(key) => {
                    self.warnings.push(Warning::unknown_name(key));
                    continue;
                }
                None => match variables::ALL
                    .iter()
                    .find(|variable| variable.fallback == Some(&*name))
                {
                    Some(variable) => (variable.name, &mut fallbacks),
                    None => continue,
                },
            };
            let origin = Origin::Environment(name.clone().into_owned());
            let text = value.to_str().map(str::to_owned);
            if text.is_none() {
                self.fault(key, &origin, "is not UTF-8");
            }
            layer.insert(key.to_owned(), Given::direct(text, origin));
        }
        (prefixed, fallbacks)
    }

    /// The TOML file that the first of `above` names; empty when none does.
    fn file(&mut self, above: &[&Layer], surroundings: &Surroundings<'_>) -> Layer {
        let mut layer = Layer::new();
        let Some(named) = above.iter().find_map(|layer| layer.get(CONFIG)) else {
            return layer;
        };
        let Some(path) = named.text.as_deref().map(PathBuf::from) else {
            return layer;
        };
        let table = match read_text(&path, surroundings).and_then(|text| parse_toml(&path, &text)) {
            Ok(table) => table,
            Err(message) => {
                self.fault(CONFIG, &named.origin, &message);
                return layer;
            }
        };
        for (name, value) in table {
            let key = name.to_ascii_uppercase();
            let origin = Origin::File(path.clone(), name.clone());
            let variable = variables::ALL.iter().find(|variable| {
                variable.name == key || variable.file_key().is_some_and(|f| f == key)
            });
            match variable {
                Some(variable) if name == key.to_ascii_lowercase() => {
                    let text = flat_text(&value, matches!(variable.kind, Kind::List | Kind::Urls));
                    if text.is_none() {
                        self.fault(&key, &origin, "must be a text, a number or a boolean");
                    }
                    layer.insert(key, Given::direct(text, origin));
                }
                _ => {
                    let nearest = variables::nearest(&key).to_ascii_lowercase();
                    let message = format!("is not a known key; the nearest is {nearest}");
                    self.fault(&key, &origin, &message);
                }
            }
        }
        layer
    }

    /// What the uppermost layer that mentions `variable` says, its `_FILE` form read.
    fn topmost(
        &mut self,
        variable: &Variable,
        layers: &[&Layer],
        surroundings: &Surroundings<'_>,
    ) -> Option<Given> {
        let file_key = variable.file_key();
        for layer in layers {
            let direct = layer.get(variable.name);
            let file = file_key.as_ref().and_then(|key| layer.get(key));
            match (direct, file) {
                (None, None) => {}
                (Some(direct), None) => return Some(direct.clone()),
                (direct, Some(file)) => {
                    let key = file_key.as_deref().unwrap_or_default();
                    if direct.is_some() {
                        let message = format!("is set beside {}; give one of them", variable.name);
                        self.fault(key, &file.origin, &message);
                    }
                    return Some(self.read_secret(key, file, surroundings));
                }
            }
        }
        None
    }

    /// The value in the file that `named`, given under `key`, names.
    fn read_secret(&mut self, key: &str, named: &Given, surroundings: &Surroundings<'_>) -> Given {
        let origin = named.origin.clone();
        let file = named.text.as_ref().map(PathBuf::from);
        let text = file.as_ref().and_then(|path| {
            read_text(path, surroundings)
                .map_err(|message| self.fault(key, &origin, &message))
                .ok()
        });
        let text = text.map(|text| secret::trimmed(&text).to_owned());
        Given { text, origin, file }
    }

    fn fault(&mut self, key: &str, origin: &Origin, message: &str) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin: origin.clone(),
            message: message.to_owned(),
        });
    }
}

pub(super) fn read_text(path: &Path, surroundings: &Surroundings<'_>) -> Result<String, String> {
    let bytes = (surroundings.read_file)(path)
        .map_err(|error| format!("names {}, which cannot be read: {error}", path.display()))?;
    text(bytes).map_err(|error| format!("names {}, which {error}", path.display()))
}

/// The parser's own report quotes the line at fault, which may hold a secret: only its message and
/// the line number are passed on.
fn parse_toml(path: &Path, text: &str) -> Result<toml::Table, String> {
    text.parse::<toml::Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text
            .bytes()
            .take(start)
            .filter(|byte| *byte == b'\n')
            .count();
        format!(
            "names {}, which is not TOML: line {line}: {}",
            path.display(),
            error.message()
        )
    })
}

/// The text an environment variable would hold for this TOML value.
fn flat_text(value: &toml::Value, list: bool) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) if list => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| flat_text(item, false)).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}
