//! [`StartScheduler`] and [`spec::op::StopScheduler`].

use std::path::Path;

use rustix::process::Signal;
use spec::op::{SchedulerState, StartScheduler};
use spec::{ExitStatus, GuestTime, Nanos, OpError, OpOutcome};
use wire::Notice;

use crate::context::Context;
use crate::error::{Failure, system};
use crate::event_loop::EventLoop;
use crate::ostime;
use crate::scheduler::{self, Life, Scheduler};

/// The state of a kernel that runs a sched_ext scheduler (`scx_enable_state_str` in kernel/sched/ext.c).
const ENABLED: &str = "enabled";
/// The state of one that runs none.
const DISABLED: &str = "disabled";

/// How often the kernel is asked: it has no file that could be waited for.
const LOOK: Nanos = Nanos::from_millis(10);

/// How often the programs are counted that it has loaded.
const COUNT: Nanos = Nanos::from_millis(500);

/// Starts the program and waits until the kernel has enabled its scheduler. `within` is how long it may take from one BPF program
/// to the next: large ones take long to verify, and there can be many.
pub(super) fn start(op: &StartScheduler, within: Nanos, context: &mut Context) -> Result<OpOutcome, Failure> {
    let mut until = ostime::after(ostime::now(), within);
    let directory = context.places.sched_ext.clone();
    check_free(&context.event_loop, &directory)?;
    let process = context.event_loop.launch(&op.argv, within)?;
    let pid = process.pid.as_raw_nonzero().get().cast_unsigned();
    let program = process.program.clone();
    context.event_loop.scheduler = Some(Scheduler {
        process,
        life: Life::Attaching,
    });
    let (mut loaded, mut count_at) = (0, ostime::after(ostime::now(), COUNT));
    loop {
        let kernel = state(&directory)?;
        if let Some(Life::Ended { status, at }) = life(&context.event_loop) {
            context.event_loop.scheduler = None;
            return Err(OpError::EndedEarly { program, at, status }.into());
        }
        if let Some(SchedulerState {
            state,
            ops: Some(ops),
            enable_seq,
        }) = kernel
            && state == ENABLED
        {
            set_life(&mut context.event_loop, Life::Attached);
            let at = ostime::now();
            return Ok(OpOutcome::Attached {
                pid,
                ops,
                at,
                enable_seq,
            });
        }
        let now = ostime::now();
        if now >= count_at {
            count_at = ostime::after(now, COUNT);
            let programs = scheduler::loaded_programs(pid);
            if programs > loaded {
                loaded = programs;
                until = ostime::after(now, within);
                context
                    .event_loop
                    .notice(Notice::SchedulerLoads { at: now, programs })?;
            }
        }
        if now >= until {
            context.event_loop.kill_scheduler()?;
            context.event_loop.scheduler = None;
            let what = match loaded {
                0 => "attach".to_owned(),
                loaded => format!("attach, nor load another BPF program after the first {loaded},"),
            };
            return Err(OpError::TimedOut {
                program,
                what,
                within,
            }
            .into());
        }
        look_again(&mut context.event_loop, until)?;
    }
}

/// Asks the program to end as a user does, with SIGINT; kills it where it does not.
pub(super) fn stop(within: Nanos, context: &mut Context) -> Result<OpOutcome, Failure> {
    let until = ostime::after(ostime::now(), within);
    let directory = context.places.sched_ext.clone();
    let status = end(&mut context.event_loop, until, within)?;
    // The program's end detaches its scheduler; the kernel may take a moment to switch every task back.
    while state(&directory)?.is_some_and(|kernel| kernel.state != DISABLED) && ostime::now() < until {
        look_again(&mut context.event_loop, until)?;
    }
    context.event_loop.scheduler = None;
    Ok(OpOutcome::Stopped { status })
}

