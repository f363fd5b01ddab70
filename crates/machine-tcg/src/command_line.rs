//! QEMU's command line: the deterministic recipe, the topology, the descriptors.

use std::os::fd::RawFd;

use crate::TcgConfig;

/// An Intel with leaf 4, whose L3 groups Linux believes under TCG (`-cpu max` alone is an AMD without
/// TOPOEXT, and its dies have no effect). Model 60, a Haswell, has AVX2 and no AVX-512, as TCG: compilers' clones of a
/// function for an architecture (`target_clones("arch=…")`) are chosen by the model. Level 0x1e keeps QEMU 10.0 away from leaf 0x1f, whose assertion more than one die fails.
const CPU: &str = "max,vendor=GenuineIntel,family=6,model=60,stepping=3,level=0x1e";

/// Kernel arguments before the caller's, which can override them: the console that is read, and a panic that ends the run.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 reboot=t panic=-1";

/// What Linux calls `LOCAL_DISTANCE` and `REMOTE_DISTANCE`.
const LOCAL_DISTANCE: u32 = 10;
const REMOTE_DISTANCE: u32 = 20;

/// The descriptors that QEMU inherits, by their numbers in its process.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors {
    /// Guest RAM.
    pub ram: RawFd,
    /// What the machine begins with.
    pub begin: BeginDescriptor,
    /// The serial console's output.
    pub console: RawFd,
    /// The plugin's shared object.
    pub plugin: RawFd,
    /// The plugin's end of the channel.
    pub channel: RawFd,
    /// QEMU's end of the QMP connection.
    pub qmp: RawFd,
}

/// Where a machine's first instruction comes from.
#[derive(Debug, Clone, Copy)]
pub enum BeginDescriptor {
    /// The reset vector; the kernel gets the initramfs in this file.
    Reset {
        /// The initramfs.
        initrd: RawFd,
    },
    /// A saved machine: QEMU waits for its state, and needs no kernel, which is in RAM already.
    Saved,
}

/// The version of the arguments, raised whenever a guest can notice a change: a machine that was saved with another recipe
/// is another machine.
pub const RECIPE: u32 = 3;

/// The arguments for QEMU. The recipe is not optional:
///
/// - `thread=single`, `-icount …,sleep=off`: one thread executes all vCPUs in turns, and time is a count of their instructions; idle time is skipped.
/// - `-seed`, `-rtc …,clock=vm`: no entropy and no date of the host.
/// - `-nodefaults -no-user-config`: no network, disk or virtio device whose answers depend on the host's time, and nothing from the user's
///   configuration. The console is a serial port into a file; QMP is used before the first instruction only.
/// - `-no-reboot`: a guest that resets is at its end.
pub fn command_line(config: &TcgConfig, descriptors: &Descriptors) -> Vec<String> {
    let machine = &config.machine;
    let mut line = Line::default();
    line.add("-accel", "tcg,thread=single");
    line.add(
        "-icount",
        format!(
            "shift={},sleep=off",
            config.options.effective_shift(&machine.topology)
        ),
    );
    line.add("-seed", machine.seed.to_string());
    line.add("-rtc", "base=2026-01-01,clock=vm");
    for flag in ["-nodefaults", "-no-user-config", "-no-reboot"] {
        line.0.push(flag.to_owned());
    }
    line.add("-display", "none");
    line.add("-M", "q35,smp-cache.0.cache=l3,smp-cache.0.topology=die");
    line.add("-cpu", CPU);
    line.add("-m", format!("{}M", machine.memory_mib));
    topology(&mut line, config, descriptors.ram);
    line.add(
        "-chardev",
        format!("file,id=console,path={}", path(descriptors.console)),
    );
    line.add("-serial", "chardev:console");
    line.add("-chardev", format!("socket,id=qmp,fd={}", descriptors.qmp));
    line.add("-mon", "chardev=qmp,mode=control");
    line.add(
        "-plugin",
        format!(
            "file={},channel={},monitor={}",
            path(descriptors.plugin),
            descriptors.channel,
            descriptors.qmp
        ),
    );
    match descriptors.begin {
        BeginDescriptor::Reset { initrd } => {
            line.add("-kernel", machine.kernel.display().to_string());
            line.add("-initrd", path(initrd));
            line.add("-append", format!("{KERNEL_ARGUMENTS} {}", machine.cmdline));
        }
        BeginDescriptor::Saved => line.add("-incoming", "defer"),
    }
    line.0
}

