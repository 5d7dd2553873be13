//! The table of what can be asked, a function for each column: what a verb's command is called and
//! does, the fields of its request, and the view of its answer. What does more than that (`watch`,
//! `invoke`, `completion`) has a file of its own.

use super::field::Place::{Flag, May, Must, Named};
use super::field::{Field, Kind, field};
use super::show::View::{self, Fields, Line, Own, Rows};
use super::{audit, explain};
use crate::adapters::nats::verb::Verb::{self, *};
use crate::domain::extension::ExtensionType;
use crate::service::definitions;
use crate::service::health::StateFilter;

/// Answers that come in pages.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// The list in the answer.
    pub(super) list: &'static str,
    /// The field of the request that takes the `next` of the page before.
    pub(super) cursor: &'static str,
    /// How many items are shown without `--limit`.
    pub(super) shown: Option<usize>,
}

/// Every verb with such a command: `invoke` is none, and `lookup_by_type` is `list --type`.
pub(super) fn all() -> impl Iterator<Item = Verb> {
    let verbs = Verb::ALL.into_iter();
    verbs.filter(|verb| !matches!(verb, Invoke | LookupByType))
}

/// The command's name.
pub(super) fn name(verb: Verb) -> String {
    verb.as_str().replace('_', "-")
}

/// What it does.
pub(super) const fn about(verb: Verb) -> &'static str {
    match verb {
        Invoke | LookupByType => "",
        List => "List extensions",
        Get => "Show an extension as it is stored",
        Lookup => "Show which version serves a request",
        Explain => "Show why a version was chosen for a request",
        Health => "Show the health of an extension, or of all of them",
        Circuits => "List a sidecar's circuit breakers (called, open or forced)",
        Stats => "Show a sidecar at a glance",
        Ping => "Check whether a registry answers, and how fast",
        Audit => "Show who changed what, newest first",
        Create => "Create an extension",
        Update => "Change fields of an extension",
        Delete => "Delete an extension, with its versions and instances",
        Enable => "Enable an extension, and reset its circuits",
        Disable => "Disable an extension",
        PutVersion => "Add a version to an extension, or replace it",
        UpdateVersion => "Change fields of a version",
        Rollout => "Change the share of tenants that get a version",
        DeleteVersion => "Delete a version of an extension",
        Promote => "Make a version the current one; promote the old one to roll back",
        PutInstance => "Add an instance to an extension, or replace it",
        DeleteInstance => "Delete an instance of an extension",
        Circuit => "Force a circuit open or closed, or reset it",
        Reload => "Read the source again, and compare everything",
        Cancel => "End a call, by its id",
        Report => "Report the outcome of a call made without the registry",
    }
}

/// Two of its uses, as typed behind the program's name, a line for each.
pub(super) const fn examples(verb: Verb) -> &'static str {
    match verb {
        Invoke | LookupByType => "",
        List => "list --type provider\nlist --selector owner=search -o name",
        Get => "get mask_pii\nget mask_pii --json",
        Lookup => "lookup mask_pii --context tenant_id=acme\nlookup mask_pii pii_guard",
        Explain => "explain mask_pii --context tenant_id=acme\nexplain mask_pii --all",
        Health => "health mask_pii\nhealth --state open",
        Circuits => "circuits\ncircuits mask_pii --all",
        Stats => "stats\nstats --all",
        Ping => "ping\nping --all",
        Audit => "audit mask_pii --since 1h --diff\naudit --by alice --action updated",
        Create => CREATE,
        Update => "update mask_pii timeout_ms=250 retry=2\nupdate mask_pii owner=null",
        Delete => "delete mask_pii --dry-run\ndelete mask_pii --as alice",
        Enable => "enable mask_pii\nenable --selector metadata.team=search",
        Disable => "disable mask_pii\ndisable --selector owner=search --dry-run",
        PutVersion => PUT_VERSION,
        UpdateVersion => UPDATE_VERSION,
        Rollout => "rollout mask_pii v2 10 by=tenant_id\nrollout mask_pii v2 0",
        DeleteVersion => "delete-version mask_pii v2\ndelete-version mask_pii v2 --if-revision 7",
        Promote => "promote mask_pii v2\npromote mask_pii v1 --dry-run",
        PutInstance => PUT_INSTANCE,
        DeleteInstance => "delete-instance mask_pii a\ndelete-instance mask_pii a --dry-run",
        Circuit => "circuit mask_pii open --ttl 10m --reason INC-42\ncircuit mask_pii reset",
        Reload => "reload\nreload mask_pii",
        Cancel => "cancel CALL --all\ncancel CALL --local pod-1",
        Report => "report mask_pii success --latency 12ms\nreport mask_pii failure",
    }
}

const CREATE: &str = "create mask_pii type=pre subject=beamline.ext.mask_pii.v1\n\
                      create mask_pii --body @mask_pii.json --dry-run";
const PUT_VERSION: &str = "put-version mask_pii v2 subject=beamline.ext.mask_pii.v2\n\
                           put-version mask_pii v2 --body @v2.json";
