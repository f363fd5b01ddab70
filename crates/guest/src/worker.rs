//! The worker's process: from the fork to the end of the guest.

use std::num::NonZeroU64;
use std::process::{Stdio, exit};

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::set_current_timer_slack;
use spec::Work;
use workload::{Arena, PingPong, Random, SelfTelemetry, Side, SleepBurst, Spin};

use crate::console;
use crate::launch;

/// The shell's code for a command that could not be executed.
const EXIT_NOT_EXECUTED: i32 = 127;
/// The worker's slot is missing: a defect.
const EXIT_NO_SLOT: i32 = 126;

/// Waits at the gate of slot `index`, then works. `nth` counts the workers of one command; a ping-pong pair
/// lies in two successive slots, an even one and the next. `random` is for work that draws; `None` where it
/// does not ([`Work::is_random`]).
pub(crate) fn main(arena: &Arena, index: usize, nth: u32, work: &Work, random: Option<Random>) -> ! {
    // Both fail for invalid arguments only.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let (side, partner) = match nth % 2 {
        0 => (Side::First, index + 1),
        _ => (Side::Second, index.saturating_sub(1)),
    };
    let (Some(slot), Some(partner)) = (arena.slot(index), arena.slot(partner).or(arena.slot(index))) else {
        exit(EXIT_NO_SLOT)
    };
    let mut telemetry = SelfTelemetry::new(slot);
    match work {
        Work::Spin => perform(&mut Spin::new(), &mut telemetry),
        Work::SleepBurst { sleep, burst, jitter } => {
            let exact = SleepBurst::new(*sleep, *burst);
            let mut work = match random {
                Some(random) => exact.jittered(*jitter, random),
                None => exact,
            };
            perform(&mut work, &mut telemetry)
        }
        Work::PingPong => perform(&mut PingPong::new(side, partner), &mut telemetry),
        Work::Program { argv } => become_program(argv, &mut telemetry),
    }
}

fn perform(work: &mut dyn workload::Work, telemetry: &mut SelfTelemetry<'_>) -> ! {
    // A sleeper is measured from the intended instant of waking on: the kernel's default slack of 50 µs
    // would look like the scheduler's delay.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    telemetry.wait_at_gate();
    loop {
        work.step(telemetry);
    }
}

fn become_program(argv: &[String], telemetry: &mut SelfTelemetry<'_>) -> ! {
    telemetry.wait_at_gate();
    let Err(error) = launch::execute(argv, Stdio::inherit(), Stdio::inherit());
    console::say(&format!("a worker cannot execute {}: {error}", argv.join(" ")));
    exit(EXIT_NOT_EXECUTED)
}
