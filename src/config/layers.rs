//! Flags over environment over file: for every variable the one text that counts, and who gave it.
//!
//! Nothing is interpreted here but the layering itself; see [`super::reader`] for the values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::fault::{Fault, Origin};
use super::parse::Rule;
use super::secret;
use super::variables::{self, CONFIG, Kind, PREFIX};

/// A text that somebody gave. No `Debug`: it may be a secret.
pub(super) struct Given {
    /// `None` when it could not be made out, which is a fault noted already. It still counts as
    /// given: a lower layer must not take its place, nor a second fault say it is missing.
    pub(super) text: Option<String>,
    pub(super) origin: Origin,
    /// Where the text stands, when a `_FILE` key named its file.
    pub(super) file: Option<PathBuf>,
}

/// One layer: by key what it says and under which name, or `None` for what is no text.
type Layer = BTreeMap<String, (Option<String>, Origin)>;

/// The layers laid over each other, by variable name; what nobody gave is absent.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Lays `flags` (by key) over the environment over the file that either of them names.
    pub(super) fn new(flags: BTreeMap<String, String>, surroundings: &Surroundings<'_>) -> Self {
        let mut this = Self::default();
        let flags = flags.into_iter().map(|(key, text)| {
            let origin = Origin::Given("flag", variables::flag(&key));
            (key, (Some(text), origin))
        });
        let flags: Layer = flags.collect();
        let (environment, fallbacks) = this.environment(surroundings);
        let config = flags.get(CONFIG).or(environment.get(CONFIG));
        let file = match config {
            Some((Some(path), origin)) => this.file(Path::new(path), origin, surroundings),
            _ => Layer::new(),
        };
        // By variable, since a file that holds a value in one layer outranks the value in another.
        let mut topmost = BTreeMap::new();
        for layer in [fallbacks, file, environment, flags] {
            let mut of_layer = BTreeMap::new();
            for (key, (text, origin)) in layer {
                let Some(variable) = variables::find(&key) else {
                    continue;
                };
                // The twin that names a file comes second.
                if of_layer.contains_key(variable.name) {
                    let rule = format!("is set beside {}; give one of them", variable.name);
                    this.fault(&key, &origin, rule);
                }
                of_layer.insert(variable.name, (key, text, origin));
            }
            topmost.extend(of_layer);
        }
        for (name, (key, mut text, origin)) in topmost {
            let file = text.as_deref().filter(|_| key != name).map(PathBuf::from);
            if let Some(path) = &file {
                let read = surroundings.text(path);
                let read = read.map_err(|rule| this.fault(&key, &origin, rule)).ok();
                text = read.map(|read| secret::trimmed(&read).to_owned());
            }
            this.given.insert(name, Given { text, origin, file });
        }
        this
    }

    /// The names with our prefix, and the ones without that serve as fallbacks. An empty value
    /// counts as unset: that is how compose files and pod templates leave something out.
    fn environment(&mut self, surroundings: &Surroundings<'_>) -> (Layer, Layer) {
        let (mut prefixed, mut fallbacks) = (Layer::new(), Layer::new());
        for (name, value) in surroundings.env.iter().filter(|(_, text)| !text.is_empty()) {
            let name = name.to_string_lossy();
            let mut all = variables::ALL.iter();
            let (key, layer) = match name.strip_prefix(PREFIX) {
                Some(key) if key == CONFIG || variables::find(key).is_some() => {
                    (key, &mut prefixed)
                }
                Some(key) => {
                    // No fault: Kubernetes service links inject such names.
                    let nearest = variables::nearest(key);
                    let warning = "is not known and ignored; the nearest name is";
                    let warning = format!("{name} {warning} {PREFIX}{nearest}");
                    self.warnings.push(warning);
                    continue;
                }
                None => match all.find(|variable| variable.fallback == Some(&*name)) {
                    Some(variable) => (variable.name, &mut fallbacks),
                    None => continue,
                },
            };
            let origin = Origin::Given("environment", name.to_string());
            let text = value.to_str().map(str::to_owned);
            if text.is_none() {
                self.fault(key, &origin, "is not UTF-8");
            }
            layer.insert(key.to_owned(), (text, origin));
        }
        (prefixed, fallbacks)
    }

    /// The TOML file at `path`, which was given by `named_by`.
    fn file(&mut self, path: &Path, named_by: &Origin, surroundings: &Surroundings<'_>) -> Layer {
        let mut layer = Layer::new();
        let table = surroundings
            .text(path)
            .and_then(|text| toml(path, &text))
            .map_err(|rule| self.fault(CONFIG, named_by, rule));
        for (name, value) in table.unwrap_or_default() {
            let key = name.to_ascii_uppercase();
            let origin = Origin::Given("file", format!("{}:{name}", path.display()));
            match variables::find(&key) {
                Some(variable) if name == key.to_ascii_lowercase() => {
                    let text = flat_text(&value, matches!(variable.kind, Kind::List | Kind::Urls));
                    if text.is_none() {
                        self.fault(&key, &origin, "must be a text, a number or a boolean");
                    }
                    layer.insert(key, (text, origin));
                }
                _ => {
                    let nearest = variables::nearest(&key).to_ascii_lowercase();
                    let rule = format!("is not a known key; the nearest is {nearest}");
                    self.fault(&key, &origin, rule);
                }
            }
        }
        layer
    }

    /// Notes that what `origin` gives for `key` breaks `rule`.
    pub(super) fn fault(&mut self, key: &str, origin: &Origin, rule: impl Into<Rule>) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin: origin.clone(),
            message: rule.into(),
        });
    }
}

/// The parser's own report quotes the line at fault, which may hold a secret: only its message and
/// the line number are passed on.
fn toml(path: &Path, text: &str) -> Result<toml::Table, Rule> {
    text.parse::<toml::Table>().map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start));
        let line = 1 + before.unwrap_or_default().matches('\n').count();
        let (path, error) = (path.display(), error.message());
        format!("names {path}, which is not TOML: line {line}: {error}")
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
            let items = items.iter().map(|item| flat_text(item, false));
            Some(items.collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => None,
    }
}
