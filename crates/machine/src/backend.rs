//! What a backend must do above a single machine: boot one, fork saved ones, say what it is and what it can do.
//!
//! ```text
//!              ┌─ probe ──► Executor            what executes guests on this host
//!              ├─ identity ─► Identity          goes into manifests and records
//!  Backend ────┼─ boot ───► Machine ─ save ─► directory
//!              ├─ open ───► SavedMachine ─ fork ─► Machine, as often as wanted
//!              └─ running ─► RunningMachine     of other processes, to be looked at
//! ```

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guestmem::PhysMem;

use crate::{BackendKind, Caps, Machine, MachineConfig};

/// Any error of a backend's own.
pub type Source = Box<dyn Error + Send + Sync>;

/// A kind of machine, with the options that only this kind has.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What this backend can do. Callers ask before they start anything.
    fn caps(&self) -> Caps;

    /// Looks for the program or device that executes guests on this host.
    ///
    /// # Errors
    /// [`ProbeError`], with what to install.
    fn probe(&self) -> Result<Executor, ProbeError>;

    /// Everything beside `config` that decides an execution. Two hosts with equal identities and configurations make the
    /// same execution, if the backend is deterministic.
    ///
    /// # Errors
    /// As [`Backend::probe`].
    fn identity(&self, config: &MachineConfig) -> Result<Identity, ProbeError>;

    /// A new machine, frozen before its first instruction.
    ///
    /// # Errors
    /// [`BootError`].
    fn boot(&self, config: &MachineConfig) -> Result<Box<dyn Machine>, BootError>;

    /// Opens a directory into which a machine with this configuration was saved ([`Machine::save`]). The kernel and the
    /// initramfs are part of the save and are not read again.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(&self, config: &MachineConfig, directory: &Path) -> Result<Arc<dyn SavedMachine>, OpenError>;

    /// The machines of this backend that run on this host in any process, as far as this user can see them, the oldest
    /// process first.
    fn running(&self) -> Vec<Box<dyn RunningMachine>>;
}

/// A saved machine, open: it can be forked after its directory was removed, and from several threads.
pub trait SavedMachine: fmt::Debug + Send + Sync {
    /// A new machine at the instant of the save. The machine is frozen and takes hooks; see the crate's picture for its first
    /// `resume`.
    ///
    /// # Errors
    /// [`ForkError`].
    fn fork(&self) -> Result<Box<dyn Machine>, ForkError>;
}

/// A machine that another process owns: its memory can be read while it runs, and its guest does not notice.
pub trait RunningMachine: fmt::Debug {
    /// The process that executes it.
    fn pid(&self) -> u32;

    /// Its RAM.
    ///
    /// # Errors
    /// [`RunningError`] where the process has ended or belongs to another user.
    fn memory(&self) -> Result<Box<dyn PhysMem>, RunningError>;
}

/// What executes guests on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executor {
    /// The program or device.
    pub path: PathBuf,
    /// Its name and version as it prints them.
    pub version: String,
}

/// Everything beside the configuration that decides an execution, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The backend.
    pub backend: BackendKind,
    /// Name and version of what executes the guest.
    pub executor: String,
    /// Other facts by name, in a fixed order.
    pub facts: Vec<(&'static str, String)>,
}

/// This host cannot execute machines of a backend.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ProbeError(pub Source);

/// A machine could not be brought to its first instruction.
#[derive(Debug, thiserror::Error)]
#[error("boot a machine on the backend `{backend}`")]
pub struct BootError {
    /// The backend.
    pub backend: BackendKind,
    /// Why not.
    #[source]
    pub source: Source,
}

/// A saved machine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of the save is missing, or differs from what was saved: whoever keeps saves discards this one.
    #[error("open the saved machine in {}: it is damaged", directory.display())]
    Damaged {
        /// The save.
        directory: PathBuf,
        /// The damage.
        #[source]
        source: Source,
    },
    /// The files cannot be read, and that is not the save's fault.
    #[error("open the saved machine in {}", directory.display())]
    Other {
        /// The save.
        directory: PathBuf,
        /// Why not.
        #[source]
        source: Source,
    },
}

/// A saved machine could not be forked.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The save differs from what was saved: whoever keeps saves discards this one.
    #[error("fork the saved machine: it is damaged")]
    Damaged(#[source] Source),
    /// The fork did not come up.
    #[error("fork the saved machine")]
    Other(#[source] Source),
}

/// The memory of another process's machine cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the memory of the machine in process {pid}; has it ended, or does it belong to another user?")]
pub struct RunningError {
    /// The process.
    pub pid: u32,
    /// Why not.
    #[source]
    pub source: Source,
}
