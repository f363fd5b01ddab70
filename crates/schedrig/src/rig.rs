//! The rig: what a test's body plays with.

mod kernel;
mod looking;

use std::sync::Arc;

use introspect::GuestKernel;
use record::{Expectation, Window};
use session::{Program, Session};
use spec::{
    CgroupSpec, CpuSet, ExitStatus, GroupName, GuestTime, Llc, Nanos, Node, Topology, Weight, WorkerId,
};

pub use kernel::KernelOps;

use crate::work::Workers;
use crate::{Outcome, PreparedKernel, RigError};

/// A booted machine with its scheduler attached. Between two calls the guest stands still.
pub struct Rig {
    session: Session,
    topology: Topology,
    overrides: CheckOverrides,
    kernel: Arc<PreparedKernel>,
}

/// What the body wants the run to be judged by, beside the defaults.
#[derive(Debug, Default)]
pub(crate) struct CheckOverrides {
    pub(crate) added: Vec<Expectation>,
    pub(crate) replaced: Vec<Expectation>,
    pub(crate) dropped: Vec<&'static str>,
}

impl CheckOverrides {
    /// What the run is judged by.
    pub(crate) fn expectations(self) -> Vec<Expectation> {
        let mut expectations = check::defaults();
        expectations.extend(self.added);
        expectations.retain(|expectation| !self.dropped.contains(&check::kind(expectation).name));
        for replaced in self.replaced {
            check::relimit(&mut expectations, replaced);
        }
        expectations
    }
}

/// A cgroup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(crate) name: GroupName,
}

impl Group {
    /// Its name.
    pub fn name(&self) -> &GroupName {
        &self.name
    }
}

impl Rig {
    pub(crate) fn new(session: Session, topology: Topology, kernel: Arc<PreparedKernel>) -> Rig {
        Rig {
            session,
            topology,
            overrides: CheckOverrides::default(),
            kernel,
        }
    }

    pub(crate) fn into_parts(self) -> (Session, CheckOverrides) {
        (self.session, self.overrides)
    }

    /// The machine's shape.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// The guest's time at the last event that told it.
    pub fn now(&self) -> GuestTime {
        self.session.now()
    }

    /// The session below, for what this surface does not offer.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The guest's kernel, to be looked at as it stands now: between two calls nothing in it moves. What is written by it is
    /// not made again in a replay; [`Rig::kernel_ops`] is.
    ///
    /// # Errors
    /// [`RigError::Kernel`] for a kernel without types, [`RigError::TimedQuery`] when it is not found in the guest's memory.
    pub fn kernel(&mut self) -> Result<GuestKernel<'_>, RigError> {
        self.see()?;
        Ok(self.session.kernel()?)
    }

    /// Begins a cgroup below the root.
    pub fn cgroup(&mut self, name: &str) -> GroupBuilder<'_> {
        GroupBuilder {
            rig: self,
            name: name.to_owned(),
            cpus: None,
            weight: None,
        }
    }

    /// Makes workers in a group; they run from the next [`Rig::run_for`] on.
    pub fn spawn(&mut self, group: &Group, workers: &Workers) -> Result<Vec<WorkerId>, RigError> {
        Ok(self
            .session
            .spawn(&group.name, &workers.work, workers.count, workers.nice)?)
    }

    /// Lets the guest run for that much of its time. Ends early if the scheduler's program ends.
    pub fn run_for(&mut self, span: Nanos) -> Result<Window, RigError> {
        Ok(self.session.run_for(span)?.clone())
    }

    /// Holds the run to one more promise; judged from the record when the run is over.
    pub fn check(&mut self, expectation: Expectation) -> Result<(), RigError> {
        self.overrides.added.push(expectation);
        Ok(())
    }

    /// Replaces the default check of the same kind, as in `NoStarvation` with another limit.
    pub fn instead(&mut self, expectation: Expectation) {
        self.overrides.replaced.push(expectation);
    }

    /// Leaves out the checks of that name (`starvation`, `stall`, `kernel`, …).
    pub fn without(&mut self, check: &'static str) {
        self.overrides.dropped.push(check);
    }

    /// Puts a value into the record.
    pub fn note(&mut self, key: &str, value: impl std::fmt::Display) {
        self.session.note(key.to_owned(), value.to_string());
    }

    /// Puts a program of the host and its shared libraries into the guest; returns its path there.
    pub fn put_program(&mut self, path: impl AsRef<std::path::Path>) -> Result<String, RigError> {
        let path = path.as_ref();
        let program = Program::read(path).map_err(|error| RigError::Scheduler {
            program: path.display().to_string(),
            source: error.into(),
        })?;
        self.session.put_program(&program)?;
        Ok(program.guest_path)
    }

    /// Puts a file into the guest.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), RigError> {
        Ok(self.session.put_file(path, mode, bytes)?)
    }

    /// Reads a file of the guest, whole; `/proc` and `/sys` too.
    pub fn read_file(&mut self, path: &str) -> Result<String, RigError> {
        Ok(String::from_utf8_lossy(&self.session.read_file(path)?).into_owned())
    }

    /// Runs a program of the guest to its end: status, standard output, standard error.
    pub fn exec(&mut self, argv: &[&str], within: Nanos) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), RigError> {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        Ok(self.session.exec(argv, within)?)
    }

    /// Starts a scheduler's program that is in the guest ([`Rig::put_program`]) and waits until it is attached.
    pub fn start_scheduler(&mut self, guest_path: &str, args: &[&str]) -> Result<(), RigError> {
        let argv = std::iter::once(guest_path)
            .chain(args.iter().copied())
            .map(str::to_owned)
            .collect();
        Ok(self.session.start_scheduler(argv)?)
    }

    /// Asks the scheduler's program to end, and waits for it: the kernel's own scheduler takes over.
    pub fn stop_scheduler(&mut self) -> Result<ExitStatus, RigError> {
        Ok(self.session.stop_scheduler()?)
    }

    /// Is a scheduler attached, as far as the rig was told?
    pub fn scheduler_runs(&self) -> bool {
        self.session.scheduler_runs()
    }

    /// The body's last word: everything else is judged from the record.
    pub fn finish(&mut self) -> Outcome {
        Ok(())
    }
}

