//! Machines that other processes own: their RAM can be read while they run, and their guests do not notice.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use guestmem::{PhysMem, ProcessRam, ProcessRamError, SharedRam, SharedRamError};
use machine::{RunningError, RunningMachine};

use tcg_channel::HELD;

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
pub enum MemoryError {
    /// The file of the RAM cannot be opened.
    #[error("open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The file cannot be mapped.
    #[error("map {}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SharedRamError,
    },
    /// RAM is the process's own, and cannot be reached.
    #[error(transparent)]
    Own(#[from] ProcessRamError),
}

impl Running {
    /// All machines that this user can see, the smallest process id first.
    pub fn all() -> Vec<Running> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut all: Vec<Running> = processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Running::of)
            .collect();
        all.sort_by_key(|running| running.pid);
        all
    }

    /// The machine that this process executes; `None` for a process that is no QEMU of this rig.
    pub fn of(pid: u32) -> Option<Running> {
        // The owner has the RAM open, too, but its command line has no plugin.
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        words.find(|word| *word == b"-plugin")?;
        // One that only waits to be duplicated is no machine that runs.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if name.trim_end() == HELD {
            return None;
        }
        let ram = fs::read_dir(format!("/proc/{pid}/fd"))
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|fd| fs::read_link(fd).is_ok_and(|file| file.to_string_lossy().starts_with(RAM)))?;
        Some(Running { pid, ram })
    }

    /// The guest's RAM.
    ///
    /// # Errors
    /// [`MemoryError`] when the process has ended meanwhile, or belongs to another user.
    pub fn ram(&self) -> Result<Box<dyn PhysMem>, MemoryError> {
        let path = || self.ram.clone();
        let open = || -> io::Result<(File, u64)> {
            let file = File::options().read(true).write(true).open(&self.ram)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = open().map_err(|source| MemoryError::Open { path: path(), source })?;
        let layout = ram_layout(len);
        if self.has_own_ram() {
            return Ok(Box::new(ProcessRam::running(self.pid, &file, layout)?));
        }
        match SharedRam::map(&file, layout) {
            Ok(ram) => Ok(Box::new(ram)),
            Err(source) => Err(MemoryError::Map { path: path(), source }),
        }
    }

    /// Does it map the file for itself, as a duplicate and the original of one do?
    fn has_own_ram(&self) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let mut lines = maps.lines();
        lines.any(|line| line.contains(RAM) && line.contains(" rw-p "))
    }
}

impl RunningMachine for Running {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn memory(&self) -> Result<Box<dyn PhysMem>, RunningError> {
        match self.ram() {
            Ok(ram) => Ok(ram),
            Err(error) => Err(RunningError {
                pid: self.pid,
                source: error.into(),
            }),
        }
    }
}

/// What `/proc/PID/fd` shows for guest RAM.
const RAM: &str = "/memfd:schedrig-ram";
