//! `docs/http.md`: each of its commands is carried out, and succeeds.

use std::process::Command;

use super::{ADMIN, Api, plain, send};

/// The lines of all blocks marked as `sh`.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).collect()
}

/// What a shell would hand to `curl`.
fn arguments(command: &str, addr: &str) -> Vec<String> {
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{command}");
    let shell = Command::new("sh")
        .args(["-euc", &script])
        .env("REGISTRY", format!("http://{addr}"))
        .env("AUTH", format!("Authorization: Bearer {ADMIN}"))
        .output()
        .unwrap();
    assert!(shell.status.success(), "{command}: {shell:?}");
    let text = String::from_utf8(shell.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_of_the_page_works() {
    let api = Api::start().await;
    let commands = commands(include_str!("../../../docs/http.md"));
    assert!(commands.len() > 10);
    let (reads, writes): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|line| !line.contains("-X"));
    // The page reads before it writes.
    api.ask("POST /admin/extensions", &plain("mask_pii")).await;
    for (i, command) in reads.iter().chain(&writes).enumerate() {
        if i == reads.len() {
            api.ask(
                "DELETE /admin/extensions/mask_pii",
                &serde_json::Value::Null,
            )
            .await;
        }
        let (mut method, mut path, mut body) = ("GET".to_owned(), String::new(), String::new());
        let mut headers = vec![("Authorization", format!("Bearer {ADMIN}"))];
        let mut words = arguments(command, &api.addr).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-s" => {}
                "-X" => method = words.next().unwrap(),
                "-d" => body = words.next().unwrap(),
                "-H" => {
                    let header = words.next().unwrap();
                    let (name, value) = header.split_once(": ").unwrap();
                    match name {
                        "Authorization" => headers[0].1 = value.to_owned(),
                        // Sent with every body.
                        name => assert_eq!((name, value), ("Content-Type", "application/json")),
                    }
                }
                url => path = url.split_once(&api.addr).unwrap().1.to_owned(),
            }
        }
        let request = format!("{method} {path}");
        let reply = send(&api.addr, &request, &headers, body.as_bytes()).await;
        assert!((200..300).contains(&reply.status), "{command}: {reply:?}");
    }
}
