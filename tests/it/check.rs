//! `check` names every cause of a daemon that starts and cannot work, with what to do about it, and
//! finds nothing wrong with what works.

mod broken_databases;
mod broken_servers;
mod fleet;
mod sound;

use serde_json::{Value, json};

use crate::harness::daemon::Builder;

/// Fixtures without a fault.
fn sound() -> Value {
    json!([
        {"id": "normalize_text", "type": "pre", "subject": "beamline.ext.normalize_text"},
        {"id": "mock_provider", "type": "provider", "subject": "beamline.provider.mock"},
    ])
}

/// What a check found.
struct Found {
    code: i32,
    document: Value,
}

impl Found {
    /// Runs `check` with the settings of `builder`.
    async fn by(builder: Builder) -> Self {
        Self::with(builder, &[]).await
    }

    async fn with(builder: Builder, arguments: &[&str]) -> Self {
        let arguments = ["check", "--json"].iter().chain(arguments);
        let builder = arguments.fold(builder, |builder, argument| builder.arg(argument));
        let (code, out, errors) = builder.run().await;
        let document = serde_json::from_str(&out);
        let document = document.unwrap_or_else(|_| panic!("{code}: {out}{errors}"));
        Self { code, document }
    }

    /// The lines with a mark.
    fn marked(&self, mark: &str) -> Vec<&Value> {
        let checks = self.document["checks"].as_array().unwrap();
        checks
            .iter()
            .filter(|check| check["mark"] == mark)
            .collect()
    }

    /// Nothing is wrong or doubtful.
    fn is_sound(&self) {
        let doubtful = [self.marked("bad"), self.marked("doubtful")].concat();
        assert!(doubtful.is_empty() && self.code == 0, "{:#}", self.document);
        assert_eq!(self.document["ok"], true);
    }

    /// A line of `group` fails and has these words; whatever fails says what to do and where to read
    /// more.
    fn names(&self, group: &str, words: &str) {
        let bad = self.marked("bad");
        assert!(
            self.code == 1 && self.document["ok"] == false,
            "{:#}",
            self.document
        );
        for line in &bad {
            let docs = line["docs"].as_str().unwrap();
            assert!(line["hint"].is_string() && has_place(docs), "{line:#}");
        }
        let named = |line: &&Value| line["group"] == group && line.to_string().contains(words);
        assert!(bad.iter().any(named), "no {words}: {:#}", self.document);
    }

    /// The first line that fails has this hint.
    fn advises(&self, hint: &str) {
        assert_eq!(self.marked("bad")[0]["hint"], hint, "{:#}", self.document);
    }
}

/// Whether the page has that heading.
fn has_place(docs: &str) -> bool {
    let (page, anchor) = docs.split_once('#').unwrap_or((docs, ""));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slugs = headings.map(|line| {
        let words = line.trim_start_matches(['#', ' ']).to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().replace(' ', "-")
    });
    anchor.is_empty() || slugs.into_iter().any(|slug| slug == anchor)
}