fn end(event_loop: &mut EventLoop, until: GuestTime, within: Nanos) -> Result<ExitStatus, Failure> {
    let Some(scheduler) = &mut event_loop.scheduler else {
        return Err(OpError::State("no scheduler was started".to_owned()).into());
    };
    if let Life::Ended { status, .. } = scheduler.life {
        return Ok(status);
    }
    let program = scheduler.process.program.clone();
    scheduler.life = Life::Asked;
    scheduler.process.signal(Signal::INT);
    if let Some(status) = event_loop.await_scheduler_end(until)? {
        return Ok(status);
    }
    event_loop.kill_scheduler()?.ok_or_else(|| {
        let what = "end, not even when it was killed,".to_owned();
        OpError::TimedOut {
            program,
            what,
            within,
        }
        .into()
    })
}

fn check_free(event_loop: &EventLoop, directory: &Path) -> Result<(), OpError> {
    if matches!(
        life(event_loop),
        Some(Life::Attaching | Life::Attached | Life::Asked)
    ) {
        return Err(OpError::State(
            "a scheduler's program still runs; stop it before the next one".to_owned(),
        ));
    }
    match state(directory)? {
        None => Err(OpError::State(
            "this kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT); take another kernel".to_owned(),
        )),
        Some(kernel) if kernel.state == ENABLED => Err(OpError::State(format!(
            "the kernel runs the scheduler `{}` already; stop it before the next one",
            kernel.ops.unwrap_or_default()
        ))),
        Some(_) => Ok(()),
    }
}

fn state(directory: &Path) -> Result<Option<SchedulerState>, OpError> {
    scheduler::state(directory).map_err(system("read the state of sched_ext"))
}

fn life(event_loop: &EventLoop) -> Option<Life> {
    event_loop.scheduler.as_ref().map(|scheduler| scheduler.life)
}

fn set_life(event_loop: &mut EventLoop, life: Life) {
    if let Some(scheduler) = &mut event_loop.scheduler {
        scheduler.life = life;
    }
}

fn look_again(event_loop: &mut EventLoop, until: GuestTime) -> Result<(), Failure> {
    let next = ostime::after(ostime::now(), LOOK).min(until);
    event_loop.sleep(next).map(drop)
}

#[cfg(test)]
mod tests {
    use spec::op::{RunFor, StopScheduler};
    use wire::Command;

    use super::*;
    use crate::testing::{PATIENCE, Stage, does, does_within, shell};

    /// Attaches, as far as the stage's kernel tells, writes, and does `then`.
    fn scheduler(stage: &Stage, then: &str) -> Vec<String> {
        let at = stage.path("sched_ext");
        shell(&format!(
            "detach() {{ echo disabled >{at}/state; rm -r {at}/root; }}
             echo hello; mkdir {at}/root; echo baton >{at}/root/ops; echo enabled >{at}/state; {then}"
        ))
    }

    fn stage() -> Stage {
        let stage = Stage::new();
        stage.write("sched_ext/state", "disabled\n");
        stage
    }

    fn start(argv: Vec<String>) -> Command {
        does(StartScheduler { argv })
    }

    fn stop(within: Nanos) -> Command {
        does_within(StopScheduler, within)
    }

