//! A kernel's types are parsed once in a process.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use kimage::{BuildId, FeatureError, KernelImage};

use super::layer::BtfError;
use super::types::Btf;

static KERNELS: OnceLock<Mutex<HashMap<BuildId, Btf>>> = OnceLock::new();

/// Why a kernel's types cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelBtfError {
    /// It was built without.
    #[error(transparent)]
    Absent(#[from] FeatureError),
    /// They are damaged.
    #[error("the BTF of kernel {release} cannot be read: {problem}")]
    Damaged {
        /// The kernel's release.
        release: String,
        /// What is wrong.
        #[source]
        problem: BtfError,
    },
}

impl Btf {
    /// The types of a kernel, parsed at the first call for its build id.
    ///
    /// # Errors
    /// [`KernelBtfError`] when it has none, or they are damaged.
    pub fn of_kernel(image: &KernelImage) -> Result<Btf, KernelBtfError> {
        cached(image.build_id(), || {
            Btf::parse(image.require_btf()?).map_err(|problem| KernelBtfError::Damaged {
                release: image.release().to_owned(),
                problem,
            })
        })
    }
}

/// The types of the kernel with this build id; `load` gives them at the first call.
///
/// # Errors
/// Those of `load`; they are not kept.
pub fn cached<E>(build_id: BuildId, load: impl FnOnce() -> Result<Btf, E>) -> Result<Btf, E> {
    let kernels = KERNELS.get_or_init(Mutex::default);
    let find = || {
        let kernels = kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.get(&build_id).cloned()
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    // Not under the lock: whoever loads may take long, or want another kernel's.
    let btf = load()?;
    let mut kernels = kernels.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(kernels.entry(build_id).or_insert(btf).clone())
}
