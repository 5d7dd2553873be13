use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use super::said;
use crate::docs::file;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, eventually, settled};
use crate::site::Site;

/// The scripts ask the program itself at each TAB.
#[tokio::test]
async fn a_script_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = said("nats://127.0.0.1:1", &format!("completion {shell}")).await;
        assert!(
            script.contains("BEAMLINE_REGISTRY_COMPLETE") && script.contains("beamline-registry"),
            "{script}"
        );
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_beamline-registry");

/// Whether this shell can be run. Logs it where it cannot; a fault where it has to be.
fn is_here(shell: &str) -> bool {
    let mut has = Command::new(file("scripts/shells"));
    let here = has.args(["has", shell]).status().unwrap().success();
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the daemon"
    )]
    let mode = std::env::var("BEAMLINE_SHELLS");
    let is_required = mode.is_ok_and(|mode| mode == "required");
    assert!(here || !is_required, "{shell} cannot be run");
    if !here {
        eprintln!("completion in {shell} is not tested (see scripts/shells)");
    }
    here
}

/// What the real shell offers at a TAB behind each of `lines`.
fn offered(url: &str, shell: &str, lines: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("python3");
    command.arg(file("tests/it/operator/tab.py")).arg(shell);
    command.args(lines).env("PROGRAM", PROGRAM);
    command.env("EXTENSION_REGISTRY_NATS_URL", url);
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{shell}: {said}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tab_offers_what_the_registry_has() {
    let version = json!({"version": "v2", "subject": "beamline.ext.mask.v2", "enabled": false});
    let instance = json!({"instance_id": "mask-a", "subject": "beamline.ext.mask.a"});
    let site = Site::with(&json!([
        {"id": "mask_pii", "type": "pre", "subject": "beamline.ext.mask", "versions": [version],
         "instances": [instance]},
        {"id": "mask_cards", "type": "pre", "subject": "beamline.ext.cards", "enabled": false},
        {"id": "other", "type": "pre", "subject": "beamline.ext.other"},
    ]))
    .await;
    let _one = site.start(site.named("pod-one")).await;
    let _two = site.start(site.named("pod-two")).await;
    let url = site.nats.url();
    // Bash parts words at `:` and `=`.
    let addressed = format!("--nats-url {url} get mask_p");
    let cases: [(&str, &[&str]); 18] = [
        ("upda", &["update", "update-version"]),
        ("get mask_", &["mask_cards", "mask_pii"]),
        ("disable other ma", &["mask_cards", "mask_pii"]),
        (&addressed, &["mask_pii"]),
        ("promote mask_pii v", &["v1", "v2"]),
        ("lookup mask_pii --version v", &["v1", "v2"]),
        ("delete-instance mask_pii m", &["mask-a"]),
        ("stats --local pod", &["pod-one", "pod-two"]),
        ("invoke mask_", &["mask_cards", "mask_pii"]),
        ("invoke mask_pii --version v", &["v1", "v2"]),
        ("watch --id mask_p", &["mask_pii"]),
        ("stats --local=pod-o", &["--local=pod-one"]),
        ("update mask_pii time", &["timeout_ms="]),
        ("update mask_pii retry=2 time", &["timeout_ms="]),
        ("update mask_pii type=ti", &[]),
        ("list --type pro", &["provider"]),
        ("list --type=pro", &["--type=provider"]),
        ("get nothing_like_it", &[]),
    ];
    let lines = cases.map(|(line, _)| line);
    for shell in ["bash", "zsh", "fish"] {
        if !is_here(shell) {
            continue;
        }
        // A prompt does not wait: a registry that is late has no words for it.
        eventually(shell, 3 * DEADLINE, async || {
            for ((line, expected), found) in cases.iter().zip(offered(&url, shell, &lines)) {
                // A word that is complete has a space behind it; one that a value follows has none.
                let names = found.iter().map(|word| {
                    let name = word.strip_suffix(' ');
                    name.filter(|name| !name.ends_with('=')).unwrap_or(word)
                });
                let names = names.collect::<Vec<_>>();
                if names != *expected {
                    return Err(format!("{line}: {names:?}"));
                }
            }
            Ok(())
        })
        .await;
    }
    // Nobody there: no words, and no wait.
    let begun = std::time::Instant::now();
    let nobody = offered("nats://127.0.0.1:1", "bash", &["get m"]);
    assert_eq!(nobody, [[""; 0]]);
    assert!(begun.elapsed() < DEADLINE);
}

/// The program, called as the script of fish calls it.
fn asked(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("BEAMLINE_REGISTRY_COMPLETE", "fish").arg("--");
    command.args(words);
    command
}

/// Standard input of a prompt is the terminal: reading it would wait for ever.
#[tokio::test]
async fn tab_does_not_wait_for_what_is_typed() {
    for value in ["--body -", "--body=-", "--body @/dev/stdin"] {
        let line = format!("beamline-registry update mask_pii {value} time");
        let words: Vec<_> = line.split(' ').collect();
        let mut command = tokio::process::Command::from(asked(&words));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = piped.kill_on_drop(true).spawn().unwrap();
        let _open = shell.stdin.take();
        let ended = tokio::time::timeout(DEADLINE, shell.wait_with_output()).await;
        let out = ended.expect("an end").unwrap().stdout;
        assert!(out.starts_with(b"timeout_ms="), "{value}");
    }
}

/// A client that may reply can do so for ever, and with what is no answer of a registry.
#[tokio::test]
async fn tab_does_not_read_answers_for_ever() {
    let nats = NatsServer::start().await;
    let client = Client::connect(&nats.url()).await.nats().clone();
    let pings = client.subscribe("beamline.registry.all.ping").await;
    let mut pings = pings.unwrap();
    settled(&client).await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let chatter = async {
        let mut reply = None;
        loop {
            tokio::select! {
                ping = pings.next() => reply = ping.unwrap().reply,
                _ = beat.tick() => {}
            }
            let Some(reply) = &reply else { continue };
            for body in ["no JSON", r#"{"instance_id":"pod-1"}"#] {
                client.publish(reply.clone(), body.into()).await.unwrap();
            }
        }
    };
    let line = format!(
        "beamline-registry --nats-url {} stats --local po",
        nats.url()
    );
    let words: Vec<_> = line.split(' ').collect();
    // A prompt does not wait either for a registry that is late.
    let offered = eventually("a name, and an end", DEADLINE, async || {
        let mut command = tokio::process::Command::from(asked(&words));
        let ran = command.kill_on_drop(true).output().await.unwrap();
        match ran.stdout.starts_with(b"pod-1") {
            true => Ok(()),
            false => Err(ran),
        }
    });
    tokio::select! {
        () = offered => {}
        () = chatter => unreachable!(),
    }
}

#[tokio::test]
async fn the_help_names_every_command() {
    let (_, help, _) = Daemon::builder().arg("--help").run().await;
    for name in [
        "serve",
        "list",
        "put-version",
        "watch",
        "invoke",
        "completion",
    ] {
        let line = format!("\n  {name} ");
        assert!(help.contains(&line), "{name} is in the help");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    for line in [
        "completion bash",
        "check --settings",
        "check --settings --json",
    ] {
        let run = |out: &str| {
            let out = std::fs::File::options().write(true).open(out).unwrap();
            let mut command = Command::new(PROGRAM);
            let ran = command.args(line.split(' ')).stdout(out).output();
            let ran = ran.unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            (ran.status.code(), said)
        };
        assert_eq!(run("/dev/null"), (Some(0), String::new()), "{line}");
        let (code, said) = run("/dev/full");
        assert_eq!(code, Some(1), "{line}");
        assert!(said.contains("cannot write the answer: "), "{line}: {said}");
    }
}
