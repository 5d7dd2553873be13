//! A page's `console` blocks, run: commands begin with `$ `, everything up to the next one is the
//! reply.

use std::collections::BTreeMap;

use super::command::{Request, is_open};
use super::stage::Stage;
use super::{file, settle, writes};

#[tokio::test]
async fn the_replies_of_the_nats_api_are_real() {
    check("docs/nats-api.md").await;
}

#[tokio::test]
async fn the_replies_of_the_rollout_are_real() {
    check("docs/rollout.md").await;
}

#[tokio::test]
async fn the_replies_of_the_troubleshooting_guide_are_real() {
    check("docs/troubleshooting.md").await;
}

/// A stale page differs every time. One that was run while the machine stood still, so that an
/// extension of the seeds missed its 100 ms, is right when it is run again.
const ATTEMPTS: usize = 3;

async fn check(path: &str) {
    let page = std::fs::read_to_string(file(path)).unwrap();
    let mut replayed = replayed(&page).await;
    for _ in 1..ATTEMPTS {
        if replayed == page || writes() {
            break;
        }
        replayed = self::replayed(&page).await;
    }
    settle(path, &replayed);
}

/// The page with the replies that its commands get.
async fn replayed(page: &str) -> String {
    let mut stages = BTreeMap::<String, Stage>::new();
    let mut out = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        push(&mut out, line);
        let Some(stage) = line.strip_prefix("```console") else {
            continue;
        };
        let stage = stage.trim();
        if !stages.contains_key(stage) {
            stages.insert(stage.to_owned(), Stage::start(stage).await);
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            let Some(command) = line.strip_prefix("$ ") else {
                continue; // a reply of an earlier run
            };
            push(&mut out, line);
            let mut command = command.to_owned();
            while is_open(&command) {
                let more = lines.next().expect("the end of the command");
                push(&mut out, more);
                command = format!("{command}\n{more}");
            }
            push(&mut out, &stages[stage].run(Request::parse(&command)).await);
        }
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}
