//! Random contexts, rules and rollouts: `lookup`, `lookup` of many, `explain` and a rehearsed `invoke`
//! agree with each other and with `model.py`, which shares no code with them, on the version, on
//! every bucket, on what is refused, and on what the extension is told.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::faults;
use crate::harness::Reply;
use crate::rig::reason;
use crate::site::Site;

/// Extensions; each has several versions.
const EXTENSIONS: usize = 40;

/// What the model says.
#[derive(Deserialize)]
struct Model {
    quarantined: Vec<bool>,
    outcomes: Vec<Option<Outcome>>,
}

#[derive(Deserialize)]
struct Outcome {
    refused: Option<String>,
    version: Option<String>,
    #[serde(default)]
    buckets: BTreeMap<String, Option<u64>>,
    trace_id: Option<String>,
    tenant_id: Option<String>,
}

/// `just exhaustive` asks for more than every test run can afford.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not a setting of the daemon"
)]
fn cases() -> usize {
    match std::env::var("BEAMLINE_EXHAUSTIVE").as_deref() {
        Ok("1") => 20_000,
        _ => 400,
    }
}

#[tokio::test]
async fn every_verb_and_an_independent_model_agree() {
    let cases = cases();
    let config = Config::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => rand::random(),
    };
    eprintln!("PROPTEST_RNG_SEED={seed}");
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed),
        ..config
    });
    let mut draw =
        |strategy: BoxedStrategy<String>| strategy.new_tree(&mut runner).unwrap().current();
    let extensions: Vec<_> = (0..EXTENSIONS).map(|n| draw(extension(n))).collect();
    let contexts: Vec<_> = (0..cases)
        .map(|n| (n % EXTENSIONS, draw(context())))
        .collect();
    let model = model(&extensions, &contexts);

    let site = Site::with(&json!([])).await;
    site.write_text(&format!("[{}]", extensions.join(",")));
    let _daemon = site.start(site.daemon()).await;
    let stats = site.send("stats", "").await.ok();
    let faulty = faults(&stats);
    for (n, quarantined) in model.quarantined.iter().enumerate() {
        let reply = site.send("lookup", format!("x{n}")).await;
        let is =
            reply.header("Nats-Service-Error-Code").is_some() && reason(&reply) == "quarantined";
        assert_eq!(is, *quarantined, "{}\n{faulty:#?}", extensions[n]);
    }
    let (mut served, mut refused, mut versions) = (0, 0, BTreeMap::<String, u32>::new());
    for ((n, context), outcome) in contexts.iter().zip(&model.outcomes) {
        let Some(outcome) = outcome else { continue };
        let said = Said::ask(&site, *n, context).await;
        let at = || format!("{}\n{context}\n{said:#?}", extensions[*n]);
        if let Some(field) = &outcome.refused {
            refused += 1;
            for reply in said.all() {
                assert_eq!(reply.details()["field"], field.as_str(), "{}", at());
                assert_eq!(reply.error().0, 400, "{}", at());
            }
            continue;
        }
        let explained = said.explain.ok();
        assert_eq!(
            explained["version"].as_str(),
            outcome.version.as_deref(),
            "{}",
            at()
        );
        assert_eq!(buckets(&explained), outcome.buckets, "{}", at());
        let many = said.many.ok();
        let Some(version) = &outcome.version else {
            for reply in [&said.lookup, &said.invoke] {
                assert_eq!(reason(reply), "not_targeted", "{}", at());
            }
            let error = &many["errors"][0]["details"]["reason"];
            assert_eq!(error, "not_targeted", "{}", at());
            continue;
        };
        served += 1;
        *versions.entry(version.clone()).or_default() += 1;
        assert_eq!(said.lookup.ok()["version"], version.as_str(), "{}", at());
        assert_eq!(
            many["extensions"][0]["version"],
            version.as_str(),
            "{}",
            at()
        );
        let rehearsed = said.invoke.ok();
        assert_eq!(rehearsed["version"], version.as_str(), "{}", at());
        assert_eq!(buckets(&rehearsed), outcome.buckets, "{}", at());
        let told = Told::of(&said.invoke);
        for (told, expected) in [
            (told.trace_id, &outcome.trace_id),
            (told.tenant_id, &outcome.tenant_id),
        ] {
            assert_eq!(Some(told), *expected, "{}", at());
        }
    }
    // The generators must not drift to where nothing is compared.
    assert!(
        served > cases / 4 && refused > cases / 50,
        "{served} {refused}"
    );
    assert!(versions.len() > 3, "{versions:?}");
}

/// What every verb says of one context.
#[derive(Debug)]
struct Said {
    lookup: Reply,
    many: Reply,
    explain: Reply,
    invoke: Reply,
}

