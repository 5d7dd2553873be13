//! A page of records that fits into one message.
//!
//! A record that no page could hold must not block the ones after it: a shorter form of it is
//! shown, if there is one, else it is left out and named.

use bytes::Bytes;

use super::lookup::join;
use super::to_bytes;
use crate::service::error::RegistryError;

/// Room for what is around the records: names, the cursor, and the reply's headers, which count as
/// well.
pub(super) const ENVELOPE_BYTES: usize = 512;

/// What a page could show.
pub(super) struct Page<'a, T> {
    /// The name of the list.
    pub(super) name: &'static str,
    /// Its items, in order.
    pub(super) items: &'a [T],
    /// Whether there are more after them.
    pub(super) more: bool,
    /// The fields beside the list, as JSON.
    pub(super) beside: &'a [(&'static str, Bytes)],
}

/// How an item is shown.
pub(super) struct Forms<R, B, N, C> {
    /// The record; an item without one is passed over.
    pub(super) record: R,
    /// The record in short, for an item whose record no page could hold.
    pub(super) brief: B,
    /// Its name, where not even that fits.
    pub(super) name: N,
    /// What leads to the items after it.
    pub(super) cursor: C,
}

/// No short form.
pub(super) fn no_brief<T>(_: &T) -> Option<Bytes> {
    None
}

impl<T> Page<'_, T> {
    /// The page as JSON, shortened to fit `max_bytes`; `next` then leads to what comes after it. What
    /// no page could hold is named in `omitted`.
    ///
    /// # Errors
    /// Not even the name of the first item fits.
    pub(super) fn fit<J: serde::Serialize>(
        &self,
        max_bytes: usize,
        forms: &Forms<
            impl Fn(&T) -> Option<Bytes>,
            impl Fn(&T) -> Option<Bytes>,
            impl Fn(&T) -> String,
            impl Fn(&T) -> J,
        >,
    ) -> Result<Bytes, RegistryError> {
        let beside: usize = self.beside.iter().map(|(_, json)| json.len()).sum();
        let room = max_bytes.saturating_sub(ENVELOPE_BYTES + beside);
        let (mut records, mut omitted) = (Vec::with_capacity(self.items.len()), Vec::new());
        let (mut used, mut last, mut more) = (0, None, self.more);
        for item in self.items {
            let Some(mut record) = (forms.record)(item) else {
                continue;
            };
            let mut is_whole = true;
            if record.len() >= room {
                let brief = (forms.brief)(item).filter(|brief| brief.len() < room);
                is_whole = brief.is_some();
                record = brief.unwrap_or_else(|| to_bytes(&(forms.name)(item)));
            }
            used += record.len() + 1;
            if used > room {
                more = true;
                break;
            }
            let list = if is_whole { &mut records } else { &mut omitted };
            list.push(record);
            last = Some(item);
        }
        if last.is_none() && more {
            return Err(RegistryError::PayloadTooLarge {
                what: "a record",
                limit_bytes: max_bytes,
            });
        }
        let next = last.filter(|_| more).map(&forms.cursor);
        let mut body = Vec::with_capacity(used.min(room) + beside + ENVELOPE_BYTES);
        body.extend_from_slice(format!(r#"{{"{}":"#, self.name).as_bytes());
        join(&mut body, &records);
        for (name, json) in self.beside {
            body.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            body.extend_from_slice(json);
        }
        if !omitted.is_empty() {
            body.extend_from_slice(br#","omitted":"#);
            join(&mut body, &omitted);
        }
        body.extend_from_slice(br#","next":"#);
        body.extend_from_slice(&to_bytes(&next));
        body.push(b'}');
        Ok(body.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A page of records of that many bytes; what is in short has 10.
    fn page(sizes: &[usize], room: usize, brief: bool) -> Result<Value, RegistryError> {
        let items: Vec<_> = sizes.iter().zip('a'..).collect();
        let page = Page {
            name: "records",
            items: &items,
            more: false,
            beside: &[],
        };
        let text = |size: usize| Bytes::from(format!("\"{}\"", "x".repeat(size - 2)));
        let forms = Forms {
            record: |(size, _): &(&usize, char)| Some(text(**size)),
            brief: |_: &_| brief.then(|| text(10)),
            name: |(_, name): &(&usize, char)| name.to_string(),
            cursor: |(_, name): &(&usize, char)| name.to_string(),
        };
        let body = page.fit(ENVELOPE_BYTES + room, &forms)?;
        assert!(body.len() <= ENVELOPE_BYTES + room);
        let mut page: Value = serde_json::from_slice(&body).unwrap();
        let shown = page["records"].as_array().unwrap().iter();
        page["records"] = shown.map(|it| it.as_str().unwrap().len() + 2).collect();
        Ok(page)
    }

    #[test]
    fn what_no_page_could_hold_is_named_and_the_page_goes_on() {
        let whole = json!({"records": [20, 30], "next": null});
        assert_eq!(page(&[20, 30], 100, false).unwrap(), whole);
        let two = json!({"records": [20, 30], "omitted": ["b"], "next": null});
        assert_eq!(page(&[20, 100, 30], 100, false).unwrap(), two);
        let alone = json!({"records": [], "omitted": ["a"], "next": null});
        assert_eq!(page(&[100], 100, false).unwrap(), alone);
        let last = json!({"records": [20], "omitted": ["b"], "next": "b"});
        assert_eq!(page(&[20, 100, 80], 100, false).unwrap(), last);
        let brief = json!({"records": [20, 10, 30], "next": null});
        assert_eq!(page(&[20, 100, 30], 100, true).unwrap(), brief);
        let too_large = page(&[100], 2, false).unwrap_err();
        assert_eq!(too_large.code(), "payload_too_large");
    }
}
