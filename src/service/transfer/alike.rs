//! JSON as the database writes it, so that files can be compared as text.

use std::collections::{HashMap, HashSet};

use super::portions::portions;
use super::ports::{StoreError, Transaction};
use super::wanted::Wanted;
use crate::domain::json::compact;

/// The most texts that the database is asked about at once; most are short.
const MAX_TEXTS: usize = 10_000;

/// Rewrites all JSON of `wanted`.
pub(super) async fn write_alike(
    transaction: &impl Transaction,
    wanted: &mut [Wanted<'_>],
) -> Result<(), StoreError> {
    let texts = wanted.iter_mut().flat_map(|it| it.record.json_mut());
    let unique: HashSet<String> = texts.map(|text| text.to_string()).collect();
    let unique: Vec<&str> = unique.iter().map(String::as_str).collect();
    let mut alike: HashMap<&str, String> = HashMap::with_capacity(unique.len());
    for some in portions(&unique, MAX_TEXTS, |text| text.len()) {
        let written = transaction.as_written(some).await?;
        alike.extend(some.iter().copied().zip(written));
    }
    for text in wanted.iter_mut().flat_map(|it| it.record.json_mut()) {
        if let Some(written) = alike.get(&**text) {
            *text = compact(written).into();
        }
    }
    Ok(())
}
