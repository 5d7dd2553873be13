//! The one table of everything that can be configured.
//!
//! Environment names, TOML keys, flags, `--help`, `check` and the documentation are all derived
//! from it, so a variable cannot exist in one of them and be missing in another. What a value must
//! look like is said where it is read, in the file of its concern.

/// What every environment name begins with.
pub const PREFIX: &str = "EXTENSION_REGISTRY_";

/// The key under which `--config FILE` and `EXTENSION_REGISTRY_CONFIG` are given. No variable: a
/// file cannot name the file it stands in.
pub const CONFIG: &str = "CONFIG";

/// The form of a value, as `--help` and the documentation call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, or one of a few words.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A number between 0 and 1.
    Fraction,
    /// A humantime duration, or a bare number in the unit that ends the name.
    Duration,
    /// Several texts, separated by commas; in TOML a list is fine too.
    List,
    /// A path.
    Path,
    /// A text that is never shown.
    Secret,
    /// A URL, shown without the user and password it may carry.
    Url,
    /// Several of them, separated by commas.
    Urls,
}

impl Kind {
    /// The placeholder of a value in `--help`.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Bool => "true|false",
            Self::Number => "NUMBER",
            Self::Fraction => "0..1",
            Self::Duration => "DURATION",
            Self::List => "A,B,...",
            Self::Path => "PATH",
            Self::Secret => "SECRET",
            Self::Url => "URL",
            Self::Urls => "URL,URL,...",
        }
    }
}

/// One thing that can be configured.
#[derive(Debug)]
pub struct Variable {
    /// The name without prefix, in capitals.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// What holds when nobody sets it; `None` when that is nothing, or worked out at the start.
    pub default: Option<&'static str>,
    /// One line for the reader of `--help`.
    pub doc: &'static str,
    /// The heading it stands under in `--help`.
    pub section: &'static str,
    /// A name without prefix that serves when no other layer gives a value.
    pub fallback: Option<&'static str>,
}

impl Variable {
    /// `EXTENSION_REGISTRY_DB_URL`.
    pub fn env_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// `DB_URL_FILE` for `DB_URL`: the key naming a file that holds the value, for whatever may
    /// hold a secret.
    pub fn file_key(&self) -> Option<String> {
        matches!(self.kind, Kind::Secret | Kind::Url | Kind::Urls)
            .then(|| format!("{}_FILE", self.name))
    }
}

/// Every key that a layer may hold: the variables, and the `_FILE` forms of the secret ones.
pub fn keys() -> impl Iterator<Item = String> {
    ALL.iter()
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_key()])
        .flatten()
}

/// The variable that `key` sets, by its value or by naming a file that holds it.
pub(super) fn find(key: &str) -> Option<&'static Variable> {
    let mut all = ALL.iter().copied();
    all.find(|variable| variable.name == key || variable.file_key().is_some_and(|file| file == key))
}

/// The flag of a key: `--db-url` for `DB_URL`.
pub fn flag(key: &str) -> String {
    format!("--{}", key.to_ascii_lowercase().replace('_', "-"))
}

/// The known key that looks most like `unknown`, to be offered to whoever mistyped it.
pub fn nearest(unknown: &str) -> String {
    keys()
        .chain([CONFIG.to_owned()])
        .min_by_key(|key| strsim::damerau_levenshtein(key, unknown))
        .unwrap_or_default()
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

macro_rules! variables {
    ($( $section:literal { $(
        $name:ident: $kind:ident $(= $default:literal)? $(, else $fallback:literal)?, $doc:literal;
    )* } )*) => {
        $($(
            #[doc = concat!("`", stringify!($name), "`: ", $doc, ".")]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                kind: Kind::$kind,
                default: optional!($($default)?),
                doc: $doc,
                section: $section,
                fallback: optional!($($fallback)?),
            };
        )*)*

        /// Every variable, in the order of the contract.
        pub static ALL: &[&Variable] = &[$($(&$name),*),*];
    };
}

