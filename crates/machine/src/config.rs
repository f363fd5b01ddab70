//! What a machine is made of, whichever backend executes it.

use std::path::PathBuf;

use spec::Topology;

/// A machine, as far as every backend has it. What only one backend has is an option of that backend.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// The shape.
    pub topology: Topology,
    /// Guest RAM in MiB, dealt evenly to the NUMA nodes.
    pub memory_mib: u32,
    /// The kernel: an uncompressed ELF with a PVH note, which runs at its link addresses, or else a bzImage (then put
    /// `nokaslr` on the command line if addresses are to be known).
    pub kernel: PathBuf,
    /// The initramfs, as the kernel takes it.
    pub initrd: Vec<u8>,
    /// The kernel's command line. The backend puts the console and the reaction to a panic before it.
    pub cmdline: String,
    /// Decides everything that the backend draws at random from the machine's first instruction on.
    pub seed: u64,
}
