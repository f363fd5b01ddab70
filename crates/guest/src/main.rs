//! The agent: PID 1 of the guest, a static program, the same for all tests.
//!
//! It boots the guest's user space, says hello, and then carries out the host's commands one by one; most are ops
//! ([`ops`]), which know nothing of the loop that calls them. Its only way to talk is the *call* ([`door`]): the machine stands still from the request until the answer, so
//! between two commands no guest time passes.
//!
//! ```text
//! main ── boot ──► Agent::serve ── Command ──► ops/*  ──►  Reply
//!                     │                         │
//!                     └──────── Context ────────┘
//!                                  ├─ EventLoop: door + scheduler, the only sleeper
//!                                  └─ Workers: one process each, one shared slot each
//! ```
//!
//! One thread, SCHED_FIFO, no signals: everything that can happen is a file descriptor (pipes, pidfds) or a
//! deadline, and [`event_loop::EventLoop::wait`] is the one place that sleeps. Time is the guest's `CLOCK_MONOTONIC`.

mod agent;
mod asking;
mod boot;
mod console;
mod context;
mod door;
mod entropy;
mod error;
mod event_loop;
mod fair;
mod fork;
mod launch;
mod ops;
mod ostime;
mod plan;
mod proc;
mod scheduler;
#[cfg(test)]
mod testing;
mod warm_up;
mod worker;
mod workers;

use std::convert::Infallible;
use std::process::ExitCode;

use crate::agent::Agent;
use crate::context::{Context, Places};

fn main() -> ExitCode {
    if !rustix::process::getpid().is_init() {
        return asking::main(std::env::args().skip(1));
    }
    console::report_panics();
    let Err(reason) = run();
    console::say(&reason);
    power_off()
}

/// From boot until the machine ends, which the agent does not live to see; or why it ended otherwise.
fn run() -> Result<Infallible, String> {
    let door = boot::up().map_err(|error| console::chain(&error))?;
    let context = Context::new(door, Places::default());
    let context = context.map_err(|error| format!("map the workers' memory: {error}"))?;
    Agent::new(context)
        .serve()
        .map_err(|error| console::chain(&error))
}

fn power_off() -> ExitCode {
    rustix::fs::sync();
    let error = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    console::say(&format!("power off: {error:?}"));
    // PID 1 ends: the kernel panics, which ends the machine too.
    ExitCode::FAILURE
}
