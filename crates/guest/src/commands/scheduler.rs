//! `StartScheduler`, `StopScheduler`.

use std::path::Path;

use rustix::process::Signal;
use spec::{ExitStatus, GuestTime, Nanos};
use wire::{AgentError, Reply, SchedulerState};

use crate::agent::Agent;
use crate::desk::Desk;
use crate::error::{Failure, system};
use crate::ostime;
use crate::scheduler::{self, Life, Scheduler};

/// The state of a kernel that runs a sched_ext scheduler (`scx_enable_state_str` in kernel/sched/ext.c).
const ENABLED: &str = "enabled";
/// And of one that runs none.
const DISABLED: &str = "disabled";

/// How often the kernel is asked: it has no file that could be waited for.
const LOOK: Nanos = Nanos::from_millis(10);

/// Starts the program and waits until the kernel has enabled its scheduler.
pub(crate) fn start(agent: &mut Agent, argv: &[String], within: Nanos) -> Result<Reply, Failure> {
    let until = ostime::after(ostime::now(), within);
    let directory = agent.places.sched_ext.clone();
    check_free(&agent.desk, &directory)?;
    let process = agent.desk.launch(argv, within)?;
    let pid = process.pid.as_raw_nonzero().get().cast_unsigned();
    let program = process.program.clone();
    agent.desk.scheduler = Some(Scheduler {
        process,
        life: Life::Attaching,
    });
    loop {
        let kernel = state(&directory)?;
        if let Some(Life::Ended { status, at }) = life(&agent.desk) {
            agent.desk.scheduler = None;
            return Err(AgentError::EndedEarly { program, at, status }.into());
        }
        if let Some(SchedulerState {
            state,
            ops: Some(ops),
        }) = kernel
            && state == ENABLED
        {
            set_life(&mut agent.desk, Life::Attached);
            let at = ostime::now();
            return Ok(Reply::SchedulerAttached { pid, ops, at });
        }
        if ostime::now() >= until {
            agent.desk.kill_scheduler()?;
            agent.desk.scheduler = None;
            let what = "attach".to_owned();
            return Err(AgentError::TimedOut {
                program,
                what,
                within,
            }
            .into());
        }
        look_again(&mut agent.desk, until)?;
    }
}

/// Asks the program to end as a user does, with SIGINT; kills it where it does not.
pub(crate) fn stop(agent: &mut Agent, within: Nanos) -> Result<Reply, Failure> {
    let until = ostime::after(ostime::now(), within);
    let directory = agent.places.sched_ext.clone();
    let status = end(&mut agent.desk, until, within)?;
    // The program's end detaches its scheduler; the kernel may take a moment to switch every task back.
    while state(&directory)?.is_some_and(|kernel| kernel.state != DISABLED) && ostime::now() < until {
        look_again(&mut agent.desk, until)?;
    }
    agent.desk.scheduler = None;
    Ok(Reply::SchedulerStopped { status })
}

fn end(desk: &mut Desk, until: GuestTime, within: Nanos) -> Result<ExitStatus, Failure> {
    let Some(scheduler) = &mut desk.scheduler else {
        return Err(AgentError::State("no scheduler was started".to_owned()).into());
    };
    if let Life::Ended { status, .. } = scheduler.life {
        return Ok(status);
    }
    let program = scheduler.process.program.clone();
    scheduler.life = Life::Asked;
    scheduler.process.signal(Signal::INT);
    if let Some(status) = desk.await_scheduler_end(until)? {
        return Ok(status);
    }
    desk.kill_scheduler()?.ok_or_else(|| {
        let what = "end, not even when it was killed,".to_owned();
        AgentError::TimedOut {
            program,
            what,
            within,
        }
        .into()
    })
}

fn check_free(desk: &Desk, directory: &Path) -> Result<(), AgentError> {
    if matches!(life(desk), Some(Life::Attaching | Life::Attached | Life::Asked)) {
        return Err(AgentError::State(
            "a scheduler's program still runs; stop it before the next one".to_owned(),
        ));
    }
    match state(directory)? {
        None => Err(AgentError::State(
            "this kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT); take another kernel".to_owned(),
        )),
        Some(kernel) if kernel.state == ENABLED => Err(AgentError::State(format!(
            "the kernel runs the scheduler `{}` already; stop it before the next one",
            kernel.ops.unwrap_or_default()
        ))),
        Some(_) => Ok(()),
    }
}

fn state(directory: &Path) -> Result<Option<SchedulerState>, AgentError> {
    scheduler::state(directory).map_err(system("read the state of sched_ext"))
}

fn life(desk: &Desk) -> Option<Life> {
    desk.scheduler.as_ref().map(|scheduler| scheduler.life)
}

fn set_life(desk: &mut Desk, life: Life) {
    if let Some(scheduler) = &mut desk.scheduler {
        scheduler.life = life;
    }
}

fn look_again(desk: &mut Desk, until: GuestTime) -> Result<(), Failure> {
    let next = ostime::after(ostime::now(), LOOK).min(until);
    desk.sleep(next).map(drop)
}
