//! aarch64: where `kimage_voffset`, `memstart_addr` and the size of virtual addresses say that the kernel is.
//!
//! A kernel built for addresses of 52 bits makes do with 48, or with 47 for pages of 16 KiB, on a CPU that lacks them.
//! Then its direct map begins higher, and `memstart_addr` goes on to count from where it would begin with 52
//! (`arm64_memblock_init`). Here a direct map begins where that of the CPU does.

use guestmem::aarch64::{Tables, TcrError};
use guestmem::{AddressSpace, GuestPhys, GuestVirt, Linear, PageTables, PhysMem};

use super::placement::{Placement, PlacementError, symbol};
use super::vmcoreinfo::VmCoreInfo;
use crate::DebugInfo;

/// What a kernel says of its place, in one way or another.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// What KASLR added to link addresses.
    slide: u64,
    /// `kimage_voffset`: the image's virtual minus physical addresses.
    voffset: u64,
    /// `memstart_addr`: below the first RAM, and below 0 too, when KASLR moves the direct map (until 6.14).
    phys_offset: u64,
    page_size: u64,
    /// `CONFIG_ARM64_VA_BITS`.
    va_bits: u64,
    /// What the CPU has of them: `vabits_actual`.
    va_bits_actual: u64,
}

pub(super) fn of_vmcoreinfo(info: &DebugInfo, found: &VmCoreInfo) -> Result<Placement, PlacementError> {
    let missing = |line| PlacementError::NoLine { at: found.at, line };
    let number = |name: &str, line| {
        let number = found.number(name).map(i64::cast_unsigned);
        number.ok_or_else(|| missing(line))
    };
    let va_bits = number("VA_BITS", "NUMBER(VA_BITS)")?;
    let told = Told {
        slide: found.kernel_offset().ok_or_else(|| missing("KERNELOFFSET"))?,
        voffset: number("kimage_voffset", "NUMBER(kimage_voffset)")?,
        phys_offset: number("PHYS_OFFSET", "NUMBER(PHYS_OFFSET)")?,
        page_size: found
            .value("PAGESIZE")
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| missing("PAGESIZE"))?,
        va_bits,
        va_bits_actual: found
            .number("TCR_EL1_T1SZ")
            .map_or(va_bits, |t1sz| 64u64.wrapping_sub(t1sz.cast_unsigned())),
    };
    if ![va_bits, told.va_bits_actual]
        .iter()
        .all(|bits| (16..64).contains(bits))
    {
        return Err(missing("NUMBER(VA_BITS)"));
    }
    told.placement(info)
}

/// With `known`, a symbol's link address, found at a physical address: reads the kernel's variables there, and tries
/// the sizes of addresses until its own tables lead there.
pub(super) fn of_text(
    info: &DebugInfo,
    mem: &dyn PhysMem,
    known: GuestVirt,
    at: GuestPhys,
) -> Option<Placement> {
    /// All that Linux can be built for.
    const VA_BITS: [u64; 6] = [52, 48, 47, 42, 39, 36];
    let place = |name| {
        let link = symbol(info, name).ok()?;
        Some(GuestPhys(link.wrapping_sub(known.0).wrapping_add(at.0)))
    };
    let (link, text) = (symbol(info, "_text").ok()?, place("_text")?);
    let voffset = mem.read_u64(place("kimage_voffset")?).ok()?;
    let phys_offset = mem.read_u64(place("memstart_addr")?).ok()?;
    let told = |va_bits, va_bits_actual| Told {
        slide: text.0.wrapping_add(voffset).wrapping_sub(link),
        voffset,
        phys_offset,
        page_size: page_size(mem, text).unwrap_or(0),
        va_bits,
        va_bits_actual,
    };
    let leads_there = |placement: &Placement| {
        let space = AddressSpace::with_tables(mem, placement.tables);
        let direct = placement
            .direct
            .virt
            .wrapping_add(at.0.wrapping_sub(placement.direct.phys));
        [placement.slid(known.0), direct]
            .iter()
            .all(|virt| space.translate(*virt).is_ok_and(|leaf| leaf.at == at))
    };
    VA_BITS
        .iter()
        .flat_map(|actual| [(*actual, *actual), (52, *actual)])
        .filter_map(|(built, actual)| told(built, actual).placement(info).ok())
        .find(leads_there)
}

/// The page size in the header of the boot image, which stays in front of the kernel
/// (Documentation/arch/arm64/booting.rst).
fn page_size(mem: &dyn PhysMem, text: GuestPhys) -> Option<u64> {
    const FLAGS: u64 = 24;
    let flags = mem.read_u64(text.checked_add(FLAGS)?).ok()?;
    match flags >> 1 & 3 {
        1 => Some(4 << 10),
        2 => Some(16 << 10),
        3 => Some(64 << 10),
        _ => None,
    }
}

impl Told {
    fn placement(&self, info: &DebugInfo) -> Result<Placement, PlacementError> {
        let text = symbol(info, "_text")?.wrapping_add(self.slide);
        let begin = |va_bits: u64| (1u64 << va_bits).wrapping_neg();
        let (built, actual) = (begin(self.va_bits), begin(self.va_bits_actual));
        Ok(Placement {
            slide: self.slide,
            text: Linear {
                virt: GuestVirt(text),
                phys: text.wrapping_sub(self.voffset),
            },
            direct: Linear {
                virt: GuestVirt(actual),
                phys: self.phys_offset.wrapping_add(actual.wrapping_sub(built)),
            },
            tables: PageTables::Aarch64(self.tables(info)?),
        })
    }

    /// By the registers as they must be: `TTBR1_EL1`, and of `TCR_EL1` T1SZ, TG1 and DS.
    fn tables(&self, info: &DebugInfo) -> Result<Tables, PlacementError> {
        const DS: u64 = 1 << 59;
        /// A root of 64 KiB pages has its 48-bit half at its end (`TTBR1_BADDR_4852_OFFSET`).
        const ROOT_OF_48_IN_52: u64 = (1024 - 64) * 8;
        let swapper = symbol(info, "swapper_pg_dir")?.wrapping_add(self.slide);
        let root = swapper.wrapping_sub(self.voffset);
        let tg1 = match self.page_size {
            0x1000 => 0b10,
            0x4000 => 0b01,
            0x1_0000 => 0b11,
            // 0 is reserved, which is an error below.
            _ => 0,
        };
        let large = self.page_size == 0x1_0000;
        let root = match (self.va_bits, self.va_bits_actual) {
            (52, 48) if large => root.wrapping_add(ROOT_OF_48_IN_52),
            _ => root,
        };
        let ds = if self.va_bits_actual > 48 && !large { DS } else { 0 };
        let tcr = (64 - self.va_bits_actual) << 16 | tg1 << 30 | ds;
        Tables::from_registers(root, tcr).map_err(|error: TcrError| error.into())
    }
}
