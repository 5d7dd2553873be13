//! The one table of everything that can be configured.
//!
//! Environment names, TOML keys, flags, `--help`, `check`, the documentation and the settings
//! themselves are all derived from it, so a variable cannot exist in one of them and be missing in
//! another. What is particular about a value is in the file of its concern, and so is what several
//! values mean together.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::fault::Origin;
use super::nats_address::NatsAddress;
use super::parse::{
    boolean, list, maybe, millis, number, plain, rate, seconds, text, unless_off, word,
};
use super::reader::Reader;
use super::{Endpoint, LogFormat, SourceMode, SslMode};
use super::{database, http, identity, logging, nats, nats_context, source, subjects, tracing};
use crate::domain::subject::{Subject, SubjectPattern};

/// What every environment name begins with.
pub const PREFIX: &str = "EXTENSION_REGISTRY_";

/// The key under which `--config FILE` and `EXTENSION_REGISTRY_CONFIG` are given. No variable: a
/// file cannot name itself.
pub const CONFIG: &str = "CONFIG";

/// The form of a value: its placeholder in `--help` and the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub &'static str);

impl Kind {
    /// Any text, or one of a few words.
    pub const TEXT: Self = Self("TEXT");
    /// `true` or `false`.
    pub const BOOL: Self = Self("true|false");
    /// A whole number.
    pub const NUMBER: Self = Self("NUMBER");
    /// A number between 0 and 1.
    pub const FRACTION: Self = Self("0..1");
    /// A humantime duration, or a bare number in the unit that ends the name.
    pub const DURATION: Self = Self("DURATION");
    /// Several texts, separated by commas; in TOML a list is fine too.
    pub const LIST: Self = Self("A,B,...");
    /// A folder.
    pub const PATH: Self = Self("PATH");
    /// A file, which can be read now. Its owner reads it again at every connection, since
    /// certificates and credentials are renewed under a running process.
    pub const FILE: Self = Self("FILE");
    /// A text that is never shown.
    pub const SECRET: Self = Self("SECRET");
    /// A URL, shown without the user and password it may carry.
    pub const URL: Self = Self("URL");
    /// Several of them, separated by commas.
    pub const URLS: Self = Self("URL,URL,...");
    /// An address, without a login.
    pub const ADDRESS: Self = Self("ADDRESS");
}

/// One thing that can be configured.
#[derive(Debug)]
pub struct Variable {
    /// The name without prefix, in capitals.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// The value when it is not set; `None` when that is nothing, or worked out at the start.
    pub default: Option<&'static str>,
    /// One line for the reader of `--help`.
    pub doc: &'static str,
    /// Its heading in `--help`.
    pub section: &'static str,
    /// A name without prefix that serves when no other layer gives a value.
    pub fallback: Option<&'static str>,
}

impl Variable {
    /// `EXTENSION_REGISTRY_DB_URL`.
    pub fn env_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Whether any client of this sidecar may see it: no secret, no address, no login name.
    pub(super) fn is_public(&self) -> bool {
        let private = [Kind::SECRET, Kind::URL, Kind::URLS, Kind::ADDRESS];
        let logins = ["DB_PORT", "DB_NAME", "DB_USER", "NATS_USER", "NATS_CONTEXT"];
        !private.contains(&self.kind) && !logins.contains(&self.name)
    }

    /// Whether all sidecars of a fleet should have it alike: it does not depend on where a sidecar
    /// runs, its identity, or what it logs.
    pub(super) fn is_shared(&self) -> bool {
        let own = ["Database", "NATS", "HTTP", "Tracing", "Logging"];
        let local = ["INSTANCE_ID", "FIXTURES_DIR", "CACHE_TYPE"];
        !own.contains(&self.section) && !local.contains(&self.name)
    }

    /// Where its value comes from when it is not set.
    pub(super) fn by_default(&self) -> Origin {
        Origin {
            layer: "default",
            name: self.env_name(),
        }
    }

    /// `DB_URL_FILE` for `DB_URL`: the key naming a file that holds the value, for whatever may
    /// hold a secret.
    pub fn file_key(&self) -> Option<String> {
        matches!(self.kind, Kind::SECRET | Kind::URL | Kind::URLS)
            .then(|| format!("{}_FILE", self.name))
    }
}

/// Every key that a layer may hold: the variables, and the `_FILE` forms of the secret ones.
pub fn keys() -> impl Iterator<Item = String> {
    ALL.iter()
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_key()])
        .flatten()
}

