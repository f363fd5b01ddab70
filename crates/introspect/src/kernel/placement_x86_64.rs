//! x86-64: where `phys_base`, `page_offset_base` and the number of page table levels say that the kernel is.

use guestmem::x86_64::Levels;
use guestmem::{AddressSpace, GuestPhys, GuestVirt, Linear, PageTables, PhysMem};

use super::placement::{Placement, PlacementError, Way, symbol};
use super::vmcoreinfo::VmCoreInfo;
use crate::DebugInfo;

/// `__START_KERNEL_map`: where the image's map begins.
pub const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// `__PAGE_OFFSET_BASE_L4` and `_L5`: the direct map of a kernel that does not move it.
const PAGE_OFFSET_L4: u64 = 0xffff_8880_0000_0000;
const PAGE_OFFSET_L5: u64 = 0xff11_0000_0000_0000;
/// The image moves in steps of `CONFIG_PHYSICAL_ALIGN`, which are 2 MiB at least, within 1 GiB (`KERNEL_IMAGE_SIZE`).
const STEP: u64 = 2 << 20;
const SLIDES: u64 = (1 << 30) / STEP;
/// `pgdir_shift` of a kernel that uses five levels.
const PGDIR_SHIFT_L5: u32 = 48;

pub(super) fn of_vmcoreinfo(
    info: &DebugInfo,
    mem: &dyn PhysMem,
    found: &VmCoreInfo,
) -> Result<Placement, PlacementError> {
    let missing = |line| PlacementError::NoLine { at: found.at, line };
    let slide = found.kernel_offset().ok_or_else(|| missing("KERNELOFFSET"))?;
    let phys_base = found
        .number("phys_base")
        .ok_or_else(|| missing("NUMBER(phys_base)"))?;
    let levels = match found.number("pgtable_l5_enabled") {
        Some(0) => Levels::Four,
        Some(1) => Levels::Five,
        _ => return Err(missing("NUMBER(pgtable_l5_enabled)")),
    };
    assemble(info, mem, slide, phys_base.cast_unsigned(), levels)
}

/// With `known`, a symbol's link address, found at a physical address: tries the slides until the kernel's own tables
/// lead there.
pub(super) fn of_text(
    info: &DebugInfo,
    mem: &dyn PhysMem,
    known: GuestVirt,
    at: GuestPhys,
) -> Option<Placement> {
    // Physical addresses minus link addresses; phys_base is what is left of it without the slide.
    let moved = at.0.wrapping_sub(known.0.wrapping_sub(START_KERNEL_MAP));
    let by_link = Linear {
        virt: GuestVirt(START_KERNEL_MAP),
        phys: moved,
    };
    let levels = levels(info, mem, by_link)?;
    let cr3 = by_link.translate(top_level_table(info).ok()?)?.0;
    let space = AddressSpace::new(mem, cr3, levels);
    let slide = (0..SLIDES).map(|step| step * STEP).find(|slide| {
        space
            .translate(known.wrapping_add(*slide))
            .is_ok_and(|leaf| leaf.at == at)
    })?;
    assemble(info, mem, slide, moved.wrapping_sub(slide), levels).ok()
}

/// `phys_base` of a kernel whose slide is known, by way of a vCPU's CR3 (contracts C4, C5): a `hint` that is not 0 is
/// taken; a kernel without the symbol has 0.
///
/// # Errors
/// [`PlacementError::Unreadable`] when the tables do not lead to it.
pub fn phys_base(
    info: &DebugInfo,
    mem: &dyn PhysMem,
    cr3: u64,
    slide: u64,
    hint: u64,
) -> Result<(u64, Levels), PlacementError> {
    let image = |phys_base| Linear {
        virt: GuestVirt(START_KERNEL_MAP),
        phys: slide.wrapping_add(phys_base),
    };
    // With KASLR off, or the image moved in virtual space alone, this is right already.
    let guess = levels(info, mem, image(hint)).unwrap_or(Levels::Four);
    let base = match info.symbols.address_of("phys_base") {
        _ if hint != 0 => hint,
        None => 0,
        Some(link) => {
            let at = GuestVirt(link.wrapping_add(slide));
            let walk = |levels| AddressSpace::new(mem, cr3, levels).read_u64(at);
            let other = match guess {
                Levels::Four => Levels::Five,
                Levels::Five => Levels::Four,
            };
            match (walk(guess), walk(other)) {
                (Ok(base), _) | (Err(_), Ok(base)) => base,
                (Err(first), Err(second)) => {
                    return Err(PlacementError::Unreadable {
                        variable: "phys_base",
                        by: Way::Registers,
                        reason: first.to_string(),
                        steps: format!(
                            "link address {link:#x} + slide {slide:#x} = {at}, walked from CR3 {cr3:#x} with {guess:?} \
                             levels, then with {other:?} ({second}); is CR3 that of a running task?"
                        ),
                    });
                }
            }
        }
    };
    let levels = levels(info, mem, image(base)).unwrap_or(guess);
    Ok((base, levels))
}

/// Four or five levels, as the kernel's `pgdir_shift` tells; it has none when it was built for four alone.
fn levels(info: &DebugInfo, mem: &dyn PhysMem, by_link: Linear) -> Option<Levels> {
    let Some(link) = info.symbols.address_of("pgdir_shift") else {
        return Some(Levels::Four);
    };
    let shift = mem.read_u32(by_link.translate(GuestVirt(link))?).ok()?;
    Some(if shift == PGDIR_SHIFT_L5 {
        Levels::Five
    } else {
        Levels::Four
    })
}

fn top_level_table(info: &DebugInfo) -> Result<GuestVirt, PlacementError> {
    symbol(info, "init_top_pgt")
        .or_else(|_| symbol(info, "swapper_pg_dir"))
        .map(GuestVirt)
}

fn assemble(
    info: &DebugInfo,
    mem: &dyn PhysMem,
    slide: u64,
    phys_base: u64,
    levels: Levels,
) -> Result<Placement, PlacementError> {
    let text = Linear {
        virt: GuestVirt(START_KERNEL_MAP),
        phys: phys_base,
    };
    let place = |link: u64| {
        text.translate(GuestVirt(link.wrapping_add(slide)))
            .unwrap_or(GuestPhys(u64::MAX))
    };
    let page_offset = match info.symbols.address_of("page_offset_base") {
        Some(link) => mem
            .read_u64(place(link))
            .map_err(|source| PlacementError::NotRam {
                what: "page_offset_base",
                source,
            })?,
        None => match levels {
            Levels::Four => PAGE_OFFSET_L4,
            Levels::Five => PAGE_OFFSET_L5,
        },
    };
    Ok(Placement {
        slide,
        text,
        direct: Linear {
            virt: GuestVirt(page_offset),
            phys: 0,
        },
        tables: PageTables::X86_64 {
            cr3: place(top_level_table(info)?.0).0,
            levels,
        },
    })
}
