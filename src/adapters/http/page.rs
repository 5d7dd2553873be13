//! The status page at `/`: a few files inside the binary, no external assets, no data in them.
//!
//! Browsers may keep the files but ask each time whether they are still the same: the tag is made
//! from the binary's files, so a new version of the daemon brings its own page.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::answer::HttpError;

/// The page may load its own files and ask its own server, and nothing else; nor may another page
/// show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const INDEX: &str = include_str!("page/index.html");

/// Name, type and content.
const FILES: &[(&str, &str, &str)] = &[
    ("chart.js", SCRIPT, include_str!("page/chart.js")),
    ("details.js", SCRIPT, include_str!("page/details.js")),
    ("events.js", SCRIPT, include_str!("page/events.js")),
    ("facts.js", SCRIPT, include_str!("page/facts.js")),
    ("feed.js", SCRIPT, include_str!("page/feed.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("icon.svg", SVG, include_str!("page/icon.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("page.css", CSS, include_str!("page/page.css")),
    ("row.js", SCRIPT, include_str!("page/row.js")),
    ("table.js", SCRIPT, include_str!("page/table.js")),
];

/// The tag of all files together.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new_with_prefix(INDEX);
    for (_, _, content) in FILES {
        hash.update(content);
    }
    let digest = hash.finalize();
    let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("\"{}\"", digits.collect::<String>())
});

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    answer(&headers, HTML, INDEX)
}

/// A file of the page.
pub(super) async fn file(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    // Of another name, be it no text, there is no file.
    let Path(name) = name.map_err(|_| HttpError::NoSuchPath)?;
    let file = FILES.iter().find(|(known, ..)| *known == name);
    let (_, kind, content) = file.ok_or(HttpError::NoSuchPath)?;
    Ok(answer(&headers, kind, content))
}

fn answer(headers: &HeaderMap, kind: &'static str, content: &'static str) -> Response {
    let describing = [
        (header::ETAG, TAG.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    match is_known(headers) {
        true => (StatusCode::NOT_MODIFIED, describing).into_response(),
        false => (describing, [(header::CONTENT_TYPE, kind)], content).into_response(),
    }
}

/// Whether the client has the files as they are: one of several tags, or any. A proxy that compresses
/// makes a weak tag of ours.
fn is_known(headers: &HeaderMap) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = tags.filter_map(|tags| tags.to_str().ok());
    let mut tags = tags.flat_map(|tags| tags.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == TAG.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::extension::ExtensionType;
    use crate::service::health::State;

    fn list(file: &str, begin: &str, end: &str) -> &'static str {
        let (_, _, content) = FILES.iter().find(|(name, ..)| *name == file).unwrap();
        let (_, list) = content.split_once(begin).unwrap();
        list.split_once(end).unwrap().0
    }

    #[test]
    fn the_page_knows_every_state_and_every_type() {
        let states = list("row.js", "export const STATES = {\n", "\n};");
        let states = states.lines().filter_map(|line| line.split_once(':'));
        let mut states: Vec<_> = states.map(|(name, _)| name.trim()).collect();
        states.sort_unstable();
        let mut all = State::ALL.map(State::as_str);
        all.sort_unstable();
        assert_eq!(states, all);

        let chips = list("table.js", "const CHIPS = [[\"all\", ", "]];");
        let chips = chips.split("[\"").skip(1);
        for chip in chips.filter_map(|chip| chip.split('"').next()) {
            assert!(State::named(chip).is_some(), "{chip}");
        }

        let types = INDEX.split("<option>").skip(1);
        let types = types.filter_map(|rest| rest.split("</option>").next());
        assert_eq!(types.collect::<Vec<_>>(), ExtensionType::NAMES);
    }

    #[test]
    fn a_file_is_known_by_any_of_its_tags() {
        let weak = format!("W/{}", *TAG);
        let list = format!("\"a\", {weak},\"b\"");
        for (tags, known) in [
            (&[][..], false),
            (&[TAG.as_str()], true),
            (&[weak.as_str()], true),
            (&[list.as_str()], true),
            (&["\"a\"", TAG.as_str()], true),
            (&["*"], true),
            (&["\"a\""], false),
            (&["", ",", "W/"], false),
        ] {
            let mut headers = HeaderMap::new();
            for tag in tags {
                headers.append(header::IF_NONE_MATCH, tag.parse().unwrap());
            }
            assert_eq!(is_known(&headers), known, "{tags:?}");
        }
    }
}
