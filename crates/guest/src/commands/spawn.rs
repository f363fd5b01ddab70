//! `Spawn`.

use spec::{GroupName, Nanos, Work};
use wire::{AgentError, Reply};

use crate::agent::Agent;
use crate::error::Failure;
use crate::event_loop::Woken;
use crate::ostime;

/// How long new workers may take to reach their gates. A scheduler that does not let them is a finding of the
/// windows to come, not an error of the spawn.
const ARRIVAL: Nanos = Nanos::from_secs(1);

/// How often it is looked whether they have.
const LOOK: Nanos = Nanos::from_millis(1);

/// Forks the workers and gives them the time to reach their gates.
pub(crate) fn spawn(
    agent: &mut Agent,
    group: &GroupName,
    work: &Work,
    count: u32,
    nice: i8,
) -> Result<Reply, Failure> {
    let directory = agent.places.cgroup.join(group.as_str());
    if !directory.is_dir() {
        return Err(
            AgentError::State(format!("there is no cgroup {group}; make it before its workers")).into(),
        );
    }
    let workers = agent.workers.spawn(group, &directory, work, count, nice)?;
    let until = ostime::after(ostime::now(), ARRIVAL);
    while !agent.workers.all_arrived() && ostime::now() < until {
        if agent.event_loop.sleep(ostime::after(ostime::now(), LOOK))? == Woken::SchedulerEnded {
            continue;
        }
        agent.workers.reap();
    }
    Ok(Reply::Spawned { workers })
}
