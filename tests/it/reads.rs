//! The verbs for people and tools:
//!
//! - [`listing`]: `list` filters, counts and pages through everything exactly once,
//! - [`size`]: what does not fit a message is shortened, or told,
//! - [`records`]: `get` shows the stored record, `explain` the choice of `lookup` and why,
//! - [`operations`]: `stats`, `ping` and `reload` answer with the contract's fields.

mod listing;
mod operations;
mod records;
mod size;

use serde_json::{Map, Value, json};

use crate::site::{Site, extension};

/// `n` extensions of three types, each about `padding` bytes larger than it must be.
fn many(n: usize, padding: usize) -> Value {
    let kinds = ["pre", "validator", "post"];
    (0..n)
        .map(|i| {
            padded(
                extension(kinds[i % kinds.len()], &format!("x{i:05}")),
                padding,
            )
        })
        .collect()
}

fn padded(mut extension: Value, bytes: usize) -> Value {
    if bytes > 0 {
        extension["config"] = json!({"padding": "x".repeat(bytes)});
    }
    extension
}

/// Follows the cursor to the end: the places met, and how many pages there were.
async fn page_through(
    site: &Site,
    request: &Value,
    max_bytes: usize,
) -> (Vec<(String, String)>, usize) {
    let mut request = request.clone();
    let (mut found, mut pages, mut total) = (Vec::new(), 0, None);
    loop {
        let reply = site.ask("list", &request).await;
        assert!(reply.payload.len() <= max_bytes);
        let page = reply.ok();
        pages += 1;
        assert_eq!(
            *total.get_or_insert(page["total"].clone()),
            page["total"],
            "the same all along"
        );
        let places = records(&page).iter();
        found.extend(places.map(|x| (text(x, "type").to_owned(), text(x, "id").to_owned())));
        if page["next"].is_null() {
            assert_eq!(page["total"], found.len());
            return (found, pages);
        }
        request["cursor"] = page["next"].clone();
    }
}

fn is_unique(places: &[(String, String)]) -> bool {
    places.windows(2).all(|pair| pair[0] != pair[1])
}

fn records(page: &Value) -> &Vec<Value> {
    list(page, "extensions")
}

fn list<'a>(object: &'a Value, field: &str) -> &'a Vec<Value> {
    object[field]
        .as_array()
        .unwrap_or_else(|| panic!("no list {field}: {object}"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field}: {object}"))
}

fn keys(object: &Value) -> Vec<&String> {
    let fields: &Map<String, Value> = object.as_object().unwrap();
    fields.keys().collect()
}
