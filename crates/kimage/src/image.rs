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
    /// The symbols of a flat image, from which its layout was derived.
    symbols: Option<Result<Symbols, KallsymsError>>,
    banner: Banner,
    build_id: BuildId,
    /// The file that the kernel was read from, for messages.
    path: Option<PathBuf>,
}

/// Why bytes or a file are not a usable kernel.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Any of these errors, with the file's path.
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
    /// The file has no kernel's magic number.
    #[error(
        "not a kernel (it begins with {start}): give a bzImage or an arm64 Image, as /boot/vmlinuz-* are, or an ELF vmlinux"
    )]
    NotAKernel {
        /// The first bytes, printable.
        start: String,
    },
    /// The kernel or program is for another machine.
    #[error("built for {found}, and only x86-64 kernels can be used: fetch the amd64 (x86_64) package")]
    WrongArchitecture {
        /// The machine that the file was built for.
        found: Architecture,
    },
    /// The setup header of a boot image is damaged or too old.
    #[error("the boot image cannot be read: {0}")]
    Setup(#[from] SetupError),
    /// The header of a self-unpacking EFI image is damaged.
    #[error("the EFI image cannot be read: {0}")]
    Zboot(#[from] ZbootError),
    /// The payload of a boot image is compressed in an unknown way.
    #[error("the boot image's payload has an unknown compression (it begins with {start})")]
    UnknownCompression {
        /// The first bytes, printable.
        start: String,
    },
    /// The compression is known, but there is no decoder for it.
    #[error(
        "packed with {compression}, which is not supported: unpack it first (the kernel's scripts/extract-vmlinux does) and give the vmlinux"
    )]
    UnsupportedCompression {
        /// The compression.
        compression: Compression,
    },
    /// The compressed data is damaged.
    #[error("its {compression} data is damaged ({reason}): fetch it again")]
    Corrupt {
        /// The compression.
        compression: Compression,
        /// The decoder's error.
        reason: String,
    },
    /// The payload unpacks to another size than the boot image states.
    #[error(
        "its {compression} data unpacks to {unpacked} bytes, but its header states {expected}: fetch it again"
    )]
    WrongSize {
        /// The compression.
        compression: Compression,
        /// The unpacked size, in bytes.
        unpacked: usize,
        /// The size stated by the boot image, in bytes.
        expected: u32,
    },
    /// The file is larger than any kernel.
    #[error("larger than {limit} bytes, which no kernel is")]
    TooBig {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The unpacked payload is no kernel.
    #[error("the unpacked payload is neither an ELF file nor an arm64 Image (it begins with {start})")]
    NotElf {
        /// The first bytes, printable.
        start: String,
    },
    /// The ELF file is damaged.
    #[error("the ELF file is damaged: {reason}")]
    DamagedElf {
        /// The ELF reader's error.
        reason: String,
    },
    /// There is no `linux_banner`: some other program.
    #[error("no 'Linux version' banner in it: not a kernel")]
    NoBanner,
    /// There is no GNU build id, by which everything derived from a kernel is named.
    #[error("it has no GNU build id: link it with --build-id (kernels are by default)")]
    NoBuildId,
}

/// A kernel lacks a feature that a caller requires.
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
    /// The symbols that would show the feature cannot be read.
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
    /// [`ImageError::InFile`] with the problem.
    pub fn read(path: &Path) -> Result<KernelImage, ImageError> {
        let in_file = |problem| ImageError::InFile {
            path: path.to_owned(),
            problem: Box::new(problem),
        };
        let bytes = read_file(path).map_err(in_file)?;
        // Passed by value: a copy of a kernel would take noticeable time.
        let unwrapped = wrapping::unwrap(bytes.into(), MAX_UNPACKED).map_err(in_file)?;
        let mut image = KernelImage::of(unwrapped).map_err(in_file)?;
        image.path = Some(path.to_owned());
        Ok(image)
    }

    /// The unpacked kernel: an ELF file, or the flat image of an arm64 kernel. A kernel from a bzImage ends
    /// with the relocations that its decompressor applies.
    pub fn unpacked(&self) -> &[u8] {
        &self.unpacked
    }

    /// The machine that the kernel was built for.
    pub fn architecture(&self) -> Arch {
        self.arch
    }

    /// Checks that the rig's machines can boot this kernel, not only read its memory.
    ///
    /// # Errors
    /// [`ImageError::WrongArchitecture`], in [`ImageError::InFile`] when the kernel came from a file.
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

    /// The release, as `uname -r` prints it: `7.2.13+deb14-cloud-amd64`.
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

    /// The `.BTF` section, if there is one. In a flat image the symbols around it locate it, which requires
    /// `CONFIG_KALLSYMS_ALL`.
    pub fn btf(&self) -> Option<&[u8]> {
        self.unpacked.get(self.layout.btf.clone()?)
    }

    /// [`KernelImage::btf`] for callers that require it.
    ///
    /// # Errors
    /// [`FeatureError::NoBtf`].
    pub fn require_btf(&self) -> Result<&[u8], FeatureError> {
        self.btf()
            .ok_or_else(|| FeatureError::NoBtf { kernel: self.name() })
    }

    /// Whether the ELF file can be booted directly, by its PVH entry point (`CONFIG_PVH`).
    pub fn has_pvh_entry(&self) -> bool {
        self.pvh_entry().is_some()
    }

    /// Physical address of the 32-bit PVH entry point.
    pub fn pvh_entry(&self) -> Option<u64> {
        self.layout.pvh_entry
    }

    /// Link address of `_text`, where the kernel's image begins: the KASLR slide is measured from here. A flat image
    /// whose link address cannot be derived counts as linked at 0, as do its symbols and segments.
    pub fn text_address(&self) -> Option<u64> {
        self.layout.text
    }

    /// The loaded segments, in the order of the file.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_>> {
        self.layout.segments.iter().map(|place| place.of(&self.unpacked))
    }

    /// The `len` bytes linked at `address`; `None` unless the file part of one segment holds them all.
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
    /// [`KallsymsError::InKernel`] with the problem.
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

    /// The kernel's file, or its release when it did not come from a file.
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
    /// The problem, without the file's name.
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

/// Reads a whole file; an error if it is larger than any kernel.
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
