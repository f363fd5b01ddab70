//! A kernel on this machine's disk, and what a run may ask of it.

use std::fs;
use std::path::PathBuf;

use crate::StoreError;

/// Where one kernel's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel image as shipped (`vmlinuz`); the same file as [`Kernel::vmlinux`] when an ELF was shipped.
    pub image: PathBuf,
    /// The uncompressed ELF.
    pub vmlinux: PathBuf,
    /// The build configuration, when it is known.
    pub config: Option<PathBuf>,
    /// The release, as `uname -r` says it.
    pub release: String,
    /// The GNU build id, in hexadecimal digits.
    pub build_id: String,
    /// The request that it answers.
    pub request: String,
}

/// The line of a config that says that the kernel has `sched_ext`.
const SCHED_EXT: &str = "CONFIG_SCHED_CLASS_EXT=y";

impl Kernel {
    /// That this kernel can run `sched_ext` schedulers.
    ///
    /// # Errors
    /// [`StoreError::Lacks`] when its config says that it cannot; without a config, [`StoreError::Feature`] says what
    /// the image's own symbols tell.
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

    /// That this kernel carries its own type information.
    ///
    /// # Errors
    /// [`StoreError::Feature`] when it does not; [`StoreError::Image`] when the image cannot be read.
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
