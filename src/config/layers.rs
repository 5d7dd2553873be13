//! Flags over environment over file: for every variable the one text that counts, and its origin.
//!
//! Nothing is interpreted here but the layering itself; see [`super::reader`] for the values.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::fault::{Fault, Origin};
use super::nats_context;
use super::parse::Rule;
use super::secret;
use super::variables::{self, CONFIG, HTTP_ADDR, Kind, NATS_CONTEXT, NATS_URL, PREFIX, Variable};

/// A text that was given. No `Debug`: it may be a secret.
pub(super) struct Given {
    /// Or the rule that keeps it from being made out. It still counts as given: a lower layer must
    /// not take its place.
    pub(super) text: Result<String, Rule>,
    pub(super) origin: Origin,
    /// The file of the text, when a `_FILE` key named it.
    pub(super) file: Option<PathBuf>,
}

impl Given {
    /// An empty value counts as unset: that is how compose files and pod templates leave something
    /// out.
    fn new(layer: &'static str, name: String, text: Result<String, &str>) -> Option<Self> {
        (text.as_deref() != Ok("")).then(|| Self {
            text: text.map_err(str::to_owned),
            origin: Origin { layer, name },
            file: None,
        })
    }
}

/// What a layer has under a key.
type Layer<'a> = &'a dyn Fn(&str) -> Option<Given>;

/// The layers laid over each other, by variable name; what was not given is absent.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Lays `flags` (by key) over the environment over the file that either of them names.
    pub(super) fn new(flags: &BTreeMap<String, String>, surroundings: &Surroundings<'_>) -> Self {
        let mut this = Self::default();
        let flag = |key: &str| {
            let text = flags.get(key)?.clone();
            Given::new("flag", variables::flag(key), Ok(text))
        };
        let in_env = |name: String| {
            let text = surroundings.env.get(OsStr::new(&name))?.to_str();
            let text = text.map(str::to_owned).ok_or("is not UTF-8");
            Given::new("environment", name, text)
        };
        let prefixed = |key: &str| in_env(format!("{PREFIX}{key}"));
        let named = flag(CONFIG).or_else(|| prefixed(CONFIG));
        let addressed = || flag(HTTP_ADDR.name).or_else(|| prefixed(HTTP_ADDR.name));
        let named = named.filter(|_| surroundings.reads_everything || addressed().is_none());
        let file = named.map(|named| this.file(named, surroundings));
        let (path, table) = file.unwrap_or_default();
        let in_file = |key: &str| {
            let name = key.to_ascii_lowercase();
            let text = flat_text(table.get(&name)?);
            let text = text.ok_or("must be a text, a number, a boolean or a list of them");
            Given::new("file", format!("{path}:{name}"), text)
        };
        let fallback = |key: &str| {
            let variable = variables::ALL.iter().find(|it| it.name == key)?;
            in_env(variable.fallback?.to_owned())
        };
        let layers: [Layer<'_>; 3] = [&flag, &prefixed, &in_file];
        for layer in layers {
            this.below(layer, surroundings);
        }
        this.context(surroundings);
        this.below(&fallback, surroundings);
        this.unknown_names(surroundings);
        this
    }

    /// Lays everything over `layer`.
    fn below(&mut self, layer: Layer<'_>, surroundings: &Surroundings<'_>) {
        let wanted = |name: &str| surroundings.reads_everything || name == HTTP_ADDR.name;
        for variable in variables::ALL {
            if wanted(variable.name) && !self.given.contains_key(variable.name) {
                let given = value(variable, layer, surroundings);
                self.given.extend(given.map(|given| (variable.name, given)));
            }
        }
    }

    /// Path and content of the TOML file that is `named`.
    fn file(&mut self, named: Given, surroundings: &Surroundings<'_>) -> (String, toml::Table) {
        let path = named.text.clone().unwrap_or_default();
        let table = named.text.and_then(|path| toml(&path, surroundings));
        let table = table.unwrap_or_else(|rule| {
            let origin = named.origin;
            self.faults.push(Fault { origin, rule });
            toml::Table::new()
        });
        let known = |name: &str| variables::keys().any(|key| key.to_ascii_lowercase() == name);
        for name in table.keys() {
            if surroundings.reads_everything && !known(name) {
                let nearest = variables::nearest(&name.to_ascii_uppercase()).to_ascii_lowercase();
                let rule = format!("is not a known key; the nearest is {nearest}");
                let (layer, name) = ("file", format!("{path}:{name}"));
                let origin = Origin { layer, name };
                self.faults.push(Fault { origin, rule });
            }
        }
        (path, table)
    }

    /// Lays everything over the context of the `nats` command line that is named.
    fn context(&mut self, surroundings: &Surroundings<'_>) {
        let Some(named) = self.given.get(NATS_CONTEXT.name) else {
            return;
        };
        // An unknown name is a fault of the value, found when values are read.
        let name = named.text.as_deref().map(nats_context::name);
        let Ok(Ok(name)) = name else { return };
        let url = self.given.get(NATS_URL.name).map(|url| &url.text);
        let url_has_login = matches!(url, Some(Ok(url)) if url.contains('@'));
        let mut logins = nats_context::LOGIN.iter();
        let replaces = url_has_login || logins.any(|key| self.given.contains_key(key));
        let context = match nats_context::read(&name, replaces, surroundings) {
            Ok(context) => context,
            Err(rule) => {
                let origin = named.origin.clone();
                return self.faults.push(Fault { origin, rule });
            }
        };
        let in_context = |key: &str| {
            let text = context.get(key)?.clone();
            let name = format!("{name}:{}", key.to_ascii_lowercase());
            Given::new("context", name, Ok(text))
        };
        self.below(&in_context, surroundings);
    }

    /// Kubernetes service links inject names with our prefix, so an unknown one is no fault.
    fn unknown_names(&mut self, surroundings: &Surroundings<'_>) {
        for name in surroundings.env.keys().filter_map(|name| name.to_str()) {
            let Some(key) = name.strip_prefix(PREFIX).filter(|key| *key != CONFIG) else {
                continue;
            };
            if !variables::keys().any(|known| known == key) {
                let nearest = variables::nearest(key);
                let rule = "is not known and ignored; the nearest name is";
                let warning = format!("{name} {rule} {PREFIX}{nearest}");
                self.warnings.push(warning);
            }
        }
    }
}

