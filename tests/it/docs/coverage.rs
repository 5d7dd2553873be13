//! The page of the NATS API leaves nothing out.

use beamline_registry::adapters::nats::verb::Verb;

use super::file;

#[test]
fn every_verb_and_form_has_an_example() {
    let page = std::fs::read_to_string(file("docs/nats-api.md")).unwrap();
    let commands: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("$ nats req "))
        .collect();
    let shown = |needle: &str| {
        let found = commands.iter().any(|command| command.contains(needle));
        assert!(found, "no example of {needle}");
    };
    for verb in Verb::ALL {
        let name = verb.name();
        shown(&format!(".{name} "));
        if verb.takes_id() {
            shown(&format!(".{name}."));
        }
        // Of those that are in one sidecar only that one answers, and no example has a call there.
        if verb.answers_all() && verb.answers_any() {
            shown(&format!(".all.{name} "));
        }
    }
    for form in [
        ".local.pod-1.",
        ".as.alice.",
        "$SRV.PING",
        "$SRV.INFO",
        "$SRV.STATS",
    ] {
        shown(form);
    }
}
