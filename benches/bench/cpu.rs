//! What processes cost: their time on a CPU, from `/proc/<pid>/stat`.

use std::time::Duration;

/// Clock ticks a second: the unit of `/proc`, the same on every Linux.
const TICKS: u32 = 100;

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    pid: u32,
}

impl Watched {
    /// Looks at the process `pid`.
    pub(crate) fn new(name: &'static str, pid: u32) -> Self {
        Self { name, pid }
    }

    /// What it has used so far, in user and system mode.
    pub(crate) fn used(self) -> Duration {
        used(&self.pid.to_string())
    }
}

/// What this process has used so far.
pub(crate) fn own() -> Duration {
    used("self")
}

fn used(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field, the name in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u32>().unwrap();
    Duration::from_secs(1) * (ticks(11) + ticks(12)) / TICKS
}
