//! The identity of this sidecar, and its environment.

use rand::distr::{Alphanumeric, SampleString};

use super::parse::Rule;
use crate::domain::subject::is_token;

/// The longest instance id, in characters: it is part of subjects and connection names.
const MAX_INSTANCE_ID: usize = 128;

/// Length of the random suffix, which distinguishes sidecars on one host.
const SUFFIX: usize = 6;

pub(super) fn token(text: &str) -> Result<String, Rule> {
    let rule = "no dots, wildcards or white space";
    match is_token(text) && text.len() <= MAX_INSTANCE_ID {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "must be one NATS token of at most {MAX_INSTANCE_ID} characters: {rule}"
        )),
    }
}

/// The host's name with everything that no token may hold replaced by `-`, and a random suffix.
pub(super) fn default_instance_id(host_name: &str) -> String {
    let odd = |char: char| !char.is_ascii_alphanumeric() && char != '_';
    let mut host = host_name.replace(odd, "-");
    host.truncate(MAX_INSTANCE_ID - SUFFIX - 1);
    if host.is_empty() {
        host.push_str("registry");
    }
    let suffix = Alphanumeric.sample_string(&mut rand::rng(), SUFFIX);
    format!("{host}-{}", suffix.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_makes_a_token() {
        for (host, head) in [
            ("node-1.example.org", "node-1-example-org-"),
            ("m\u{fc}ller's mac", "m-ller-s-mac-"),
            ("", "registry-"),
        ] {
            let id = default_instance_id(host);
            assert!(id.starts_with(head), "{id}");
            assert_eq!(id.len(), head.len() + SUFFIX);
            assert_eq!(token(&id), Ok(id.clone()));
        }
        assert_ne!(default_instance_id("a"), default_instance_id("a"));
        assert!(token(&default_instance_id(&"x".repeat(300))).is_ok());
    }
}
