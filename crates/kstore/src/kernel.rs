//! A kernel on this machine's disk, and checks for the features that a run needs.

use std::fs;
use std::path::PathBuf;

use crate::{KernelRequest, StoreError};

/// One kernel: the paths of its files, and its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel image as shipped (`vmlinuz`); the same file as [`Kernel::vmlinux`] when an ELF was shipped.
    pub image: PathBuf,
    /// The uncompressed ELF.
    pub vmlinux: PathBuf,
    /// The build configuration, if there is one.
    pub config: Option<PathBuf>,
    /// The release, as `uname -r` prints it.
    pub release: String,
    /// The GNU build id, in hexadecimal digits.
    pub build_id: String,
    /// The request that this kernel answers.
    pub request: String,
    /// The request that gives this kernel and no other, from wherever it is made: with the package's exact version, or an
    /// absolute path. `host` stays `host`.
    pub exact: KernelRequest,
}

/// The line in the config of a kernel with `sched_ext`.
const SCHED_EXT: &str = "CONFIG_SCHED_CLASS_EXT=y";

impl Kernel {
    /// Checks that this kernel can run `sched_ext` schedulers.
    ///
    /// # Errors
    /// [`StoreError::Lacks`] when the config lacks the option; without a config, [`StoreError::Feature`] when the
    /// image's symbols lack the kfuncs.
    pub fn require_sched_ext(&self) -> Result<(), StoreError> {
        let Some(config) = &self.config else {
            return Ok(self.open()?.require_sched_ext()?);
        };
        let text = fs::read_to_string(config).map_err(StoreError::file("reading", config))?;
        if text.lines().any(|line| line == SCHED_EXT) {
            Ok(())
        } else {
            Err(self.lacks("sched_ext", SCHED_EXT))
        }
    }

    /// Checks that this kernel carries BTF.
    ///
    /// # Errors
    /// [`StoreError::Feature`] when it does not carry BTF; [`StoreError::Image`] when the image cannot be read.
    pub fn require_btf(&self) -> Result<(), StoreError> {
        self.open()?.require_btf()?;
        Ok(())
    }

    fn open(&self) -> Result<kimage::KernelImage, StoreError> {
        let name = self.vmlinux.display().to_string();
        kimage::KernelImage::read(&self.vmlinux).map_err(|source| StoreError::Image { name, source })
    }

    fn lacks(&self, what: &'static str, option: &'static str) -> StoreError {
        StoreError::Lacks {
            release: self.release.clone(),
            request: self.request.clone(),
            what,
            option,
        }
    }
}
