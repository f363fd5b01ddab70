//! `MakeCgroup` (Documentation/admin-guide/cgroup-v2.rst).

use std::fs;
use std::path::Path;

use spec::{CgroupSpec, CpuSet};
use wire::{AgentError, Reply};

use crate::agent::Agent;
use crate::error::{Failure, system};

/// Makes the group; where that fails half way, it is removed again.
pub(crate) fn make(agent: &mut Agent, group: &CgroupSpec) -> Result<Reply, Failure> {
    let directory = agent.places.cgroup.join(group.name.as_str());
    fs::create_dir(&directory).map_err(system(format!("make the cgroup {}", group.name)))?;
    configure(&directory, group).inspect_err(|_| {
        let _ = fs::remove_dir(&directory);
    })?;
    Ok(Reply::Done)
}

fn configure(directory: &Path, group: &CgroupSpec) -> Result<(), AgentError> {
    write(directory, "cpu.weight", &group.weight.get().to_string())?;
    let Some(cpus) = &group.cpus else { return Ok(()) };
    write(directory, "cpuset.cpus", &cpus.to_string())?;
    // The kernel takes CPUs that are not there and silently goes without them. Memory nodes are inherited.
    let file = "cpuset.cpus.effective";
    let text = fs::read_to_string(directory.join(file)).map_err(system(format!("read {file}")))?;
    let effective: CpuSet = text
        .parse()
        .map_err(|error| AgentError::State(format!("{file}: {error}")))?;
    if effective == *cpus {
        Ok(())
    } else {
        Err(AgentError::State(format!(
            "the cgroup {} is to have the CPUs {cpus}, and the kernel gives it {effective}; does the machine have them all?",
            group.name
        )))
    }
}

fn write(directory: &Path, file: &str, value: &str) -> Result<(), AgentError> {
    let doing = format!("write `{value}` to {file} of the cgroup {}", directory.display());
    fs::write(directory.join(file), value).map_err(system(doing))
}