const UPDATE_VERSION: &str = "update-version mask_pii v2 timeout_ms=250\n\
                              update-version mask_pii v2 enabled=false --dry-run";
const PUT_INSTANCE: &str = "put-instance mask_pii a subject=beamline.ext.mask_pii.a weight=50\n\
                            put-instance mask_pii a --body @a.json";

/// What its request consists of.
pub(super) const fn fields(verb: Verb) -> &'static [Field] {
    match verb {
        Invoke | LookupByType | Stats | Ping => &[],
        List => &[TYPE, ENABLED, SELECTOR],
        Get => &[ID],
        Lookup => &[IDS, CHOSEN, CONTEXT],
        Explain => &[ID, CHOSEN, CONTEXT],
        Health => &[MAYBE_ID, STATE],
        Audit => &[MAYBE_ID, BY, DONE, SINCE, UNTIL],
        Circuits | Reload => &[MAYBE_ID],
        Create => &[BODY, ID, FIELDS, DRY_RUN],
        Update => &[BODY, ID, FIELDS, IF_REVISION, DRY_RUN],
        Enable | Disable => &[SOME_IDS, SELECTOR, IF_REVISION, DRY_RUN],
        Delete => &[ID, IF_REVISION, DRY_RUN],
        PutVersion | UpdateVersion => &[BODY, ID, VERSION, FIELDS, IF_REVISION, DRY_RUN],
        Rollout => &[ID, VERSION, PERCENT, FIELDS, IF_REVISION, DRY_RUN],
        DeleteVersion | Promote => &[ID, VERSION, IF_REVISION, DRY_RUN],
        PutInstance => &[BODY, ID, INSTANCE, FIELDS, IF_REVISION, DRY_RUN],
        DeleteInstance => &[ID, INSTANCE, IF_REVISION, DRY_RUN],
        Circuit => &[ID, ACTION, OF_VERSION, TTL, REASON],
        Cancel => &[CALL],
        Report => &[ID, OUTCOME, OF_VERSION, LATENCY],
    }
}

/// How its answer is divided, if it is.
pub(super) const fn pages(verb: Verb) -> Option<Pages> {
    let (list, cursor, shown) = match verb {
        List | Health => ("extensions", "cursor", None),
        Circuits => ("circuits", "cursor", None),
        Audit => ("entries", "before", Some(100)),
        _ => return None,
    };
    Some(Pages {
        list,
        cursor,
        shown,
    })
}

/// Its answer as operators read it.
pub(super) const fn view(verb: Verb) -> View {
    match verb {
        Invoke | LookupByType | Get | Stats => Fields("", ""),
        Lookup => Fields("extensions", SERVED),
        List => Rows("extensions", SERVED),
        Health => Rows("extensions", HEALTH),
        Circuits => Rows("circuits", CIRCUIT),
        Circuit => Rows("", CIRCUIT),
        Reload => Line(RELOADED),
        Ping => Line("{instance_id} answers in {elapsed_ms} ms"),
        Explain => Own(explain::view),
        Audit => Own(audit::view),
        Report => Line("reported"),
        Cancel => Line("{cancelled} cancelled"),
        Create => Line("{id}: created, revision {revision}"),
        Update => Line("{id}: updated, revision {revision}"),
        Delete => Line("{id}: deleted, revision {revision}"),
        Enable => Line("{id}: enabled, revision {revision}"),
        Disable => Line("{id}: disabled, revision {revision}"),
        PutVersion => Line("{id}: version stored, revision {revision}"),
        UpdateVersion => Line("{id}: version updated, revision {revision}"),
        Rollout => Line("{id}: share changed, revision {revision}"),
        DeleteVersion => Line("{id}: version deleted, revision {revision}"),
        Promote => Line("{id}: promoted, revision {revision}"),
        PutInstance => Line("{id}: instance stored, revision {revision}"),
        DeleteInstance => Line("{id}: instance deleted, revision {revision}"),
    }
}

/// Where every sidecar may be asked: the columns for the answer of each, or, where they are empty,
/// the view's.
pub(super) const fn fleet(verb: Verb) -> Option<&'static str> {
    match verb {
        Explain => Some("reason served_by version circuit=circuit_breaker_state revision subject"),
        Health => Some(HEALTH),
        Stats => Some(STATS),
        Ping => Some("elapsed_ms"),
        Reload => Some("added updated removed total revision active_source duration_ms"),
        Circuits => Some(""),
        Cancel => Some("cancelled"),
        _ => None,
    }
}

const RELOADED: &str = "{added} added, {updated} updated, {removed} removed; {total} extensions at \
                        revision {revision}, from {active_source} in {duration_ms} ms";
/// An extension as it serves.
const SERVED: &str =
    "id type version enabled state circuit=circuit_breaker_state subject timeout_ms retry";
const CIRCUIT: &str = "id version state failures=consecutive_failures error_rate opened=opened_at \
                       retry=retry_at forced_until=forced resting";
