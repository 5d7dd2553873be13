//! Ejection of one instance: out after a number of failures in a row, for a time that grows.
//!
//! As in Envoy's outlier detection the time grows with each ejection; as in a half-open circuit one
//! failure after the return is enough to be ejected again, and one success forgives everything.

use std::time::Instant;

use super::breaker::Settings;

/// What is known of one instance's failures. The default is an instance without any.
#[derive(Debug, Clone, Default)]
pub struct Ejection {
    consecutive_failures: u32,
    /// Ejections since the last success.
    ejections: u32,
    last: Option<Span>,
}

/// From when to when an instance is out.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    until: Instant,
}

impl Ejection {
    /// When the instance comes back, if it is out at `now`.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.last.map(|span| span.until).filter(|due| now < *due)
    }

    /// An attempt that began at `begun` succeeded: nothing is held against the instance any more,
    /// and it is back at once.
    ///
    /// A late success, of an attempt begun before the ejection, does not count for now.
    pub fn succeeded(&mut self, begun: Instant) {
        if self.last.is_none_or(|span| begun >= span.from) {
            *self = Self::default();
        }
    }

    /// An attempt that began at `begun` failed at `now`; true when this ejects the instance.
    ///
    /// Failures of attempts begun before the instance was due back do not count: they neither
    /// prolong an ejection nor start the next one, however many were in flight. `settings` are the
    /// breaker's own: its threshold, the first open time and the longest.
    pub fn failed(&mut self, begun: Instant, now: Instant, settings: &Settings) -> bool {
        if self.last.is_some_and(|span| begun < span.until) {
            return false;
        }
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        if self.consecutive_failures < settings.failure_threshold {
            return false;
        }
        let growth = 2u32.saturating_pow(self.ejections);
        let time = settings.open_time.saturating_mul(growth);
        self.ejections = self.ejections.saturating_add(1);
        let until = now.checked_add(time.min(settings.max_open_time));
        self.last = until.map(|until| Span { from: now, until });
        self.last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::testing::BREAKER;

    const SETTINGS: Settings = Settings {
        failure_threshold: 3,
        open_time: Duration::from_secs(60),
        max_open_time: Duration::from_secs(200),
        ..BREAKER
    };

    /// Seconds after an arbitrary start.
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_threshold_ejects_and_a_success_in_between_does_not_count() {
        let at = clock();
        let mut instance = Ejection::default();
        for second in [0, 1] {
            assert!(!instance.failed(at(second), at(second), &SETTINGS));
        }
        instance.succeeded(at(2));
        for second in [3, 4] {
            assert!(!instance.failed(at(second), at(second), &SETTINGS));
        }
        assert_eq!(instance.until(at(4)), None);
        assert!(instance.failed(at(5), at(5), &SETTINGS));
        assert_eq!(instance.until(at(64)), Some(at(65)));
        assert_eq!(instance.until(at(65)), None, "back when its time is over");
    }

    #[test]
    fn each_further_ejection_doubles_up_to_the_maximum_and_a_success_resets() {
        let at = clock();
        let mut instance = Ejection::default();
        let mut now = 0;
        let mut eject = |instance: &mut Ejection| {
            while !instance.failed(at(now), at(now), &SETTINGS) {}
            let due = instance.until(at(now)).unwrap();
            let time = due.duration_since(at(now)).as_secs();
            now += time;
            time
        };
        let times = [(); 5].map(|()| eject(&mut instance));
        assert_eq!(times, [60, 120, 200, 200, 200]);
        instance.succeeded(at(10_000));
        now = 10_000;
        while !instance.failed(at(now), at(now), &SETTINGS) {}
        assert_eq!(instance.until(at(now)), Some(at(now + 60)));
    }

    #[test]
    fn after_its_return_one_failure_is_enough() {
        let at = clock();
        let mut instance = Ejection::default();
        while !instance.failed(at(0), at(0), &SETTINGS) {}
        assert!(instance.failed(at(60), at(61), &SETTINGS));
        assert_eq!(instance.until(at(61)), Some(at(61 + 120)));
    }

    #[test]
    fn late_results_change_nothing() {
        let at = clock();
        let mut instance = Ejection::default();
        while !instance.failed(at(10), at(10), &SETTINGS) {}
        instance.succeeded(at(9));
        assert!(!instance.failed(at(9), at(75), &SETTINGS));
        assert!(!instance.failed(at(69), at(75), &SETTINGS));
        assert_eq!(instance.until(at(11)), Some(at(70)));
    }

    #[test]
    fn a_success_while_ejected_brings_it_back() {
        let at = clock();
        let mut instance = Ejection::default();
        while !instance.failed(at(10), at(10), &SETTINGS) {}
        instance.succeeded(at(11));
        assert_eq!(instance.until(at(12)), None);
        assert!(!instance.failed(at(12), at(12), &SETTINGS), "counts anew");
    }

    #[test]
    fn any_number_of_failures_is_fine() {
        let at = clock();
        let mut instance = Ejection {
            consecutive_failures: u32::MAX,
            ejections: u32::MAX,
            last: None,
        };
        assert!(instance.failed(at(0), at(0), &SETTINGS));
        assert_eq!(instance.until(at(0)), Some(at(200)));
    }
}