/// The value of `variable` in a layer, be it in a file that the layer names. A file that is a value
/// itself must be readable.
fn value(variable: &Variable, layer: Layer<'_>, surroundings: &Surroundings<'_>) -> Option<Given> {
    let direct = layer(variable.name);
    let Some(mut named) = variable.file_key().and_then(|key| layer(&key)) else {
        let mut given = direct?;
        if variable.kind == Kind::FILE {
            let readable = |path: String| surroundings.bytes(Path::new(&path)).map(|_| path);
            given.text = given.text.and_then(readable);
        }
        return Some(given);
    };
    named.file = named.text.clone().ok().map(PathBuf::from);
    named.text = named.text.and_then(|path| {
        if direct.is_some() {
            return Err(format!("is set beside {}; give one of them", variable.name));
        }
        match secret::trimmed(&surroundings.text(Path::new(&path))?) {
            "" => Err(format!("names {path}, which is empty")),
            text => Ok(text.to_owned()),
        }
    });
    Some(named)
}

/// Of what the parser reports only message and line are passed on: it quotes the line at fault,
/// which may hold a secret.
fn toml(path: &str, surroundings: &Surroundings<'_>) -> Result<toml::Table, Rule> {
    let text = surroundings.text(Path::new(path))?;
    text.parse().map_err(|error: toml::de::Error| {
        let before = text.get(..error.span().map_or(0, |span| span.start));
        let line = 1 + before.unwrap_or_default().matches('\n').count();
        let error = error.message();
        format!("names {path}, which is not TOML: line {line}: {error}")
    })
}

/// The text an environment variable would hold for this TOML value: a list is its items, separated
/// by commas.
fn flat_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(flat_text).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}
