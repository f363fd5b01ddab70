//! A guest's kernel: its memory, read and written at its own addresses.

mod placement;
mod placement_aarch64;
mod placement_x86_64;
mod vmcoreinfo;

#[cfg(test)]
mod tests;

use std::ops::Range;

use guestmem::{
    AddressSpace, CachedSpace, GuestPhys, GuestVirt, Leaf, Linear, MemError, PageTables, PhysMem, Region,
    VirtError, WalkError,
};

use crate::btf::{Btf, KindSet, Missing};
use crate::{DebugInfo, Object, ReadError};

pub use placement::{Hints, Placement, PlacementError, Way};
pub use placement_x86_64::{START_KERNEL_MAP, phys_base};
pub use vmcoreinfo::VmCoreInfo;

/// A kernel in a guest's memory.
///
/// | address | how it is read |
/// |---|---|
/// | in the image (`_text` to `_end`) | by arithmetic |
/// | in the direct map, where there is RAM | by arithmetic |
/// | any other: vmalloc, per-CPU, modules, BPF | through the kernel's page tables |
pub struct GuestKernel<'m> {
    info: &'m DebugInfo,
    mem: &'m dyn PhysMem,
    place: Placement,
    space: CachedSpace<'m>,
    /// Translations are remembered.
    frozen: bool,
    image: Range<u64>,
    /// The direct map's parts that have RAM behind them, the lowest first.
    direct: Vec<Range<u64>>,
}

