//! Guest virtual memory: one address space, read and written through its page tables.
//!
//! | operation | on a failure | order |
//! |---|---|---|
//! | [`read`](AddressSpace::read) | the buffer is unspecified | as the range goes |
//! | [`read_chunked`](AddressSpace::read_chunked) | no bytes at all | as the range goes |
//! | [`write`](AddressSpace::write) | nothing was written | all translated, then all written |
//! | [`write_through`](AddressSpace::write_through) | a prefix stays; its length is returned | as the range goes |

use std::sync::atomic::{Ordering, fence};

use crate::ranges::{Ranges, Span};
use crate::walk::{Leaf, PageTables, WalkError};
use crate::x86_64::Levels;
use crate::{GuestPhys, GuestVirt, MemError, PhysMem, Stretch, aarch64};

/// A failed access through a guest's page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VirtError {
    /// A page of the range is not mapped.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A page of the range maps an address outside of RAM.
    #[error("{at} maps to an address outside of RAM ({source})")]
    NotRam {
        /// The virtual address of the failing piece.
        at: GuestVirt,
        /// The failed access.
        #[source]
        source: MemError,
    },
    /// The range runs over the end of the address space.
    #[error("{len} bytes at {at} wrap around the address space")]
    Wraps {
        /// First byte.
        at: GuestVirt,
        /// Length in bytes.
        len: usize,
    },
    /// The length exceeds the limit of one read: it is damaged.
    #[error("{len} bytes at {at} are more than the {max} that are read at once")]
    TooLong {
        /// First byte.
        at: GuestVirt,
        /// Length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// A write that failed after a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{written} bytes were written before the failure")]
pub struct WriteError {
    /// The number of bytes that were written, and stay.
    pub written: usize,
    /// The failure.
    #[source]
    pub source: VirtError,
}

/// One guest address space: memory and its page tables.
#[derive(Clone, Copy)]
pub struct AddressSpace<'m> {
    mem: &'m dyn PhysMem,
    tables: PageTables,
}

impl<'m> AddressSpace<'m> {
    /// The most bytes that [`read_chunked`](Self::read_chunked) reads. A length is often the guest's claim, and page
    /// tables can map one page a million times.
    pub const MAX_CHUNKED: usize = 1 << 30;

    /// The x86-64 address space whose page tables begin at `cr3` (as the register holds it).
    pub fn new(mem: &'m dyn PhysMem, cr3: u64, levels: Levels) -> Self {
        AddressSpace::with_tables(mem, PageTables::X86_64 { cr3, levels })
    }

    /// The kernel's half of an aarch64 address space.
    pub fn aarch64(mem: &'m dyn PhysMem, tables: aarch64::Tables) -> Self {
        AddressSpace::with_tables(mem, PageTables::Aarch64(tables))
    }

    /// The address space of these page tables.
    pub fn with_tables(mem: &'m dyn PhysMem, tables: PageTables) -> Self {
        AddressSpace { mem, tables }
    }