variables! {
    "Source of the extensions" {
        SOURCE: Text = "auto", "`database`, `fixtures`, or `auto`: the database as soon as it answers, fixtures until then";
        DB_ENABLED: Bool, "whether there is a database; by default true when a DB_* address is set";
        DB_URL: Url, "postgres:// URL of the database, several hosts allowed";
        DB_HOST: List, "host or hosts of the database, instead of DB_URL";
        DB_PORT: List = "5432", "port, or one port per host";
        DB_NAME: Text = "beamline", "database name";
        DB_USER: Text = "beamline", "database user";
        DB_PASSWORD: Secret, "database password";
        DB_LISTEN_URL: Url, "direct URL for LISTEN when the address above is a transaction pooler";
        DB_SSLMODE: Text = "prefer", "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`; also read from a URL";
        DB_SSL_ROOT_CERT: Path, "PEM file of the authorities that the database's certificate is checked against";
        DB_POOL_SIZE: Number = "4", "connections to the database, beside the one that listens";
        FIXTURES_DIR: Path = "fixtures/extensions", "folder of the fixtures";
        SYNC_INTERVAL_SECONDS: Duration = "60", "time between safety syncs with the database";
        CACHE_TYPE: Text = "ets", "accepted from the original (`ets`, `mnesia`), without effect";
        ENVIRONMENT: Text, else "ENVIRONMENT", "default for `environment` in a request's context";
    }
    "NATS" {
        NATS_URL: Urls = "nats://127.0.0.1:4222", else "NATS_URL", "servers, separated by commas";
        NATS_CREDS: Path, "credentials file";
        NATS_NKEY: Secret, "nkey seed of the user (SU...)";
        NATS_USER: Text, "user, together with NATS_PASSWORD";
        NATS_PASSWORD: Secret, "password of NATS_USER";
        NATS_TOKEN: Secret, "authentication token";
        NATS_TLS_CA: Path, "PEM file of the authorities that the server's certificate is checked against";
        NATS_TLS_CERT: Path, "PEM file of the client certificate, together with NATS_TLS_KEY";
        NATS_TLS_KEY: Path, "PEM file of the client certificate's key";
        NATS_INBOX_PREFIX: Text = "_INBOX", "beginning of the subjects on which this user receives replies";
        SUBJECT_PREFIX: Text = "beamline.registry", "subject that all requests stand under";
        QUEUE_GROUP: Text = "beamline-registry", "queue group that the sidecars share";
        INSTANCE_ID: Text, "name of this sidecar, one subject token; by default host name and a random suffix";
        REPLY_PREFIXES: List = "_INBOX.,_INBOX_,_R_.,_GR_.", "beginnings of the reply subjects that are answered";
    }
    "HTTP and administration" {
        HTTP_ADDR: Text = "127.0.0.1:9640", "IP address and port of the HTTP server, or `off`";
        HTTP_TOKENS_FILE: Path, "file of HTTP tokens and roles, one pair per line";
        ADMIN_ENABLED: Bool = "true", "`false`: every mutating verb answers 403";
        REQUIRE_ACTOR_SUBJECT: Bool = "false", "`true`: mutating verbs but `reload` only at `as.<actor>`";
        ALLOWED_SUBJECTS: List = "beamline.ext.>,beamline.provider.>", "patterns of the subjects an extension may have";
    }
    "Circuit breaker" {
        CIRCUIT_BREAKER_ENABLED: Bool = "true", "whether failing extensions are cut off";
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: Number = "5", "consecutive failures that open";
        CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD: Fraction = "0.5", "rolling error rate that opens";
        CIRCUIT_BREAKER_WINDOW_SECONDS: Duration = "60", "length of the rolling window";
        CIRCUIT_BREAKER_MINIMUM_REQUESTS: Number = "20", "requests in the window before a rate counts";
        CIRCUIT_BREAKER_SLOW_CALL_MS: Duration = "off", "latency from which a call is slow, or `off`";
        CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD: Fraction = "off", "rolling slow-call rate that opens, or `off`";
        CIRCUIT_BREAKER_TIMEOUT_SECONDS: Duration = "60", "open time, doubled at each re-open";
        CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS: Duration = "600", "longest open time";
        CIRCUIT_BREAKER_HALF_OPEN_MAX_REQUESTS: Number = "3", "concurrent trial calls";
    }
    "Health" {
        AUTO_DISABLE_ON_CIRCUIT_OPEN: Bool = "false", "whether an open circuit disables its extension for the fleet";
        AUTO_ENABLE_ON_CIRCUIT_CLOSE: Bool = "false", "whether a live probe enables it again";
        AUTO_DISABLE_MAX_PERCENT: Number = "50", "share of the enabled extensions that may be auto-disabled, percent";
        HEALTH_BASED_ROUTING_ENABLED: Bool = "true", "whether failing versions give way to healthy ones";
        HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE: Fraction = "0.8", "success rate below which a version gives way";
        HEALTH_FLUSH_INTERVAL_SECONDS: Duration = "5", "time between writes of health to the database";
        HEALTH_SUMMARY_INTERVAL_SECONDS: Duration = "60", "time between `health_summary` events";
    }
    "Limits" {
        MAX_PAYLOAD_BYTES: Number = "1048576", "largest payload, bytes";
        MAX_METADATA_BYTES: Number = "65536", "largest metadata, bytes";
        MAX_TIMEOUT_MS: Duration = "120000", "longest timeout an extension may have";
        MAX_RETRIES: Number = "10", "most retries an extension may have";
        MAX_IN_FLIGHT: Number = "4096", "concurrent invocations";
        MAX_IN_FLIGHT_PER_EXTENSION: Number = "256", "concurrent invocations of one extension";
        SHUTDOWN_GRACE_SECONDS: Duration = "5", "time to finish what is in flight after SIGTERM";
    }
    "Tracing" {
        OTLP_ENDPOINT: Text, "http:// address of an OpenTelemetry collector that takes OTLP over HTTP; only in a binary built with feature `otlp`";
        OTLP_SAMPLE_RATIO: Fraction = "0.01", "share of the requests without `traceparent` that begin a recorded trace";
    }
    "Logging" {
        LOG: Text = "info", else "RUST_LOG", "filter, as `tracing` reads it";
        LOG_FORMAT: Text, "`json` or `pretty`; by default `json` when not a terminal";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_durations_end_in_their_unit() {
        let names: BTreeSet<String> = keys().collect();
        assert_eq!(names.len(), keys().count());
        for variable in ALL {
            let has_unit = variable.name.ends_with("_MS") || variable.name.ends_with("_SECONDS");
            assert_eq!(
                variable.kind == Kind::Duration,
                has_unit,
                "{}",
                variable.name
            );
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        for (unknown, known) in [
            ("SYNC_INTERVAL", "SYNC_INTERVAL_SECONDS"),
            ("NATS_URLS", "NATS_URL"),
            ("DB_PASWORD_FILE", "DB_PASSWORD_FILE"),
            ("CONFG", "CONFIG"),
        ] {
            assert_eq!(nearest(unknown), known);
        }
        assert_eq!(flag("DB_URL_FILE"), "--db-url-file");
    }
}