/// The flag of a key: `--db-url` for `DB_URL`.
pub fn flag(key: &str) -> String {
    format!("--{}", key.to_ascii_lowercase().replace('_', "-"))
}

/// The known key that looks most like `unknown`, to suggest in the error.
pub fn nearest(unknown: &str) -> String {
    let keys = keys().chain([CONFIG.to_owned()]);
    let nearest = keys.min_by_key(|key| strsim::damerau_levenshtein(key, unknown));
    nearest.unwrap_or_default()
}

/// A row is the name, the field and its type, the form, the default, the name without prefix that
/// serves as a fallback, what makes a value of a text, and the line for the help.
macro_rules! variables {
    ($( $section:literal, $group:ident: $struct:ident { $(
        $name:ident, $field:ident: $type:ty, $kind:ident $(= $default:literal)?
        $(, else $fallback:literal)?, $parse:expr, $doc:literal;
    )* } )*) => {
        $($(
            #[doc = concat!("`", stringify!($name), "`: ", $doc, ".")]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                kind: Kind::$kind,
                // The first of them holds.
                default: [$(Some($default),)? None][0],
                doc: $doc,
                section: $section,
                fallback: [$(Some($fallback),)? None][0],
            };
        )*)*

        /// Every variable.
        pub static ALL: &[&Variable] = &[$($(&$name),*),*];

        $(
            #[doc = concat!("The values under \"", $section, "\".")]
            #[derive(Debug, Clone)]
            pub struct $struct {
                $( #[doc = concat!($doc, ".")] pub $field: $type, )*
            }
        )*

        /// All values, each sound by itself.
        pub(super) struct Values {
            $( pub(super) $group: $struct, )*
        }

        impl Values {
            /// Reads all of them. `None` only where a default is unsound, which is noted.
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                Some(Self {
                    $( $group: $struct { $( $field: reader.value(&$name, $parse)?, )* }, )*
                })
            }

            /// Each value as text: two that mean the same are alike (`60` and `1m`).
            pub(super) fn texts(&self) -> Vec<(&'static Variable, String)> {
                vec![ $($( (&$name, format!("{:?}", self.$group.$field)), )*)* ]
            }
        }
    };
}

/// Times between things that are done again and again, in seconds.
const INTERVAL: RangeInclusive<f64> = 0.05..=86_400.0;
/// Open times of circuits, in seconds.
const OPEN: RangeInclusive<f64> = 0.01..=86_400.0;
/// The largest `max_payload` a nats-server can be configured with; more could never arrive.
const NATS_MAX: usize = 64 * 1024 * 1024;
/// Bytes that calls may hold.
pub(super) const IN_FLIGHT_BYTES: RangeInclusive<usize> = 1..=1 << 40;

