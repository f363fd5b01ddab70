//! Runs the program in an environment of its own, and looks for what it leaves behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use record::Record;
use serde_json::Value;
use tempfile::TempDir;

/// A place for one test: records and temporary files in directories of its own. The kernel cache is shared, and so are
/// saved machines unless the test is about them.
pub(crate) struct Stage {
    pub(crate) records: TempDir,
    pub(crate) temporary: TempDir,
    pub(crate) saves: Option<TempDir>,
}

/// A scenario of a second.
pub(crate) const SMALL: [&str; 6] = ["--topology", "1n1l2c1t", "--group", "a:spin:4", "--for", "300ms"];

/// The same under a scheduler that starves a worker, with a promise that this breaks.
pub(crate) const STARVED: [&str; 10] = [
    "--topology",
    "1n1l2c1t",
    "--group",
    "a:spin:4",
    "--for",
    "300ms",
    "--starvation-limit",
    "100ms",
    "--scheduler",
    "scx_baton --starve-nth 3",
];

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
            saves: None,
        }
    }

    /// With saved machines of its own: none at first.
    pub(crate) fn with_own_saves() -> Stage {
        Stage {
            saves: Some(TempDir::new().unwrap()),
            ..Stage::new()
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
        if let Some(saves) = &self.saves {
            command.env("SCHEDRIG_SAVES", saves.path());
        }
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

    /// The same, for what prints JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> (Ended, Value) {
        let ended = self.run(arguments);
        let json =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {ended:?}"));
        (ended, json)
    }

    /// The records' names, sorted. What begins with a dot is none.
    pub(crate) fn record_names(&self) -> Vec<String> {
        let mut names = names_in(self.records.path());
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// The record of that name.
    pub(crate) fn record(&self, name: &str) -> Record {
        record::load(&self.records.path().join(name)).unwrap()
    }

    /// The QEMU processes that descend from this stage's commands, whoever is their parent now: they have inherited its
    /// environment.
    pub(crate) fn machines(&self) -> Vec<u32> {
        let own = format!("TMPDIR={}", self.temporary.path().display());
        let is_own = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == own.as_bytes())
        };
        let pids = names_in(Path::new("/proc"));
        pids.iter()
            .filter_map(|name| name.parse().ok())
            .filter(|pid| name(*pid).starts_with("qemu-system") && is_own(pid))
            .collect()
    }

    /// Waits until all machines of this stage are gone.
    pub(crate) fn assert_no_machine_is_left(&self) {
        for machine in self.machines() {
            assert_gone(machine);
        }
        assert_eq!(self.machines(), [0; 0]);
    }

    /// Nothing but whole records may be left.
    pub(crate) fn assert_nothing_is_left(&self) {
        self.assert_no_machine_is_left();
        assert_eq!(names_in(self.temporary.path()), [""; 0], "temporary files");
        for record in names_in(self.records.path()) {
            assert!(!record.starts_with('.'), "an unfinished record: {record}");
            assert!(
                self.records.path().join(&record).join("record.json").exists(),
                "half a record: {record}"
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

/// The QEMU below that process, once it executes a guest: it has used some CPU time. A machine that boots is found as well
/// as a fork; where that matters, the machine is saved before.
pub(crate) fn qemu_of(parent: u32) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(pid) = children(parent)
            .into_iter()
            .find(|pid| name(*pid).starts_with("qemu-system") && busy(*pid))
        {
            return pid;
        }
        thread::sleep(Duration::from_millis(50));
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
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the condition holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 120 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a process.
pub(crate) fn kill(pid: u32) {
    signal("KILL", &pid.to_string());
}

/// Sends a signal, as kill(1) does: to a process, or with a `-` before the number to a process group.
pub(crate) fn signal(signal: &str, target: &str) {
    let status = Command::new("kill")
        .args(["-s", signal, "--", target])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {signal} -- {target}");
}

/// The names of what is in a directory, sorted.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
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

/// A small file system over a directory, gone again when this is dropped, however the test ends.
pub(crate) struct SmallDisk<'d>(&'d Path);

impl SmallDisk<'_> {
    /// Mounts it. `None`, and a word about it, where that is not allowed.
    pub(crate) fn over<'d>(directory: &'d Path, size: &str) -> Option<SmallDisk<'d>> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "schedrig-full-disk"])
            .arg(directory)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(SmallDisk(directory));
        }
        println!("skipped: a small file system can be mounted only as root");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        if !thread::panicking() {
            assert!(unmounted.unwrap().success(), "umount {}", self.0.display());
        }
    }
}
