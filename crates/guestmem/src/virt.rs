//! Guest virtual memory: one address space, read and written through its page tables.

use crate::x86_64::{self, Levels, WalkError};
use crate::{GuestVirt, MemError, PhysMem};

/// A failed access through a guest's page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VirtError {
    /// A page of the range is not mapped.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A page of the range maps something that is not RAM.
    #[error("{at} maps to something that is not RAM ({source})")]
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
}

/// One guest address space: memory and the root of its page tables.
#[derive(Clone, Copy)]
pub struct AddressSpace<'m> {
    mem: &'m dyn PhysMem,
    cr3: u64,
    levels: Levels,
}

impl<'m> AddressSpace<'m> {
    /// The address space whose page tables begin at `cr3` (as the register holds it).
    pub fn new(mem: &'m dyn PhysMem, cr3: u64, levels: Levels) -> Self {
        AddressSpace { mem, cr3, levels }
    }

    /// Copies `into.len()` bytes from `at`. All or nothing: on an error `into` is unspecified.
    pub fn read(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), VirtError> {
        for piece in self.pieces(at, into.len())? {
            let target = &mut into[piece.done..piece.done + piece.len];
            self.mem
                .read(piece.phys, target)
                .map_err(|source| VirtError::NotRam {
                    at: piece.virt,
                    source,
                })?;
        }
        Ok(())
    }

    /// Copies `from` to `at`. Every page is translated before the first byte is written.
    pub fn write(&self, at: GuestVirt, from: &[u8]) -> Result<(), VirtError> {
        for piece in self.pieces(at, from.len())? {
            let source = &from[piece.done..piece.done + piece.len];
            self.mem
                .write(piece.phys, source)
                .map_err(|source| VirtError::NotRam {
                    at: piece.virt,
                    source,
                })?;
        }
        Ok(())
    }

    /// A little-endian `u64` at `at`.
    pub fn read_u64(&self, at: GuestVirt) -> Result<u64, VirtError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn pieces(&self, at: GuestVirt, len: usize) -> Result<Vec<Piece>, VirtError> {
        at.checked_add(len as u64).ok_or(VirtError::Wraps { at, len })?;
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < len {
            let virt = GuestVirt(at.0 + done as u64);
            let leaf = x86_64::walk(self.mem, self.cr3, self.levels, virt)?;
            let here = (len - done).min(leaf.rest as usize);
            pieces.push(Piece {
                virt,
                phys: leaf.at,
                done,
                len: here,
            });
            done += here;
        }
        Ok(pieces)
    }
}

/// A part of a range that lies in one page.
struct Piece {
    virt: GuestVirt,
    phys: crate::GuestPhys,
    done: usize,
    len: usize,
}
