//! Runs the program in an environment of its own, and looks for what it leaves behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A place for one test: records and temporary files in directories of its own. The kernel cache is shared.
pub(crate) struct Stage {
    pub(crate) records: TempDir,
    pub(crate) temporary: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage {
            records: TempDir::new().unwrap(),
            temporary: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-schedrig"));
        command
            .arg("schedrig")
            .args(arguments)
            .env("SCHEDRIG_RECORDS", self.records.path())
            .env("TMPDIR", self.temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().unwrap())
    }

    /// A run that has a machine, started and not waited for.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Nothing but whole records may be left.
    pub(crate) fn assert_nothing_is_left(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "temporary files: {left:?}");
        for record in fs::read_dir(self.records.path()).unwrap() {
            let record = record.unwrap();
            assert!(
                record.path().join("record.json").exists(),
                "half a record: {record:?}"
            );
        }
    }
}

pub(crate) fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The QEMU below that process, once it executes a guest: it has used some CPU time.
pub(crate) fn qemu_of(parent: u32) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(pid) = children(parent)
            .into_iter()
            .find(|pid| name(*pid).starts_with("qemu-system") && busy(*pid))
        {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no QEMU below process {parent} after 60 s");
}

/// Waits until the process is gone.
pub(crate) fn assert_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(
            Instant::now() < deadline,
            "process {pid} ({}) is still there after 10 s",
            name(pid)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal, as kill(1) does.
pub(crate) fn kill(pid: u32) {
    let status = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {pid}");
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

/// More than half a second of user time: past its own start, into the guest.
fn busy(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .nth(11)
        .and_then(|ticks| ticks.parse::<u64>().ok())
        .is_some_and(|ticks| ticks > 50)
}
