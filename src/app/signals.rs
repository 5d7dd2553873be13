//! Signals: the first that asks for the end begins the drain, the second ends the process at once;
//! others that would kill do nothing.

use std::io;

use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Ignored, because they may be sent by hand or caused by a limit, and by default they end the
/// process without a drain. A file that the log may not make longer (`XFSZ`) costs lines. The
/// numbers are Linux's; not every kind has a name here.
fn ignored() -> [SignalKind; 8] {
    const XFSZ: i32 = 25;
    const VTALRM: i32 = 26;
    const PROF: i32 = 27;
    const PWR: i32 = 30;
    [
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::alarm(),
        SignalKind::io(),
        SignalKind::from_raw(XFSZ),
        SignalKind::from_raw(VTALRM),
        SignalKind::from_raw(PROF),
        SignalKind::from_raw(PWR),
    ]
}

/// Signals that ask for the end, caught from the moment this is made.
#[derive(Debug)]
pub struct Signals(Vec<Signal>);

impl Signals {
    /// Catches the signals.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn catch() -> io::Result<Self> {
        let ends = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
        ];
        // Left alone if it was ignored when the process started, as `nohup` does.
        let hang_up = Some(SignalKind::hangup()).filter(|kind| !is_ignored(*kind));
        let caught: io::Result<_> = ends.into_iter().chain(hang_up).map(signal).collect();
        for kind in ignored() {
            // Caught for as long as the process lives, also when no code waits for them. One that
            // cannot be caught keeps its default.
            let _caught = signal(kind);
        }
        caught.map(Self)
    }

    /// Cancels `stop` at the first of them, and returns at the second.
    pub async fn twice(&mut self, stop: &CancellationToken) {
        self.next().await;
        stop.cancel();
        self.next().await;
    }

    async fn next(&mut self) {
        let ends = self.0.iter_mut();
        select_all(ends.map(|signal| Box::pin(signal.recv()))).await;
    }
}

/// Whether the process ignores `kind` now. Only Linux shows this without unsafe code; elsewhere
/// nothing counts as ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status");
    status.is_ok_and(|status| ignores(&status, kind))
}

/// Whether a `/proc/<pid>/status` shows that `kind` is ignored.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or_default();
    mask.is_some_and(|mask| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_says_what_is_ignored() {
        for (mask, hang_up, quit) in [
            ("0000000000000000", false, false),
            ("0000000000000001", true, false),
            ("0000000000001004", false, true),
            ("ffffffffffffffff", true, true),
            ("nothing", false, false),
        ] {
            let status = format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
            assert_eq!(ignores(&status, SignalKind::hangup()), hang_up, "{mask}");
            assert_eq!(ignores(&status, SignalKind::quit()), quit, "{mask}");
        }
        assert!(!ignores("", SignalKind::hangup()));
    }
}
