//! What the agent has, and what each op works with.

use std::io;
use std::path::PathBuf;

use crate::door::Door;
use crate::event_loop::EventLoop;
use crate::workers::Workers;

/// The host's end, the workers, and the kernel's directories.
pub(crate) struct Context {
    pub(crate) event_loop: EventLoop,
    pub(crate) workers: Workers,
    pub(crate) places: Places,
}

impl Context {
    /// No workers and no scheduler yet; the host is behind `door`.
    pub(crate) fn new(door: impl Door + 'static, places: Places) -> io::Result<Context> {
        Ok(Context {
            event_loop: EventLoop::new(door),
            workers: Workers::new()?,
            places,
        })
    }
}

/// Where the kernel's directories are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The cgroup hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// The kernel's CPUs.
    pub(crate) cpus: PathBuf,
    /// What the kernel reports of sched_ext.
    pub(crate) sched_ext: PathBuf,
    /// How EEVDF weighs cgroups.
    pub(crate) cgroup_mode: PathBuf,
    /// How long CPUs were busy.
    pub(crate) schedstat: PathBuf,
    /// The kernel's random generator; `None` leaves it alone.
    pub(crate) random: Option<PathBuf>,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            cgroup: "/sys/fs/cgroup".into(),
            cpus: "/sys/devices/system/cpu".into(),
            sched_ext: "/sys/kernel/sched_ext".into(),
            cgroup_mode: "/sys/kernel/debug/sched/cgroup_mode".into(),
            schedstat: "/proc/schedstat".into(),
            random: Some("/dev/urandom".into()),
        }
    }
}
