//! Families of shells on this machine. Their orphans become this process's, as they become the agent's in a guest.

use std::time::{Duration, Instant};

use rustix::process::{
    Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, set_child_subreaper, waitid, waitpid,
};

use crate::launch::{self, Launched};
use crate::testing::shell;

use super::*;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const BUSY: &str = "while :; do :; done";

/// A shell in a session of its own; everything that was found of its family is killed in the end.
struct Shell {
    launched: Launched,
    family: Family,
}

impl Shell {
    fn run(script: &str) -> Shell {
        set_child_subreaper(Some(getpid())).unwrap();
        let launched = launch::launch(&shell(script)).unwrap();
        let family = Family::of(launched.pid);
        Shell { launched, family }
    }

    fn look(&mut self) -> SchedStat {
        self.family.look(&Census::take());
        self.family.times()
    }

    /// Looks until the family has run for that much longer than its shell itself; returns its processes without the shell.
    fn run_beside_the_shell(&mut self, millis: u64) -> Vec<u32> {
        self.look_until(|family| {
            let own = family
                .processes
                .get(&family.worker)
                .map_or(0, |shell| shell.own_ns);
            family.total.on_cpu_ns - own >= millis * 1_000_000
        });
        let pids = self.family.processes.keys().copied();
        pids.filter(|pid| *pid != self.family.worker).collect()
    }

    fn look_until(&mut self, reached: impl Fn(&Family) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.family.total.on_cpu_ns;
            self.look();
            assert!(self.family.total.on_cpu_ns >= before, "the time ran backwards");
            if reached(&self.family) {
                return;
            }
            assert!(Instant::now() < deadline, "{:?}", self.family);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.look();
        let pids = self.family.processes.keys().copied();
        pids.filter_map(pid).for_each(|pid| {
            let _ = kill_process(pid, Signal::KILL);
        });
        self.launched.kill();
        let _ = waitpid(Some(self.launched.pid), WaitOptions::empty());
    }
}

fn pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.cast_signed())
}

#[test]
fn a_child_that_is_running_counts() {
    let mut shell = Shell::run(&format!("({BUSY}) & wait"));
    let children = shell.run_beside_the_shell(100);
    assert_eq!(children.len(), 1);
    let Marks { comm, cpus, .. } = shell.family.marks();
    assert_eq!(comm, "sh");
    assert!(!cpus.is_empty());
    assert!(shell.family.total.timeslices > 0);
}

#[test]
fn a_child_that_has_ended_counts() {
    let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let mut shell = Shell::run(&format!("({burn}); exec sleep 1000"));
    // Until the shell has waited for it.
    shell.look_until(|family| family.processes.values().any(|seen| seen.children_ns > 0));
    assert!(shell.run_beside_the_shell(10).is_empty());
}

#[test]
fn a_child_whose_parent_has_ended_counts_also_when_it_ends_itself() {
    let mut shell = Shell::run(&format!("(sh -c '{BUSY}' &); exec sleep 1000"));
    let pids = shell.run_beside_the_shell(100);
    let [orphan] = pids[..] else { panic!("{pids:?}") };
    let parent = shell.family.processes[&orphan].parent;
    assert_eq!(parent, std::process::id());
    let pid = pid(orphan).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), ended).unwrap();
    shell.look();
    let last = shell.family.processes[&orphan].own_ns;
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    shell.look();
    assert!(!shell.family.processes.contains_key(&orphan));
    assert!(shell.family.total.on_cpu_ns > last && last > 100_000_000);
    assert_eq!(shell.family.retired_ns, last);
}

#[test]
fn a_descendant_with_a_session_of_its_own_counts_also_without_its_parent() {
    let mut shell = Shell::run(&format!("(setsid sh -c '{BUSY}' & wait) & wait"));
    let pids = shell.run_beside_the_shell(100);
    assert_eq!((pids.len(), shell.family.sessions.len()), (2, 2));
    let before = shell.family.total.on_cpu_ns;
    // The one between the two.
    let idle = pids
        .iter()
        .find(|pid| shell.family.processes[pid].own_ns < 50_000_000);
    kill_process(pid(*idle.unwrap()).unwrap(), Signal::KILL).unwrap();
    shell.look_until(|family| family.processes.len() == 2);
    let again = shell.run_beside_the_shell(before / 1_000_000 + 100);
    assert_eq!(again.len(), 1, "the one that is busy");
}

#[test]
fn ended_threads_and_running_ones_count_for_their_process() {
    // This process: the tests' threads come and go.
    std::thread::spawn(|| {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
    })
    .join()
    .unwrap();
    let own = Pid::from_raw(std::process::id().cast_signed()).unwrap();
    let mut family = Family::of(own);
    family.look(&Census::take());
    assert!(family.tasks.len() > 1, "this thread and the tests' main thread");
    let of_threads: u64 = family.tasks.values().map(|task| task.times.on_cpu_ns).sum();
    assert!(family.total.on_cpu_ns > of_threads);
}

#[test]
fn a_family_that_has_ended_keeps_what_it_had() {
    let mut shell = Shell::run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let pid = shell.launched.pid;
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), ended).unwrap();
    shell.look();
    assert!(!shell.family.has_ended());
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    let ended = shell.look();
    assert!(shell.family.has_ended());
    assert!(shell.family.processes.is_empty() && shell.family.tasks.is_empty());
    assert_eq!(shell.family.retired_ns, ended.on_cpu_ns);
    assert!(ended.on_cpu_ns > 0);
    assert!(!shell.family.marks().cpus.is_empty());
}

#[test]
fn a_process_that_another_one_replaced_under_its_id_is_not_taken_for_it() {
    let mut family = Family::of(Pid::INIT);
    let seen = |own_ns| {
        let seen = Seen {
            parent: 0,
            own_ns,
            children_ns: 7,
        };
        BTreeMap::from([(1, seen)])
    };
    family.replace_processes(seen(100));
    assert_eq!(family.total.on_cpu_ns, 107);
    family.replace_processes(seen(30));
    assert_eq!((family.retired_ns, family.total.on_cpu_ns), (107, 144));
}
