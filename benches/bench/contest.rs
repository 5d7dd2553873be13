//! Contestants that take turns, in every round and at every level, so that whatever else the
//! machine does hits them alike.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::cpu::Watched;
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
pub(crate) struct Outcomes {
    of: BTreeMap<(&'static str, usize), Vec<Outcome>>,
    /// Microseconds of CPU an id, of each process looked at.
    cpu: BTreeMap<(&'static str, usize, &'static str), Vec<f64>>,
    watched: Vec<Watched>,
}

/// Runs all rounds, and looks at what `watched` cost.
pub(crate) async fn run(
    contestants: &[Contestant],
    watched: Vec<Watched>,
    options: &Options,
    report: &mut Report,
) -> Outcomes {
    let mut outcomes = Outcomes {
        of: BTreeMap::new(),
        cpu: BTreeMap::new(),
        watched,
    };
    for round in 0..options.rounds {
        for level in LEVELS {
            let mut order: Vec<_> = contestants.iter().collect();
            // Whoever comes first finds the caches of the one before.
            if round % 2 == 1 {
                order.reverse();
            }
            for (name, target) in order {
                let job = job(target.clone(), level, options);
                let before: Vec<_> = outcomes.watched.iter().map(|it| it.used()).collect();
                let outcome = load::run(&job).await;
                outcome.assert_right(report, &format!("{name}, {level} in flight"));
                for (watched, before) in outcomes.watched.iter().zip(before) {
                    let cost = job.per_id(&outcome, watched.used() - before);
                    let key = (*name, level, watched.name);
                    outcomes.cpu.entry(key).or_default().push(cost);
                }
                outcomes.of.entry((name, level)).or_default().push(outcome);
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
        let rounds = self.of[&(ours, level)]
            .iter()
            .zip(&self.of[&(rival, level)]);
        median(rounds.map(|(ours, rival)| figure(ours) / figure(rival)))
    }

    /// The median of what an id of `contestant` cost the process `watched`, in microseconds of CPU.
    pub(crate) fn cpu_us(
        &self,
        contestant: &'static str,
        level: usize,
        watched: &'static str,
    ) -> f64 {
        median(self.cpu[&(contestant, level, watched)].iter().copied())
    }

    /// Shows the medians as a table, and keeps every round under `name` for the JSON.
    pub(crate) fn tell(&self, contestants: &[Contestant], name: &str, report: &mut Report) {
        let mut header = vec!["", "in flight", "a second", "p50 us", "p99 us"];
        let cpu = self.watched.iter().map(|watched| watched.name);
        header.extend(cpu.chain(["load"]));
        let mut shown = table(&header);
        let mut raw = Vec::new();
        for (name, _) in contestants {
            for level in LEVELS {
                let rounds = &self.of[&(*name, level)];
                let of = |figure: fn(&Outcome) -> f64| median(rounds.iter().map(figure));
                let mut row = vec![
                    (*name).to_owned(),
                    level.to_string(),
                    number(of(|o| o.per_second).round()),
                    number(of(|o| o.p50_us)),
                    number(of(|o| o.p99_us)),
                ];
                let cpu = self.watched.iter();
                row.extend(cpu.map(|watched| number(self.cpu_us(name, level, watched.name))));
                row.push(number(of(|o| o.cpu_us)));
                shown.add_row(row);
                raw.push(json!({ "name": name, "in_flight": level, "rounds": rounds }));
            }
        }
        let title = format!("{name}: medians over the rounds; us of CPU an id by process");
        report.table(title, shown);
        report.raw(name, raw.into());
    }
}