impl<'m> GuestKernel<'m> {
    /// The kernel of a guest that stands still for as long as this lives, or of a saved one.
    pub fn frozen(info: &'m DebugInfo, mem: &'m dyn PhysMem, place: Placement) -> GuestKernel<'m> {
        GuestKernel::new(info, mem, place, true)
    }

    /// The kernel of a guest that runs. What is read can change between two reads, so lists can seem broken; what is
    /// mapped is looked up each time.
    pub fn live(info: &'m DebugInfo, mem: &'m dyn PhysMem, place: Placement) -> GuestKernel<'m> {
        GuestKernel::new(info, mem, place, false)
    }

    fn new(info: &'m DebugInfo, mem: &'m dyn PhysMem, place: Placement, frozen: bool) -> GuestKernel<'m> {
        let link = |name| info.symbols.address_of(name);
        let image = match (link("_text"), link("_end")) {
            (Some(text), Some(end)) => place.slid(text).0..place.slid(end).0,
            _ => 0..0,
        };
        GuestKernel {
            info,
            mem,
            place,
            space: CachedSpace::new(AddressSpace::with_tables(mem, place.tables)),
            frozen,
            image,
            direct: mapped(&mem.regions(), place.direct),
        }
    }

    /// Its names and types.
    pub fn info(&self) -> &'m DebugInfo {
        self.info
    }

    /// Its types.
    pub fn btf(&self) -> &'m Btf {
        &self.info.btf
    }

    /// Where it lies.
    pub fn placement(&self) -> &Placement {
        &self.place
    }

    /// The guest's memory.
    pub fn memory(&self) -> &'m dyn PhysMem {
        self.mem
    }

    /// Does the guest stand still?
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The kernel's address space.
    pub fn space(&self) -> AddressSpace<'m> {
        self.space.space()
    }

    /// Where the direct map begins (`page_offset_base`).
    pub fn page_offset(&self) -> GuestVirt {
        self.place.direct.virt
    }

    /// The physical address of the kernel's top-level page table as CR3 holds it; `None` on aarch64.
    pub fn cr3(&self) -> Option<u64> {
        match self.place.tables {
            PageTables::X86_64 { cr3, .. } => Some(cr3),
            PageTables::Aarch64(_) => None,
        }
    }

    /// The addresses of the direct map, from the first to the last behind which there is RAM; there may be holes.
    pub fn direct_map(&self) -> Range<GuestVirt> {
        let start = self
            .direct
            .first()
            .map_or(self.page_offset().0, |first| first.start);
        GuestVirt(start)..GuestVirt(self.direct.last().map_or(start, |last| last.end))
    }

    /// Where a symbol is at run time.
    ///
    /// # Errors
    /// [`ReadError::NoSymbol`].
    pub fn symbol(&self, name: &str) -> Result<GuestVirt, ReadError> {
        let link = self.info.address_of(name);
        link.map(|link| self.place.slid(link))
            .ok_or_else(|| ReadError::no_symbol(name))
    }

    /// The symbol at an address and the distance from it: `schedule+0x2a`. Only within the kernel's image.
    pub fn symbolize(&self, at: GuestVirt) -> Option<(&'m str, u64)> {
        if !self.image.contains(&at.0) {
            return None;
        }
        let (symbol, distance) = self.info.symbols.nearest(at.0.wrapping_sub(self.place.slide))?;
        Some((symbol.name, distance))
    }

    /// An object of the kernel's type `structure` (also `union`, `enum`, typedef) at an address.
    ///
    /// # Errors
    /// [`ReadError::NoType`].
    pub fn object<'k>(&'k self, at: GuestVirt, structure: &str) -> Result<Object<'k>, ReadError>
    where
        'm: 'k,
    {
        let btf = self.btf();
        let type_id = btf.find(structure, KindSet::TYPE).ok_or_else(|| Missing {
            kind: "type",
            name: structure.to_owned(),
        })?;
        Ok(Object::new(self, btf, at, type_id))
    }

    /// A variable of the kernel: BTF tells the types of per-CPU ones alone, so it must be named.
    ///
    /// # Errors
    /// [`ReadError::NoSymbol`], [`ReadError::NoType`].
    pub fn variable<'k>(&'k self, symbol: &str, structure: &str) -> Result<Object<'k>, ReadError>
    where
        'm: 'k,
    {
        self.object(self.symbol(symbol)?, structure)
    }

    /// What the kernel's pointer variable `symbol`, a `structure *`, leads to; `None` if it is NULL.
    ///
    /// # Errors
    /// [`ReadError::NoSymbol`], [`ReadError::NoType`].
    pub fn pointer_variable<'k>(
        &'k self,
        symbol: &str,
        structure: &str,
    ) -> Result<Option<Object<'k>>, ReadError>
    where
        'm: 'k,
    {
        match self.read_u64(self.symbol(symbol)?)? {
            0 => Ok(None),
            at => self.object(GuestVirt(at), structure).map(Some),
        }
    }

    /// The physical address of a kernel address.
    ///
    /// # Errors
    /// [`WalkError`] where nothing is mapped.
    pub fn translate(&self, at: GuestVirt) -> Result<Leaf, WalkError> {
        match self.linear(at, 1) {
            Some((phys, rest)) => Ok(Leaf { at: phys, rest }),
            None if self.frozen => self.space.translate(at),
            None => self.space.space().translate(at),
        }
    }

    /// An address of the image or the direct map with `len` bytes behind it, and how far the map goes on.
    fn linear(&self, at: GuestVirt, len: usize) -> Option<(GuestPhys, u64)> {
        let end = at.0.checked_add(len as u64)?;
        let holds = |range: &&Range<u64>| range.start <= at.0 && end <= range.end;
        if let Some(range) = self.direct.iter().find(holds) {
            return Some((self.place.direct.translate(at)?, range.end - at.0));
        }
        if holds(&&self.image) {
            return Some((self.place.text.translate(at)?, self.image.end - at.0));
        }
        None
    }

    /// Copies `into.len()` bytes from `at`, all or nothing.
    ///
    /// # Errors
    /// [`ReadError::Memory`].
    pub fn read(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), ReadError> {
        let read = match self.linear(at, into.len()) {
            Some((phys, _)) => self
                .mem
                .read(phys, into)
                .map_err(|source| VirtError::NotRam { at, source }),
            None if self.frozen => self.space.read(at, into),
            None => self.space.space().read(at, into),
        };
        read.map_err(|source| unreadable(at, into.len(), source))
    }

    /// A byte.
    pub fn read_u8(&self, at: GuestVirt) -> Result<u8, ReadError> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A `u16`, by one access if it is aligned.
    pub fn read_u16(&self, at: GuestVirt) -> Result<u16, ReadError> {
        self.scalar(at, |mem, at| mem.read_u16(at), u16::from_le_bytes)
    }

    /// A `u32`, by one access if it is aligned.
    pub fn read_u32(&self, at: GuestVirt) -> Result<u32, ReadError> {
        self.scalar(at, |mem, at| mem.read_u32(at), u32::from_le_bytes)
    }

    /// A `u64`, by one access if it is aligned.
    pub fn read_u64(&self, at: GuestVirt) -> Result<u64, ReadError> {
        self.scalar(at, |mem, at| mem.read_u64(at), u64::from_le_bytes)
    }

    fn scalar<T, const N: usize>(
        &self,
        at: GuestVirt,
        whole: impl FnOnce(&dyn PhysMem, GuestPhys) -> Result<T, MemError>,
        of: impl FnOnce([u8; N]) -> T,
    ) -> Result<T, ReadError> {
        let leaf = self
            .translate(at)
            .map_err(|error| unreadable(at, N, VirtError::Walk(error)))?;
        if leaf.rest >= N as u64 {
            return whole(self.mem, leaf.at)
                .map_err(|source| unreadable(at, N, VirtError::NotRam { at, source }));
        }
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(of(bytes))
    }

    /// `len` bytes, all or none, in copies as long as physical memory allows (contract C8); at most
    /// [`AddressSpace::MAX_CHUNKED`].
    pub fn read_chunked(&self, at: GuestVirt, len: usize) -> Result<Vec<u8>, ReadError> {
        let failed = |source| unreadable(at, len, source);
        match self.linear(at, len).filter(|_| len <= AddressSpace::MAX_CHUNKED) {
            Some((phys, _)) => {
                let mut bytes = vec![0; len];
                self.mem
                    .read(phys, &mut bytes)
                    .map_err(|source| failed(VirtError::NotRam { at, source }))?;
                Ok(bytes)
            }
            None => self.space.space().read_chunked(at, len).map_err(failed),
        }
    }

    /// The bytes up to a NUL, which is left out; at most `max`.
    pub fn read_cstr(&self, at: GuestVirt, max: usize) -> Result<Vec<u8>, ReadError> {
        const SHORT: usize = 256;
        if max <= SHORT && self.linear(at, max).is_some() {
            let mut bytes = vec![0; max];
            self.read(at, &mut bytes)?;
            bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(max));
            return Ok(bytes);
        }
        let read = if self.frozen {
            self.space.read_cstr(at, max)
        } else {
            self.space.space().read_cstr(at, max)
        };
        read.map_err(|source| unreadable(at, max, source))
    }

    /// The value of a variable of 4 bytes.
    pub fn read_symbol_u32(&self, name: &str) -> Result<u32, ReadError> {
        self.read_u32(self.symbol(name)?)
    }

    /// The value of a variable of 8 bytes.
    pub fn read_symbol_u64(&self, name: &str) -> Result<u64, ReadError> {
        self.read_u64(self.symbol(name)?)
    }

    /// Writes bytes; on an error nothing has changed. Data only: what the guest's processor has translated or cached of
    /// code and page tables goes on as it was.
    pub fn write(&self, at: GuestVirt, from: &[u8]) -> Result<(), ReadError> {
        let space = self.space.space();
        space
            .write(at, from)
            .map_err(|source| unreadable(at, from.len(), source))
    }

    /// Sets bits of a word, in one step that the guest cannot come between; what it was.
    pub fn fetch_or_u32(&self, at: GuestVirt, mask: u32) -> Result<u32, ReadError> {
        let space = self.space.space();
        space
            .fetch_or_u32(at, mask)
            .map_err(|source| unreadable(at, 4, source))
    }

    /// Writes to a variable.
    pub fn write_symbol(&self, name: &str, from: &[u8]) -> Result<(), ReadError> {
        self.write(self.symbol(name)?, from)
    }
}

/// Where RAM is in the direct map. Regions that adjoin are one: reads go on from one to the next.
fn mapped(regions: &[Region], map: Linear) -> Vec<Range<u64>> {
    // The map's first byte can be below all RAM, and on aarch64 below address 0, or above some.
    let offset = |phys: u64| phys.wrapping_sub(map.phys).cast_signed().max(0).cast_unsigned();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for region in regions {
        let end = region.start.0.saturating_add(region.len);
        let (Some(start), Some(end)) = (
            map.virt.0.checked_add(offset(region.start.0)),
            map.virt.0.checked_add(offset(end)),
        ) else {
            continue;
        };
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ if start < end => ranges.push(start..end),
            _ => {}
        }
    }
    ranges
}

fn unreadable(at: GuestVirt, len: usize, source: VirtError) -> ReadError {
    ReadError::Memory {
        what: format!("{len} bytes at {at}"),
        source,
    }
}
