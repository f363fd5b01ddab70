//! The kernel of a run: its files, how it is booted, and where its clock is.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use introspect::DebugInfo;
use kimage::KernelImage;
use kstore::{Kernel, KernelRequest, Store};
use session::{GuestClock, InitrdError, KernelConfig};

use crate::{BodyError, RigError};

/// The kernel where none is asked for: Debian's newest for its unstable suite, with sched_ext and BTF.
pub const DEFAULT_KERNEL: &str = "apt:sid";

/// A kernel that is ready to be booted.
#[derive(Debug, Clone)]
pub struct PreparedKernel {
    /// Its files.
    pub files: Kernel,
    /// What QEMU is given: the ELF where it has a PVH entry, else the compressed image.
    pub boot: PathBuf,
    /// Its configuration's text, for the guest's `/boot`.
    pub config: Option<Arc<str>>,
    /// Where guest time is read; `None` where the kernel does not tell.
    pub clock: Option<GuestClock>,
    info: OnceLock<Arc<DebugInfo>>,
}

impl PreparedKernel {
    /// Resolves the request, fetching the kernel if it is not there yet. Prepared once for each process.
    pub fn resolve(
        request: &KernelRequest,
        progress: &mut dyn FnMut(kstore::Progress),
    ) -> Result<Arc<PreparedKernel>, RigError> {
        static PREPARED: OnceLock<Mutex<HashMap<KernelRequest, Arc<PreparedKernel>>>> = OnceLock::new();
        // Held while a kernel is prepared: a second test that wants the same kernel waits for it.
        let mut prepared = PREPARED
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = prepared.get(request) {
            return Ok(Arc::clone(kernel));
        }
        let failed = |source| RigError::Kernel {
            request: request.to_string(),
            source,
        };
        let store = Store::open_default().map_err(|error| failed(error.into()))?;
        let files = store
            .resolve(request, progress)
            .map_err(|error| failed(error.into()))?;
        let kernel = Arc::new(prepare(files).map_err(failed)?);
        prepared.insert(request.clone(), Arc::clone(&kernel));
        Ok(kernel)
    }

    /// The initial RAM disk for its guests: the agent, and the kernel's configuration.
    ///
    /// # Errors
    /// [`InitrdError`].
    pub fn initrd(&self) -> Result<Vec<u8>, InitrdError> {
        session::initrd(self.config.as_deref().map(|text| KernelConfig {
            release: &self.files.release,
            text,
        }))
    }

    /// Its symbols and types, read at the first call.
    ///
    /// # Errors
    /// [`RigError::Kernel`] for a kernel without types.
    pub fn debug_info(&self) -> Result<Arc<DebugInfo>, RigError> {
        if let Some(info) = self.info.get() {
            return Ok(Arc::clone(info));
        }
        let read = || -> Result<_, BodyError> {
            Ok(DebugInfo::of_kernel(&KernelImage::read(&self.files.vmlinux)?)?)
        };
        let info = read().map_err(|source| RigError::Kernel {
            request: self.files.release.clone(),
            source,
        })?;
        Ok(Arc::clone(self.info.get_or_init(|| info)))
    }
}

fn prepare(files: Kernel) -> Result<PreparedKernel, Box<dyn std::error::Error + Send + Sync>> {
    let image = KernelImage::read(&files.vmlinux)?;
    let boot = if image.has_pvh_entry() {
        files.vmlinux.clone()
    } else {
        files.image.clone()
    };
    let config = files.config.as_deref().map(read_config).transpose()?;
    let clock = match &config {
        Some(config) => GuestClock::find(&image.symbols()?, config).ok(),
        None => None,
    };
    Ok(PreparedKernel {
        files,
        boot,
        config,
        clock,
        info: OnceLock::new(),
    })
}

fn read_config(path: &Path) -> Result<Arc<str>, RigError> {
    let text = fs::read_to_string(path);
    text.map(Arc::from).map_err(|source| RigError::Read {
        path: path.to_owned(),
        source,
    })
}
