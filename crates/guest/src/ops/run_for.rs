//! [`RunFor`]: a window.

use spec::op::RunFor;
use spec::{GuestTime, OpOutcome};

use crate::context::Context;
use crate::error::{Failure, system};
use crate::event_loop::Woken;
use crate::proc::Busy;
use crate::{fair, ostime, scheduler};

/// Starts the workers that wait, lets `span` pass, and reports. Ends early if the scheduler's program ends.
pub(super) fn carry_out(op: &RunFor, context: &mut Context) -> Result<OpOutcome, Failure> {
    let span = op.span;
    let busy = Busy::read(&context.places.schedstat).map_err(system("read how long CPUs were busy"))?;
    let starts = context.workers.plan_starts(span);
    let from = context.workers.begin_window();
    let mut woken = Woken::Deadline;
    for start in starts {
        woken = sleep_until(context, ostime::after(from, start.offset))?;
        if woken == Woken::SchedulerEnded {
            break;
        }
        context.workers.start(start.worker, ostime::now());
    }
    if woken != Woken::SchedulerEnded {
        sleep_until(context, ostime::after(from, span))?;
    }
    let to = ostime::now();
    let workers = context.workers.reports(to);
    let sched_ext =
        scheduler::state(&context.places.sched_ext).map_err(system("read the state of sched_ext"))?;
    let cgroup_mode =
        fair::cgroup_mode(&context.places.cgroup_mode).map_err(system("read how cgroups are weighed"))?;
    let idle = match busy {
        Some(busy) => busy
            .idle_since(&context.places.schedstat)
            .map_err(system("read how long CPUs idled"))?,
        None => None,
    };
    Ok(OpOutcome::Ran {
        from,
        to,
        workers,
        sched_ext,
        cgroup_mode,
        idle,
    })
}

fn sleep_until(context: &mut Context, until: GuestTime) -> Result<Woken, Failure> {
    if ostime::now() >= until {
        return Ok(Woken::Deadline);
    }
    context.event_loop.sleep(until)
}

#[cfg(test)]
mod tests {
    use spec::op::{Exec, Spawn};
    use spec::work::Program;
    use spec::{ExitStatus, Nanos, Work, WorkerReport, Workers};
    use wire::{Command, Reply};

    use crate::testing::{PATIENCE, Stage, does, shell};

    use super::*;

    /// A stage with a directory that takes process ids as a cgroup does.
    fn stage() -> Stage {
        let stage = Stage::new();
        stage.write("cgroup/g/cgroup.procs", "");
        stage
    }

    fn spawn(work: Work, count: u32) -> Command {
        spawn_in("g", work, count)
    }

    fn spawn_in(group: &str, work: Work, count: u32) -> Command {
        does(Spawn {
            group: group.parse().unwrap(),
            workers: Workers::new(work, count).nice(1),
        })
    }

    fn run(millis: u64) -> Command {
        does(RunFor {
            span: Nanos::from_millis(millis),
        })
    }

    fn workers(reply: &Reply) -> &[WorkerReport] {
        match reply {
            Ok(OpOutcome::Ran { workers, .. }) => workers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn workers_wait_for_the_window_and_work_in_it() {
        let stage = stage();
        let burst = "burst/5ms/1ms/20%".parse().unwrap();
        let (replies, _) = stage.play([
            Command::Seed { seed: 7 },
            spawn(Work::Spin, 2),
            spawn(burst, 1),
            spawn(Work::PingPong, 2),
            run(500),
            run(500),
        ]);
        let Ok(OpOutcome::Spawned { workers: spawned }) = &replies[1] else {
            panic!("{replies:?}")
        };
        assert_eq!(
            spawned.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(),
            ["g/0", "g/1"]
        );
        for reply in &replies[4..] {
            let workers = workers(reply);
            let comms: Vec<&str> = workers.iter().map(|worker| worker.comm.as_str()).collect();
            assert_eq!(comms, ["g/0", "g/1", "g/2", "g/3", "g/4"]);
            for worker in workers {
                assert!(worker.work_units > 0 && worker.on_cpu > Nanos::ZERO, "{worker:?}");
                assert!(
                    worker.longest_gap.is_some() && !worker.cpus.is_empty(),
                    "{worker:?}"
                );
                assert_eq!(worker.exit, None);
            }
        }
        // Each turn needs the partner's.
        let pair = &workers(&replies[4])[3..];
        let (one, other) = (pair[0].work_units, pair[1].work_units);
        // The two are not read at the same instant, and this host does not stand still.
        assert!(one.abs_diff(other) * 2 <= one.max(other), "{pair:?}");
        let moved = std::fs::read_to_string(stage.directory().join("cgroup/g/cgroup.procs")).unwrap();
        assert!(spawned.iter().all(|(_, pid)| *pid > 0) && !moved.is_empty());
    }

    #[test]
    fn a_worker_that_never_got_to_run_has_one_open_gap() {
        let stage = stage();
        // The process is stopped by its own group's program before its gate opens: no scheduler would do worse.
        let (replies, _) = stage.play([
            spawn(Work::Spin, 1),
            does(Exec {
                argv: shell(&format!(
                    "kill -STOP $(cat {})",
                    stage.path("cgroup/g/cgroup.procs")
                )),
                within: PATIENCE,
            }),
            run(100),
            run(100),
        ]);
        for (reply, at_least) in [(&replies[2], 90), (&replies[3], 190)] {
            let worker = &workers(reply)[0];
            let gap = worker.longest_gap.unwrap();
            assert!(gap.open && gap.span >= Nanos::from_millis(at_least), "{gap:?}");
            assert_eq!((worker.work_units, worker.cpus.len()), (0, 0));
        }
    }

    #[test]
    fn a_program_is_a_worker_too_and_its_end_is_reported_ever_after() {
        let argv = shell("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; exit 3");
        let (replies, _) = stage().play([spawn(Program { argv }.into(), 1), run(2_000), run(10)]);
        for reply in &replies[1..] {
            let worker = &workers(reply)[0];
            assert_eq!(worker.exit, Some(ExitStatus::Code(3)), "{worker:?}");
            assert_eq!((worker.longest_gap, worker.work_units), (None, 0));
        }
        assert!(workers(&replies[1])[0].on_cpu > Nanos::ZERO);
        assert_eq!(workers(&replies[2])[0].on_cpu, Nanos::ZERO);
    }

    #[test]
    fn what_cannot_be_spawned_is_refused_with_the_reason() {
        let check = |command: Command, text: &str| {
            let error = stage().reply(command).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        check(spawn(Work::PingPong, 3), "teams of 2");
        check(spawn(Work::Spin, 1_000_000), "too many");
        let argv = vec!["/no/such".to_owned()];
        check(spawn(Program { argv }.into(), 1), "/no/such");
        check(spawn_in("nowhere", Work::Spin, 1), "no cgroup nowhere");
    }
}
