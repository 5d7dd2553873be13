//! A page of records that fits into one message.
//!
//! A record that no page could hold must not block the ones after it: it is left out and named.

use bytes::Bytes;
use serde::Serialize;

use super::lookup::join;
use super::to_bytes;
use crate::service::error::RegistryError;

/// Room for what is around the records: names, the cursor, and the reply's headers, which count as
/// well.
pub(super) const ENVELOPE_BYTES: usize = 512;

/// What a page could show.
pub(super) struct Item<C> {
    /// The record.
    pub(super) record: Bytes,
    /// Its name, for a record that no page could hold.
    pub(super) name: String,
    /// What leads to the items after it.
    pub(super) cursor: C,
}

/// A page of the list `list` as JSON, shortened to fit `max_bytes`; `next` then leads to what comes
/// after it. What no page could hold is named in `omitted`. `more`: there are others after `items`;
/// `beside` are the fields beside the list, as JSON.
///
/// # Errors
/// Not even the name of the first item fits.
pub(super) fn fit<C: Serialize>(
    list: &str,
    items: impl Iterator<Item = Item<C>>,
    mut more: bool,
    beside: &[(&str, Bytes)],
    max_bytes: usize,
) -> Result<Bytes, RegistryError> {
    let beside_bytes: usize = beside.iter().map(|(_, json)| json.len()).sum();
    let room = max_bytes.saturating_sub(ENVELOPE_BYTES + beside_bytes);
    let (mut records, mut omitted) = (Vec::new(), Vec::new());
    let (mut used, mut last) = (0, None);
    for item in items {
        let (list, shown) = match item.record.len() < room {
            true => (&mut records, item.record),
            false => (&mut omitted, to_bytes(&item.name)),
        };
        used += shown.len() + 1;
        if used > room {
            more = true;
            break;
        }
        list.push(shown);
        last = Some(item.cursor);
    }
    if last.is_none() && more {
        return Err(RegistryError::PayloadTooLarge {
            what: "a record",
            limit_bytes: max_bytes,
        });
    }
    let mut body = Vec::with_capacity(used.min(room) + beside_bytes + ENVELOPE_BYTES);
    body.extend_from_slice(format!(r#"{{"{list}":"#).as_bytes());
    join(&mut body, &records);
    for (name, json) in beside {
        body.extend_from_slice(format!(r#","{name}":"#).as_bytes());
        body.extend_from_slice(json);
    }
    if !omitted.is_empty() {
        body.extend_from_slice(br#","omitted":"#);
        join(&mut body, &omitted);
    }
    body.extend_from_slice(br#","next":"#);
    body.extend_from_slice(&to_bytes(&last.filter(|_| more)));
    body.push(b'}');
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A page of records of that many bytes.
    fn page(sizes: &[usize], room: usize) -> Result<Value, RegistryError> {
        let items = sizes.iter().zip('a'..).map(|(size, name)| Item {
            record: Bytes::from(format!("\"{}\"", "x".repeat(size - 2))),
            name: name.to_string(),
            cursor: name,
        });
        let body = fit("records", items, false, &[], ENVELOPE_BYTES + room)?;
        assert!(body.len() <= ENVELOPE_BYTES + room);
        let mut page: Value = serde_json::from_slice(&body).unwrap();
        let shown = page["records"].as_array().unwrap().iter();
        page["records"] = shown.map(|it| it.as_str().unwrap().len() + 2).collect();
        Ok(page)
    }

    #[test]
    fn what_no_page_could_hold_is_named_and_the_page_goes_on() {
        let whole = json!({"records": [20, 30], "next": null});
        assert_eq!(page(&[20, 30], 100).unwrap(), whole);
        let two = json!({"records": [20, 30], "omitted": ["b"], "next": null});
        assert_eq!(page(&[20, 100, 30], 100).unwrap(), two);
        let alone = json!({"records": [], "omitted": ["a"], "next": null});
        assert_eq!(page(&[100], 100).unwrap(), alone);
        let last = json!({"records": [20], "omitted": ["b"], "next": "b"});
        assert_eq!(page(&[20, 100, 80], 100).unwrap(), last);
        let too_large = page(&[100], 2).unwrap_err();
        assert_eq!(too_large.code(), "payload_too_large");
    }
}
