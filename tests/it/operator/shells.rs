use std::process::Command;

use super::said;
use crate::harness::Daemon;

#[tokio::test]
async fn completion_scripts_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = said("nats://127.0.0.1:1", &format!("completion {shell}")).await;
        for name in ["put-instance", "explain", "watch", "completion"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
        if shell == "bash" {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("completion.bash");
            std::fs::write(&file, script).unwrap();
            let parsed = Command::new("bash").arg("-n").arg(file).output().unwrap();
            let errors = String::from_utf8_lossy(&parsed.stderr);
            assert!(parsed.status.success() && errors.is_empty(), "{errors}");
        }
    }
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
    let completion = |out: &str| {
        let out = std::fs::File::options().write(true).open(out).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_beamline-registry"));
        let ran = command.args(["completion", "bash"]).stdout(out).output();
        let ran = ran.unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        (ran.status.code(), said)
    };
    assert_eq!(completion("/dev/null"), (Some(0), String::new()));
    let (code, said) = completion("/dev/full");
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: cannot write the answer: "),
        "{said}"
    );
}
