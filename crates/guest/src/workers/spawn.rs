//! Spawning workers: a fork each, into a cgroup.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use rustix::thread::{name as thread_name, set_name};
use spec::{GroupName, OpError, Work, WorkerId};
use workload::{Random, Team};

use super::window::Count;
use super::{MAX_WORKERS, Worker, Workers, raw};
use crate::error::system;
use crate::fork::{self, Forked};
use crate::proc::{Accounting, Marks};
use crate::worker;

/// `TASK_COMM_LEN` less the final zero (include/linux/sched.h).
const MAX_COMM: usize = 15;

impl Workers {
    /// Forks these workers into the cgroup at `directory`; they wait at their gates. All or none.
    pub(crate) fn spawn(
        &mut self,
        group: &GroupName,
        directory: &Path,
        workers: &spec::Workers,
    ) -> Result<Vec<(WorkerId, u32)>, OpError> {
        let spec::Workers { work, count, nice } = workers;
        let (count, nice) = (*count, *nice);
        self.check(work, count)?;
        let first = self.workers.len();
        let index = self
            .workers
            .iter()
            .filter(|worker| worker.id.group == *group)
            .count() as u32;
        for nth in 0..count {
            let id = WorkerId {
                group: group.clone(),
                index: index + nth,
            };
            if let Err(error) = self.spawn_one(id, directory, work, nth, nice) {
                for worker in self.workers.drain(first..) {
                    // Reaped with the orphans.
                    let _ = kill_process(worker.pid, Signal::KILL);
                }
                return Err(error);
            }
        }
        let spawned = self.workers[first..].iter();
        Ok(spawned
            .map(|worker| (worker.id.clone(), raw(worker.pid)))
            .collect())
    }

    fn check(&self, work: &Work, count: u32) -> Result<(), OpError> {
        let free = self.arena.capacity() - self.workers.len();
        if count as usize > free {
            return Err(OpError::State(format!(
                "{count} more workers are too many: a guest has at most {MAX_WORKERS}, and {free} are left"
            )));
        }
        work.check(count)
            .map_err(|error| OpError::State(error.to_string()))?;
        if let Work::Program(program) = work
            && let Some(path) = program.argv.first()
        {
            access(path.as_str(), Access::EXEC_OK).map_err(system(format!("execute {path}")))?;
        }
        Ok(())
    }

    /// The generator of a worker that draws. One that does not costs no number: spawning it changes nothing
    /// for the others.
    fn random_for(&mut self, work: &Work) -> Option<Random> {
        work.is_random().then(|| self.random.split())
    }

    /// `nth` counts the workers of one spawn.
    fn spawn_one(
        &mut self,
        id: WorkerId,
        directory: &Path,
        work: &Work,
        nth: u32,
        nice: i8,
    ) -> Result<(), OpError> {
        let slot = self.workers.len();
        let doing = |what: &str| format!("{what} of worker {id}");
        let work_type = work.work_type();
        let random = self.random_for(work);
        let pid = {
            // The name is set before the fork so that even a worker that never runs has it.
            let _name = Renamed::to(&comm(&id));
            match fork::fork().map_err(system(doing("fork")))? {
                Forked::Child => worker::main(Team::of(&self.arena, slot, nth, work_type.team), work, random),
                Forked::Parent(pid) => pid,
            }
        };
        let set_up = || {
            join(directory, pid).map_err(system(format!("move worker {id} into {}", directory.display())))?;
            setpriority_process(Some(pid), nice.into()).map_err(system(doing("set the nice value")))?;
            Accounting::begin(pid, work_type.has_children).map_err(system(doing("open the accounting")))
        };
        match set_up() {
            Ok(accounting) => {
                self.workers.push(Worker {
                    id,
                    pid,
                    accounting,
                    measures_itself: work_type.measures_itself,
                    started: false,
                    before: Count::default(),
                    marks: Marks::default(),
                    exit: None,
                });
                Ok(())
            }
            Err(error) => {
                let _ = kill_process(pid, Signal::KILL);
                Err(error)
            }
        }
    }
}

/// The agent's own name, back again when dropped.
struct Renamed(Option<CString>);

impl Renamed {
    fn to(name: &str) -> Renamed {
        let own = thread_name().ok();
        if let Ok(name) = CString::new(name) {
            let _ = set_name(&name);
        }
        Renamed(own)
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            let _ = set_name(own);
        }
    }
}

/// `group/index`, the group cut so that the index is whole.
fn comm(id: &WorkerId) -> String {
    let index = format!("/{}", id.index);
    let group = id.group.as_str();
    format!("{}{index}", &group[..group.len().min(MAX_COMM - index.len())])
}

fn join(directory: &Path, pid: Pid) -> io::Result<()> {
    let procs = directory.join("cgroup.procs");
    // Not created where it is missing: that is no cgroup.
    let mut procs = std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(procs)?;
    procs.write_all(raw(pid).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_name_fits_and_keeps_its_number() {
        let check = |group: &str, index, expect: &str| {
            let id = WorkerId {
                group: group.parse().unwrap(),
                index,
            };
            assert_eq!(comm(&id), expect);
            assert!(comm(&id).len() <= MAX_COMM);
        };
        check("a", 0, "a/0");
        check("a-rather-long-group-name", 17, "a-rather-lon/17");
        check("exactly-eleven1", u32::MAX, "exac/4294967295");
    }

    fn seeded(seed: u64) -> Workers {
        let mut workers = Workers::new().unwrap();
        workers.seed(seed);
        workers
    }

    #[test]
    fn work_without_jitter_draws_nothing() {
        let mut workers = seeded(7);
        for work in ["spin", "pingpong", "burst", "burst/4ms/1ms/0%"] {
            assert_eq!(workers.random_for(&work.parse().unwrap()), None, "{work}");
        }
        let argv = vec!["/bin/true".to_owned()];
        assert_eq!(workers.random_for(&spec::work::Program { argv }.into()), None);
        assert_eq!(workers.random, Random::new(7));
    }

    #[test]
    fn each_worker_with_jitter_gets_a_generator_of_its_own_from_the_seed() {
        let work: Work = "burst/4ms/1ms/20%".parse().unwrap();
        let generators = |seed| {
            let mut workers = seeded(seed);
            [(); 3].map(|()| workers.random_for(&work).unwrap())
        };
        let [first, second, third] = generators(7);
        assert!(first != second && second != third && first != third);
        assert_eq!(generators(7), [first, second, third]);
        assert_ne!(generators(7), generators(8));
    }
}
