//! The text of a fixture file: whatever it is, its faults are few and plain, and what serves is
//! exported as a file that serves the same.
#![no_main]

use beamline_registry::adapters::fixtures::fuzzing::{MAX_FAULTS, read, write};
use beamline_registry::domain::extension::Extension;
use beamline_registry::domain::quarantine::Fault;
use beamline_registry::domain::text::text;
use libfuzzer_sys::fuzz_target;

mod policy;

use policy::POLICY;

/// One entry names eight fields and their rules.
const MOST_OF_A_REASON: usize = 16 * 1024;

fuzz_target!(|file: &[u8]| {
    let Ok(text) = text(file.to_vec()) else {
        return;
    };
    let (sound, faults) = match read(&text, &POLICY) {
        Ok(contents) => contents,
        Err(reason) => return is_plain(&reason),
    };
    assert!(faults.len() <= MAX_FAULTS);
    for Fault { origin, reason, .. } in &faults {
        is_plain(origin);
        is_plain(reason);
        assert!(reason.len() <= MOST_OF_A_REASON, "{}", reason.len());
    }
    for (origin, extension) in &sound {
        is_plain(origin);
        is_exported(extension);
    }
    let again = read(&text, &POLICY).unwrap();
    assert_eq!((sound, faults), again);
});

fn is_plain(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn is_exported(extension: &Extension) {
    let file = write(extension);
    let (sound, faults) = read(&file, &POLICY).unwrap();
    assert_eq!(faults, [], "{file}");
    let [(_, again)] = &sound[..] else {
        panic!("{} extensions: {file}", sound.len());
    };
    assert_eq!(again.digest, extension.digest, "{file}");
    assert_eq!(write(again), file);
}
