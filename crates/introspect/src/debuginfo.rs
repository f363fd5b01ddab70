//! What is known of a kernel without looking at a guest: its name, its symbols, its types.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kimage::{Arch, BuildId, KallsymsError, KernelImage, Symbols};

use crate::btf::{Btf, KernelBtfError};
use crate::memo::Memo;

/// Names, addresses and types of one kernel build.
pub struct DebugInfo {
    /// The release, as `uname -r` tells it.
    pub release: String,
    /// `linux_banner`, without its line feed.
    pub banner: String,
    /// The GNU build id.
    pub build_id: BuildId,
    /// Its symbols, at link addresses.
    pub symbols: Symbols,
    /// Its types.
    pub btf: Btf,
    pub(crate) addresses: Memo<Option<u64>>,
}

/// A kernel file does not tell enough.
#[derive(Debug, thiserror::Error)]
pub enum DebugInfoError {
    /// No symbols.
    #[error(transparent)]
    Symbols(#[from] KallsymsError),
    /// No types.
    #[error(transparent)]
    Types(#[from] KernelBtfError),
}

impl DebugInfo {
    /// Reads symbols and types of a kernel, once for each build id in a process: it takes some tens of milliseconds.
    ///
    /// # Errors
    /// [`DebugInfoError`] when the kernel has none, or they are damaged.
    pub fn of_kernel(image: &KernelImage) -> Result<Arc<DebugInfo>, DebugInfoError> {
        static KERNELS: OnceLock<Mutex<HashMap<BuildId, Arc<DebugInfo>>>> = OnceLock::new();
        // Held while one is read: whoever wants the same kernel waits for it.
        let mut kernels = KERNELS
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kernels.get(&image.build_id()) {
            return Ok(Arc::clone(known));
        }
        let symbols = image.symbols()?;
        let info = Arc::new(DebugInfo {
            release: image.release().to_owned(),
            banner: banner(image, &symbols),
            build_id: image.build_id(),
            symbols,
            btf: Btf::of_kernel(image)?,
            addresses: Memo::default(),
        });
        kernels.insert(info.build_id, Arc::clone(&info));
        Ok(info)
    }

    /// The architecture that the kernel was built for.
    pub fn arch(&self) -> Arch {
        // Only aarch64 kernels have the variable.
        match self.symbols.get("kimage_voffset") {
            Some(_) => Arch::Aarch64,
            None => Arch::X86_64,
        }
    }

    /// [`Symbols::address_of`], which is a search among some hundred thousand names, once for each name.
    pub fn address_of(&self, symbol: &str) -> Option<u64> {
        self.addresses
            .get_or(0, symbol, || self.symbols.address_of(symbol))
    }
}

/// The banner that the symbol leads to: a kernel file can have a second one, of an earlier step of its build.
fn banner(image: &KernelImage, symbols: &Symbols) -> String {
    let line = symbols.address_of("linux_banner").and_then(|at| {
        // Shorter than what follows it in every kernel.
        let bytes = image.bytes_at(at, 512)?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0))?;
        std::str::from_utf8(&bytes[..end]).ok()
    });
    line.unwrap_or_else(|| image.banner()).to_owned()
}

impl fmt::Debug for DebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DebugInfo({}, build id {})", self.release, self.build_id)
    }
}