impl Said {
    async fn ask(site: &Site, n: usize, context: &str) -> Self {
        let one = format!(r#"{{"id":"x{n}","context":{context}}}"#);
        let many = format!(r#"{{"ids":["x{n}"],"context":{context}}}"#);
        let dry = format!(r#"{{"id":"x{n}","payload":{{}},"dry_run":true,"context":{context}}}"#);
        let (lookup, many, explain, invoke) = tokio::join!(
            site.send("lookup", one.clone()),
            site.send("lookup", many),
            site.send("explain", one),
            site.send("invoke", dry),
        );
        Self {
            lookup,
            many,
            explain,
            invoke,
        }
    }

    fn all(&self) -> [&Reply; 4] {
        [&self.lookup, &self.many, &self.explain, &self.invoke]
    }
}

/// Who asks, as the extension would be told: numbers as text, strings as one encoder writes them.
struct Told {
    trace_id: String,
    tenant_id: String,
}

impl Told {
    fn of(rehearsed: &Reply) -> Self {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            request: Request<'a>,
        }
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow)]
            body: Body<'a>,
        }
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            trace_id: &'a RawValue,
            #[serde(borrow)]
            tenant_id: &'a RawValue,
        }
        let document: Document<'_> = serde_json::from_slice(&rehearsed.payload).unwrap();
        let Body {
            trace_id,
            tenant_id,
        } = document.request.body;
        let [trace_id, tenant_id] = [trace_id, tenant_id].map(|raw| match raw.get() {
            text if text.starts_with('"') => ascii(&serde_json::from_str::<String>(text).unwrap()),
            text => text.to_owned(),
        });
        Self {
            trace_id,
            tenant_id,
        }
    }
}

/// A string as Python's encoder writes it.
fn ascii(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let mut out = String::new();
    for unit in quoted.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() && byte != 0x7f => out.push(char::from(byte)),
            _ if unit == 0x7f => out.push('\u{7f}'),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}

/// Each rollout's bucket, by version.
fn buckets(explained: &Value) -> BTreeMap<String, Option<u64>> {
    let candidates = explained["candidates"].as_array().unwrap().iter();
    let buckets = candidates.filter_map(|candidate| {
        let rollout = candidate["rollouts"].get(0)?;
        let version = candidate["version"].as_str().unwrap().to_owned();
        Some((version, rollout["bucket"].as_u64()))
    });
    buckets.collect()
}

