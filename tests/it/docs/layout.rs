//! JSON laid out for readers: fields in the order in which they came, short values on one line.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::volatile::{MARK, is_time, is_volatile};

/// The longest line, in characters.
const WIDTH: usize = 100;
/// How much further in a level stands, in characters.
const STEP: usize = 2;
/// So many objects of a list are shown.
const LONG: usize = 4;

/// `text`, which is JSON, laid out and marked; anything else is left as it is.
pub(crate) fn laid_out(text: &str) -> String {
    match serde_json::from_str::<Box<RawValue>>(text) {
        Ok(raw) => Document::of(&raw).broken(0, 0),
        Err(_) => text.to_owned(),
    }
}

/// The same; of a list of more than [`LONG`] objects, the first stands for all.
pub(crate) fn shortened(text: &str) -> String {
    match serde_json::from_str::<Box<RawValue>>(text) {
        Ok(raw) => Document::of(&raw).shortened().broken(0, 0),
        Err(_) => text.to_owned(),
    }
}

enum Document {
    Object(Vec<(String, Document)>),
    List(Vec<Document>),
    /// A scalar, as it was written.
    Scalar(String),
}

impl Document {
    fn of(raw: &RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let fields = serde_json::Deserializer::from_str(text)
                    .deserialize_map(Fields)
                    .unwrap();
                let fields = fields.into_iter().map(|(name, value)| {
                    let marks = is_volatile(&name) && value.get() != "null";
                    let value = if marks { mark() } else { Self::of(&value) };
                    (name, value)
                });
                Self::Object(fields.collect())
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap();
                Self::List(items.iter().map(|item| Self::of(item)).collect())
            }
            _ if is_time(text.trim_matches('"')) => mark(),
            _ => Self::Scalar(text.to_owned()),
        }
    }

    fn shortened(self) -> Self {
        match self {
            Self::Scalar(text) => Self::Scalar(text),
            Self::Object(fields) => {
                let fields = fields.into_iter();
                Self::Object(fields.map(|(name, it)| (name, it.shortened())).collect())
            }
            Self::List(items) => {
                let is_object = |item: &Self| matches!(item, Self::Object(_));
                let long = items.len() > LONG && items.iter().all(is_object);
                let shown = if long { 1 } else { items.len() };
                let items = items.into_iter().take(shown).map(Self::shortened);
                Self::List(items.chain(long.then(mark)).collect())
            }
        }
    }

    fn inline(&self) -> String {
        let (open, items, close) = match self {
            Self::Scalar(text) => return text.clone(),
            Self::List(items) => ('[', items.iter().map(Self::inline).collect::<Vec<_>>(), ']'),
            Self::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| format!("{name:?}: {}", value.inline()));
                ('{', fields.collect(), '}')
            }
        };
        format!("{open}{}{close}", items.join(", "))
    }

    /// On one line behind `used` characters where that fits, else filling lines with what does.
    fn broken(&self, indent: usize, used: usize) -> String {
        let inline = self.inline();
        if used + inline.chars().count() < WIDTH {
            return inline;
        }
        let (open, items, close) = match self {
            Self::Scalar(text) => return text.clone(),
            Self::List(items) => ('[', items.iter().map(|item| (None, item)).collect(), ']'),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, item)| (Some(name), item));
                ('{', fields.collect::<Vec<_>>(), '}')
            }
        };
        let inner = indent + STEP;
        let mut lines = Vec::<String>::new();
        let mut shared = false;
        for (name, item) in items {
            let name = name.map_or_else(String::new, |name| format!("{name:?}: "));
            let text = name.clone() + &item.broken(inner, inner + name.chars().count());
            let shares =
                !text.ends_with(['}', ']']) || text.ends_with("[]") || text.ends_with("{}");
            match lines.last_mut() {
                Some(line) if shared && shares && fits(inner, line, &text) => {
                    line.push_str(", ");
                    line.push_str(&text);
                }
                _ => lines.push(text),
            }
            shared = shares;
        }
        let (pad, end) = (" ".repeat(inner), " ".repeat(indent));
        let lines = lines.join(&format!(",\n{pad}"));
        format!("{open}\n{pad}{lines}\n{end}{close}")
    }
}

/// Whether `text` fits behind `line`, with a comma on either side.
fn fits(indent: usize, line: &str, text: &str) -> bool {
    indent + line.chars().count() + text.chars().count() + 3 <= WIDTH
}

fn mark() -> Document {
    Document::Scalar(format!("\"{MARK}\""))
}

/// An object's fields in their order, which a map of serde_json would not keep.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, Box<RawValue>)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[test]
fn short_values_stay_on_one_line_and_volatile_ones_are_marked() {
    let short = r#"{"b":1,"a":{"epoch":"x","digest":null}}"#;
    let shown = r#"{"b": 1, "a": {"epoch": "…", "digest": null}}"#;
    assert_eq!(laid_out(short), shown);
    let long = format!(r#"{{"b":["{}",1.50],"a":[]}}"#, "x".repeat(100));
    let shown = format!(
        "{{\n  \"b\": [\n    \"{}\",\n    1.50\n  ],\n  \"a\": []\n}}",
        "x".repeat(100)
    );
    assert_eq!(laid_out(&long), shown);
    assert_eq!(laid_out("no json"), "no json");
    let four = r#"[{"a": 1}, {}, {}, {}]"#;
    assert_eq!(shortened(four), four);
    let five = r#"[{"a": 1}, {}, {}, {}, {}]"#;
    assert_eq!(shortened(five), r#"[{"a": 1}, "…"]"#);
}
