//! Machines of other processes: their RAM can be read while they run, and they do not notice.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use guestmem::SharedRam;

use crate::config::ram_layout;

/// A QEMU of this rig that runs on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Its guest's RAM, as a file.
    ram: PathBuf,
}

/// The RAM of another process's machine cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// It went away, or belongs to another user.
    #[error("open the RAM of the machine in process {pid}; has it ended, or does it belong to another user?")]
    Open {
        /// The process.
        pid: u32,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// It cannot be mapped.
    #[error("map the RAM of the machine in process {pid}")]
    Map {
        /// The process.
        pid: u32,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Running {
    /// All that this user can see, the oldest process ids first.
    pub fn all() -> Vec<Running> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut all: Vec<Running> = processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Running::of)
            .collect();
        all.sort_by_key(|running| running.pid);
        all
    }

    /// The machine that this process executes; `None` if it is none of this rig's QEMU.
    pub fn of(pid: u32) -> Option<Running> {
        // The owner has the RAM open, too, but no plugin on its command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        words.find(|word| *word == b"-plugin")?;
        let ram = fs::read_dir(format!("/proc/{pid}/fd"))
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|fd| fs::read_link(fd).is_ok_and(|file| file.to_string_lossy().starts_with(RAM)))?;
        Some(Running { pid, ram })
    }

    /// Its RAM.
    ///
    /// # Errors
    /// [`RunningError`] when it went away meanwhile, or is another user's.
    pub fn memory(&self) -> Result<SharedRam, RunningError> {
        let pid = self.pid;
        let open = || -> io::Result<(File, u64)> {
            let file = File::options().read(true).write(true).open(&self.ram)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = open().map_err(|source| RunningError::Open { pid, source })?;
        SharedRam::map(&file, ram_layout(len)).map_err(|error| RunningError::Map {
            pid,
            source: error.into(),
        })
    }
}

/// What `/proc/PID/fd` shows for guest RAM.
const RAM: &str = "/memfd:schedrig-ram";
