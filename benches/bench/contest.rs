//! Contestants that take turns, in every round and at every level, so that whatever else the
//! machine does hits them alike.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::load::{self, Job, Outcome, Pace, Target};
use super::options::Options;
use super::records;
use super::report::{Report, number, table};
use super::samples::median;

/// Requests in flight.
pub(crate) const LEVELS: [usize; 4] = [1, 16, 64, 256];

/// A name and who answers under it.
pub(crate) type Contestant = (&'static str, Target);

/// What was measured, by contestant and level, in the order of the rounds.
pub(crate) struct Outcomes(BTreeMap<(&'static str, usize), Vec<Outcome>>);

/// Runs all rounds.
pub(crate) async fn run(
    contestants: &[Contestant],
    options: &Options,
    report: &mut Report,
) -> Outcomes {
    let mut outcomes = Outcomes(BTreeMap::new());
    for round in 0..options.rounds {
        for level in LEVELS {
            let mut order: Vec<_> = contestants.iter().collect();
            // Whoever comes first finds the caches of the one before.
            if round % 2 == 1 {
                order.reverse();
            }
            for (name, target) in order {
                let outcome = load::run(&job(target.clone(), level, options)).await;
                outcome.assert_right(report, &format!("{name}, {level} in flight"));
                outcomes.0.entry((name, level)).or_default().push(outcome);
            }
        }
        eprintln!("  round {} of {}", round + 1, options.rounds);
    }
    outcomes
}

fn job(target: Target, in_flight: usize, options: &Options) -> Job {
    Job {
        target,
        pace: Pace::InFlight(in_flight),
        warm_up: options.step.min(Duration::from_millis(500)),
        duration: options.step,
        extensions: records::CATALOG,
    }
}

impl Outcomes {
    /// The median over the rounds of one contestant's figure divided by its rival's of that round.
    pub(crate) fn ratio(
        &self,
        (ours, rival): (&'static str, &'static str),
        level: usize,
        figure: fn(&Outcome) -> f64,
    ) -> f64 {
        let rounds = self.0[&(ours, level)].iter().zip(&self.0[&(rival, level)]);
        median(rounds.map(|(ours, rival)| figure(ours) / figure(rival)))
    }

    /// Shows the medians as a table, and keeps every round under `name` for the JSON.
    pub(crate) fn tell(&self, contestants: &[Contestant], name: &str, report: &mut Report) {
        let mut shown = table(&["", "in flight", "a second", "p50 us", "p99 us"]);
        let mut raw = Vec::new();
        for (name, _) in contestants {
            for level in LEVELS {
                let rounds = &self.0[&(*name, level)];
                let of = |figure: fn(&Outcome) -> f64| median(rounds.iter().map(figure));
                shown.add_row([
                    (*name).to_owned(),
                    level.to_string(),
                    number(of(|o| o.per_second).round()),
                    number(of(|o| o.p50_us)),
                    number(of(|o| o.p99_us)),
                ]);
                raw.push(json!({ "name": name, "in_flight": level, "rounds": rounds }));
            }
        }
        report.table(format!("{name}: medians over the rounds"), shown);
        report.raw(name, raw.into());
    }
}
