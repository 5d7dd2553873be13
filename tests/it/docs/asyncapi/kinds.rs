//! All kinds of events, as they are described.

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The token after `<prefix>.events.`.
    pub(crate) name: &'static str,
    /// Whether the extension's id is the next token.
    pub(crate) has_id: bool,
    /// The schemas of `data`, by name.
    pub(crate) data: &'static [&'static str],
    /// When it is published.
    pub(crate) when: &'static str,
}

const fn of_extension(
    name: &'static str,
    data: &'static [&'static str],
    when: &'static str,
) -> Kind {
    Kind {
        name,
        has_id: true,
        data,
        when,
    }
}

const CHANGED: &[&str] = &["ExtensionChanged"];
const MOVED: &[&str] = &["CircuitMoved"];
const CROSSED: &[&str] = &["RateCrossed"];

/// All of them: first what each sidecar publishes, then what the fleet publishes once.
pub(crate) const KINDS: [Kind; 16] = [
    of_extension("circuit_opened", MOVED, "A circuit opened"),
    of_extension(
        "circuit_half_opened",
        MOVED,
        "An open circuit takes trial calls",
    ),
    of_extension("circuit_closed", MOVED, "A circuit closed"),
    of_extension(
        "health_degraded",
        CROSSED,
        "A success rate fell below the minimum",
    ),
    of_extension(
        "health_recovered",
        CROSSED,
        "A success rate is at the minimum again",
    ),
    Kind {
        name: "registry_reloaded",
        has_id: false,
        data: &["RegistryReloaded", "ManyChanged"],
        when: "A sidecar read its source again; or, once per fleet, a revision changed more than 100 extensions",
    },
    Kind {
        name: "source_changed",
        has_id: false,
        data: &["SourceChanged"],
        when: "A sidecar serves another source",
    },
    Kind {
        name: "health_summary",
        has_id: false,
        data: &["HealthSummary"],
        when: "Every HEALTH_SUMMARY_INTERVAL_SECONDS",
    },
    of_extension("extension_created", CHANGED, "An extension was created"),
    of_extension(
        "extension_updated",
        CHANGED,
        "An extension, a version or an instance of it was changed",
    ),
    of_extension("extension_deleted", CHANGED, "An extension was deleted"),
    of_extension(
        "extension_enabled",
        CHANGED,
        "An operator enabled an extension",
    ),
    of_extension(
        "extension_disabled",
        CHANGED,
        "An operator disabled an extension",
    ),
    of_extension(
        "auto_disabled",
        CHANGED,
        "An extension was disabled automatically",
    ),
    of_extension(
        "auto_enabled",
        CHANGED,
        "An extension was enabled automatically",
    ),
    of_extension(
        "rollout_halted",
        CHANGED,
        "A rollout was set to 0 percent automatically",
    ),
];
