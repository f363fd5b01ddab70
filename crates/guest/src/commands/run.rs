//! `RunFor`: a window.

use spec::{GuestTime, Nanos};
use wire::Reply;

use crate::agent::Agent;
use crate::desk::Woken;
use crate::error::{Failure, system};
use crate::{ostime, scheduler};

/// Starts who waits, lets `span` pass, and reports. Ends early if the scheduler's program ends.
pub(crate) fn run_for(agent: &mut Agent, span: Nanos) -> Result<Reply, Failure> {
    let starts = agent.crew.plan_starts(span);
    let from = agent.crew.begin_window();
    let mut woken = Woken::Deadline;
    for start in starts {
        woken = sleep_until(agent, ostime::after(from, start.offset))?;
        if woken == Woken::SchedulerEnded {
            break;
        }
        agent.crew.start(start.worker, ostime::now());
    }
    if woken != Woken::SchedulerEnded {
        sleep_until(agent, ostime::after(from, span))?;
    }
    let to = ostime::now();
    let workers = agent.crew.reports(to);
    let sched_ext =
        scheduler::state(&agent.places.sched_ext).map_err(system("read the state of sched_ext"))?;
    Ok(Reply::Ran {
        from,
        to,
        workers,
        sched_ext,
    })
}

fn sleep_until(agent: &mut Agent, until: GuestTime) -> Result<Woken, Failure> {
    if ostime::now() >= until {
        return Ok(Woken::Deadline);
    }
    agent.desk.sleep(until)
}