    /// The physical memory.
    pub fn memory(&self) -> &'m dyn PhysMem {
        self.mem
    }

    /// The page tables.
    pub fn tables(&self) -> PageTables {
        self.tables
    }

    /// Walks to the page that maps `at`.
    pub fn translate(&self, at: GuestVirt) -> Result<Leaf, WalkError> {
        self.tables.walk(self.mem, at)
    }

    /// Whether a program that runs in this address space may write to all of the `len` bytes at `at`. It may not write to a
    /// page that it has not touched yet, nor to one that it shares copy-on-write. Takes time in proportion to `len`.
    pub fn is_writable_by_user(&self, at: GuestVirt, len: u64) -> bool {
        let Some(last) = len.checked_sub(1).and_then(|last| at.checked_add(last)) else {
            return false;
        };
        let page = self.tables.page_size();
        let mut pages = (at.0 / page)..=(last.0 / page);
        pages.all(|number| {
            self.tables
                .is_writable_by_user(self.mem, GuestVirt(number * page))
        })
    }

    /// The mapped spans and holes of `len` bytes at `at`, up to the end of the address space.
    pub fn ranges(&self, at: GuestVirt, len: u64) -> Ranges<'m> {
        Ranges::new(self.mem, self.tables, at, len)
    }

    /// Copies `into.len()` bytes from `at`. All or nothing: on an error `into` is unspecified.
    pub fn read(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), VirtError> {
        let mut rest = into;
        for piece in self.pieces(at, rest.len())? {
            let piece = piece?;
            let (here, later) = rest.split_at_mut(piece.len);
            self.mem
                .read(piece.phys, here)
                .map_err(|source| piece.not_ram(source))?;
            rest = later;
        }
        Ok(())
    }

    /// `len` bytes from `at`, all or none; at most [`MAX_CHUNKED`](Self::MAX_CHUNKED). Every copy is as long
    /// as the pages are consecutive in physical memory and in one RAM region.
    pub fn read_chunked(&self, at: GuestVirt, len: usize) -> Result<Vec<u8>, VirtError> {
        let max = Self::MAX_CHUNKED;
        if len > max {
            return Err(VirtError::TooLong { at, len, max });
        }
        // Do not allocate for a range whose first byte is not mapped.
        if len > 0 {
            self.translate(at)?;
        }
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes at `at` up to the first NUL, which is left out; at most `max`. A result of `max` bytes has no
    /// NUL. Pages after the NUL need not be mapped.
    pub fn read_cstr(&self, at: GuestVirt, max: usize) -> Result<Vec<u8>, VirtError> {
        cstr(at, max, |at, into| self.read(at, into))
    }

    /// A byte at `at`.
    pub fn read_u8(&self, at: GuestVirt) -> Result<u8, VirtError> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A little-endian `u16` at `at`.
    pub fn read_u16(&self, at: GuestVirt) -> Result<u16, VirtError> {
        value(
            at,
            self.translate(at)?,
            |phys| self.mem.read_u16(phys),
            |bytes| self.read(at, bytes).map(|()| u16::from_le_bytes(*bytes)),
        )
    }

    /// A little-endian `u32` at `at`.
    pub fn read_u32(&self, at: GuestVirt) -> Result<u32, VirtError> {
        value(
            at,
            self.translate(at)?,
            |phys| self.mem.read_u32(phys),
            |bytes| self.read(at, bytes).map(|()| u32::from_le_bytes(*bytes)),
        )
    }

    /// A little-endian `u64` at `at`.
    pub fn read_u64(&self, at: GuestVirt) -> Result<u64, VirtError> {
        value(
            at,
            self.translate(at)?,
            |phys| self.mem.read_u64(phys),
            |bytes| self.read(at, bytes).map(|()| u64::from_le_bytes(*bytes)),
        )
    }

    /// Copies `from` to `at`. Every page is translated, and known to be RAM, before the first byte is written:
    /// on an error nothing has changed. A reader that sees the last byte sees all of them (a Release fence).
    pub fn write(&self, at: GuestVirt, from: &[u8]) -> Result<(), VirtError> {
        let pieces: Result<Vec<Piece>, VirtError> = self.pieces(at, from.len())?.collect();
        let pieces = pieces?;
        for piece in &pieces {
            if matches!(self.mem.stretch(piece.phys), Stretch::Gap(_)) {
                let (at, len) = (piece.phys, piece.len);
                return Err(piece.not_ram(MemError::NotRam { at, len }));
            }
        }
        let mut rest = from;
        for piece in pieces {
            let (here, later) = rest.split_at(piece.len);
            self.mem
                .write(piece.phys, here)
                .map_err(|source| piece.not_ram(source))?;
            rest = later;
        }
        fence(Ordering::Release);
        Ok(())
    }

    /// Sets bits of an aligned `u32` atomically ([`PhysMem::fetch_or_u32`]), and returns the old value.
    pub fn fetch_or_u32(&self, at: GuestVirt, mask: u32) -> Result<u32, VirtError> {
        let pieces: Result<Vec<Piece>, VirtError> = self.pieces(at, size_of::<u32>())?.collect();
        // An aligned word is in one piece; an unaligned one is refused.
        match pieces?.first() {
            Some(piece) => {
                let was = self.mem.fetch_or_u32(piece.phys, mask);
                was.map_err(|source| piece.not_ram(source))
            }
            None => Ok(0),
        }
    }

    /// Copies `from` to `at` page by page, without translating ahead: bytes before a page that cannot be written are
    /// written, and stay. The Release fence is only for a write that succeeds as a whole.
    pub fn write_through(&self, at: GuestVirt, from: &[u8]) -> Result<(), WriteError> {
        let mut written = 0;
        let failed = |written, source| WriteError { written, source };
        for piece in self.pieces(at, from.len()).map_err(|source| failed(0, source))? {
            let piece = piece.map_err(|source| failed(written, source))?;
            self.mem
                .write(piece.phys, &from[written..written + piece.len])
                .map_err(|source| failed(written, piece.not_ram(source)))?;
            written += piece.len;
        }
        fence(Ordering::Release);
        Ok(())
    }

    /// The mapped pieces of a range that must not wrap. A hole is an error; items after the first error are meaningless.
    fn pieces(
        &self,
        at: GuestVirt,
        len: usize,
    ) -> Result<impl Iterator<Item = Result<Piece, VirtError>> + use<'m>, VirtError> {
        not_wrapping(at, len)?;
        Ok(self.ranges(at, len as u64).map(|span| match span {
            Span::Mapped { virt, phys, len } => Ok(Piece {
                virt,
                phys,
                len: len as usize,
            }),
            Span::Hole { why, .. } => Err(VirtError::Walk(why)),
        }))
    }
}