/// Asks the model, once for all.
fn model(extensions: &[String], contexts: &[(usize, String)]) -> Model {
    let requests = contexts.iter();
    let requests = requests.map(|(n, context)| json!({"extension": n, "context": context}));
    let asked = json!({"extensions": extensions, "requests": requests.collect::<Vec<_>>()});
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/requests/model.py");
    let python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut python = python.expect("Python 3, which the project needs anyway");
    let mut stdin = python.stdin.take().unwrap();
    let text = asked.to_string();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "the model failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Numbers that are often the same one in another notation, or a neighbour.
fn number() -> BoxedStrategy<String> {
    let base = prop_oneof![
        Just("1"),
        Just("10"),
        Just("0"),
        Just("18446744073709551616"),
        Just("18446744073709551617"),
        Just("9007199254740993"),
        Just("11"),
    ];
    let written = (base, 0..4usize, "-?").prop_map(|(base, shift, sign)| {
        let zeros = "0".repeat(shift);
        match shift {
            0 => format!("{sign}{base}"),
            1 => format!("{sign}{base}.00"),
            2 => format!("{sign}{base}e0"),
            _ if base == "0" => format!("{sign}0.0e-{shift}"),
            _ => format!("{sign}{base}{zeros}E-{shift}"),
        }
    });
    prop_oneof![
        6 => written,
        1 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        1 => "[1-9][0-9]{61,66}",
        1 => prop_oneof![Just("1e307"), Just("1e308"), Just("1e400"), Just("1e-400"), Just("1e-1001"),
                         Just("1e999999999"), Just("-1e-999999999"), Just("0e99999999999999999999")]
            .prop_map(str::to_owned),
    ]
    .boxed()
}

/// JSON of any shape, mostly what can be compared.
fn value() -> BoxedStrategy<String> {
    prop_oneof![
        8 => number(),
        6 => prop_oneof![Just("acme"), Just("1"), Just("10"), Just("true"), Just("\u{fc}\u{1f600}"), Just("a\"b\\\n")]
            .prop_map(|text| Value::from(text).to_string()),
        1 => Just(r#""\u0061cme""#.to_owned()),
        1 => Just(r#""\ud83d\ude00""#.to_owned()),
        1 => prop_oneof![Just("true"), Just("false")].prop_map(str::to_owned),
        1 => prop_oneof![Just("null"), Just("[]"), Just("[1]"), Just("{}"), Just(r#"{"a":1,"a":1}"#),
                         Just(r#""\ud800""#), Just(r#""x\udc00y""#)].prop_map(str::to_owned),
        1 => (1..300usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
    ]
    .boxed()
}

fn comparable() -> BoxedStrategy<String> {
    value()
        .prop_filter("comparable", |value| {
            !value.starts_with(['[', '{', 'n'])
                && !value.contains("ud800")
                && !value.contains("udc00")
        })
        .boxed()
}

/// Keys that rules ask for too; now and then one twice, escaped, or no text.
fn context() -> BoxedStrategy<String> {
    let key = prop_oneof![
        5 => Just(r#""tenant_id""#), 3 => Just(r#""trace_id""#), 5 => Just(r#""a""#), 5 => Just(r#""b""#),
        1 => Just(r#""\u0061""#), 1 => Just(r#""\ud800""#), 1 => Just(r#""""#),
    ];
    let members = prop::collection::vec((key, value()), 0..4).prop_map(|members| {
        // Mostly without a key twice.
        let mut seen = Vec::new();
        let members = members.into_iter().filter(|(key, value)| {
            let known = seen.contains(key) && value.len() % 5 != 0;
            seen.push(*key);
            !known
        });
        let members: Vec<_> = members
            .map(|(key, value)| format!("{key} : {value}"))
            .collect();
        format!("{{ {} }}", members.join(" , "))
    });
    let tenant =
        comparable().prop_map(|tenant| format!(r#"{{"tenant_id":{tenant},"a":{tenant}}}"#));
    prop_oneof![8 => members, 8 => tenant, 1 => Just("[]".to_owned()), 1 => Just("1e400".to_owned())].boxed()
}

/// An extension of several versions with rules and rollouts, some of which are faulty.
fn extension(n: usize) -> BoxedStrategy<String> {
    let rule = prop_oneof![
        6 => comparable(),
        4 => prop::collection::vec(comparable(), 0..8).prop_map(|list| format!("[{}]", list.join(","))),
        1 => value(),
    ];
    let rules = prop::collection::btree_map(
        prop_oneof![Just("tenant_id"), Just("a"), Just("b")],
        rule,
        0..3,
    )
    .prop_map(|rules| {
        let rules: Vec<_> = rules
            .iter()
            .map(|(key, rule)| format!(r#""{key}":{rule}"#))
            .collect();
        format!(r#","routing_rules":{{{}}}"#, rules.join(","))
    });
    let percent = prop_oneof![
        Just("50"),
        Just("5e1"),
        Just("100.0"),
        Just("0"),
        Just("1e-400"),
        Just("12.345"),
        Just("0.1e3"),
        Just("100.001"),
        Just("-1"),
        Just("\"50\""),
        Just("33.333333333333333333"),
    ];
    let salt = prop_oneof![
        Just(""),
        Just(r#","salt":"s""#),
        Just(r#","salt":null"#),
        Just(r#","salt":"""#)
    ];
    let by = prop_oneof![Just("tenant_id"), Just("a")];
    let rollout = (by, percent, salt).prop_map(|(by, percent, salt)| {
        format!(r#","rollout":{{"by":"{by}","percent":{percent}{salt}}}"#)
    });
    let targeting = prop_oneof![
        3 => rules.clone(), 2 => rollout.clone(),
        1 => (rules, rollout).prop_map(|(rules, rollout)| rules + &rollout),
        1 => Just(String::new()),
    ];
    let more = prop_oneof![
        4 => Just(""), 1 => Just(r#","priority":1e1"#), 1 => Just(r#","priority":-2.0"#),
        1 => Just(r#","enabled":true"#), 1 => Just(r#","enabled":false"#),
    ];
    let version = (targeting.clone(), more);
    let versions =
        prop::collection::vec(version, 1..6).prop_map(move |versions| {
            // Newer and older than the current one, and in the order of numbers.
            let rows = versions.into_iter().zip([1, 3, 9, 10, 11]).map(|((targeting, more), v)| {
            format!(r#"{{"version":"v{v}","subject":"beamline.ext.x{n}.v{v}"{targeting}{more}}}"#)
        });
            rows.collect::<Vec<_>>().join(",")
        });
    let own = prop_oneof![5 => Just(String::new()), 1 => targeting];
    (own, versions)
        .prop_map(move |(own, versions)| {
            format!(
                r#"{{"id":"x{n}","type":"pre","subject":"beamline.ext.x{n}","version":"v2"{own},
                    "versions":[{versions}]}}"#
            )
        })
        .boxed()
}
