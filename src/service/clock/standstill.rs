//! What this process slept through: stopped by a signal or a debugger, frozen with its container,
//! starved of CPU, blocked.
//!
//! The monotonic clock goes on meanwhile, and so do all timers: at the end of a standstill every one
//! of them is over, while what was waited for lies unread in a socket. So a timer is believed only
//! if this process was awake: what was slept through counts against no extension.
//!
//! A thread notes every few milliseconds that it runs; a gap between two notes is a standstill.
//! Code that runs right after one may come before that thread does, so the gap up to now counts,
//! too. A runtime of its own that was blocked shows in a timer that fires late, and the code that
//! finds its timer late adds it ([`note_late`]).
//!
//! A suspended host stops the monotonic clock as well, so no timer runs out because of it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::Notify;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::PROCESS;
use crate::domain::lock::locked;
use crate::service::observe::{Observation, Observers};

/// Between two notes.
const BEAT: Duration = Duration::from_millis(20);
/// A gap from here on is a standstill. Shorter ones are what a busy machine does all the time.
const LEAST: Duration = Duration::from_millis(180);
/// Standstills remembered: more than any wait can have seen that is not over for other reasons.
const REMEMBERED: usize = 256;
/// For how long after a standstill there is a backlog to work off, at most.
const BACKLOG: Duration = Duration::from_secs(5);
/// How often a wait is made longer.
const EXTENSIONS: usize = 3;
/// The shortest time between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// When the process stood still.
#[derive(Debug)]
pub(super) struct Standstill {
    origin: Instant,
    /// The last note, in microseconds since the origin; 0 while none are taken.
    awake_us: AtomicU64,
    /// The end of the last standstill, likewise; 0 before the first.
    ended_us: AtomicU64,
    remembered: Mutex<VecDeque<Gap>>,
    untold: Mutex<Untold>,
    news: Notify,
}

/// From when to when nothing ran, in microseconds since the origin.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: u64,
    to: u64,
}

#[derive(Debug, Default)]
struct Untold {
    length: Duration,
    times: u32,
}

impl Standstill {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            awake_us: AtomicU64::new(0),
            ended_us: AtomicU64::new(0),
            remembered: Mutex::default(),
            untold: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Notes that the process runs.
    pub(super) fn beat(&self, now: Instant) {
        let (last, now) = (
            self.awake_us.load(Ordering::Relaxed),
            self.micros(now).max(1),
        );
        if last > 0 && is_gap(last, now) {
            let gap = Gap::between(last, now);
            // Before the note: a reader that sees the note sees the gap before it.
            self.remember(gap);
            let mut untold = locked(&self.untold);
            untold.length += gap.length();
            untold.times += 1;
            drop(untold);
            self.news.notify_one();
        }
        self.awake_us.store(now, Ordering::Release);
    }

    /// Remembers a standstill, joined with what is known of it: the thread finds it, and so does
    /// every timer that was due meanwhile.
    fn remember(&self, mut gap: Gap) {
        let mut remembered = locked(&self.remembered);
        remembered.retain(|known| {
            let apart = known.to <= gap.from || gap.to <= known.from;
            if !apart {
                gap = Gap::between(known.from.min(gap.from), known.to.max(gap.to));
            }
            apart
        });
        if remembered.len() == REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(gap);
        drop(remembered);
        self.ended_us.fetch_max(gap.to, Ordering::Release);
    }

    /// For how long the process stood still between `from` and `to`.
    pub(super) fn within(&self, from: Instant, to: Instant) -> Duration {
        self.sum(from, to, Duration::ZERO, |gap| gap)
    }

    /// For how long it did so, or worked off the backlog.
    pub(super) fn lost(&self, from: Instant, to: Instant) -> Duration {
        self.sum(from, to, BACKLOG, Gap::with_backlog)
    }

