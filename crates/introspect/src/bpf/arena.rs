//! `struct bpf_arena`: pages that a program and user space share, filled as they are used.
//!
//! ```text
//!  user space: user_vm_start ── page 0 │ page 1 │ … ── user_vm_end
//!  kernel:     kern_vm->addr + guard + the lower 32 bits of user_vm_start ── page 0 │ …
//! ```

use guestmem::GuestVirt;
use record::Value;

use super::Map;
use crate::collections::rbtree;
use crate::{Object, ReadError};

/// `struct bpf_arena`
#[derive(Clone, Copy)]
pub struct Arena<'b> {
    map: Map<'b>,
    arena: Object<'b>,
}

/// An arena has 4 GiB at the most.
const MOST_PAGES: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// `GUARD_SZ / 2`: an instruction can miss by 16 bits with a sign.
const GUARD: u64 = 1 << 15;
/// Ranges of free pages.
const MOST_RANGES: usize = 1 << 20;

impl<'b> Arena<'b> {
    /// That of a map.
    pub fn of(map: &Map<'b>) -> Result<Arena<'b>, ReadError> {
        Ok(Arena {
            map: *map,
            arena: map.within("bpf_arena")?,
        })
    }

    /// `user_vm_start`: where user space has it mapped; 0 while it is not and need not be at a certain place.
    pub fn user_vm_start(&self) -> Result<GuestVirt, ReadError> {
        self.arena.pointer("user_vm_start")
    }

    /// `user_vm_end`
    pub fn user_vm_end(&self) -> Result<GuestVirt, ReadError> {
        self.arena.pointer("user_vm_end")
    }

    /// `bpf_arena_get_kern_vm_start()`: where programs have it mapped.
    pub fn kern_vm_start(&self) -> Result<GuestVirt, ReadError> {
        Ok(self.arena.pointer("kern_vm->addr")?.wrapping_add(GUARD))
    }

    /// Where a page is in the kernel, whether it is there or not.
    pub fn page(&self, index: u64) -> Result<GuestVirt, ReadError> {
        let low = self.user_vm_start()?.0 & 0xffff_ffff;
        // Within the 4 GiB, as programs reach it: with the lower 32 bits of its address.
        let offset = low.wrapping_add(index.wrapping_mul(PAGE)) & 0xffff_ffff;
        Ok(self.kern_vm_start()?.wrapping_add(offset))
    }

    /// How many pages it can have: `max_entries`.
    pub fn max_pages(&self) -> Result<u64, ReadError> {
        match self.map.max_entries()? {
            pages if pages <= MOST_PAGES => Ok(pages),
            pages => {
                let what = format!("max_entries of {}", self.arena.describe());
                Err(ReadError::out_of_range(
                    what,
                    pages,
                    "an arena has 4 GiB at the most",
                ))
            }
        }
    }

    /// How many pages are in use: all but the ranges in `rt`, which are free (v6.14); before, those that are mapped.
    pub fn pages(&self) -> Result<u64, ReadError> {
        let max = self.max_pages()?;
        let ranges = match self.arena.field("rt.it_root") {
            Err(error) if error.is_absent() => return self.mapped(max),
            found => found?,
        };
        let mut free = 0u64;
        for node in rbtree(ranges, MOST_RANGES) {
            let range = node?.container_of("range_node", "rn_rbnode")?;
            let (start, last) = (range.u64("rn_start")?, range.u64("rn_last")?);
            if start > last || last >= max {
                let what = format!("rn_last of {}", range.describe());
                let why = format!("the range begins at {start}, and the arena has {max} pages");
                return Err(ReadError::out_of_range(what, last, why));
            }
            free += last - start + 1;
        }
        max.checked_sub(free).ok_or_else(|| {
            let what = format!("free pages of {}", self.arena.describe());
            ReadError::out_of_range(what, free, format!("it has {max} pages"))
        })
    }

    fn mapped(&self, max: u64) -> Result<u64, ReadError> {
        let kernel = self.arena.kernel();
        let mut count = 0;
        for index in 0..max {
            count += u64::from(kernel.translate(self.page(index)?).is_ok());
        }
        Ok(count)
    }

    /// Bounds and pages.
    pub fn value(&self) -> Value {
        let hex = |at: Result<GuestVirt, ReadError>| Value::hex(at.map(|at| at.0));
        Value::tree([
            ("user_vm_start", hex(self.user_vm_start())),
            ("user_vm_end", hex(self.user_vm_end())),
            ("kern_vm_start", hex(self.kern_vm_start())),
            ("pages", Value::from(self.pages())),
            ("max_pages", Value::from(self.max_pages())),
        ])
    }
}
