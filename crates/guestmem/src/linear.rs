//! Translations without tables: a kernel's image and its direct map are linear.

use crate::{GuestPhys, GuestVirt};

/// A stretch of virtual space that maps to consecutive physical addresses, as the kernel's `__pa` computes it.
///
/// | map | `virt` | `phys` |
/// |---|---|---|
/// | image ("text") | `__START_KERNEL_map` | `phys_base` |
/// | direct map | `page_offset_base` | 0 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// The first virtual address.
    pub virt: GuestVirt,
    /// The physical address of the first byte. Wraps, as the kernel's own arithmetic does: `phys_base` is negative for a
    /// kernel that runs below its link address.
    pub phys: u64,
}

impl Linear {
    /// The physical address of `at`, or `None` below the map.
    pub fn translate(self, at: GuestVirt) -> Option<GuestPhys> {
        let offset = at.0.checked_sub(self.virt.0)?;
        Some(GuestPhys(offset.wrapping_add(self.phys)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C2: text = kva − start_kernel_map + phys_base; direct = kva − page_offset.
    #[test]
    fn text_and_direct_map_translate_by_arithmetic() {
        let text = |phys_base| Linear {
            virt: GuestVirt(0xffff_ffff_8000_0000),
            phys: phys_base,
        };
        let kva = GuestVirt(0xffff_ffff_8123_4568);
        let minus_16_mib = (16u64 << 20).wrapping_neg();
        assert_eq!(text(0).translate(kva), Some(GuestPhys(0x0123_4568)));
        assert_eq!(text(0x3000_0000).translate(kva), Some(GuestPhys(0x3123_4568)));
        assert_eq!(text(minus_16_mib).translate(kva), Some(GuestPhys(0x0023_4568)));
        let direct = Linear {
            virt: GuestVirt(0xffff_8880_0000_0000),
            phys: 0,
        };
        assert_eq!(
            direct.translate(GuestVirt(0xffff_8880_0000_1000)),
            Some(GuestPhys(0x1000))
        );
        assert_eq!(direct.translate(GuestVirt(0xffff_8880_0000_0000 - 1)), None);
    }
}
