//! [`MakeCgroup`] (Documentation/admin-guide/cgroup-v2.rst).

use std::fs;
use std::path::Path;

use spec::op::MakeCgroup;
use spec::{CgroupSpec, CpuSet, OpError, OpOutcome};

use super::file::write_existing;
use crate::context::{Context, Places};
use crate::error::{Failure, system};

/// Makes the group; where that fails half way, it is removed again.
pub(super) fn carry_out(op: &MakeCgroup, context: &Context) -> Result<OpOutcome, Failure> {
    let group = &op.group;
    let directory = context.places.cgroup.join(group.name.as_str());
    fs::create_dir(&directory).map_err(system(format!("make the cgroup {}", group.name)))?;
    configure(&directory, group, &context.places).inspect_err(|_| {
        let _ = fs::remove_dir(&directory);
    })?;
    Ok(OpOutcome::Done)
}

fn configure(directory: &Path, group: &CgroupSpec, places: &Places) -> Result<(), OpError> {
    let write = |file: &str, value: &str| {
        let doing = format!("write `{value}` to {file} of the cgroup {}", group.name);
        write_existing(&directory.join(file), value).map_err(system(doing))
    };
    write("cpu.weight", &group.weight.get().to_string())?;
    let Some(cpus) = &group.cpus else { return Ok(()) };
    write("cpuset.cpus", &cpus.to_string())?;
    // Memory nodes are inherited.
    let effective = read_cpus(&directory.join("cpuset.cpus.effective"))?;
    check_effective(cpus, &read_cpus(&places.cpus.join("online"))?, &effective)
        .map_err(|reason| OpError::State(format!("the cgroup {} {reason}", group.name)))
}

/// The kernel takes CPUs that are not there and silently goes without them; it goes without those that are offline, too,
/// and a group of which none is online has those of its parent.
fn check_effective(cpus: &CpuSet, online: &CpuSet, effective: &CpuSet) -> Result<(), String> {
    let expected = cpus.intersection(online);
    if expected.is_empty() {
        Err(format!(
            "is to have the CPUs {cpus}, and only {online} are online; bring one of them online first"
        ))
    } else if *effective != expected {
        Err(format!(
            "is to have the CPUs {cpus}, of which {expected} are online, and the kernel gives it {effective}"
        ))
    } else {
        Ok(())
    }
}

fn read_cpus(path: &Path) -> Result<CpuSet, OpError> {
    let text = fs::read_to_string(path).map_err(system(format!("read {}", path.display())))?;
    text.parse()
        .map_err(|error| OpError::State(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_those_of_its_cpus_that_are_online() {
        let check = |cpus: &str, online: &str, effective: &str, refused: &str| {
            let [cpus, online, effective] = [cpus, online, effective].map(|list| list.parse().unwrap());
            match check_effective(&cpus, &online, &effective) {
                Ok(()) => assert_eq!(refused, "", "{cpus} {online} {effective}"),
                Err(reason) => assert!(!refused.is_empty() && reason.contains(refused), "{reason}"),
            }
        };
        check("0-1", "0-3", "0-1", "");
        check("2-3", "0-2", "2", "");
        check("2-3", "0-3", "2", "the kernel gives it 2");
        check("3", "0-2", "0-2", "bring one of them online");
        check("7", "0-3", "0-3", "only 0-3 are online");
    }
}
