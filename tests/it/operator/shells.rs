use std::process::{Command, Stdio};

use serde_json::json;

use super::said;
use crate::harness::{DEADLINE, Daemon};
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

/// What bash does at TAB: it calls the function that the script has registered.
const TAB: &str = r#"
PATH="$(dirname "$PROGRAM"):$PATH"
source <(beamline-registry completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMP_TYPE=9
_clap_complete_beamline_registry "$1" "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

const PROGRAM: &str = env!("CARGO_BIN_EXE_beamline-registry");

/// The program, called as the script of `shell` calls it.
fn asked(shell: &str, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    let index = (words.len() - 1).to_string();
    command.env("BEAMLINE_REGISTRY_COMPLETE", shell).arg("--");
    command
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_IFS", "\n");
    command.args(words);
    command
}

/// What stands in the place of the last of `words`.
fn completed(url: &str, shell: &str, words: &[&str]) -> Vec<String> {
    let mut command = match shell {
        "bash" => {
            let mut command = Command::new("bash");
            command.args(["-c", TAB, "bash"]).env("PROGRAM", PROGRAM);
            command.args(words);
            command
        }
        _ => asked(shell, words),
    };
    let ran = command
        .env("EXTENSION_REGISTRY_NATS_URL", url)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "{words:?}");
    let out = String::from_utf8(ran.stdout).unwrap();
    let lines = out
        .split(['\n', '\u{b}'])
        .map(|line| line.split(['\t', ':']).next().unwrap());
    let mut found: Vec<_> = lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    found.sort_unstable();
    found
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
    for shell in ["bash", "zsh", "fish"] {
        let tab = |line: &str| {
            let line = format!("beamline-registry {line}");
            let words: Vec<_> = line.split(' ').collect();
            completed(&url, shell, &words)
        };
        assert_eq!(tab("upda"), ["update", "update-version"], "{shell}");
        assert_eq!(tab("get mask_"), ["mask_cards", "mask_pii"], "{shell}");
        assert_eq!(
            tab("disable other ma"),
            ["mask_cards", "mask_pii"],
            "{shell}"
        );
        assert_eq!(tab("promote mask_pii v"), ["v1", "v2"], "{shell}");
        assert_eq!(tab("lookup mask_pii --version v"), ["v1", "v2"], "{shell}");
        assert_eq!(tab("delete-instance mask_pii m"), ["mask-a"], "{shell}");
        assert_eq!(tab("stats --local pod"), ["pod-one", "pod-two"], "{shell}");
        assert_eq!(tab("update mask_pii time"), ["timeout_ms="], "{shell}");
        assert_eq!(tab("list --type pro"), ["provider"], "{shell}");
        assert_eq!(tab("get nothing_like_it"), [""; 0], "{shell}");
    }
    // Nobody there: no words, and no wait.
    let begun = std::time::Instant::now();
    let nobody = completed(
        "nats://127.0.0.1:1",
        "bash",
        &["beamline-registry", "get", "m"],
    );
    assert_eq!(nobody, [""; 0]);
    assert!(begun.elapsed() < DEADLINE);
}

/// Standard input of a prompt is the terminal: reading it would wait for ever.
#[tokio::test]
async fn tab_does_not_wait_for_what_is_typed() {
    for value in ["--body -", "--body=-", "--body @/dev/stdin"] {
        let line = format!("beamline-registry update mask_pii {value} time");
        let words: Vec<_> = line.split(' ').collect();
        let mut command = tokio::process::Command::from(asked("fish", &words));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = piped.kill_on_drop(true).spawn().unwrap();
        let _open = shell.stdin.take();
        let ended = tokio::time::timeout(DEADLINE, shell.wait_with_output()).await;
        let out = ended.expect("an end").unwrap().stdout;
        assert!(out.starts_with(b"timeout_ms="), "{value}");
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
            let mut command = Command::new(env!("CARGO_BIN_EXE_beamline-registry"));
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
