//! The warm-up: what every run does, done once before any of them begins.
//!
//! A machine is duplicated for each run together with the code that its emulator has translated. So the emulator is shown
//! here what comes in every run: groups and workers of each kind are made, work for a moment and are gone, and the agent
//! takes all its measures of them. Nothing of it is left but what a kernel remembers of processes that ended.

use std::fs;

use spec::op::{MakeCgroup, RunFor, SchedulerState, Spawn};
use spec::{CgroupSpec, GroupName, Nanos, Op, OpError, OpOutcome, Weight, Work, Workers};
use wire::{Answer, Command, Request};

use crate::context::Context;
use crate::entropy;
use crate::error::{Failure, system};
use crate::{ops, ostime, scheduler, workers};

/// The group that is made and removed again.
const GROUP: &str = "warm-up";

/// How long workers may take to be gone. A scheduler under test may be in their way.
const ENDING: Nanos = Nanos::from_secs(2);

/// The kernel frees what is left of a group and its processes within this time: some RCU grace periods, one after the other.
const SETTLING: Nanos = Nanos::from_millis(150);

/// How often it is done: what the kernel has put off in one round comes in the next.
const ROUNDS: u32 = 2;

/// Has workers work for `span`. An error where a scheduler does not let them, or is not the same afterwards.
pub(crate) fn carry_out(span: Nanos, context: &mut Context) -> Result<OpOutcome, Failure> {
    let before = scheduler_state(context)?;
    // A run does so with its own seed, first of all.
    if let Some(random) = &context.places.random {
        entropy::seed(random, 0)?;
    }
    for _ in 0..ROUNDS {
        // They share nothing with the workers of the run, which count from the first.
        let fresh = workers::Workers::new().map_err(system("map the memory of the warm-up's workers"))?;
        let own = std::mem::replace(&mut context.workers, fresh);
        let worked = work(span, context);
        let cleaned = clean(context);
        context.workers = own;
        worked.and(cleaned)?;
    }
    if scheduler_state(context)? != before {
        return Err(OpError::State("the scheduler did not stand the warm-up".to_owned()).into());
    }
    Ok(OpOutcome::Done)
}

fn scheduler_state(context: &Context) -> Result<Option<SchedulerState>, OpError> {
    scheduler::state(&context.places.sched_ext).map_err(system("read the state of sched_ext"))
}

fn work(span: Nanos, context: &mut Context) -> Result<(), Failure> {
    let group = group()?;
    let cpus = rustix::thread::sched_getaffinity(None).map_or(1, |cpus| cpus.count());
    let spec = CgroupSpec {
        name: group.clone(),
        cpus: None,
        weight: Weight::default(),
    };
    carry_out_op(MakeCgroup { group: spec }, span, context)?;
    for (work, count) in [("spin", cpus), ("burst", 2), ("pingpong", 2), ("yield", 1)] {
        let work: Work = work
            .parse()
            .map_err(|error: spec::WorkError| OpError::State(error.to_string()))?;
        let workers = Workers::new(work, count);
        let group = group.clone();
        carry_out_op(Spawn { group, workers }, span, context)?;
        if !context.workers.all_arrived() {
            return Err(OpError::State("the workers of the warm-up do not start".to_owned()).into());
        }
    }
    carry_out_op(RunFor { span }, span, context)
}

/// As it is in a run: the command is decoded, the reply is encoded.
fn carry_out_op(op: impl Into<Op>, within: Nanos, context: &mut Context) -> Result<(), Failure> {
    let unsaid = system("encode what the warm-up says");
    let op = op.into();
    let command = Answer::Command(Command::Do { op, within }).encode();
    let Ok(Answer::Command(Command::Do { op, within })) = command.and_then(|frame| Answer::decode(&frame))
    else {
        return Err(unsaid(std::io::ErrorKind::InvalidData.into()).into());
    };
    let reply = Ok(ops::carry_out(&op, within, context)?);
    let at = ostime::now();
    Request::Reply { at, reply }
        .encode()
        .map_err(|error| unsaid(std::io::Error::other(error)))?;
    Ok(())
}

fn clean(context: &mut Context) -> Result<(), Failure> {
    context.workers.kill();
    let until = ostime::after(ostime::now(), ENDING);
    while !context.workers.all_ended() {
        if ostime::now() >= until {
            return Err(OpError::State("the workers of the warm-up do not end".to_owned()).into());
        }
        context
            .event_loop
            .sleep(ostime::after(ostime::now(), Nanos::from_millis(1)))?;
        context.workers.reap();
    }
    let directory = context.places.cgroup.join(GROUP);
    fs::remove_dir(directory).map_err(system("remove the cgroup of the warm-up"))?;
    context.event_loop.sleep(ostime::after(ostime::now(), SETTLING))?;
    Ok(())
}

fn group() -> Result<GroupName, OpError> {
    GROUP
        .parse()
        .map_err(|error: spec::GroupNameError| OpError::State(error.to_string()))
}
