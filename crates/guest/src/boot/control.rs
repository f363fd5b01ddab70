//! The control thread's standing: it runs before every task of the scheduler under test, and never waits for
//! a page. What it forks is ordinary again.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::BootError;
use crate::workers::MAX_WORKERS;

/// The highest of the real-time priorities, so that no load of a test keeps the control thread waiting. It runs for
/// milliseconds, far from what the kernel throttles (`sched_rt_runtime_us`).
const PRIORITY: libc::c_int = 99;

/// Open files of one worker: three in `/proc`.
const FILES_PER_WORKER: u64 = 3;
/// And what the agent has open beside them.
const OTHER_FILES: u64 = 256;

/// Takes it.
pub(super) fn take() -> Result<(), BootError> {
    let control = |doing| move |source: io::Error| BootError::Control { doing, source };
    let files = MAX_WORKERS as u64 * FILES_PER_WORKER + OTHER_FILES;
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(files),
    };
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| control("raise the limit of open files")(error.into()))?;
    mlockall(MlockAllFlags::CURRENT).map_err(|error| control("lock the agent's memory")(error.into()))?;
    become_real_time().map_err(control("make the control thread SCHED_FIFO"))
}

fn become_real_time() -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: PRIORITY,
    };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameter` is whole and outlives the call; 0 = the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
