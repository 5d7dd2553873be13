//! The configuration as it was understood, fit to be shown: `check` prints it.

use std::collections::BTreeMap;

use super::fault::Origin;
use super::layers::Given;
use super::variables::{self, Kind};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Every variable with its redacted value and where that came from.
#[derive(Debug, Clone)]
pub struct Effective(pub Vec<Entry>);

/// One variable as it is in force.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The environment name.
    pub name: String,
    /// The value, secrets hidden; `None` when there is none.
    pub value: Option<String>,
    /// Who set it.
    pub origin: Origin,
}

impl Effective {
    /// `given` over `shown` over the table's defaults.
    pub(super) fn new(
        given: &BTreeMap<&'static str, Given>,
        shown: &BTreeMap<&'static str, String>,
    ) -> Self {
        let entries = variables::ALL.iter().map(|variable| {
            let given = given.get(variable.name);
            let shown = shown.get(variable.name).map(String::as_str);
            let text = given.map_or(shown.or(variable.default), |given| given.text.as_deref());
            Entry {
                name: variable.env_name(),
                value: text.map(|text| redacted(variable.kind, text)),
                origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            }
        });
        Self(entries.collect())
    }
}

fn redacted(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Secret => HIDDEN.to_owned(),
        Kind::Url => redacted_url(text),
        Kind::Urls => text
            .split(',')
            .map(redacted_url)
            .collect::<Vec<_>>()
            .join(","),
        _ => text.to_owned(),
    }
}

/// Shows scheme, host and path. Everything up to the last `@` may be a credential, for passwords
/// are not always escaped as they should be; so may every parameter but those known to be harmless.
fn redacted_url(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |colon| colon + "://".len());
    let (scheme, rest) = url.split_at(scheme);
    let (login, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let Some((place, parameters)) = rest.split_once('?') else {
        return format!("{scheme}{login}{rest}");
    };
    let parameters = parameters
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if !SHOWN_PARAMETERS.contains(&key) => format!("{key}={HIDDEN}"),
            _ => parameter.to_owned(),
        });
    let parameters: Vec<String> = parameters.collect();
    format!("{scheme}{login}{place}?{}", parameters.join("&"))
}

const SHOWN_PARAMETERS: [&str; 8] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_hosts_shown() {
        for (kind, text, shown) in [
            (Kind::Text, "plain", "plain"),
            (Kind::Secret, "hunter2", "***"),
            (
                Kind::Url,
                "postgres://u:p@a:1,b:2/db",
                "postgres://***@a:1,b:2/db",
            ),
            (Kind::Url, "postgres://u:p,q@a/db", "postgres://***@a/db"),
            (Kind::Url, "postgres://u:p@ss@a/db", "postgres://***@a/db"),
            (
                Kind::Url,
                "postgres://a/db?sslmode=require&password=p",
                "postgres://a/db?sslmode=require&password=***",
            ),
            (
                Kind::Urls,
                "nats://u:p@a:4222,tls://b",
                "nats://***@a:4222,tls://b",
            ),
            (Kind::Urls, "token@a", "***@a"),
        ] {
            assert_eq!(redacted(kind, text), shown);
        }
    }
}