    /// The part of all gaps, `stretched` by at most `most`, that is between `from` and `to`.
    fn sum(
        &self,
        from: Instant,
        to: Instant,
        most: Duration,
        stretched: fn(Gap) -> Gap,
    ) -> Duration {
        let asked = Gap::between(self.micros(from), self.micros(to));
        let awake = self.awake_us.load(Ordering::Acquire);
        let (mut slept, mut known) = (Duration::ZERO, asked);
        if awake > 0 && is_gap(awake, asked.to) {
            slept += Gap::between(awake, asked.to).overlap(asked);
            // What timers have found of it is in that already.
            known.to = known.to.min(awake);
        }
        let ended = self.ended_us.load(Ordering::Acquire);
        if ended > 0 && Duration::from_micros(ended) + most > Duration::from_micros(asked.from) {
            let remembered = locked(&self.remembered);
            let parts = remembered.iter().map(|gap| stretched(*gap).overlap(known));
            slept += parts.sum::<Duration>();
        }
        // The backlog of one may reach into the next.
        slept.min(asked.length())
    }

    fn micros(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.origin);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Gap {
    fn between(from: u64, to: u64) -> Self {
        Self { from, to }
    }

    fn length(self) -> Duration {
        Duration::from_micros(self.to.saturating_sub(self.from))
    }

    /// What piled up takes no longer than it took to pile up.
    fn with_backlog(self) -> Self {
        let backlog = self.length().min(BACKLOG).as_micros();
        let backlog = u64::try_from(backlog).unwrap_or_default();
        Self::between(self.from, self.to.saturating_add(backlog))
    }

    fn overlap(self, other: Self) -> Duration {
        Self::between(self.from.max(other.from), self.to.min(other.to)).length()
    }
}

fn is_gap(from_us: u64, to_us: u64) -> bool {
    Duration::from_micros(to_us.saturating_sub(from_us)) >= LEAST
}

/// Starts the thread that notes that the process runs.
///
/// # Errors
/// No thread can be had.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, which nothing else waits for"
)]
pub fn watch() -> io::Result<()> {
    let beating = || {
        loop {
            PROCESS.standstill.beat(Instant::now());
            thread::sleep(BEAT);
        }
    };
    thread::Builder::new()
        .name("clock".to_owned())
        .spawn(beating)?;
    Ok(())
}