/// Of one extension; the last columns are of all together.
const HEALTH: &str = "id type state status=health.status success=health.success_rate \
                      circuit=health.circuit_breaker_state successes=health.success_count \
                      failures=health.failure_count p50_ms=health.p50_latency_ms \
                      p95_ms=health.p95_latency_ms p99_ms=health.p99_latency_ms \
                      healthy=summary.healthy unhealthy=summary.unhealthy \
                      half_open=summary.half_open enabled=summary.enabled total=summary.total \
                      success=summary.avg_success_rate avg_ms=summary.avg_latency_ms \
                      p95_ms=summary.avg_p95_latency_ms";
const STATS: &str = "version settings=settings.fingerprint source=active_source epoch revision \
                     total=total_extensions enabled=enabled_extensions \
                     quarantined=quarantined_total database=database.state \
                     reason=database.reason since=database.since listener=listener.state \
                     nats=nats.state stale_ms=staleness_ms started=started_at hits=lookups.hits \
                     misses=lookups.misses success=invocations.success \
                     failure=invocations.failure timeout=invocations.timeout";
pub(super) const ID: Field = field(Must, "id", Kind::Text, "The extension's id");
const IDS: Field = field(Must, "ids", Kind::Ids, "One id, or up to 100 of them");
const SOME_IDS: Field = field(May, "ids", Kind::Ids, "One id, or many: all or none");
const DRY_RUN: Field = field(
    Flag,
    "dry_run",
    Kind::Switch,
    "Commit nothing, and show what would change",
);
const MAYBE_ID: Field = field(May, "id", Kind::Text, "Only this extension");
const TYPES: Kind = Kind::Word(&ExtensionType::NAMES);
const TYPE: Field = field(Flag, "type", TYPES, "Only this type");
const ENABLED: Field = field(
    Flag,
    "enabled",
    Kind::TruthOrAll,
    "Enabled or disabled ones",
);
const SELECTOR: Field = field(
    Flag,
    "selector",
    Kind::Pairs,
    "Only where all of these match, e.g. owner=search or metadata.team=z; repeatable",
);
const STATES: Kind = Kind::Word(&StateFilter::NAMES);
const STATE: Field = field(Flag, "state", STATES, "Only in this state");
const BY: Field = field(Flag, "by", Kind::Text, "Only changes by this actor");
const DEEDS: Kind = Kind::Word(&definitions::ACTIONS);
const DONE: Field = field(Flag, "action", DEEDS, "Only this action, e.g. updated");
const SINCE: Field = field(
    Flag,
    "since",
    Kind::Text,
    "Only after this time, or within this age, e.g. 1h",
);
const UNTIL: Field = field(Flag, "until", Kind::Text, "Only up to this time, or age");
pub(super) const CHOSEN: Field = field(Flag, "version", Kind::Text, "Exactly this version");
pub(super) const CONTEXT: Field = field(
    Flag,
    "context",
    Kind::Pairs,
    "Request attribute, e.g. tenant_id=acme; repeatable",
);
const BODY: Field = field(
    Flag,
    "body",
    Kind::Whole,
    "The fields as one JSON object; pairs replace them",
);
const FIELDS: Field = field(May, "fields", Kind::Fields, "Values are JSON, or strings");
const IF_REVISION: Field = field(
    Flag,
    "if_revision",
    Kind::Number,
    "Only if the record is at this revision",
);
const VERSION: Field = field(Must, "version", Kind::Text, "The version");
const PERCENT: Field = field(Must, "percent", Kind::Json, "From 0 to 100");
const INSTANCE: Field = field(Must, "instance_id", Kind::Text, "The instance");
const ACTIONS: Kind = Kind::Word(&["open", "close", "reset"]);
const ACTION: Field = field(Must, "action", ACTIONS, "What to do");
const OF_VERSION: Field = field(Flag, "version", Kind::Text, "[default: the current one]");
const TTL: Field = field(
    Named("ttl"),
    "ttl_seconds",
    Kind::Seconds,
    "How long the override lasts [default: until changed]",
);
const REASON: Field = field(Flag, "reason", Kind::Text, "Why, for the audit");
const CALL: Field = field(
    Must,
    "call",
    Kind::Text,
    "The call's id (header Beamline-Call-Id of its first reply)",
);
const OUTCOMES: Kind = Kind::Word(&["success", "failure"]);
const OUTCOME: Field = field(Must, "outcome", OUTCOMES, "The outcome");
const LATENCY: Field = field(
    Named("latency"),
    "latency_ms",
    Kind::FineMillis,
    "Its duration",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_command() {
        for verb in all() {
            assert!(!about(verb).is_empty(), "{verb:?}");
            assert_eq!(fleet(verb).is_some(), verb.answers_all(), "{verb:?}");
            assert_eq!(examples(verb).lines().count(), 2, "{verb:?}");
            for example in examples(verb).lines() {
                let words = std::iter::once("beamline-registry").chain(example.split(' '));
                let words = words.filter(|word| !word.starts_with('@') && *word != "--body");
                let parsed = crate::cli::arguments::command().try_get_matches_from(words);
                let (command, _) = parsed.as_ref().unwrap().subcommand().unwrap();
                assert_eq!(command, name(verb), "{example}");
            }
        }
        assert_eq!(all().count(), Verb::ALL.len() - 2);
    }
}