variables! {
    "Source of the extensions", source: SourceSettings {
        SOURCE, mode: SourceMode, TEXT = "auto", word(&SourceMode::ALL, SourceMode::as_str), "`database`, `fixtures`, or `auto`: the database as soon as it answers, fixtures until then";
        FIXTURES_DIR, fixtures_dir: PathBuf, PATH = "fixtures/extensions", plain, "folder of the fixtures";
        SYNC_INTERVAL_SECONDS, sync_interval: Duration, DURATION = "60", seconds(INTERVAL), "time between safety syncs with the database";
        CACHE_TYPE, cache_type: &'static str, TEXT = "ets", word(&source::CACHES, |cache| cache), "ignored; accepted so that old configurations still load";
    }
    "Database", database: DatabaseValues {
        DB_ENABLED, enabled: bool, BOOL, boolean, "whether there is a database; by default true when a DB_* address is set";
        DB_URL, url: Option<Endpoint>, URL, maybe(Endpoint::parse), "postgres:// URL of the database, several hosts allowed";
        DB_HOST, hosts: Option<Vec<String>>, ADDRESS, maybe(list(database::host)), "host or hosts of the database, instead of DB_URL";
        DB_PORT, ports: Vec<u16>, LIST = "5432", list(database::port), "port, or one port per host";
        DB_NAME, name: String, TEXT = "beamline", text, "database name";
        DB_USER, user: String, TEXT = "beamline", text, "database user";
        DB_PASSWORD, password: Option<SecretString>, SECRET, maybe(plain), "database password";
        DB_LISTEN_URL, listen_url: Option<Endpoint>, URL, maybe(Endpoint::parse), "direct URL for LISTEN when the address above is a transaction pooler";
        DB_SSLMODE, ssl_mode: SslMode, TEXT = "prefer", word(&SslMode::ALL, SslMode::as_str), "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`; also read from a URL";
        DB_SSL_ROOT_CERT, ssl_root_cert: Option<PathBuf>, FILE, maybe(plain), "PEM file of the authorities that the database's certificate is checked against";
        DB_POOL_SIZE, pool_size: usize, NUMBER = "4", number(1..=1000), "connections to the database, besides the one for LISTEN";
    }
    "NATS", nats: NatsValues {
        NATS_CONTEXT, context: Option<String>, TEXT, maybe(nats_context::name), "context of the `nats` command line: servers, login, TLS and inbox prefix that no other setting gives";
        NATS_URL, servers: Vec<NatsAddress>, URLS = "nats://127.0.0.1:4222", else "NATS_URL", list(nats::server), "servers, separated by commas";
        NATS_CREDS, creds: Option<PathBuf>, FILE, maybe(plain), "credentials file";
        NATS_NKEY, nkey: Option<SecretString>, SECRET, maybe(nats::seed), "nkey seed of the user (SU...)";
        NATS_USER, user: Option<String>, TEXT, maybe(text), "user, together with NATS_PASSWORD";
        NATS_PASSWORD, password: Option<SecretString>, SECRET, maybe(plain), "password of NATS_USER";
        NATS_TOKEN, token: Option<SecretString>, SECRET, maybe(plain), "authentication token";
        NATS_TLS_CA, tls_ca: Option<PathBuf>, FILE, maybe(plain), "PEM file of the authorities that the server's certificate is checked against";
        NATS_TLS_CERT, tls_cert: Option<PathBuf>, FILE, maybe(plain), "PEM file of the client certificate, together with NATS_TLS_KEY";
        NATS_TLS_KEY, tls_key: Option<PathBuf>, FILE, maybe(plain), "PEM file of the client certificate's key";
        NATS_INBOX_PREFIX, inbox_prefix: Subject, TEXT = "_INBOX", subjects::own, "prefix of the subjects on which this user receives replies";
    }
    "Subjects", subjects: SubjectSettings {
        SUBJECT_PREFIX, prefix: Subject, TEXT = "beamline.registry", subjects::own, "prefix of every request subject";
        QUEUE_GROUP, queue_group: String, TEXT = "beamline-registry", subjects::group, "queue group that the sidecars share";
        REPLY_PREFIXES, reply_prefixes: Vec<String>, LIST = "_INBOX.,_INBOX_,_R_.,_GR_.", list(text), "reply-subject prefixes the registry may answer to";
        ALLOWED_SUBJECTS, allowed: Vec<SubjectPattern>, LIST = "beamline.ext.>,beamline.provider.>", list(subjects::pattern), "patterns of the subjects an extension may have";
    }
    "This sidecar", identity: IdentitySettings {
        INSTANCE_ID, instance_id: String, TEXT, identity::token, "name of this sidecar, one subject token; by default host name and a random suffix";
        ENVIRONMENT, environment: Option<String>, TEXT, else "ENVIRONMENT", maybe(text), "default for `environment` in a request's context";
    }
    "HTTP", http: HttpSettings {
        HTTP_ADDR, addr: Option<SocketAddr>, ADDRESS = "127.0.0.1:9640", unless_off(http::addr), "IP address and port of the HTTP server, or `off`";
        HTTP_HOSTS, hosts: Option<Vec<String>>, LIST, maybe(list(http::host)), "host names accepted in `Host`, besides IP addresses and `localhost`";
        HTTP_TOKENS_FILE, tokens_file: Option<PathBuf>, FILE, maybe(plain), "file of HTTP tokens and roles, one pair per line";
    }
    "Administration", admin: AdminSettings {
        ADMIN_ENABLED, enabled: bool, BOOL = "true", boolean, "`false`: every mutating verb answers 403";
        REQUIRE_ACTOR_SUBJECT, require_actor_subject: bool, BOOL = "false", boolean, "`true`: mutating verbs except `reload` only at `as.<actor>`";
    }
    "Circuit breaker", breaker: BreakerValues {
        CIRCUIT_BREAKER_ENABLED, enabled: bool, BOOL = "true", boolean, "whether circuit breakers are on";
        CIRCUIT_BREAKER_FAILURE_THRESHOLD, failure_threshold: u32, NUMBER = "5", number(1..=1_000_000), "consecutive failures that open a circuit";
        CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD, error_rate_threshold: f64, FRACTION = "0.5", rate, "rolling error rate that opens a circuit";
        CIRCUIT_BREAKER_WINDOW_SECONDS, window: Duration, DURATION = "60", seconds(0.1..=3600.0), "length of the rolling window";
        CIRCUIT_BREAKER_MINIMUM_REQUESTS, minimum_requests: u32, NUMBER = "20", number(1..=1_000_000), "requests in the window before a rate counts";
        CIRCUIT_BREAKER_SLOW_CALL_MS, slow_call: Option<Duration>, DURATION = "off", unless_off(millis(1.0..=3_600_000.0)), "latency from which a call is slow, or `off`";
        CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD, slow_call_rate: Option<f64>, FRACTION = "off", unless_off(rate), "rolling slow-call rate that opens a circuit, or `off`";
        CIRCUIT_BREAKER_TIMEOUT_SECONDS, timeout: Duration, DURATION = "60", seconds(OPEN), "how long a circuit stays open; doubles at each re-open";
        CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS, max_timeout: Duration, DURATION = "600", seconds(OPEN), "longest open time";
        CIRCUIT_BREAKER_HALF_OPEN_MAX_REQUESTS, half_open_max_requests: u32, NUMBER = "3", number(1..=10_000), "concurrent trial calls";
    }
    "Health", health: HealthSettings {
        AUTO_DISABLE_ON_CIRCUIT_OPEN, auto_disable: bool, BOOL = "false", boolean, "whether an open circuit disables its extension for the fleet";
        AUTO_ENABLE_ON_CIRCUIT_CLOSE, auto_enable: bool, BOOL = "false", boolean, "whether a successful probe enables an auto-disabled extension";
        AUTO_DISABLE_MAX_PERCENT, auto_disable_max_percent: u8, NUMBER = "50", number(0..=100), "share of the enabled extensions that may be auto-disabled, percent";
        HEALTH_BASED_ROUTING_ENABLED, routing: bool, BOOL = "true", boolean, "whether a failing version gives way to the current one, a failing extension to its fallback";
        HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE, min_success_rate: f64, FRACTION = "0.8", number(0.0..=1.0), "success rate below which a version is replaced";
        HEALTH_FLUSH_INTERVAL_SECONDS, flush_interval: Duration, DURATION = "5", seconds(INTERVAL), "time between writes of health to the database";
        HEALTH_SUMMARY_INTERVAL_SECONDS, summary_interval: Duration, DURATION = "60", seconds(INTERVAL), "time between `health_summary` events";
    }
    "Limits", limits: LimitSettings {
        MAX_PAYLOAD_BYTES, max_payload_bytes: usize, NUMBER = "1048576", number(1..=NATS_MAX), "largest payload, bytes";
        MAX_METADATA_BYTES, max_metadata_bytes: usize, NUMBER = "65536", number(1..=NATS_MAX), "largest metadata, bytes";
        MAX_TIMEOUT_MS, max_timeout: Duration, DURATION = "120000", millis(1.0..=3_600_000.0), "longest timeout an extension may have";
        MAX_RETRIES, max_retries: u32, NUMBER = "10", number(0..=100), "most retries an extension may have";
        MAX_IN_FLIGHT, max_in_flight: usize, NUMBER = "4096", number(1..=1_000_000), "concurrent invocations";
        MAX_IN_FLIGHT_PER_EXTENSION, max_in_flight_per_extension: usize, NUMBER = "256", number(1..=1_000_000), "concurrent invocations of one extension";
        MAX_IN_FLIGHT_BYTES, max_in_flight_bytes: usize, NUMBER, number(IN_FLIGHT_BYTES), "bytes that the requests and replies of invocations hold; by default a quarter of the memory limit, else 256 MiB";
        SHUTDOWN_GRACE_SECONDS, shutdown_grace: Duration, DURATION = "5", seconds(0.0..=600.0), "time to finish what is in flight after SIGTERM";
    }
    "Tracing", tracing: TracingSettings {
        OTLP_ENDPOINT, endpoint: Option<String>, ADDRESS, maybe(tracing::endpoint), "http:// address of an OpenTelemetry collector that takes OTLP over HTTP; only in a binary built with feature `otlp`";
        OTLP_SAMPLE_RATIO, sample_ratio: f64, FRACTION = "0.01", number(0.0..=1.0), "share of the requests without `traceparent` that begin a recorded trace";
    }
    "Logging", logging: LogSettings {
        LOG, filter: String, TEXT = "info", else "RUST_LOG", logging::filter, "filter, as `tracing` reads it";
        LOG_FORMAT, format: LogFormat, TEXT, word(&LogFormat::ALL, LogFormat::as_str), "`json` or `pretty`; by default `json` when not a terminal";
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
                variable.kind == Kind::DURATION,
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
