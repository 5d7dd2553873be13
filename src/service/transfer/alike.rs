//! JSON as the database writes it, so that what files say can be compared as text.

use std::collections::{HashMap, HashSet};

use super::portions::portions;
use super::ports::{StoreError, Transaction};
use crate::domain::definition::json_fields;
use crate::domain::extension::Extension;

/// The most texts that the database is asked about at once; most are short.
const MAX_TEXTS: usize = 10_000;

/// Rewrites all JSON of `wanted`. The inner error names a field that means something else there.
pub(super) async fn write_alike(
    transaction: &impl Transaction,
    wanted: &mut [Extension],
) -> Result<Result<(), String>, StoreError> {
    let mut fields: Vec<_> = wanted.iter_mut().flat_map(json_fields).collect();
    let unique: HashSet<&str> = fields.iter().map(|field| field.text()).collect();
    let unique: Vec<&str> = unique.into_iter().collect();
    let mut alike: HashMap<String, String> = HashMap::with_capacity(unique.len());
    for some in portions(&unique, MAX_TEXTS, |text| text.len()) {
        let written = transaction.as_written(some).await?;
        alike.extend(some.iter().map(ToString::to_string).zip(written));
    }
    for field in &mut fields {
        let text = alike.get(field.text()).map(String::as_str);
        if let Err(fault) = field.rewrite(text.unwrap_or_default()) {
            return Ok(Err(fault));
        }
    }
    Ok(Ok(()))
}
