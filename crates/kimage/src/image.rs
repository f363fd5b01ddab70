//! A kernel file, opened: [`KernelImage`].

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::banner::{self, Banner};
use crate::build_id::BuildId;
use crate::bzimage::SetupError;
use crate::elf::{ElfError, Layout, Segment};
use crate::flat;
use crate::format::{Arch, Architecture};
use crate::kallsyms::{self, KallsymsError, Region};
use crate::sched_ext::has_sched_ext;
use crate::symbols::Symbols;
use crate::symtab;
use crate::unpack::{Compression, MAX_UNPACKED, UnpackError};
use crate::wrapping::{self, Form, Unwrapped};
use crate::zboot::ZbootError;

/// A Linux kernel, unpacked: of x86-64, an ELF file; of aarch64, an ELF file or a flat image.
pub struct KernelImage {
    unpacked: Vec<u8>,
    arch: Arch,
    layout: Layout,
    /// The symbols of a flat image, from which its layout was made.
    symbols: Option<Result<Symbols, KallsymsError>>,
    banner: Banner,
    build_id: BuildId,
    /// The file it was read from, for messages.
    path: Option<PathBuf>,
}

/// Why bytes or a file are not a kernel that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Any of these, with the file that it is about.
    #[error("{}: {problem}", .path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// The problem itself.
        problem: Box<ImageError>,
    },
    /// The file could not be read.
    #[error("{0}")]
    Read(io::Error),
    /// The magic numbers are no kernel's.
    #[error(
        "not a kernel (it begins with {start}): give a bzImage or an arm64 Image, as /boot/vmlinuz-* are, or an ELF vmlinux"
    )]
    NotAKernel {
        /// The first bytes, printable.
        start: String,
    },
    /// A kernel or program for another machine.
    #[error("built for {found}, and only x86-64 kernels can be used: fetch the amd64 (x86_64) package")]
    WrongArchitecture {
        /// The machine it was built for.
        found: Architecture,
    },
    /// The setup header of a boot image is damaged or too old.
    #[error("the boot image cannot be read: {0}")]
    Setup(#[from] SetupError),
    /// The header of a self-unpacking EFI image leads nowhere.
    #[error("the EFI image cannot be read: {0}")]
    Zboot(#[from] ZbootError),
    /// The payload of a boot image is compressed in an unknown way.
    #[error("the boot image's payload has an unknown compression (it begins with {start})")]
    UnknownCompression {
        /// The first bytes, printable.
        start: String,
    },
    /// The compression is known, and there is no decoder for it.
    #[error(
        "packed with {compression}, which is not supported: unpack it first (the kernel's scripts/extract-vmlinux does) and give the vmlinux"
    )]
    UnsupportedCompression {
        /// The compression.
        compression: Compression,
    },
    /// The decoder gave up.
    #[error("its {compression} data is damaged ({reason}): fetch it again")]
    Corrupt {
        /// The compression.
        compression: Compression,
        /// What the decoder said.
        reason: String,
    },
    /// The payload unpacks to another size than the boot image says.
    #[error(
        "its {compression} data unpacks to {unpacked} bytes, where {expected} were promised: fetch it again"
    )]
    WrongSize {
        /// The compression.
        compression: Compression,
        /// What came out, in bytes.
        unpacked: usize,
        /// What the boot image says, in bytes.
        expected: u32,
    },
    /// More bytes than any kernel has.
    #[error("larger than {limit} bytes, which no kernel is")]
    TooBig {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The payload was unpacked, and is no kernel.
    #[error("what it unpacks to is neither an ELF file nor an arm64 Image (it begins with {start})")]
    NotElf {
        /// The first bytes, printable.
        start: String,
    },
    /// The ELF file is damaged.
    #[error("the ELF file is damaged: {reason}")]
    DamagedElf {
        /// What the ELF reader said.
        reason: String,
    },
    /// No `linux_banner`: some other program.
    #[error("no 'Linux version' banner in it: not a kernel")]
    NoBanner,
    /// No GNU build id, which names everything that is derived from a kernel.
    #[error("it has no GNU build id: link it with --build-id (kernels are by default)")]
    NoBuildId,
}

