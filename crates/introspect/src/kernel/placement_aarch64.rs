//! aarch64: where `kimage_voffset`, `PHYS_OFFSET` and the size of virtual addresses say that the kernel is.

use guestmem::{GuestPhys, GuestVirt, Linear, PageTables, aarch64};

use super::placement::{Placement, PlacementError, symbol};
use super::vmcoreinfo::VmCoreInfo;
use crate::DebugInfo;

pub(super) fn of_vmcoreinfo(info: &DebugInfo, found: &VmCoreInfo) -> Result<Placement, PlacementError> {
    let number = |name: &str, line| {
        found
            .number(name)
            .map(i64::cast_unsigned)
            .ok_or(PlacementError::NoLine { at: found.at, line })
    };
    let slide = found.kernel_offset().ok_or(PlacementError::NoLine {
        at: found.at,
        line: "KERNELOFFSET",
    })?;
    let voffset = number("kimage_voffset", "NUMBER(kimage_voffset)")?;
    let text = symbol(info, "_text")?.wrapping_add(slide);
    let va_bits = number("VA_BITS", "NUMBER(VA_BITS)")?.clamp(16, 63);
    let swapper = symbol(info, "swapper_pg_dir")?.wrapping_add(slide);
    let page_size = found.value("PAGESIZE").and_then(|size| size.parse::<u64>().ok());
    // The granule and the size of addresses, as TCR_EL1 has them.
    let tg1 = match page_size {
        Some(4096) => 0b10,
        Some(16_384) => 0b01,
        Some(65_536) => 0b11,
        _ => {
            return Err(PlacementError::NoLine {
                at: found.at,
                line: "PAGESIZE",
            });
        }
    };
    let t1sz = found
        .number("TCR_EL1_T1SZ")
        .map_or(64 - va_bits, i64::cast_unsigned);
    let ttbr1 = GuestPhys(swapper.wrapping_sub(voffset));
    Ok(Placement {
        slide,
        text: Linear {
            virt: GuestVirt(text),
            phys: text.wrapping_sub(voffset),
        },
        direct: Linear {
            virt: GuestVirt((1u64 << va_bits).wrapping_neg()),
            phys: number("PHYS_OFFSET", "NUMBER(PHYS_OFFSET)")?,
        },
        tables: PageTables::Aarch64(aarch64::Tables::from_registers(ttbr1.0, t1sz << 16 | tg1 << 30)?),
    })
}
