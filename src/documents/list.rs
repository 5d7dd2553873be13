//! A page of extensions, and the cursor that leads to the next one.

use std::sync::Arc;

use bytes::Bytes;

use super::page::{Item, fit};
use super::request::{Read, as_object, numbers, required};
use super::to_bytes;
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::extension::{Extension, ExtensionType};
use crate::domain::ids::ExtensionId;
use crate::domain::listing::{Page, PageRequest, Position};
use crate::domain::selector::Selector;
use crate::service::error::RegistryError;
use crate::service::health::State;
use crate::service::read::page_limit;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;
use utoipa::IntoParams;

/// The arguments of `list`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListArguments {
    /// Only extensions of this type.
    #[serde(rename = "type")]
    #[param(pattern = "^(pre|validator|post|provider)$")]
    pub kind: Option<String>,
    /// Whether an operator enabled them; without it, only the enabled ones.
    #[param(value_type = Option<String>, pattern = "^(true|false|all)$")]
    pub enabled: Option<EnabledFilter>,
    /// Only extensions whose fields equal these: a JSON object of `type`, `owner`, `version` and
    /// `metadata.<key>`.
    #[param(value_type = Option<Object>)]
    pub selector: Option<Box<RawValue>>,
    /// The most that are returned.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
}

impl ListArguments {
    /// The arguments of `lookup_by_type`; a bare type will do.
    ///
    /// # Errors
    /// The field at fault; also a type that is missing.
    pub fn of_type(payload: &[u8]) -> Result<Read<Self>, RegistryError> {
        let read: Read<Self> = Read::of(&as_object(payload, "type")?)?;
        required("type", read.arguments.kind.as_ref())?;
        Ok(read)
    }

    /// The listing that is asked for.
    ///
    /// # Errors
    /// An unknown type, or a cursor that no page has given out.
    pub fn query(&self) -> Result<PageRequest, RegistryError> {
        let kind = self.kind.as_deref().map(ExtensionType::parse).transpose();
        let selector = self.selector.as_deref().map(RawValue::get);
        let selector = selector.map(Selector::parse).transpose();
        let after = self.cursor.as_deref().map(parse_cursor);
        Ok(PageRequest {
            kind: kind.map_err(|rule| RegistryError::field("type", rule))?,
            enabled: self.enabled.map_or(Some(true), |filter| filter.0),
            selector: selector.map_err(|rule| RegistryError::field("selector", rule))?,
            after: after.transpose()?,
            limit: page_limit(self.limit),
        })
    }
}

/// `true`, `false` or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnabledFilter(pub Option<bool>);

impl<'de> Deserialize<'de> for EnabledFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match <&RawValue>::deserialize(deserializer)?.get() {
            "true" => Ok(Self(Some(true))),
            "false" => Ok(Self(Some(false))),
            r#""all""# => Ok(Self(None)),
            _ => Err(D::Error::custom("must be true, false or \"all\"")),
        }
    }
}

/// A lookup's reply, an object with fields, with one more at its end.
fn with_state(record: &[u8], state: State) -> Bytes {
    let fields = record.strip_suffix(b"}").unwrap_or(record);
    let state = format!(",\"state\":\"{}\"}}", state.as_str());
    [fields, state.as_bytes()].concat().into()
}

/// The page as JSON, shortened to fit `max_bytes`; the cursor then leads to what was left out. A
/// record that no page could hold is named in `omitted`.
///
/// `states` gives the state of an extension's current circuit, and of all its versions together.
pub fn page(
    page: &Page,
    max_bytes: usize,
    states: impl Fn(&Arc<Entry>) -> (CircuitState, State),
) -> Result<Bytes, RegistryError> {
    let items = page.entries.iter().filter_map(|entry| {
        let (circuit, state) = states(entry);
        let record = entry.current()?.reply.in_state(circuit);
        Some(Item {
            record: with_state(&record, state),
            name: entry.extension().id.to_string(),
            cursor: cursor(entry.extension()),
        })
    });
    let beside = [("total", to_bytes(&page.total))];
    fit("extensions", items, page.more, &beside, max_bytes)
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
