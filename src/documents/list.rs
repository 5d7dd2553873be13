//! A page of extensions, and the cursor that leads to the next one.

use std::sync::Arc;

use bytes::Bytes;

use super::{page, to_bytes};
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::extension::{Extension, ExtensionType};
use crate::domain::ids::ExtensionId;
use crate::domain::listing::{Page, Position};
use crate::service::error::RegistryError;

/// The page as JSON, shortened to fit `max_bytes`; the cursor then leads to what was left out. A
/// record that no page could hold is named in `omitted`.
///
/// `state` tells the state of an extension's circuit.
pub fn page(
    page: &Page,
    max_bytes: usize,
    state: impl Fn(&Entry) -> CircuitState,
) -> Result<Bytes, RegistryError> {
    let fitting = page::Page {
        name: "extensions",
        items: &page.entries,
        more: page.more,
        beside: &[("total", to_bytes(&page.total))],
    };
    let forms = page::Forms {
        record: |entry: &Arc<Entry>| Some(entry.current()?.reply.in_state(state(entry))),
        brief: page::no_brief,
        name: |entry: &Arc<Entry>| entry.extension().id.to_string(),
        cursor: |entry: &Arc<Entry>| cursor(entry.extension()),
    };
    fitting.fit(max_bytes, &forms)
}

/// The place after which the next page begins, as text: `<type>:<id>`.
pub(super) fn cursor(extension: &Extension) -> String {
    format!("{}:{}", extension.kind, extension.id)
}

/// Reads a cursor that [`page`] has given out.
pub fn parse_cursor(text: &str) -> Result<Position, RegistryError> {
    let bad = || RegistryError::field("cursor", "must be the `next` of an earlier page");
    let (kind, id) = text.split_once(':').ok_or_else(bad)?;
    let kind = ExtensionType::parse(kind).map_err(|_| bad())?;
    Ok((kind, ExtensionId::parse(id).map_err(|_| bad())?))
}
