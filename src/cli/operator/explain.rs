//! `explain`: the choice, and the verdict on every candidate.

use serde_json::value::RawValue;

use super::show::columns;
use super::text::{clean, exact, line, plain, resting};
use crate::cli::document::{at, fields, is_true, list, string};
use crate::cli::screen::Screen;
use crate::cli::table::fit;

const CANDIDATES: &str = "candidate=version verdict enabled current priority rules rollout \
                          circuit=circuit_breaker_state success=success_rate subject";

const INSTANCES: &str = "instance=instance_id weight subject ejected_until";

/// The choice in a sentence, the candidates in the order in which they are tried, the instances, and
/// which of them rest.
pub(super) fn view(document: &RawValue, screen: &Screen) -> String {
    let mut parts = vec![sentence(document)];
    for (name, chosen) in [("candidates", CANDIDATES), ("instances", INSTANCES)] {
        let rows = list(document, name);
        if !rows.is_empty() {
            parts.push(fit(columns(&rows, chosen, made, screen), screen));
        }
    }
    let rests = at(document, "resting").map(|rests| resting(rests, screen.now));
    parts.extend(rests.map(|rests| format!("resting, called again: {rests}")));
    let warnings = list(document, "warnings").into_iter();
    parts.extend(warnings.map(|warning| format!("warning: {}", exact(warning))));
    parts.join("\n\n")
}

/// The request of a dry run, as it would be sent.
pub(super) fn request(document: &RawValue) -> String {
    let to = "\nto {request.subject}, for up to {request.timeout_ms} ms:";
    let headers = at(document, "request.headers").map(fields);
    let headers = headers.iter().flatten();
    let headers = headers.map(|(name, value)| format!("{}: {}", clean(name), exact(value)));
    let body = format!("\n{}", plain(document, "request.body"));
    let lines = line(to, document).into_iter().chain(headers).chain([body]);
    lines.collect::<Vec<_>>().join("\n")
}

fn sentence(document: &RawValue) -> String {
    let is_own = string(document, "served_by") == string(document, "id");
    let served = match (string(document, "reason").as_str(), is_own) {
        ("circuit_open", _) => {
            "{id}: {version} at {subject} is chosen, but its circuit is open: calls fail ({reason})"
        }
        (_, true) => "{id}: {version} serves at {subject} ({reason})",
        (_, false) => "{id}: {served_by} {version} serves in its place at {subject} ({reason})",
    };
    // By an operator or automatically: there are different things to do, and lookups say which.
    let is_automatic = is_true(document, "auto_disabled") && is_true(document, "enabled");
    let none = match string(document, "reason").as_str() {
        "disabled" if is_automatic => "{id}: no version serves (auto_disabled)",
        _ => "{id}: no version serves ({reason})",
    };
    let none = || line(none, document);
    line(served, document).or_else(none).unwrap_or_default()
}

fn made(head: &str, row: &RawValue) -> Option<String> {
    let word = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
    match head {
        "verdict" if is_true(row, "chosen") => Some("chosen".to_owned()),
        "verdict" => Some(word(is_true(row, "takes_part"), "takes part", "out").to_owned()),
        "rules" => joined(row, "rules", |rule| {
            let key = clean(&string(rule, "key"));
            let verdict = word(is_true(rule, "matched"), "matches", "differs");
            format!("{key} {verdict}")
        }),
        // A bucket is where a request falls among 10,000; one without the key falls nowhere.
        "rollout" => joined(row, "rollouts", |rollout| {
            let verdict = word(is_true(rollout, "admitted"), "in", "out");
            match at(rollout, "bucket") {
                Some(bucket) => format!("bucket {} {verdict}", exact(bucket)),
                None => format!("no key, {verdict}"),
            }
        }),
        _ => None,
    }
}

fn joined(row: &RawValue, name: &str, text: impl Fn(&RawValue) -> String) -> Option<String> {
    let texts: Vec<String> = list(row, name).into_iter().map(text).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(document: &str) -> String {
        view(serde_json::from_str(document).unwrap(), &Screen::plain())
    }

    #[test]
    fn every_candidate_has_a_verdict() {
        let document = r#"{
            "id": "a", "reason": "default", "served_by": "a", "version": "v1",
            "subject": "beamline.ext.a", "candidates": [
                {"version": "v2", "subject": "beamline.ext.a.v2", "enabled": true, "current": false,
                 "priority": 0, "rules": [{"key": "tenant_id", "matched": true},
                 {"key": "environment", "matched": false}],
                 "rollouts": [{"bucket": 6574, "admitted": false}], "takes_part": false,
                 "chosen": false, "circuit_breaker_state": "closed"},
                {"version": "v1", "subject": "beamline.ext.a", "enabled": true, "current": true,
                 "priority": 0, "rules": [], "rollouts": [], "takes_part": true, "chosen": true,
                 "circuit_breaker_state": "open"}
            ],
            "instances": [{"instance_id": "blue", "subject": "beamline.ext.a.blue", "weight": 30}],
            "resting": [{"instance_id": "blue", "until": "soon"}],
            "warnings": ["a warning"]
        }"#;
        assert_eq!(
            show(document),
            "\
a: v1 serves at beamline.ext.a (default)

candidate  verdict  enabled  current  priority  rules                                   rollout          circuit  subject
v2         out      yes      no              0  tenant_id matches, environment differs  bucket 6574 out  closed   beamline.ext.a.v2
v1         chosen   yes      yes             0  -                                       -                open     beamline.ext.a

instance  weight  subject
blue          30  beamline.ext.a.blue

resting, called again: blue soon

warning: a warning"
        );
        let other = document.replace(r#""served_by": "a""#, r#""served_by": "b""#);
        assert!(
            show(&other).starts_with("a: b v1 serves in its place at beamline.ext.a (default)")
        );
        let open = document.replace(r#""reason": "default""#, r#""reason": "circuit_open""#);
        let open = show(&open);
        let chosen = "a: v1 at beamline.ext.a is chosen, but its circuit is open: calls fail";
        assert!(open.starts_with(chosen), "{open}");
        let nobody = document.replace(r#""served_by": "a""#, r#""served_by": null"#);
        let nobody = nobody.replace(
            r#""version": "v1",
            "subject""#,
            r#""version": null,
            "subject""#,
        );
        assert!(show(&nobody).starts_with("a: no version serves (default)"));
        for (enabled, reason) in [("true", "auto_disabled"), ("false", "disabled")] {
            let by =
                format!(r#""reason": "disabled", "auto_disabled": true, "enabled": {enabled}"#);
            let out = show(&nobody.replace(r#""reason": "default""#, &by));
            let none = format!("a: no version serves ({reason})");
            assert!(out.starts_with(&none), "{out}");
        }
        let odd = document.replace("6574", "\"\u{9b}2J\"");
        assert!(show(&odd).contains("bucket \\u{9b}2J out"));
    }
}