/// A cgroup in the making.
#[must_use = "a group exists only after `.spawn(…)` or `.make()`"]
pub struct GroupBuilder<'r> {
    rig: &'r mut Rig,
    name: String,
    cpus: Option<Cpus>,
    weight: Option<u32>,
}

/// A choice of CPUs.
#[derive(Debug, Clone)]
pub enum Cpus {
    /// Those of a last-level cache.
    Llc(Llc),
    /// Those of a NUMA node.
    Node(Node),
    /// These.
    Set(CpuSet),
    /// A cpulist, as in `0-2,5`.
    List(String),
}

impl From<Llc> for Cpus {
    fn from(llc: Llc) -> Cpus {
        Cpus::Llc(llc)
    }
}

impl From<Node> for Cpus {
    fn from(node: Node) -> Cpus {
        Cpus::Node(node)
    }
}

impl From<CpuSet> for Cpus {
    fn from(set: CpuSet) -> Cpus {
        Cpus::Set(set)
    }
}

impl From<&str> for Cpus {
    fn from(list: &str) -> Cpus {
        Cpus::List(list.to_owned())
    }
}

impl GroupBuilder<'_> {
    /// Confines it: `cpuset.cpus`.
    pub fn cpus(self, cpus: impl Into<Cpus>) -> Self {
        GroupBuilder {
            cpus: Some(cpus.into()),
            ..self
        }
    }

    /// Weighs it: `cpu.weight`, 1 to 10000.
    pub fn weight(self, weight: u32) -> Self {
        GroupBuilder {
            weight: Some(weight),
            ..self
        }
    }

    /// Makes the group without workers.
    pub fn make(self) -> Result<Group, RigError> {
        self.make_in().map(|(group, _)| group)
    }

    /// Makes the group and its workers.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a test writes `.spawn(Spin.workers(8))`"
    )]
    pub fn spawn(self, workers: Workers) -> Result<Group, RigError> {
        let (group, rig) = self.make_in()?;
        rig.spawn(&group, &workers)?;
        Ok(group)
    }
}

impl<'r> GroupBuilder<'r> {
    fn make_in(self) -> Result<(Group, &'r mut Rig), RigError> {
        let name: GroupName = self.name.parse()?;
        let weight = self.weight.map_or(Ok(Weight::DEFAULT), Weight::try_from)?;
        let cpus = self
            .cpus
            .map(|cpus| resolve(cpus, &self.rig.topology))
            .transpose()?;
        self.rig.session.make_cgroup(CgroupSpec {
            name: name.clone(),
            cpus,
            weight,
        })?;
        Ok((Group { name }, self.rig))
    }
}

fn resolve(cpus: Cpus, topology: &Topology) -> Result<CpuSet, RigError> {
    let missing = |what: String| RigError::NoSuchCpus {
        topology: topology.to_string(),
        what,
    };
    let set = match cpus {
        Cpus::Llc(llc) => {
            return topology
                .cpus_of_llc(llc)
                .ok_or_else(|| missing(format!("LLC {}", llc.0)));
        }
        Cpus::Node(node) => {
            return topology
                .cpus_of_node(node)
                .ok_or_else(|| missing(format!("node {}", node.0)));
        }
        Cpus::Set(set) => set,
        Cpus::List(list) => list.parse()?,
    };
    let outside = set.difference(&topology.all_cpus());
    if set.is_empty() {
        Err(missing("CPU in an empty list".to_owned()))
    } else if outside.is_empty() {
        Ok(set)
    } else {
        Err(missing(format!("CPU {outside}")))
    }
}
