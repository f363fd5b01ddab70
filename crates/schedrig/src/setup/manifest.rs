//! Which machine it is: the manifest, from what the backend, the configuration and the kernel say.

use machine::{Identity, MachineConfig};
use record::Manifest;

use crate::kernel::PreparedKernel;

/// The manifest of the machine with this configuration.
pub(super) fn of(identity: &Identity, config: &MachineConfig, kernel: &PreparedKernel) -> Manifest {
    let facts = identity.facts.iter();
    Manifest {
        backend: identity.backend.to_string(),
        executor: identity.executor.clone(),
        facts: facts
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        kernel_release: kernel.files.release.clone(),
        kernel_build_id: kernel.files.build_id.clone(),
        entry: if kernel.boot == kernel.files.vmlinux {
            "pvh"
        } else {
            "bzimage"
        }
        .to_owned(),
        initrd_sha256: disk::files::sha256(&config.initrd),
        cmdline: config.cmdline.clone(),
        topology: config.topology,
        memory_mib: config.memory_mib,
        boot_seed: config.seed,
    }
}
