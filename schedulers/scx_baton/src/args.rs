// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line, and the BPF program's parameters that follow from it.

use std::time::Duration;

use clap::Parser;

/// `ops.flags`: call `ops.enqueue` also for a task that would otherwise stay on its CPU because no other is runnable
/// (`SCX_OPS_ENQ_LAST`).
const SCX_OPS_ENQ_LAST: u64 = 1 << 1;

/// The kernel's upper bound for `ops.timeout_ms` (`SCX_WATCHDOG_MAX_TIMEOUT`, 30 s).
const MAX_TIMEOUT_MS: i64 = 30_000;

/// A small sched_ext scheduler: one queue for the machine, ordered by weighted virtual time.
///
/// Runs until SIGINT or SIGTERM (status 0), or until the kernel ends it (status 1 if that was an error).
/// Kernel threads, PID 1 and scx_baton itself are exempt from all misbehaviour, so that a test rig stays alive.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Time slice in microseconds; the kernel ends it at the next tick
    #[arg(long, value_name = "US", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    slice_us: u64,

    /// Let the kernel's watchdog end the scheduler when a runnable task has not run for this long
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_MS))]
    timeout_ms: u32,

    /// Print the counters to standard output at this interval
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    stats_every: Option<u64>,

    /// Misbehave: treat all tasks as nice 0
    #[arg(long, help_heading = "Misbehaviour")]
    ignore_weight: bool,

    /// Misbehave: never dispatch every N-th task that is not exempt, counted in the order of initialisation: tasks that
    /// exist at attach first, oldest first, then each new one
    #[arg(long, value_name = "N", help_heading = "Misbehaviour", value_parser = clap::value_parser!(u32).range(1..))]
    starve_nth: Option<u32>,

    /// Misbehave: stop dispatching this long after attach
    #[arg(long, value_name = "MS", help_heading = "Misbehaviour", value_parser = clap::value_parser!(u64).range(1..=MAX_DELAY_MS))]
    stall_after: Option<u64>,

    /// Misbehave: report an error to the kernel this long after attach, as soon as a task that is not exempt runs
    #[arg(long, value_name = "MS", help_heading = "Misbehaviour", value_parser = clap::value_parser!(u64).range(1..=MAX_DELAY_MS))]
    error_after: Option<u64>,

    /// Misbehave: report an error to the kernel while the scheduler is started
    #[arg(long, help_heading = "Misbehaviour")]
    error_at_init: bool,
}

/// A day: far beyond any test, and without overflow in nanoseconds.
const MAX_DELAY_MS: u64 = 86_400_000;

/// The values of the BPF program's `const volatile` variables and `sched_ext_ops` members; 0 is off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Knobs {
    pub(crate) slice_ns: u64,
    pub(crate) ignore_weight: bool,
    pub(crate) starve_nth: u32,
    pub(crate) stall_after_ns: u64,
    pub(crate) error_after_ns: u64,
    pub(crate) error_at_init: bool,
    pub(crate) ops_flags: u64,
    pub(crate) ops_timeout_ms: u32,
}

impl Args {
    pub(crate) fn knobs(&self) -> Knobs {
        // Without competition the kernel lets a task run on without calling ops. A starved task must not profit from that.
        let withholds = self.starve_nth.is_some() || self.stall_after.is_some();
        Knobs {
            slice_ns: self.slice_us * 1_000,
            ignore_weight: self.ignore_weight,
            starve_nth: self.starve_nth.unwrap_or(0),
            stall_after_ns: ms_to_ns(self.stall_after),
            error_after_ns: ms_to_ns(self.error_after),
            error_at_init: self.error_at_init,
            ops_flags: if withholds { SCX_OPS_ENQ_LAST } else { 0 },
            ops_timeout_ms: self.timeout_ms,
        }
    }

    pub(crate) fn stats_every(&self) -> Option<Duration> {
        self.stats_every.map(Duration::from_millis)
    }
}

fn ms_to_ns(ms: Option<u64>) -> u64 {
    ms.unwrap_or(0) * 1_000_000
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"scx_baton").chain(args))
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_switches_nothing_misbehaves() {
        let args = parse(&[]).unwrap();
        assert_eq!(
            args.knobs(),
            Knobs {
                slice_ns: 5_000_000,
                ignore_weight: false,
                starve_nth: 0,
                stall_after_ns: 0,
                error_after_ns: 0,
                error_at_init: false,
                ops_flags: 0,
                ops_timeout_ms: 5_000,
            }
        );
        assert_eq!(args.stats_every(), None);
    }

    #[test]
    fn delays_become_nanoseconds() {
        let knobs = parse(&["--stall-after", "1500", "--error-after", "86400000"])
            .unwrap()
            .knobs();
        assert_eq!(
            (knobs.stall_after_ns, knobs.error_after_ns),
            (1_500_000_000, 86_400_000_000_000)
        );
    }

    #[test]
    fn withholding_tasks_asks_for_the_last_one_too() {
        for (args, flags) in [
            (&["--starve-nth", "3"], SCX_OPS_ENQ_LAST),
            (&["--stall-after", "3"], SCX_OPS_ENQ_LAST),
            (&["--error-after", "3"], 0),
        ] {
            assert_eq!(parse(args).unwrap().knobs().ops_flags, flags, "{args:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for args in [
            ["--timeout-ms", "0"],
            ["--timeout-ms", "30001"],
            ["--starve-nth", "0"],
            ["--stall-after", "0"],
            ["--error-after", "86400001"],
            ["--slice-us", "99"],
            ["--stats-every", "0"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }
}
