//! When which extension is probed next.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::domain::extension::Incarnation;
use crate::domain::ids::ExtensionId;

/// However short or long circuits stay open: neither a flood nor forgotten for an hour.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);
/// Times vary by this part to both sides, so that what failed at once is not probed at once.
const JITTER: f64 = 0.2;

/// The next probe of each extension that is out of service.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<ExtensionId, Turn>);

/// An extension that is out of service, and how often it is probed.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) id: ExtensionId,
    /// Made anew, it has a turn of its own.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) every: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    incarnation: Option<Incarnation>,
    every: Duration,
    at: Instant,
}

impl Schedule {
    /// Takes over which extensions are out of service as of `now`; one that was before keeps its
    /// turn.
    pub(super) fn follow(&mut self, out_of_service: impl Iterator<Item = Out>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for out in out_of_service {
            let new = Turn {
                incarnation: out.incarnation,
                every: out.every.clamp(SHORTEST, LONGEST),
                at: now,
            };
            let same = |turn: &Turn| (turn.incarnation, turn.every) == (new.incarnation, new.every);
            let kept = before.remove(&out.id).filter(same);
            let turn = kept.unwrap_or_else(|| new.next(now));
            self.0.insert(out.id, turn);
        }
    }

    /// Waits until an extension is due, and gives it its next turn. May be cancelled.
    pub(super) async fn due(&mut self) -> ExtensionId {
        let Some((id, turn)) = self.0.iter_mut().min_by_key(|(_, turn)| turn.at) else {
            return std::future::pending().await;
        };
        sleep_until(turn.at).await;
        *turn = turn.next(Instant::now());
        id.clone()
    }
}

impl Turn {
    /// The one after it, at least a pause from now.
    fn next(self, now: Instant) -> Self {
        let pause = self
            .every
            .mul_f64(rand::random_range(1.0 - JITTER..1.0 + JITTER));
        Self {
            at: now + pause,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn out(ids: &[&str], every: Duration) -> impl Iterator<Item = Out> {
        let ids: Vec<_> = ids
            .iter()
            .map(|id| ExtensionId::parse(id).unwrap())
            .collect();
        ids.into_iter().map(move |id| Out {
            id,
            incarnation: None,
            every,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_has_its_turn_about_every_open_time() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        schedule.follow(out(&["a", "b"], Duration::from_secs(10)), start);
        let mut turns = BTreeMap::<String, Vec<Instant>>::new();
        while start.elapsed() < 10 * MINUTE {
            let id = schedule.due().await.to_string();
            turns.entry(id).or_default().push(Instant::now());
        }
        assert_eq!(turns.len(), 2);
        for at in turns.values() {
            let pauses = at.windows(2).map(|pair| pair[1] - pair[0]);
            let (least, most) = (Duration::from_secs(8), Duration::from_millis(12_010));
            assert!(pauses.clone().all(|it| it >= least && it <= most), "{at:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn news_about_others_change_no_turn_and_extremes_are_bounded() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        for others in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a"]] {
            schedule.follow(out(others, 100 * MINUTE), Instant::now());
            tokio::time::advance(MINUTE / 10).await;
        }
        assert_eq!(schedule.due().await.as_str(), "a");
        assert!(start.elapsed() <= MINUTE * 6 / 5 + Duration::from_millis(10));

        // Made anew, `a` has a turn as if it had just gone.
        tokio::time::advance(MINUTE / 2).await;
        let again = out(&["a"], 100 * MINUTE).map(|out| Out {
            incarnation: Some(Incarnation(2)),
            ..out
        });
        let begun = Instant::now();
        schedule.follow(again, begun);
        schedule.due().await;
        assert!(begun.elapsed() >= MINUTE * 4 / 5);

        schedule.follow(out(&["c"], Duration::from_millis(10)), Instant::now());
        let begun = Instant::now();
        assert_eq!(
            schedule.due().await.as_str(),
            "c",
            "the others are in service"
        );
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}
