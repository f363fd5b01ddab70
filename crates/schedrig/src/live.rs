//! Queries to a machine that another process runs.

use std::sync::Arc;

use introspect::kernel::VmCoreInfo;
use introspect::{DebugInfo, GuestKernel, Hints, Placement, Query};
use kimage::KernelImage;
use kstore::Store;
use machine::{RunningError, RunningMachine};
use record::Value;

use crate::{BodyError, RigError, backends};

/// A machine of another process cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is none.
    #[error("no run is in progress on this host, as far as this user can see; start one, or give a record")]
    NoRun,
    /// There are several.
    #[error("several runs are in progress: give one of pid:{}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", pid:"))]
    Several {
        /// The processes that execute them.
        pids: Vec<u32>,
    },
    /// The process executes no machine.
    #[error("process {pid} executes no machine of this rig; give the process id of its QEMU, or `running`")]
    NotARun {
        /// The process.
        pid: u32,
    },
    /// The memory cannot be read.
    #[error(transparent)]
    Memory(#[from] RunningError),
    /// It has not booted far enough.
    #[error("process {pid}: its kernel has not told its build id yet; ask again in a moment")]
    Booting {
        /// The process.
        pid: u32,
    },
    /// Its kernel's file is not here.
    #[error(
        "the kernel with build id {build_id} is not in the cache any more: `cargo schedrig kernel fetch` it"
    )]
    NoKernel {
        /// The build id.
        build_id: String,
    },
}

/// Asks the kernel of the machine in process `pid`, or of the only one that runs, while it runs on: what is read can
/// change between two reads, so a list can seem broken; ask again then.
///
/// # Errors
/// [`RigError::Live`] where there is no such machine or its kernel's file is not here, [`RigError::Kernel`].
pub fn ask_running(pid: Option<u32>, query: &Query) -> Result<Value, RigError> {
    let all = backends().into_iter().flat_map(|backend| backend.running());
    let running = match pid {
        Some(pid) => all
            .into_iter()
            .find(|running| running.pid() == pid)
            .ok_or(LiveError::NotARun { pid })?,
        None => only(all.collect())?,
    };
    let memory = running.memory().map_err(LiveError::from)?;
    let build_id = VmCoreInfo::find(memory.as_ref())
        .find_map(|found| found.build_id().map(str::to_owned))
        .ok_or(LiveError::Booting { pid: running.pid() })?;
    let info = debug_info(&build_id)?;
    let place =
        Placement::find(&info, memory.as_ref(), &Hints::default()).map_err(session::LookError::from)?;
    Ok(query.answer(&GuestKernel::live(&info, memory.as_ref(), place)))
}

fn only(mut all: Vec<Box<dyn RunningMachine>>) -> Result<Box<dyn RunningMachine>, LiveError> {
    match all.len() {
        0 => Err(LiveError::NoRun),
        1 => Ok(all.remove(0)),
        _ => Err(LiveError::Several {
            pids: all.iter().map(|running| running.pid()).collect(),
        }),
    }
}

fn debug_info(build_id: &str) -> Result<Arc<DebugInfo>, RigError> {
    let failed = |source: BodyError| RigError::Kernel {
        request: format!("with build id {build_id}"),
        source,
    };
    let store = Store::open_default().map_err(|error| failed(error.into()))?;
    let entries = store.list().map_err(|error| failed(error.into()))?;
    let entry = entries
        .into_iter()
        .find(|entry| entry.build_id == build_id)
        .ok_or_else(|| LiveError::NoKernel {
            build_id: build_id.to_owned(),
        })?;
    let read = || -> Result<_, BodyError> {
        Ok(DebugInfo::of_kernel(&KernelImage::read(
            &entry.directory.join("vmlinux"),
        )?)?)
    };
    read().map_err(failed)
}
