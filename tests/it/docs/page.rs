//! A page's `console` blocks, run: commands begin with `$ `, everything up to the next one is the
//! reply.

use std::collections::BTreeMap;

use super::command::{Request, is_open};
use super::stage::Stage;
use super::{API, file, settle, verbs, writes};

#[tokio::test]
async fn the_replies_of_the_nats_api_are_real() {
    for page in API {
        check(page).await;
    }
}

#[tokio::test]
async fn the_replies_of_the_rollout_are_real() {
    check("docs/rollout.md").await;
}

#[tokio::test]
async fn the_replies_of_the_troubleshooting_guide_are_real() {
    check("docs/troubleshooting.md").await;
}

/// A call may come out otherwise while the machine stands still, so that an extension of the seeds
/// misses its 100 ms: then the page is run again. Nothing else has a second attempt.
const ATTEMPTS: usize = 3;

async fn check(path: &str) {
    let page = std::fs::read_to_string(file(path)).unwrap();
    assert!(page.contains("\n```console"), "{path}: nothing to run");
    let mut replayed = replayed(&page).await;
    for _ in 1..ATTEMPTS {
        if writes() || !first_difference(&page, &replayed).is_some_and(calls) {
            break;
        }
        replayed = self::replayed(&page).await;
    }
    settle(path, &verbs::filled(&replayed));
}

/// The first block of `page` that is another one in `replayed`; what follows may be its effect.
fn first_difference<'a>(page: &'a str, replayed: &str) -> Option<&'a str> {
    let mut pairs = page.split("\n```").zip(replayed.split("\n```"));
    pairs.find(|(was, is)| was != is).map(|(was, _)| was)
}

/// Whether a command of this block calls an extension.
fn calls(block: &str) -> bool {
    let mut commands = block.lines().filter(|line| line.starts_with("$ "));
    commands.any(|command| command.contains(".invoke"))
}

#[test]
fn only_a_block_that_calls_is_run_again() {
    let page = "a\n```console\n$ nats req r.lookup x\n1\n```\nb\n```console\n$ nats req r.invoke x\n2\n```\n";
    let differs = |from, to| first_difference(page, &page.replace(from, to)).is_some_and(calls);
    assert!(differs("2", "3"));
    assert!(!differs("1", "3"));
    assert!(first_difference(page, page).is_none());
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
