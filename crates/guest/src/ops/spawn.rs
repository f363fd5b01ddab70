//! [`Spawn`].

use spec::op::Spawn;
use spec::{Nanos, OpError, OpOutcome};

use crate::context::Context;
use crate::error::Failure;
use crate::event_loop::Woken;
use crate::ostime;

/// How long new workers may take to reach their gates. A scheduler that does not let them is a finding of the
/// windows to come, not an error of the spawn.
const ARRIVAL: Nanos = Nanos::from_secs(1);

/// How often the agent looks whether they have.
const LOOK: Nanos = Nanos::from_millis(1);

/// Forks the workers and gives them the time to reach their gates.
pub(super) fn carry_out(op: &Spawn, context: &mut Context) -> Result<OpOutcome, Failure> {
    let Spawn { group, workers } = op;
    let directory = context.places.cgroup.join(group.as_str());
    if !directory.is_dir() {
        return Err(OpError::State(format!("there is no cgroup {group}; make it before its workers")).into());
    }
    let workers = context.workers.spawn(group, &directory, workers)?;
    let until = ostime::after(ostime::now(), ARRIVAL);
    while !context.workers.all_arrived() && ostime::now() < until {
        if context.event_loop.sleep(ostime::after(ostime::now(), LOOK))? == Woken::SchedulerEnded {
            continue;
        }
        context.workers.reap();
    }
    Ok(OpOutcome::Spawned { workers })
}
