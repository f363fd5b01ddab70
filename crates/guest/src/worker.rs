//! The worker's process: from the fork to the end of the guest.

use std::num::NonZeroU64;
use std::process::{Stdio, exit};

use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::set_current_timer_slack;
use spec::Work;
use workload::{Behaviour, Random, SelfTelemetry, Steps, Team};

use crate::console;
use crate::launch;

/// The shell's code for a command that could not be executed.
const EXIT_NOT_EXECUTED: i32 = 127;
/// The worker's slots are missing: a defect.
const EXIT_NO_SLOT: i32 = 126;

/// Waits at its gate, then performs `work` as a member of `team`; `random` is for work that draws
/// ([`Work::is_random`]).
pub(crate) fn main(team: Option<Team<'_>>, work: &Work, random: Option<Random>) -> ! {
    // It fails for an invalid signal only.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let (Some(team), Some(behaviour)) = (
        team,
        team.and_then(|team| workload::behaviour(work, team, random)),
    ) else {
        exit(EXIT_NO_SLOT)
    };
    let mut telemetry = SelfTelemetry::new(team.slot());
    match behaviour {
        Behaviour::Steps(mut steps) => perform(&mut *steps, &mut telemetry),
        Behaviour::Execute(argv) => become_program(argv, &mut telemetry),
    }
}

fn perform(steps: &mut dyn Steps, telemetry: &mut SelfTelemetry<'_>) -> ! {
    // A sleeper is measured from the intended instant of waking on: the kernel's default slack of 50 µs
    // would look like the scheduler's delay.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    telemetry.wait_at_gate();
    loop {
        steps.step(telemetry);
    }
}

fn become_program(argv: &[String], telemetry: &mut SelfTelemetry<'_>) -> ! {
    // Its descendants are known by this session. It fails only for the leader of a group, which a fresh child is not.
    let _ = setsid();
    telemetry.wait_at_gate();
    let Err(error) = launch::execute(argv, Stdio::inherit(), Stdio::inherit());
    console::say(&format!("a worker cannot execute {}: {error}", argv.join(" ")));
    exit(EXIT_NOT_EXECUTED)
}