    fn log(notices: &[Notice]) -> String {
        let text = |notice: &Notice| match notice {
            Notice::SchedulerLog { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            Notice::SchedulerExited { status, asked, .. } => format!("[{status}, asked: {asked}]\n"),
            Notice::FileChunk { .. } => panic!("no file was asked for"),
            Notice::SchedulerLoads { .. } => panic!("a shell loads no BPF program"),
        };
        notices.iter().map(text).collect()
    }

    #[test]
    fn a_scheduler_attaches_runs_and_ends_when_it_is_asked() {
        let stage = stage();
        let argv = scheduler(
            &stage,
            "trap 'detach; echo bye; exit 3' INT; while :; do sleep 0.01; done",
        );
        let span = Nanos::from_millis(50);
        let (replies, notices) = stage.play([
            start(argv.clone()),
            does(RunFor { span }),
            start(argv),
            stop(PATIENCE),
            stop(PATIENCE),
        ]);
        assert!(
            matches!(&replies[0], Ok(OpOutcome::Attached { ops, .. }) if ops == "baton"),
            "{replies:?}"
        );
        let expect = SchedulerState {
            state: "enabled".to_owned(),
            ops: Some("baton".to_owned()),
            enable_seq: None,
        };
        assert!(
            matches!(&replies[1], Ok(OpOutcome::Ran { sched_ext: Some(state), .. }) if *state == expect),
            "{replies:?}"
        );
        assert!(matches!(&replies[2], Err(OpError::State(text)) if text.contains("still runs")));
        let status = ExitStatus::Code(3);
        assert_eq!(replies[3], Ok(OpOutcome::Stopped { status }));
        assert!(matches!(&replies[4], Err(OpError::State(_))));
        assert_eq!(log(&notices), "hello\nbye\n[exit code 3, asked: true]\n");
    }

    #[test]
    fn a_window_ends_with_the_schedulers_program() {
        let stage = stage();
        let argv = scheduler(&stage, "sleep 0.3; echo error >&2; detach; exit 1");
        let (replies, notices) = stage.play([start(argv), does(RunFor { span: PATIENCE }), stop(PATIENCE)]);
        let Ok(OpOutcome::Ran { from, to, .. }) = &replies[1] else {
            panic!("{replies:?}")
        };
        assert!(to.since(*from) < PATIENCE);
        let status = ExitStatus::Code(1);
        assert_eq!(replies[2], Ok(OpOutcome::Stopped { status }));
        assert_eq!(log(&notices), "hello\nerror\n[exit code 1, asked: false]\n");
    }

    #[test]
    fn a_program_that_ends_before_it_attaches_is_reported_after_its_log() {
        let stage = stage();
        let (replies, notices) = stage.play([start(shell("echo no such flag >&2; exit 2"))]);
        assert!(
            matches!(
                replies[0],
                Err(OpError::EndedEarly {
                    status: ExitStatus::Code(2),
                    ..
                })
            ),
            "{replies:?}"
        );
        assert_eq!(log(&notices), "no such flag\n");
    }

    #[test]
    fn a_program_that_never_attaches_is_ended() {
        let stage = stage();
        let attach_within = Nanos::from_millis(100);
        let argv = shell("trap '' INT TERM; while :; do sleep 1; done");
        let (replies, _) = stage.play([
            does_within(StartScheduler { argv }, attach_within),
            start(shell("exit 0")),
        ]);
        let error = replies[0].clone().unwrap_err().to_string();
        assert_eq!(error, "/bin/sh did not attach within 100ms");
        assert!(matches!(replies[1], Err(OpError::EndedEarly { .. })));
    }

    #[test]
    fn a_scheduler_that_does_not_end_is_killed() {
        let stage = stage();
        let argv = scheduler(&stage, "trap '' INT; while :; do sleep 1; done");
        let (replies, _) = stage.play([start(argv), stop(Nanos::from_millis(100))]);
        let status = ExitStatus::Signal(9);
        assert_eq!(replies[1], Ok(OpOutcome::Stopped { status }));
    }

    #[test]
    fn a_scheduler_that_writes_without_end_stops_no_window() {
        let stage = stage();
        let argv = scheduler(
            &stage,
            "trap 'exit 0' INT; while :; do echo yyyyyyyyyyyyyyyy; done",
        );
        let span = Nanos::from_millis(200);
        let (replies, notices) =
            stage.play([start(argv), does(RunFor { span }), stop(Nanos::from_millis(500))]);
        let Ok(OpOutcome::Ran { from, to, .. }) = &replies[1] else {
            panic!("{replies:?}")
        };
        assert!(to.since(*from) >= span && to.since(*from) < PATIENCE);
        assert!(notices.len() > 10);
    }

    #[test]
    fn kernels_without_sched_ext_and_kernels_in_use_refuse() {
        let check = |stage: &Stage, text: &str| {
            let error = stage.reply(start(shell("exit 0"))).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        check(&Stage::new(), "CONFIG_SCHED_CLASS_EXT");
        let busy = Stage::new();
        busy.write("sched_ext/state", "enabled\n");
        busy.write("sched_ext/root/ops", "other\n");
        check(&busy, "`other`");
    }
}
