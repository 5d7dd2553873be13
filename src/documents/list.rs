//! A page of extensions, and the cursor that leads to the next one.

use bytes::Bytes;

use super::lookup::join;
use super::to_bytes;
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::extension::{Extension, ExtensionType};
use crate::domain::ids::ExtensionId;
use crate::domain::listing::{Page, Position};
use crate::service::error::RegistryError;

/// Room for everything around the records: names, total, cursor, and the reply's headers, which
/// count as well.
const ENVELOPE_BYTES: usize = 512;

/// The page as JSON, shortened to fit `max_bytes`; the cursor then leads to what was left out.
///
/// `state` tells the state of an extension's circuit.
pub fn page(
    page: &Page,
    max_bytes: usize,
    state: impl Fn(&Entry) -> CircuitState,
) -> Result<Bytes, RegistryError> {
    let room = max_bytes.saturating_sub(ENVELOPE_BYTES);
    let mut records = Vec::with_capacity(page.entries.len());
    let (mut used, mut last, mut more) = (0, None, page.more);
    for entry in &page.entries {
        let Some(current) = entry.current() else {
            continue;
        };
        let record = current.reply.in_state(state(entry));
        used += record.len() + 1;
        if used > room {
            more = true;
            break;
        }
        records.push(record);
        last = Some(entry.extension());
    }
    if records.is_empty() && !page.entries.is_empty() {
        return Err(RegistryError::PayloadTooLarge {
            what: "a record",
            limit_bytes: max_bytes,
        });
    }
    let next = last.filter(|_| more).map(cursor);
    let mut body = Vec::with_capacity(used.min(room) + ENVELOPE_BYTES);
    body.extend_from_slice(br#"{"extensions":"#);
    join(&mut body, &records);
    body.extend_from_slice(format!(r#","total":{},"next":"#, page.total).as_bytes());
    body.extend_from_slice(&to_bytes(&next));
    body.push(b'}');
    Ok(body.into())
}

/// The place after which the next page begins, as text: `<type>:<id>`.
fn cursor(extension: &Extension) -> String {
    format!("{}:{}", extension.kind, extension.id)
}

/// Reads a cursor that [`page`] has given out.
pub fn parse_cursor(text: &str) -> Result<Position, RegistryError> {
    let bad = || RegistryError::field("cursor", "must be the `next` of an earlier page");
    let (kind, id) = text.split_once(':').ok_or_else(bad)?;
    let kind = ExtensionType::parse(kind).map_err(|_| bad())?;
    Ok((kind, ExtensionId::parse(id).map_err(|_| bad())?))
}
