//! From a configuration to a QEMU that waits before its first instruction.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use guestmem::{SharedRam, SharedRamError};
use rustix::event::{PollFd, PollFlags};
use tcg_channel::Cause;

use crate::command_line::{BeginDescriptor, Descriptors, command_line};
use crate::exit::tail;
use crate::link::{Link, Received, wait};
use crate::process::Process;
use crate::qemu::DEFAULT_PROGRAM;
use crate::qmp::Qmp;
use crate::ram::GuestRam;
use crate::{TcgConfig, memfd};

/// QEMU's plugin, as this crate's build script built it.
pub static PLUGIN: &[u8] = include_bytes!(env!("SCHEDRIG_TCG_PLUGIN"));

/// How long QEMU may take to build the machine: 0.2 s on a quiet host, for 64 CPUs too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long QEMU may take to exit once it has closed its end of the channel.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// The machine could not be brought to its first instruction.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Fewer MiB than NUMA nodes.
    #[error(
        "{memory_mib} MiB of memory do not suffice for {nodes} NUMA nodes; a kernel needs some 256 MiB in all"
    )]
    Memory {
        /// What was configured.
        memory_mib: u32,
        /// The nodes.
        nodes: u32,
    },
    /// The kernel file cannot be read.
    #[error("open the kernel {}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// A memory file, a socket pair or a poll failed on the host.
    #[error("{doing}")]
    Host {
        /// What was being done.
        doing: &'static str,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// Guest RAM cannot be mapped.
    #[error(transparent)]
    Ram(#[from] SharedRamError),
    /// QEMU did not start.
    #[error("start {}; is QEMU 10 or later installed? `cargo xtask setup` does it", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// QEMU ended before the first instruction: it refused the machine.
    #[error("QEMU ended before the machine was built ({status}): {stderr}")]
    Ended {
        /// Its exit status in words.
        status: String,
        /// The last of its standard error.
        stderr: String,
    },
    /// QEMU took too long.
    #[error("QEMU did not get to its first instruction within {} s ({stderr})", PATIENCE.as_secs())]
    Silent {
        /// The last of its standard error.
        stderr: String,
    },
    /// The plugin's first packet was not the expected report.
    #[error("the plugin's first report was {what}; this is a defect of schedrig")]
    Protocol {
        /// What was received.
        what: String,
    },
}

/// A machine that was launched: every handle on it.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) process: Process,
    pub(crate) link: Link,
    pub(crate) qmp: Qmp,
    pub(crate) ram: GuestRam,
    /// What backs it.
    pub(crate) ram_file: File,
    pub(crate) console: File,
    pub(crate) stderr: File,
}

/// Starts QEMU and waits until the machine is built.
pub(crate) fn launch(config: &TcgConfig) -> Result<Parts, LaunchError> {
    let deadline = Instant::now() + PATIENCE;
    let mut parts = spawn(config, Begin::Reset)?;
    wait_until_ready(&mut parts, deadline)?;
    wait_for_monitor(&mut parts, deadline)?;
    Ok(parts)
}

/// Where a machine's first instruction is.
#[derive(Debug)]
pub(crate) enum Begin {
    /// At the reset vector, with empty RAM.
    Reset,
    /// Where a saved machine left off. QEMU leaves RAM alone until its state is loaded, so that RAM can be filled
    /// while QEMU starts.
    Saved {
        /// The state of devices and vCPUs, which QEMU inherits under its present number.
        device: OwnedFd,
    },
}

/// Starts QEMU: a machine that begins at reset runs up to the plugin's first report, another waits for its state.
pub(crate) fn spawn(config: &TcgConfig, begin: Begin) -> Result<Parts, LaunchError> {
    let machine = &config.machine;
    let nodes = machine.topology.numa_nodes();
    if machine.memory_mib < nodes {
        return Err(LaunchError::Memory {
            memory_mib: machine.memory_mib,
            nodes,
        });
    }
    if matches!(begin, Begin::Reset) {
        // QEMU opens it by its path; a missing file is reported here, before anything is set up.
        File::open(&machine.kernel).map_err(|source| LaunchError::Kernel {
            path: machine.kernel.clone(),
            source,
        })?;
    }
    start(config, begin)
}

/// Waits until the monitor takes commands.
pub(crate) fn wait_for_monitor(parts: &mut Parts, deadline: Instant) -> Result<(), LaunchError> {
    let is_ready = parts.qmp.greeted(deadline).map_err(host("read from QMP"))?;
    if is_ready {
        return Ok(());
    }
    match parts.process.ended().map_err(host("read QEMU's status"))? {
        Some(status) => Err(ended(parts, Some(status))),
        None => Err(LaunchError::Silent {
            stderr: stderr_tail(parts),
        }),
    }
}

