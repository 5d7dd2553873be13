//! The benchmark, in reading order.
//!
//! - [`options`]: what to run, how long, and the roles
//! - [`stage`]: servers, database and daemon; [`records`]: the extensions in it
//! - [`echo`]: the bare responder; [`extensions`]: what is invoked
//! - [`load`]: requests from a process of their own; [`contest`]: rounds of them; [`cpu`]: what they
//!   cost each process
//! - one file per thing measured: [`startup`], [`memory`], [`throughput`], [`in_process`],
//!   [`visibility`], [`steady`], [`reloads`], [`sync`], [`invoke`], [`isolation`], [`timeouts`]
//! - [`report`]: what was asked beside what was measured; [`machine`]: where
//!
//! Only a wrong answer fails a run. A slow one is reported: figures of a busy machine prove
//! nothing, ratios taken side by side do.

pub(crate) mod contest;
pub(crate) mod cpu;
pub(crate) mod echo;
pub(crate) mod extensions;
pub(crate) mod in_process;
pub(crate) mod invoke;
pub(crate) mod isolation;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod records;
pub(crate) mod redis_server;
pub(crate) mod reloads;
pub(crate) mod report;
pub(crate) mod samples;
pub(crate) mod stage;
pub(crate) mod startup;
pub(crate) mod steady;
pub(crate) mod sync;
pub(crate) mod throughput;
pub(crate) mod timeouts;
pub(crate) mod visibility;

use std::process::ExitCode;

use options::{Options, Part, Role};
use report::Report;
use stage::Stage;
use tokio::runtime;

/// Plays the role that the command line names.
pub(crate) fn main() -> ExitCode {
    match options::role() {
        Role::Echo(echo) => echo::main(&echo),
        Role::Extensions(url) => extensions::main(&url),
        Role::Load(job) => load::main(&job),
        Role::Conduct(options) => {
            let runtime = runtime::Runtime::new().unwrap();
            return runtime.block_on(conduct(&options));
        }
    }
    ExitCode::SUCCESS
}

async fn conduct(options: &Options) -> ExitCode {
    let stage = Stage::set(records::CATALOG).await;
    let mut report = Report::new(machine::describe(&stage).await, options);
    for part in options.parts() {
        eprintln!("bench: {}", part.name());
        match part {
            Part::Startup => startup::measure(&stage, options, &mut report).await,
            Part::Memory => memory::measure(&stage, options, &mut report).await,
            Part::Throughput => throughput::measure(&stage, options, &mut report).await,
            Part::InProcess => in_process::measure(options, &mut report),
            Part::Visibility => visibility::measure(&stage, options, &mut report).await,
            Part::Steady => steady::measure(&stage, options, &mut report).await,
            Part::Reloads => reloads::measure(&stage, options, &mut report).await,
            Part::Sync => sync::measure(&stage, options, &mut report).await,
            Part::Invoke => invoke::measure(&stage, options, &mut report).await,
            Part::Isolation => isolation::measure(&stage, options, &mut report).await,
            Part::Timeouts => timeouts::measure(&stage, options, &mut report).await,
        }
    }
    report.finish()
}