/// Consecutive bytes of a range, in virtual and in physical memory.
struct Piece {
    virt: GuestVirt,
    phys: GuestPhys,
    len: usize,
}

impl Piece {
    fn not_ram(&self, source: MemError) -> VirtError {
        VirtError::NotRam {
            at: self.virt,
            source,
        }
    }
}

/// Checks that a range does not wrap; it may end with the last byte of the address space.
pub(crate) fn not_wrapping(at: GuestVirt, len: usize) -> Result<(), VirtError> {
    match (len as u64).checked_sub(1) {
        Some(last) if at.checked_add(last).is_none() => Err(VirtError::Wraps { at, len }),
        _ => Ok(()),
    }
}

/// A value of `N` bytes at `at`, by one access if it lies in one page.
pub(crate) fn value<T, const N: usize>(
    at: GuestVirt,
    leaf: Leaf,
    whole: impl FnOnce(GuestPhys) -> Result<T, MemError>,
    pieces: impl FnOnce(&mut [u8; N]) -> Result<T, VirtError>,
) -> Result<T, VirtError> {
    if leaf.rest >= N as u64 {
        whole(leaf.at).map_err(|source| VirtError::NotRam { at, source })
    } else {
        pieces(&mut [0; N])
    }
}

/// Reads up to a NUL, never past the page that holds it.
pub(crate) fn cstr(
    at: GuestVirt,
    max: usize,
    read: impl Fn(GuestVirt, &mut [u8]) -> Result<(), VirtError>,
) -> Result<Vec<u8>, VirtError> {
    // The smallest page of any guest is a multiple of this, and most strings fit.
    const PIECE: usize = 256;
    let (mut bytes, mut piece) = (Vec::new(), [0; PIECE]);
    while bytes.len() < max {
        let here = at.checked_add(bytes.len() as u64).ok_or(VirtError::Wraps {
            at,
            len: bytes.len() + 1,
        })?;
        let piece = &mut piece[..(max - bytes.len()).min(PIECE - here.0 as usize % PIECE)];
        read(here, piece)?;
        match piece.iter().position(|&byte| byte == 0) {
            Some(end) => {
                bytes.extend_from_slice(&piece[..end]);
                break;
            }
            None => bytes.extend_from_slice(piece),
        }
    }
    Ok(bytes)
}