/// A kernel lacks something that a caller asked for.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// No `.BTF` section.
    #[error("{kernel} has no BTF type information: use a kernel built with CONFIG_DEBUG_INFO_BTF=y")]
    NoBtf {
        /// The kernel's file, or its release when it did not come from a file.
        kernel: String,
    },
    /// No sched_ext.
    #[error(
        "{kernel} cannot run sched_ext schedulers: use a kernel from 6.12 on, built with CONFIG_SCHED_CLASS_EXT=y"
    )]
    NoSchedExt {
        /// The kernel's file, or its release when it did not come from a file.
        kernel: String,
    },
    /// Its symbols, which would tell, cannot be read.
    #[error(transparent)]
    Symbols(#[from] KallsymsError),
}

impl KernelImage {
    /// Opens a kernel: a bzImage, an arm64 `Image` or its EFI form, or an ELF vmlinux, compressed or not.
    ///
    /// # Errors
    /// [`ImageError`], never [`ImageError::InFile`] or [`ImageError::Read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<KernelImage, ImageError> {
        KernelImage::from_bytes_within(bytes, MAX_UNPACKED)
    }

    /// [`KernelImage::from_bytes`] with another bound, in bytes, on the unpacked kernel; no decoder uses much more
    /// memory than that.
    ///
    /// # Errors
    /// As for [`KernelImage::from_bytes`].
    pub fn from_bytes_within(bytes: &[u8], limit: usize) -> Result<KernelImage, ImageError> {
        KernelImage::of(wrapping::unwrap(bytes.into(), limit)?)
    }

    /// Opens the kernel in the file `path`.
    ///
    /// # Errors
    /// [`ImageError::InFile`] with whatever is wrong.
    pub fn read(path: &Path) -> Result<KernelImage, ImageError> {
        let in_file = |problem| ImageError::InFile {
            path: path.to_owned(),
            problem: Box::new(problem),
        };
        let bytes = read_file(path).map_err(in_file)?;
        // Given away: a kernel is large enough that a copy of it is felt.
        let unwrapped = wrapping::unwrap(bytes.into(), MAX_UNPACKED).map_err(in_file)?;
        let mut image = KernelImage::of(unwrapped).map_err(in_file)?;
        image.path = Some(path.to_owned());
        Ok(image)
    }

    /// The unpacked kernel: an ELF file, or the flat image of an arm64 kernel. What came from a bzImage ends in the
    /// relocations that its decompressor applies.
    pub fn unpacked(&self) -> &[u8] {
        &self.unpacked
    }

    /// The machine that it was built for.
    pub fn architecture(&self) -> Arch {
        self.arch
    }

    /// Checks that it is a kernel which a machine of ours can boot, not only one whose memory can be read.
    ///
    /// # Errors
    /// [`ImageError::WrongArchitecture`], in [`ImageError::InFile`] when it came from a file.
    pub fn require_x86_64(&self) -> Result<(), ImageError> {
        let found = match self.arch {
            Arch::X86_64 => return Ok(()),
            Arch::Aarch64 => Architecture::Aarch64,
        };
        let problem = ImageError::WrongArchitecture { found };
        Err(match &self.path {
            Some(path) => ImageError::InFile {
                path: path.clone(),
                problem: Box::new(problem),
            },
            None => problem,
        })
    }

    /// The release, as `uname -r` tells it: `7.2.13+deb14-cloud-amd64`.
    pub fn release(&self) -> &str {
        &self.banner.release
    }

    /// `linux_banner`, the first line of the kernel's log, without its line feed.
    pub fn banner(&self) -> &str {
        &self.banner.line
    }

    /// The GNU build id.
    pub fn build_id(&self) -> BuildId {
        self.build_id
    }

    /// The `.BTF` section, if there is one. In a flat image it is found by the symbols around it, which are there with
    /// `CONFIG_KALLSYMS_ALL`.
    pub fn btf(&self) -> Option<&[u8]> {
        self.unpacked.get(self.layout.btf.clone()?)
    }

    /// [`KernelImage::btf`] for callers who cannot do without.
    ///
    /// # Errors
    /// [`FeatureError::NoBtf`].
    pub fn require_btf(&self) -> Result<&[u8], FeatureError> {
        self.btf()
            .ok_or_else(|| FeatureError::NoBtf { kernel: self.name() })
    }

    /// True when the ELF file can be booted directly, by its PVH entry point (`CONFIG_PVH`).
    pub fn has_pvh_entry(&self) -> bool {
        self.pvh_entry().is_some()
    }

    /// Physical address of the 32-bit PVH entry point.
    pub fn pvh_entry(&self) -> Option<u64> {
        self.layout.pvh_entry
    }

    /// Link address of `_text`, where the kernel's image begins: what KASLR moves is measured from here. A flat image
    /// without any trace of where it was linked counts as linked at 0, as do its symbols and segments.
    pub fn text_address(&self) -> Option<u64> {
        self.layout.text
    }

    /// The loaded segments, in the order of the file.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_>> {
        self.layout.segments.iter().map(|place| place.of(&self.unpacked))
    }

    /// The `len` bytes that are linked at `address`; `None` when a segment's file part does not hold them all.
    pub fn bytes_at(&self, address: u64, len: usize) -> Option<&[u8]> {
        self.segments().find_map(|segment| {
            let start = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.bytes.get(start..start.checked_add(len)?)
        })
    }

    /// Decodes the symbols: of the ELF symbol table if there is one, else of the embedded kallsyms tables. Takes some
    /// tens of milliseconds; keep the result.
    ///
    /// # Errors
    /// [`KallsymsError::InKernel`] with whatever is wrong.
    pub fn symbols(&self) -> Result<Symbols, KallsymsError> {
        self.decode_symbols().map_err(|problem| KallsymsError::InKernel {
            kernel: self.name(),
            problem: Box::new(problem),
        })
    }

    /// Checks that the kernel can run BPF schedulers; see [`has_sched_ext`] for how.
    ///
    /// # Errors
    /// [`FeatureError::NoSchedExt`], or [`FeatureError::Symbols`] when its symbols cannot be read.
    pub fn require_sched_ext(&self) -> Result<(), FeatureError> {
        if has_sched_ext(&self.symbols()?) {
            return Ok(());
        }
        Err(FeatureError::NoSchedExt { kernel: self.name() })
    }

    fn of(Unwrapped { bytes, form }: Unwrapped) -> Result<KernelImage, ImageError> {
        let (arch, layout, symbols) = match form {
            Form::Elf(arch) => (arch, Layout::parse(&bytes)?, None),
            Form::Flat => {
                let (layout, symbols) = flat::read(&bytes);
                (Arch::Aarch64, layout, Some(symbols))
            }
        };
        let banner = banner::find(&bytes).ok_or(ImageError::NoBanner)?;
        let build_id = layout.build_id.ok_or(ImageError::NoBuildId)?;
        Ok(KernelImage {
            unpacked: bytes,
            arch,
            layout,
            symbols,
            banner,
            build_id,
            path: None,
        })
    }

    fn decode_symbols(&self) -> Result<Symbols, KallsymsError> {
        if let Some(symbols) = &self.symbols {
            return symbols.clone();
        }
        let symtab = symtab::read(&self.unpacked).map_err(|e| KallsymsError::Symtab {
            reason: e.to_string(),
        })?;
        if let Some(symbols) = symtab {
            return Ok(symbols);
        }
        let regions: Vec<Region<'_>> = self
            .segments()
            .map(|segment| Region {
                address: segment.address,
                bytes: segment.bytes,
            })
            .collect();
        Ok(kallsyms::decode(self.arch, &regions)?.symbols)
    }

    /// The file, or else the release.
    fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => self.release().to_owned(),
        }
    }
}

