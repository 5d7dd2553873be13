//! Panics in the log, instead of on standard error, where the process could hang on them.

use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::Instant;

use tracing::error;

use super::repeats::Repeats;

/// Logs every panic of the process from now on; one that repeats is logged seldom.
pub(super) fn log_panics() {
    let repeats = Repeats::default();
    panic::set_hook(Box::new(move |info| {
        let at = info.location().map(ToString::to_string);
        let at = at.unwrap_or_else(|| "unknown".to_owned());
        if let Some(repeated) = repeats.say(at.clone(), Instant::now()) {
            let thread = thread::current();
            let thread = thread.name();
            let reason = reason(info);
            error!(%at, thread, repeated, reason, "panicked; this is a bug, please report it");
        }
    }));
}

/// The message, where the program's text has it word by word: one that was made up may hold parts
/// of a request.
fn reason(info: &PanicHookInfo<'_>) -> Option<&'static str> {
    info.payload().downcast_ref::<&'static str>().copied()
}