/// Sockets are NUMA nodes, dies are LLCs. CPU numbers run as in `spec::Topology`.
fn topology(line: &mut Line, config: &TcgConfig, ram: RawFd) {
    let shape = config.machine.topology;
    line.add(
        "-smp",
        format!(
            "{},sockets={},dies={},cores={},threads={}",
            shape.cpus(),
            shape.numa_nodes(),
            shape.llcs_per_node(),
            shape.cores_per_llc(),
            shape.threads_per_core(),
        ),
    );
    let mut offset_mib = 0;
    for (node, mib) in config.node_memory_mib().into_iter().enumerate() {
        line.add(
            "-object",
            format!(
                "memory-backend-file,id=ram{node},share=on,size={mib}M,offset={offset_mib}M,mem-path={}",
                path(ram)
            ),
        );
        line.add("-numa", format!("node,nodeid={node},memdev=ram{node}"));
        line.add("-numa", format!("cpu,node-id={node},socket-id={node}"));
        offset_mib += mib;
    }
    for from in 0..shape.numa_nodes() {
        for to in 0..shape.numa_nodes() {
            let distance = if from == to {
                LOCAL_DISTANCE
            } else {
                REMOTE_DISTANCE
            };
            line.add("-numa", format!("dist,src={from},dst={to},val={distance}"));
        }
    }
}

/// An inherited descriptor as a file name.
fn path(descriptor: RawFd) -> String {
    format!("/proc/self/fd/{descriptor}")
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    const DESCRIPTORS: Descriptors = Descriptors {
        ram: 10,
        begin: BeginDescriptor::Reset { initrd: 11 },
        console: 12,
        plugin: 13,
        channel: 14,
        qmp: 15,
    };

    fn line(topology: &str, memory_mib: u32) -> String {
        command_line(&config(topology, memory_mib), &DESCRIPTORS).join(" ")
    }

    #[test]
    fn the_recipe_is_always_on() {
        for topology in ["1n1l1c1t", "2n4l4c2t"] {
            let line = line(topology, 512);
            for part in [
                "-accel tcg,thread=single ",
                ",sleep=off -seed 18446744073709551615 -rtc base=2026-01-01,clock=vm ",
                "-nodefaults -no-user-config -no-reboot ",
            ] {
                assert!(line.contains(part), "{part} in {line}");
            }
        }
    }

    #[test]
    fn nodes_are_sockets_and_llcs_are_dies() {
        let line = line("2n4l2c2t", 513);
        for part in [
            "-icount shift=1,",
            "-smp 16,sockets=2,dies=2,cores=2,threads=2 ",
            "id=ram0,share=on,size=257M,offset=0M,mem-path=/proc/self/fd/10 ",
            "id=ram1,share=on,size=256M,offset=257M,mem-path=/proc/self/fd/10 ",
            "-numa node,nodeid=1,memdev=ram1 -numa cpu,node-id=1,socket-id=1 ",
            "-numa dist,src=0,dst=1,val=20 ",
            "-numa dist,src=1,dst=1,val=10 ",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn the_callers_arguments_come_last() {
        let arguments = command_line(&config("1n1l1c1t", 512), &DESCRIPTORS);
        assert_eq!(
            arguments.last().unwrap(),
            "console=ttyS0 reboot=t panic=-1 quiet -- a,b"
        );
    }

    #[test]
    fn a_fork_has_the_same_devices_and_no_kernel() {
        let config = config("2n4l2c2t", 513);
        let saved = Descriptors {
            begin: BeginDescriptor::Saved,
            ..DESCRIPTORS
        };
        let booted = command_line(&config, &DESCRIPTORS);
        let forked = command_line(&config, &saved);
        let common = booted.len() - 6;
        assert_eq!(forked[..common], booted[..common]);
        assert_eq!(forked[common..], ["-incoming", "defer"]);
    }

    #[test]
    fn the_command_line_is_a_function_of_its_arguments() {
        assert_eq!(line("1n2l2c2t", 512), line("1n2l2c2t", 512));
        assert_ne!(line("1n2l2c2t", 512), line("1n2l2c2t", 513));
    }
}
