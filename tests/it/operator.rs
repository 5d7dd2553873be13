//! The operator's commands, through the real binary:
//!
//! - [`reads`]: every reading command once; `--json` is what NATS answers; pages are followed,
//! - [`writes`]: every writing command once, who is audited, what is refused,
//! - [`nobody`]: who does not answer, why, and with which exit code,
//! - [`sidecars`]: one of them by name, and all of them,
//! - [`watching`]: events as they happen, until Ctrl-C,
//! - [`invoking`]: what an extension answers, byte for byte,
//! - [`sessions`]: what an operator asks first, as it is recorded in `docs/sessions/`,
//! - [`shells`]: what TAB offers in real shells (`scripts/shells`).

use crate::harness::Daemon;
use crate::harness::daemon::Builder;

mod invoking;
mod nobody;
mod reads;
mod sessions;
mod shells;
mod sidecars;
mod watching;
mod writes;

/// What a command came to.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// The command in `line`, its arguments separated by spaces, at a server.
fn command(url: &str, line: &str) -> Builder {
    let builder = Daemon::builder().nats(url);
    line.split(' ')
        .fold(builder, |builder, argument| builder.arg(argument))
}

/// Runs a command to its end. Whatever it says is free of escape codes: nobody looks at it.
async fn run(url: &str, line: &str) -> Ran {
    with_input(url, line, "").await
}

/// The same with something on standard input.
async fn with_input(url: &str, line: &str, input: &str) -> Ran {
    let (code, out, err) = command(url, line).input(input).run().await;
    assert!(
        !format!("{out}{err}").contains('\u{1b}'),
        "{line}: {out}{err}"
    );
    Ran { code, out, err }
}

/// What a command that succeeds prints.
async fn said(url: &str, line: &str) -> String {
    let ran = run(url, line).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
    ran.out
}

/// The cells of the row that begins with `first`.
#[track_caller]
fn row<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect());
    let found = rows.find(|row: &Vec<&str>| row.first() == Some(&first));
    found.unwrap_or_else(|| panic!("no row {first}: {table}"))
}
