//! There and back: fixtures, database, files, another database, files.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use super::{Place, files, folder, ok};
use crate::rig::shipped_fixtures;
use crate::site::extensions;

/// Extensions of one random folder.
const MANY: usize = 120;

/// What the tables say of definitions, in one text.
const CONTENT: &str = "SELECT concat_ws(E'\\n',
    (SELECT string_agg(to_jsonb(e)::text, E'\\n' ORDER BY id) FROM (SELECT id, type, subject,
        timeout_ms, retry, enabled, version, config, metadata, fallback, routing_rules, rollout,
        circuit_breaker FROM extensions) e),
    (SELECT string_agg(to_jsonb(v)::text, E'\\n' ORDER BY id, version) FROM (SELECT id, version,
        subject, timeout_ms, retry, config, metadata, routing_rules, rollout, priority, enabled
        FROM extension_versions) v),
    (SELECT string_agg(to_jsonb(i)::text, E'\\n' ORDER BY extension_id, instance_id) FROM (SELECT
        extension_id, instance_id, version, subject, weight, enabled FROM extension_instances) i))";

/// Text of JSON, as no tree of ours could hold it: numbers stay as they are written.
fn json() -> impl Strategy<Value = String> {
    let number = select(vec![
        "0",
        "-0",
        "1",
        "1.0",
        "1.50",
        "-12.5e3",
        "1e20",
        "2E-7",
        "0.10",
        "123456789012345678901234.5",
        "9007199254740993",
        "-18446744073709551616",
        "1e300",
    ]);
    let text = "[^\u{0}]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let escaped = select(vec![r#""\ud83d\ude00""#, r#""\u00e4\/\b""#, r#""""#]);
    let leaf = prop_oneof![
        number.prop_map(str::to_owned),
        text.clone(),
        escaped.prop_map(str::to_owned),
        select(vec!["null", "true", "false"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        // A key given twice is a fault.
        let members = prop::collection::btree_map(text.clone(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            members.prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(key, value)| format!("{key} : {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// An object, `null`, or nothing at all.
fn object(name: &'static str) -> impl Strategy<Value = String> {
    let members = prop::collection::btree_map("[a-z\u{e4}\u{4e2d} ]{0,6}", json(), 0..4);
    let object = members.prop_map(|members| {
        let members = members
            .iter()
            .map(|(key, value)| format!("\"{key}\": {value}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
    });
    field(name, object)
}

fn field(
    name: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(format!(", \"{name}\": null")),
        value.prop_map(move |value| format!(", \"{name}\": {value}")),
    ]
}

fn one_of(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    field(name, select(values).prop_map(str::to_owned))
}

const RULES: &[&str] = &[
    "{}",
    r#"{"tenant_id": ["a", "b"], "tier": 2.0}"#,
    r#"{"beta": true}"#,
];
const ROLLOUTS: &[&str] = &[
    "{}",
    r#"{"percent": 12.50, "by": "tenant_id", "salt": "\u00fc"}"#,
];
const SWITCH: &[&str] = &["true", "false"];
const TIMEOUTS: &[&str] = &["1", "250", "120000"];
const RETRIES: &[&str] = &["0", "3", "10"];

/// Everything of an extension but its id, type and subject.
fn extension() -> impl Strategy<Value = String> {
    let own = [
        one_of("timeout_ms", TIMEOUTS).boxed(),
        one_of("retry", RETRIES).boxed(),
        one_of("enabled", SWITCH).boxed(),
        one_of("version", &["\"v1\"", "\"v2\"", "\"2.1.0-rc_1\""]).boxed(),
        one_of("owner", &["\"Team 7\"", "\"\\u00fc\""]).boxed(),
        object("config").boxed(),
        object("metadata").boxed(),
        one_of("fallback", &["[]", "[\"e1\", \"gone\"]"]).boxed(),
        one_of("routing_rules", RULES).boxed(),
        one_of("rollout", ROLLOUTS).boxed(),
        one_of("circuit_breaker", &["{}", "{\"failure_threshold\": 3}"]).boxed(),
    ];
    let parts = |name: &'static str,
                 part: BoxedStrategy<String>,
                 names: &'static [&'static str]| {
        let some = prop::sample::subsequence(names, 0..=names.len()).prop_flat_map(move |names| {
            let count = names.len();
            let rest = prop::collection::vec(part.clone(), count);
            rest.prop_map(move |rest| {
                let parts = names.iter().zip(rest);
                let parts = parts.map(|(name, rest)| format!("\"{name}\": {{{rest}}}"));
                format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
            })
        });
        field(name, some)
    };
    let all: Vec<BoxedStrategy<String>> = own.into_iter().collect();
    (
        all,
        parts("versions", version().boxed(), &["v1", "v2", "v10"]),
        parts("instances", instance().boxed(), &["blue", "Green_1"]),
    )
        .prop_map(|(own, versions, instances)| own.concat() + &versions + &instances)
}

fn version() -> impl Strategy<Value = String> {
    let fields = vec![
        one_of("timeout_ms", TIMEOUTS).boxed(),
        one_of("retry", RETRIES).boxed(),
        object("config").boxed(),
        object("metadata").boxed(),
        one_of("routing_rules", RULES).boxed(),
        one_of("rollout", ROLLOUTS).boxed(),
        one_of("priority", &["-5", "0", "2147483647"]).boxed(),
        one_of("enabled", SWITCH).boxed(),
    ];
    fields.prop_map(|fields| format!("\"subject\": \"beamline.ext.version\"{}", fields.concat()))
}

fn instance() -> impl Strategy<Value = String> {
    let fields = vec![
        one_of("version", &["\"v1\"", "\"v2\""]).boxed(),
        one_of("weight", &["0", "33", "100"]).boxed(),
        one_of("enabled", SWITCH).boxed(),
    ];
    fields.prop_map(|fields| format!("\"subject\": \"beamline.ext.instance\"{}", fields.concat()))
}

/// Other extensions in each run; a failure prints the variable that brings them back.
fn runner() -> TestRunner {
    let config = ProptestConfig::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => rand::random(),
    };
    eprintln!("PROPTEST_RNG_SEED={seed}");
    TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(seed),
        ..config
    })
}

#[tokio::test]
async fn random_extensions_come_back_as_they_went() {
    let mut runner = runner();
    let bodies = prop::collection::vec(extension(), MANY).new_tree(&mut runner);
    let mut text = String::from("{");
    for (n, body) in bodies.unwrap().current().iter().enumerate() {
        let kind = ["pre", "post", "validator", "provider"][n % 4];
        let comma = if n == 0 { "" } else { ",\n" };
        // Pairs of ids that differ in case only.
        let id = format!("{}{}", ["e", "E"][n % 2], n / 2);
        write!(
            text,
            "{comma}\"{id}\": {{\"type\": \"{kind}\", \"subject\": \"beamline.ext.{id}\"{body}}}"
        )
        .unwrap();
    }
    text += "}";
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("all.json"), &text).unwrap();
    there_and_back(source.path(), MANY).await;
}

#[tokio::test]
async fn the_shipped_fixtures_and_odd_ones_come_back() {
    there_and_back(&shipped_fixtures(), 6).await;
    let mut odd = extensions();
    odd.as_array_mut().unwrap().pop();
    there_and_back(folder(&odd).path(), 4).await;
}

/// Two databases and two folders on, everything is the same.
async fn there_and_back(source: &std::path::Path, count: usize) {
    let (first, second) = (Place::new().await, Place::new().await);
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    ok(first.import(source, &[]).await);
    ok(first.export(&a, &[]).await);
    ok(second.import(&a, &[]).await);
    ok(second.export(&b, &[]).await);
    assert_eq!(files(&a).len(), count);
    assert_eq!(files(&a), files(&b));
    assert_eq!(first.value(CONTENT).await, second.value(CONTENT).await);
    // And all of it is what the first files said.
    let again = ok(second.import(source, &[]).await);
    let identical = format!("identical {count} ");
    let lines = again
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(
        lines.into_iter().any(|line| line.starts_with(&identical)),
        "{again}"
    );
}