/// Reports every standstill once, those within one second together, until `stop`.
pub async fn tell(observers: Observers, stop: CancellationToken) {
    let standstill = &PROCESS.standstill;
    let telling = async {
        loop {
            standstill.news.notified().await;
            let Untold { length, times } = std::mem::take(&mut *locked(&standstill.untold));
            if times > 0 {
                observers.observe(&Observation::StoodStill { length, times });
            }
            sleep(TELL_EVERY).await;
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// Notes that a timer due at `due` fired only `now`, as this process did not run. Returns whether
/// it is late enough to matter.
pub fn note_late(due: Instant, now: Instant) -> bool {
    let standstill = &PROCESS.standstill;
    let gap = Gap::between(standstill.micros(due), standstill.micros(now));
    let late = is_gap(gap.from, gap.to);
    if late {
        standstill.remember(gap);
    }
    late
}

/// How much of the time since `deadline` this process stood still.
pub fn overslept(deadline: Instant) -> Duration {
    PROCESS.standstill.within(deadline, Instant::now())
}

/// Whether there may be a backlog of a standstill, so that everything takes its time.
pub fn lately() -> bool {
    let (standstill, now) = (&PROCESS.standstill, Instant::now());
    let recent = now.checked_sub(BACKLOG).unwrap_or(standstill.origin);
    !standstill.within(recent, now).is_zero()
}

/// Like [`tokio::time::timeout`], but for time in which this process was awake: what it stood
/// still is added, at most `limit` at a time.
///
/// # Errors
/// `work` was not done in time.
pub async fn timeout<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = std::pin::pin!(work);
    let mut begun = tokio::time::Instant::now();
    let mut due = begun + limit;
    let mut extensions = 0;
    loop {
        let late = match timeout_at(due, work.as_mut()).await {
            Ok(output) => return Ok(output),
            Err(elapsed) => elapsed,
        };
        let now = tokio::time::Instant::now();
        note_late(due.into_std(), now.into_std());
        let stood_still = PROCESS.standstill.within(begun.into_std(), now.into_std());
        if stood_still.is_zero() || extensions == EXTENSIONS {
            return Err(late);
        }
        extensions += 1;
        begun = now;
        due = now + stood_still.min(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn watched(beats_ms: &[u32]) -> (Standstill, Instant) {
        let origin = Instant::now();
        let standstill = Standstill::new(origin);
        for beat in beats_ms {
            standstill.beat(origin + *beat * MS);
        }
        (standstill, origin)
    }

    #[track_caller]
    fn check(beats_ms: &[u32], (from, to): (u32, u32), slept_ms: u32) {
        let (standstill, origin) = watched(beats_ms);
        let slept = standstill.within(origin + from * MS, origin + to * MS);
        assert_eq!(slept, slept_ms * MS, "{beats_ms:?} from {from} to {to}");
    }

    #[test]
    fn a_gap_between_notes_is_a_standstill() {
        check(&[20, 40, 5040, 5060], (0, 5060), 5000);
        check(&[20, 40, 5040, 5060], (1040, 5060), 4000);
        check(&[20, 40, 5040, 5060], (5050, 5060), 0);
        check(&[20, 40, 5040, 5060], (0, 30), 0);
        check(&[20, 40, 240, 260, 660], (0, 700), 600);
    }

    #[test]
    fn a_backlog_is_worked_off_for_as_long_as_it_piled_up() {
        let (standstill, origin) = watched(&[20, 40, 340, 500, 640, 700]);
        let lost = |from: u32, to: u32| standstill.lost(origin + from * MS, origin + to * MS);
        assert_eq!(lost(0, 500), 460 * MS);
        assert_eq!(lost(350, 500), 150 * MS);
        assert_eq!(lost(600, 700), 40 * MS);
        assert_eq!(lost(640, 700), Duration::ZERO);
        let awake = (0..50).map(|beat| 60_020 + 130 * beat);
        let beats: Vec<u32> = [20].into_iter().chain(awake).collect();
        let (standstill, origin) = watched(&beats);
        let end = origin + 60_020 * MS;
        assert_eq!(standstill.lost(end, end + 160 * MS), 160 * MS);
        assert_eq!(
            standstill.lost(end + BACKLOG, end + BACKLOG + 160 * MS),
            Duration::ZERO
        );
    }

    #[test]
    fn a_busy_machine_is_none() {
        check(&[20, 60, 220, 390, 410], (0, 420), 0);
    }

    #[test]
    fn who_asks_before_the_next_note_sees_the_gap() {
        check(&[20, 40], (30, 5040), 5000);
        check(&[20, 40], (3040, 5040), 2000);
        check(&[20, 40], (30, 200), 0);
    }

    #[test]
    fn while_nobody_takes_notes_nothing_is_known() {
        check(&[], (0, 5000), 0);
    }

    #[test]
    fn a_gap_that_many_find_counts_once() {
        let (standstill, origin) = watched(&[20, 40, 1040]);
        for due in 300..330 {
            standstill.remember(Gap::between(due * 1000, 1_040_000));
        }
        assert_eq!(standstill.within(origin, origin + 1100 * MS), 1000 * MS);
        // Timers may come before the thread does.
        let (standstill, origin) = watched(&[20, 40]);
        standstill.remember(Gap::between(300_000, 1_040_000));
        assert_eq!(standstill.within(origin, origin + 1050 * MS), 1010 * MS);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let beats: Vec<u32> = (1..2000).map(|beat| beat * 200).collect();
        let (standstill, _) = watched(&beats);
        assert_eq!(locked(&standstill.remembered).len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_late_while_we_are_awake_is_late() {
        let begun = tokio::time::Instant::now();
        let done = timeout(5 * MS, sleep(10 * MS)).await;
        assert!(done.is_err());
        assert!(begun.elapsed() < 10 * MS);
        assert!(timeout(15 * MS, sleep(10 * MS)).await.is_ok());
    }

    /// The runtime is blocked past the end of the wait, and what was waited for is done meanwhile.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "to block is what is tried")]
    async fn a_blocked_runtime_looks_again() {
        let (done, waiting) = tokio::sync::oneshot::channel();
        let doing = thread::spawn(move || {
            thread::sleep(100 * MS);
            let _ = done.send(());
        });
        let blocked = async {
            thread::sleep(400 * MS);
            doing.join().unwrap();
        };
        let (waited, ()) = tokio::join!(timeout(50 * MS, waiting), blocked);
        assert!(waited.is_ok());
    }
}
