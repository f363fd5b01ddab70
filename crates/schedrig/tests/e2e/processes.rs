//! Processes that tests start and look at: this program again on one of its helpers, and the QEMUs below a process.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// This test program, told to run one ignored test, its output piped.
pub(crate) fn helper(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The QEMUs that a process has started and not waited for.
pub(crate) fn qemus_of(parent: u32) -> Vec<u32> {
    children_named(parent, "qemu-system")
}

/// The children of a process that it has not waited for, whose names begin so.
pub(crate) fn children_named(parent: u32, begin: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task"));
    let children = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|pids| {
            pids.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.into_iter()
        .filter(|pid| name(pid).starts_with(begin))
        .collect()
}

/// Waits until the process is gone.
pub(crate) fn assert_gone(pid: u32) {
    let path = format!("/proc/{pid}");
    wait_until(&format!("process {pid} is gone"), || {
        (!Path::new(&path).exists()).then_some(())
    });
}

/// Waits until there is something to return.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    /// More than a boot takes on a busy host.
    const PATIENCE: Duration = Duration::from_secs(120);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
