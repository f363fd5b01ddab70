//! A saved machine on disk, from which forks are made.
//!
//! ```text
//! DIR/ram      the pages of guest RAM that are not zero, one after the other
//! DIR/device   the vCPUs and devices, in QEMU's migration format
//! DIR/state    the places of those pages, the call that the machine was saved in, its console up to then,
//!              and checksums: of each block of `ram`, of `device`, of itself
//! ```
//!
//! Every change to one of the files is detected before a guest executes, at the cost of one CRC32 over bytes that are copied
//! anyway. An open save keeps its files open, so it can be forked after they were removed.

mod ram;
mod state;
mod take;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tcg_channel::Report;

use state::State;

pub use take::SaveError;
pub(crate) use take::{ignore_shared_ram, save};

/// An open save. Cheap to clone; any number of forks can be made of it at the same time.
#[derive(Debug, Clone)]
pub struct Saved(Arc<Files>);

#[derive(Debug)]
struct Files {
    directory: PathBuf,
    ram: File,
    device: Vec<u8>,
    state: State,
}

/// A saved machine cannot be opened, or its RAM cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file is missing or cannot be read.
    #[error("read {} of the saved machine; save it again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// A file differs from what was saved.
    #[error("{} of the saved machine is damaged: {what}; save it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The copy cannot be written.
    #[error("copy guest RAM; is there that much memory (see /proc/meminfo)?")]
    Copy(#[source] io::Error),
}

impl Saved {
    /// Opens the save in `directory`. RAM is checked whenever it is copied, everything else here.
    ///
    /// # Errors
    /// [`SavedError::Read`] and [`SavedError::Damaged`].
    pub fn open(directory: &Path) -> Result<Saved, SavedError> {
        let file = |name| File::open(directory.join(name)).map_err(read(directory.join(name)));
        let bytes = |name| std::fs::read(directory.join(name)).map_err(read(directory.join(name)));
        let damaged = |name, what| SavedError::Damaged {
            path: directory.join(name),
            what,
        };
        let state = State::decode(&bytes(STATE)?).map_err(|what| damaged(STATE, what))?;
        let device = bytes(DEVICE)?;
        state
            .check_device(&device)
            .map_err(|what| damaged(DEVICE, what))?;
        Ok(Saved(Arc::new(Files {
            directory: directory.to_owned(),
            ram: file(RAM)?,
            device,
            state,
        })))
    }

    /// Bytes of RAM that a fork copies: the pages that are not zero.
    pub fn ram_bytes(&self) -> u64 {
        self.0.state.pages.bytes()
    }

    /// Size of the guest's RAM, holes included.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.state.memory_bytes
    }

    /// Fills the empty file `to` with the guest's RAM.
    pub(crate) fn copy_ram(&self, to: &File) -> Result<(), SavedError> {
        let Files { ram, state, .. } = &*self.0;
        ram::copy(ram, &state.pages, to).map_err(|error| match error {
            ram::CopyError::Read(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                read(self.file(RAM))(source)
            }
            ram::CopyError::Read(_) => self.damaged(RAM, "it is shorter than what was saved".to_owned()),
            ram::CopyError::Damaged { block } => {
                self.damaged(RAM, format!("block {block} differs from what was saved"))
            }
            ram::CopyError::Write(source) => SavedError::Copy(source),
        })
    }

    /// The vCPUs and devices, in QEMU's migration format.
    pub(crate) fn device(&self) -> &[u8] {
        &self.0.device
    }

    /// The file of [`Saved::device`].
    pub(crate) fn device_path(&self) -> PathBuf {
        self.file(DEVICE)
    }

    /// The console up to the call.
    pub(crate) fn console(&self) -> &[u8] {
        &self.0.state.console
    }

    /// The call that the machine was saved in.
    pub(crate) fn call(&self) -> Report {
        self.0.state.call()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.directory.join(name)
    }

    fn damaged(&self, name: &str, what: String) -> SavedError {
        SavedError::Damaged {
            path: self.file(name),
            what,
        }
    }
}

const RAM: &str = "ram";
const DEVICE: &str = "device";
const STATE: &str = "state";

fn read(path: PathBuf) -> impl FnOnce(io::Error) -> SavedError {
    move |source| SavedError::Read { path, source }
}