impl fmt::Debug for KernelImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelImage")
            .field("release", &self.banner.release)
            .field("arch", &self.arch)
            .field("build_id", &self.build_id)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ImageError {
    /// The problem itself, without the file's name around it.
    pub fn problem(&self) -> &ImageError {
        match self {
            ImageError::InFile { problem, .. } => problem.problem(),
            other => other,
        }
    }

    pub(crate) fn unpack(compression: Compression, error: UnpackError) -> ImageError {
        match error {
            UnpackError::TooBig { limit } => ImageError::TooBig { limit },
            UnpackError::Unsupported(compression) => ImageError::UnsupportedCompression { compression },
            UnpackError::Corrupt(reason) => ImageError::Corrupt {
                compression,
                reason: reason.to_string(),
            },
        }
    }
}

impl From<ElfError> for ImageError {
    fn from(error: ElfError) -> ImageError {
        ImageError::DamagedElf {
            reason: error.to_string(),
        }
    }
}

/// Reads a whole file, unless it is larger than any kernel.
fn read_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    let file = File::open(path).map_err(ImageError::Read)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(MAX_UNPACKED));
    file.take(MAX_UNPACKED as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(ImageError::Read)?;
    if bytes.len() > MAX_UNPACKED {
        return Err(ImageError::TooBig { limit: MAX_UNPACKED });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
