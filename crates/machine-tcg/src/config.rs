//! The configuration of a machine of this backend.

use std::path::PathBuf;

use guestmem::RamLayout;
use machine::MachineConfig;
use spec::Topology;

const MIB: u64 = 1 << 20;

/// From this much RAM on, QEMU's q35 keeps less of it below 4 GiB (`pc_q35_init` in QEMU's `hw/i386/pc_q35.c`).
const Q35_SPLIT_FROM: u64 = 0xb000_0000;
/// What it keeps there then.
const Q35_LOW: u64 = 0x8000_0000;

/// The options that only this backend has.
#[derive(Debug, Clone, Default)]
pub struct TcgOptions {
    /// QEMU's program; `None` = `qemu-system-x86_64` on the search path.
    pub qemu: Option<PathBuf>,
    /// An instruction takes 2^shift ns of guest time; `None` = [`TcgOptions::default_shift`].
    pub shift: Option<u8>,
}

/// Everything that determines a run on this backend, and where QEMU is.
#[derive(Debug, Clone)]
pub struct TcgConfig {
    /// The machine. A NUMA node becomes a socket, an LLC a die of it. The seed feeds all of QEMU's randomness: RDRAND, the
    /// kernel's seed, and so all timing.
    pub machine: MachineConfig,
    /// The options of this backend.
    pub options: TcgOptions,
}

impl TcgOptions {
    /// The shift where none is given. All vCPUs share one clock, so each of N busy ones gets 1/N of the
    /// instructions of a guest second: small shifts keep ticks and wakeups of large machines realistic, large ones cost less host time.
    /// 2 up to 4 CPUs (250 million instructions a guest second), 1 up to 16, 0 above (a tick at 250 Hz is then still
    /// below a tenth of what each of 64 busy vCPUs executes).
    pub fn default_shift(cpus: u32) -> u8 {
        match cpus {
            0..=4 => 2,
            5..=16 => 1,
            _ => 0,
        }
    }

    /// The shift of a machine with this shape.
    pub fn effective_shift(&self, topology: &Topology) -> u8 {
        self.shift.unwrap_or_else(|| Self::default_shift(topology.cpus()))
    }
}

impl TcgConfig {
    /// RAM in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::from(self.machine.memory_mib) * MIB
    }

    /// Where q35 puts RAM.
    pub(crate) fn ram_layout(&self) -> RamLayout {
        ram_layout(self.memory_bytes())
    }

    /// RAM of each node in MiB: even, the remainder goes to the first nodes.
    pub(crate) fn node_memory_mib(&self) -> Vec<u32> {
        let MachineConfig {
            topology, memory_mib, ..
        } = &self.machine;
        let nodes = topology.numa_nodes();
        let (share, rest) = (memory_mib / nodes, memory_mib % nodes);
        (0..nodes).map(|node| share + u32::from(node < rest)).collect()
    }
}

/// Where q35 puts that many bytes of RAM.
pub(crate) fn ram_layout(len: u64) -> RamLayout {
    let low = if len >= Q35_SPLIT_FROM { Q35_LOW } else { len };
    RamLayout::split_below_4g(len, low)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config(topology: &str, memory_mib: u32) -> TcgConfig {
        TcgConfig {
            machine: MachineConfig {
                topology: topology.parse().unwrap(),
                memory_mib,
                kernel: "/boot/vmlinux".into(),
                initrd: Vec::new(),
                cmdline: "quiet -- a,b".to_owned(),
                seed: u64::MAX,
            },
            options: TcgOptions::default(),
        }
    }

    #[test]
    fn ram_splits_where_q35_splits_it() {
        let check = |mib: u32, low_mib: u64| {
            let regions = config("1n1l1c1t", mib).ram_layout();
            assert_eq!(regions.regions()[0].len, low_mib * MIB, "{mib} MiB");
            let sum: u64 = regions.regions().iter().map(|region| region.len).sum();
            assert_eq!(sum, u64::from(mib) * MIB);
        };
        check(512, 512);
        check(2815, 2815);
        check(2816, 2048);
        check(8192, 2048);
    }

    #[test]
    fn nodes_share_the_memory() {
        let check = |topology: &str, mib: u32, expect: &[u32]| {
            assert_eq!(config(topology, mib).node_memory_mib(), expect, "{topology}");
        };
        check("1n1l1c1t", 512, &[512]);
        check("2n2l1c1t", 513, &[257, 256]);
        check("3n3l1c1t", 512, &[171, 171, 170]);
    }

    #[test]
    fn the_shift_follows_the_number_of_cpus() {
        let check = |cpus, shift| assert_eq!(TcgOptions::default_shift(cpus), shift, "{cpus}");
        check(1, 2);
        check(4, 2);
        check(5, 1);
        check(16, 1);
        check(17, 0);
        check(64, 0);
    }
}