fn start(config: &TcgConfig, begin: Begin) -> Result<Parts, LaunchError> {
    let console = memfd::empty("schedrig-console").map_err(host("make the console's memory file"))?;
    let stderr = memfd::empty("schedrig-stderr").map_err(host("make a memory file for QEMU's messages"))?;
    let plugin = memfd::with_content("schedrig-tcg-plugin.so", PLUGIN)
        .map_err(host("fill a memory file with the plugin"))?;
    let (begin, first): (_, OwnedFd) = match begin {
        Begin::Reset => {
            let initrd = memfd::with_content("schedrig-initrd", &config.machine.initrd)
                .map_err(host("fill a memory file with the initramfs"))?;
            let initrd = OwnedFd::from(initrd);
            (
                BeginDescriptor::Reset {
                    initrd: initrd.as_raw_fd(),
                },
                initrd,
            )
        }
        Begin::Saved { device } => (BeginDescriptor::Saved, device),
    };
    let ram_file = memfd::empty("schedrig-ram").map_err(host("make a memory file for guest RAM"))?;
    ram_file
        .set_len(config.memory_bytes())
        .map_err(host("give guest RAM its size"))?;
    let ram = SharedRam::map(&ram_file, config.ram_layout())?;
    let (link, channel) = Link::pair().map_err(host("make the channel's socket pair"))?;
    let (qmp, monitor) = Qmp::pair().map_err(host("make the monitor's socket pair"))?;

    let theirs = console
        .try_clone()
        .map_err(host("duplicate the console's file"))?;
    let ram_theirs = ram_file.try_clone().map_err(host("duplicate guest RAM's file"))?;
    let descriptors = Descriptors {
        ram: ram_theirs.as_raw_fd(),
        begin,
        console: theirs.as_raw_fd(),
        plugin: plugin.as_raw_fd(),
        channel: channel.as_raw_fd(),
        qmp: monitor.as_raw_fd(),
    };
    let inherited: Vec<OwnedFd> = vec![
        first,
        ram_theirs.into(),
        theirs.into(),
        plugin.into(),
        channel,
        monitor,
    ];
    let messages = || stderr.try_clone().map_err(host("duplicate the messages' file"));
    let program = config
        .options
        .qemu
        .clone()
        .unwrap_or_else(|| DEFAULT_PROGRAM.into());
    let mut command = Command::new(&program);
    command
        .args(command_line(config, &descriptors))
        .stdin(Stdio::null())
        .stdout(messages()?)
        .stderr(messages()?);
    let process =
        Process::start(command, inherited).map_err(|source| LaunchError::Start { program, source })?;
    tracing::debug!(pid = process.id(), topology = %config.machine.topology, "QEMU started");
    Ok(Parts {
        process,
        link,
        qmp,
        ram: GuestRam::Shared(ram),
        ram_file,
        console,
        stderr,
    })
}

/// Waits for the plugin's first report: QEMU has checked its command line, built the machine, and is about to
/// translate its first instruction.
pub(crate) fn wait_until_ready(parts: &mut Parts, deadline: Instant) -> Result<(), LaunchError> {
    loop {
        match parts.link.receive().map_err(host("read from the channel"))? {
            Received::Report(report) if report.cause == Cause::Ready => return Ok(()),
            Received::Report(report) => {
                let what = format!("{:?}", report.cause);
                return Err(LaunchError::Protocol { what });
            }
            Received::Nonsense(len) => {
                let what = format!("a packet of {len} bytes");
                return Err(LaunchError::Protocol { what });
            }
            Received::HungUp => {
                let status = parts.process.kill_after(EXIT_GRACE);
                return Err(ended(parts, status));
            }
            Received::Nothing => {}
        }
        if let Some(status) = parts.process.ended().map_err(host("read QEMU's status"))? {
            return Err(ended(parts, Some(status)));
        }
        if Instant::now() >= deadline {
            let stderr = stderr_tail(parts);
            return Err(LaunchError::Silent { stderr });
        }
        let mut fds = [
            PollFd::from_borrowed_fd(parts.link.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(parts.process.as_fd(), PollFlags::IN),
        ];
        wait(&mut fds, deadline).map_err(host("wait for QEMU"))?;
    }
}

fn ended(parts: &Parts, status: Option<ExitStatus>) -> LaunchError {
    LaunchError::Ended {
        status: status.map_or_else(|| "not reaped".to_owned(), |status| status.to_string()),
        stderr: stderr_tail(parts),
    }
}

fn stderr_tail(parts: &Parts) -> String {
    tail(&memfd::content(&parts.stderr).unwrap_or_default())
}

pub(crate) fn host(doing: &'static str) -> impl Fn(io::Error) -> LaunchError {
    move |source| LaunchError::Host { doing, source }
}
