//! The parts of a range of virtual addresses: mapped spans and holes.

use crate::walk::{Missing, Walker};
use crate::{GuestPhys, GuestVirt, Leaf, PageTables, PhysMem, WalkError};

/// The most pages that one step joins: 64 MiB of 4 KiB pages, about a millisecond.
const MAX_PAGES: u32 = 1 << 14;

/// A part of a virtual range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Pages that are consecutive in physical memory too, in one RAM region (or all outside of RAM).
    Mapped {
        /// The first virtual address.
        virt: GuestVirt,
        /// The physical address of the first byte.
        phys: GuestPhys,
        /// Length in bytes.
        len: u64,
    },
    /// No pages, over the whole range of the missing entry.
    Hole {
        /// The first virtual address.
        virt: GuestVirt,
        /// Length in bytes.
        len: u64,
        /// Why the addresses are not mapped.
        why: WalkError,
    },
}

impl Span {
    /// The first virtual address.
    pub fn virt(&self) -> GuestVirt {
        match *self {
            Span::Mapped { virt, .. } | Span::Hole { virt, .. } => virt,
        }
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        match *self {
            Span::Mapped { len, .. } | Span::Hole { len, .. } => len,
        }
    }
}

/// The parts of a virtual range, in order, without gap or overlap. Made by
/// [`AddressSpace::ranges`](crate::AddressSpace::ranges).
///
/// A step takes bounded time whatever the tables hold: it joins at most 16 384 pages, so neighbouring spans may
/// still continue one another. The number of steps depends on the tables: damaged ones can map 2^57 bytes
/// page by page, so a caller that lists a whole address space needs a limit of its own.
pub struct Ranges<'m> {
    mem: &'m dyn PhysMem,
    walker: Walker<'m>,
    at: u64,
    left: u64,
    /// The translation of `at`, if the last step has read it already.
    ahead: Option<Result<Leaf, Missing>>,
}

impl<'m> Ranges<'m> {
    /// The part of the range beyond the end of the address space is left out.
    pub(crate) fn new(mem: &'m dyn PhysMem, tables: PageTables, at: GuestVirt, len: u64) -> Self {
        let space = (u64::MAX - at.0).saturating_add(1);
        Ranges {
            mem,
            walker: Walker::new(mem, tables),
            at: at.0,
            left: len.min(space),
            ahead: None,
        }
    }

    /// The length of the span that begins with `first`, at most `limit`.
    fn join(&mut self, first: Leaf, limit: u64) -> u64 {
        let mut len = first.rest.min(limit);
        for _ in 1..MAX_PAGES {
            if len == limit {
                break;
            }
            let next = self.walker.probe(GuestVirt(self.at + len));
            match next {
                Ok(leaf) if leaf.at.0 == first.at.0 + len => len += leaf.rest.min(limit - len),
                _ => {
                    self.ahead = Some(next);
                    break;
                }
            }
        }
        len
    }
}

impl Iterator for Ranges<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.left == 0 {
            return None;
        }
        let virt = GuestVirt(self.at);
        let found = self.ahead.take().unwrap_or_else(|| self.walker.probe(virt));
        let span = match found {
            Ok(leaf) => {
                let stretch = self.mem.stretch(leaf.at);
                let limit = self.left.min(stretch.bytes().max(1));
                Span::Mapped {
                    virt,
                    phys: leaf.at,
                    len: self.join(leaf, limit),
                }
            }
            Err(Missing { why, rest }) => Span::Hole {
                virt,
                len: rest.min(self.left),
                why,
            },
        };
        self.at = self.at.wrapping_add(span.bytes());
        self.left -= span.bytes();
        Some(span)
    }
}
