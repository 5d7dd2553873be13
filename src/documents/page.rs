//! A page of records that fits into one message.

use bytes::Bytes;

use super::lookup::join;
use super::to_bytes;
use crate::service::error::RegistryError;

/// Room for what is around the records: names, the cursor, and the reply's headers, which count as
/// well.
const ENVELOPE_BYTES: usize = 512;

/// What a page could show.
pub(super) struct Page<'a, T> {
    /// The name of the list.
    pub(super) name: &'static str,
    /// Its items, in order.
    pub(super) items: &'a [T],
    /// Whether there are more after them.
    pub(super) more: bool,
    /// What stands beside the list, as JSON.
    pub(super) beside: &'a [(&'static str, Bytes)],
}

impl<T> Page<'_, T> {
    /// The page as JSON, shortened to fit `max_bytes`; `next`, which `cursor` makes of the last
    /// item shown, then leads to what was left out. An item without a record is passed over.
    ///
    /// # Errors
    /// Not even the first record fits.
    pub(super) fn fit(
        &self,
        max_bytes: usize,
        record: impl Fn(&T) -> Option<Bytes>,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Bytes, RegistryError> {
        let beside: usize = self.beside.iter().map(|(_, json)| json.len()).sum();
        let room = max_bytes.saturating_sub(ENVELOPE_BYTES + beside);
        let mut records = Vec::with_capacity(self.items.len());
        let (mut used, mut last, mut more) = (0, None, self.more);
        for item in self.items {
            let Some(record) = record(item) else {
                continue;
            };
            used += record.len() + 1;
            if used > room {
                more = true;
                break;
            }
            records.push(record);
            last = Some(item);
        }
        if records.is_empty() && more {
            return Err(RegistryError::PayloadTooLarge {
                what: "a record",
                limit_bytes: max_bytes,
            });
        }
        let next = last.filter(|_| more).map(cursor);
        let mut body = Vec::with_capacity(used.min(room) + beside + ENVELOPE_BYTES);
        body.extend_from_slice(format!(r#"{{"{}":"#, self.name).as_bytes());
        join(&mut body, &records);
        for (name, json) in self.beside {
            body.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            body.extend_from_slice(json);
        }
        body.extend_from_slice(br#","next":"#);
        body.extend_from_slice(&to_bytes(&next));
        body.push(b'}');
        Ok(body.into())
    }
}
