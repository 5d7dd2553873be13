//! What distinguishes this sidecar's settings from others': which differ from the defaults, and a
//! fingerprint of the ones that a fleet should share.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::reader::Reader;
use super::variables::Values;
use crate::domain::distinct::Distinct;

/// Bytes of the fingerprint: enough that two fleets' worth of settings do not share one.
const BYTES: usize = 6;

/// What `values` have that `defaults` have not.
pub(super) fn distinct(values: &Values, defaults: &Values, reader: &Reader<'_>) -> Distinct {
    let mut changed = BTreeMap::new();
    let mut hash = Sha256::new();
    for ((variable, text), (_, default)) in values.texts().into_iter().zip(defaults.texts()) {
        if text == default {
            continue;
        }
        if variable.is_shared() {
            hash.update(format!("{}={text}\n", variable.name));
        }
        let given = reader.layers.given.get(variable.name);
        let given = given.and_then(|given| given.text.clone().ok());
        if let Some(given) = given.filter(|_| variable.is_public()) {
            changed.insert(variable.name, given);
        }
    }
    let hash = hash.finalize();
    let hexadecimal = hash.iter().take(BYTES).map(|byte| format!("{byte:02x}"));
    Distinct {
        fingerprint: hexadecimal.collect(),
        changed,
    }
}
