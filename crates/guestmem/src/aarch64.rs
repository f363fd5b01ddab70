//! aarch64 page tables of the kernel's half (TTBR1), stage 1: granules of 4, 16 and 64 KiB, 48 and 52 bits (Arm
//! ARM, chapter D8).
//!
//! `TCR_EL1` describes the tables:
//!
//! | bits | field | here |
//! |---|---|---|
//! | 21:16 | T1SZ | 64 − the bits of a virtual address |
//! | 23 | EPD1 | walks are forbidden |
//! | 31:30 | TG1 | the granule, in a coding other than TG0's |
//! | 34:32 | IPS | 52-bit physical addresses with 64 KiB pages (LPA) |
//! | 38 | TBI1 | the top byte of an address is a tag |
//! | 59 | DS | 52-bit addresses with 4 and 16 KiB pages (LPA2) |
//!
//! A descriptor keeps the address's bits above 47 in unused low bits:
//!
//! ```text
//! 64 KiB, LPA    │     47:16     │51:48│           bits 15:12
//! 4, 16 KiB, DS  │     49:12 or 14     │ 51:50 │   bits  9:8
//! ```

use std::fmt;

use crate::walk::{Entry, Shape};

/// The size of the smallest page, and of every table but the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granule {
    /// 4 KiB: blocks of 2 MiB and 1 GiB, and of 512 GiB with DS.
    K4,
    /// 16 KiB: blocks of 32 MiB, and of 64 GiB with DS.
    K16,
    /// 64 KiB: blocks of 512 MiB, and of 4 TiB with 52-bit physical addresses.
    K64,
}

impl Granule {
    /// log2 of the page size.
    pub fn page_bits(self) -> u32 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
            Granule::K64 => 16,
        }
    }
}

impl fmt::Display for Granule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", (1u32 << self.page_bits()) >> 10)
    }
}

/// `TCR_EL1` does not describe page tables (contract C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TcrError {
    /// The register was not read, or the MMU is not set up yet.
    #[error("tcr_el1 is 0: the guest has not set up its page tables, or the register was not read")]
    Unset,
    /// EPD1 is set.
    #[error("tcr_el1 {tcr:#x} forbids walks from ttbr1_el1 (EPD1, bit 23)")]
    Disabled {
        /// The register.
        tcr: u64,
    },
    /// TG1 is 0b00.
    #[error("tcr_el1 {tcr:#x} has a reserved granule (TG1, bits 31:30, is 0)")]
    ReservedGranule {
        /// The register.
        tcr: u64,
    },
    /// T1SZ is out of range for the granule.
    #[error("tcr_el1 {tcr:#x} has T1SZ {t1sz} (bits 21:16), which {granule} pages do not allow")]
    BadSize {
        /// The register.
        tcr: u64,
        /// The field.
        t1sz: u64,
        /// The granule.
        granule: Granule,
    },
}

/// The kernel's page tables, with their registers decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tables {
    root: u64,
    granule: Granule,
    va_bits: u32,
    /// Physical addresses have 52 bits: LPA with 64 KiB pages, DS with the smaller ones.
    wide: bool,
    tagged: bool,
}

impl Tables {
    /// Decodes the tables described by these registers.
    pub fn from_registers(ttbr1_el1: u64, tcr_el1: u64) -> Result<Tables, TcrError> {
        const IPS_52_BITS: u64 = 6;
        let tcr = tcr_el1;
        let bit = |number: u32| tcr >> number & 1 != 0;
        if tcr == 0 {
            return Err(TcrError::Unset);
        }
        let granule = match tcr >> 30 & 3 {
            1 => Granule::K16,
            2 => Granule::K4,
            3 => Granule::K64,
            _ => return Err(TcrError::ReservedGranule { tcr }),
        };
        if bit(23) {
            return Err(TcrError::Disabled { tcr });
        }
        let (ds, t1sz) = (bit(59), tcr >> 16 & 0x3f);
        // Above 48 bits only with LVA (64 KiB) or LPA2 (DS); the upper end is that of FEAT_TTST.
        let (least, most) = match granule {
            Granule::K64 => (12, 47),
            Granule::K4 | Granule::K16 if ds => (12, 48),
            Granule::K4 | Granule::K16 => (16, 48),
        };
        if !(least..=most).contains(&t1sz) {
            return Err(TcrError::BadSize { tcr, t1sz, granule });
        }
        let wide = match granule {
            Granule::K64 => tcr >> 32 & 7 == IPS_52_BITS,
            Granule::K4 | Granule::K16 => ds,
        };
        let mut tables = Tables {
            root: 0,
            granule,
            va_bits: 64 - t1sz as u32,
            wide,
            tagged: bit(38),
        };
        tables.root = tables.root_of(ttbr1_el1);
        Ok(tables)
    }

    /// The number of translated address bits: `vabits_actual` in the kernel.
    pub fn va_bits(&self) -> u32 {
        self.va_bits
    }

    /// The page size.
    pub fn granule(&self) -> Granule {
        self.granule
    }

    /// BADDR: bits 47:1 as far as the table's alignment goes, and bits 5:2 for 51:48 with 52-bit addresses.
    fn root_of(&self, ttbr: u64) -> u64 {
        let shape = self.shape();
        let table_bits = 3 + self.va_bits - shape.shift(shape.depth - 1);
        let low = field(ttbr, 47, 1);
        if self.wide {
            low & !0x3f & !((1 << table_bits) - 1) | (ttbr >> 2 & 0xf) << 48
        } else {
            low & !((1 << table_bits) - 1)
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        let page_bits = self.granule.page_bits();
        let index_bits = page_bits - 3;
        Shape {
            root: self.root,
            va_bits: self.va_bits,
            page_bits,
            index_bits,
            depth: (self.va_bits - page_bits).div_ceil(index_bits) as u8,
        }
    }

    /// Addresses of the kernel's half have all bits set from `va_bits` up to 63, or to 55 below a tag.
    pub(crate) fn canonical(&self, at: u64) -> Result<(), u64> {
        let tag = if self.tagged { at & 0xff << 56 } else { 0 };
        let top = if self.tagged { 56 } else { 64 };
        let first = tag | field(u64::MAX, top - 1, self.va_bits);
        if at >= first { Ok(()) } else { Err(first - at) }
    }

    pub(crate) fn decode(&self, height: u8, entry: u64) -> Entry {
        const VALID: u64 = 1;
        const TABLE_OR_PAGE: u64 = 2;
        if entry & VALID == 0 {
            return Entry::Absent;
        }
        let address = self.address(entry);
        match (height, entry & TABLE_OR_PAGE != 0) {
            (0, true) => Entry::Leaf(address),
            (_, true) => Entry::Table(address),
            (1.., false) if height <= self.highest_block() => Entry::Leaf(address),
            (_, false) => Entry::Malformed,
        }
    }

    /// The output address of a descriptor; in a block's, bits below its size may be set.
    fn address(&self, entry: u64) -> u64 {
        let page_bits = self.granule.page_bits();
        match (self.granule, self.wide) {
            (Granule::K64, true) => field(entry, 47, page_bits) | field(entry, 15, 12) << 36,
            (Granule::K4 | Granule::K16, true) => field(entry, 49, page_bits) | field(entry, 9, 8) << 42,
            (_, false) => field(entry, 47, page_bits),
        }
    }

    /// The greatest height with blocks: 2 (level 1) for 4 KiB, 1 (level 2) for the larger granules; one more with 52-bit
    /// addresses.
    fn highest_block(&self) -> u8 {
        let narrow = match self.granule {
            Granule::K4 => 2,
            Granule::K16 | Granule::K64 => 1,
        };
        narrow + u8::from(self.wide)
    }
}

/// Bits `high`:`low` of `value`, in place.
fn field(value: u64, high: u32, low: u32) -> u64 {
    value & (u64::MAX >> (63 - high)) & (u64::MAX << low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TG1: u32 = 30;
    const T1SZ: u32 = 16;
    const DS: u64 = 1 << 59;
    const IPS_52: u64 = 6 << 32;

    /// C6: the image base of an aarch64 kernel comes from TG1 and T1SZ; this is their decoding.
    #[test]
    fn tcr_el1_names_granule_and_size() {
        let check = |tcr, granule, va_bits, depth| {
            let tables = Tables::from_registers(0, tcr).unwrap();
            assert_eq!((tables.granule(), tables.va_bits()), (granule, va_bits));
            assert_eq!(tables.shape().depth, depth, "{granule} {va_bits}");
        };
        check(2 << TG1 | 16 << T1SZ, Granule::K4, 48, 4);
        check(2 << TG1 | 25 << T1SZ, Granule::K4, 39, 3);
        check(2 << TG1 | 12 << T1SZ | DS, Granule::K4, 52, 5);
        check(1 << TG1 | 16 << T1SZ, Granule::K16, 48, 4);
        check(1 << TG1 | 17 << T1SZ, Granule::K16, 47, 3);
        check(1 << TG1 | 12 << T1SZ | DS, Granule::K16, 52, 4);
        check(3 << TG1 | 16 << T1SZ, Granule::K64, 48, 3);
        check(3 << TG1 | 22 << T1SZ, Granule::K64, 42, 2);
        check(3 << TG1 | 12 << T1SZ | IPS_52, Granule::K64, 52, 3);
    }

    /// C6: tcr 0 or reserved is an error that names tcr_el1.
    #[test]
    fn a_tcr_el1_that_describes_no_tables_is_an_error_that_names_it() {
        let check = |tcr, expect: TcrError| {
            assert_eq!(Tables::from_registers(0x1000, tcr), Err(expect));
            assert!(expect.to_string().contains("tcr_el1"), "{expect}");
        };
        check(0, TcrError::Unset);
        let tcr = 16 << T1SZ;
        check(tcr, TcrError::ReservedGranule { tcr });
        let tcr = 2 << TG1 | 16 << T1SZ | 1 << 23;
        check(tcr, TcrError::Disabled { tcr });
        for (granule, tg1, t1sz, ds) in [
            (Granule::K4, 2, 15, 0),
            (Granule::K4, 2, 11, DS),
            (Granule::K16, 1, 49, DS),
            (Granule::K64, 3, 48, 0),
            (Granule::K64, 3, 0, 0),
        ] {
            let tcr = tg1 << TG1 | t1sz << T1SZ | ds;
            check(tcr, TcrError::BadSize { tcr, t1sz, granule });
        }
    }

    #[test]
    fn every_tcr_el1_is_decoded_or_refused() {
        for tg1 in 0..4u64 {
            for t1sz in 0..64u64 {
                for more in [0, DS, IPS_52, DS | IPS_52, 1 << 38] {
                    let tcr = tg1 << TG1 | t1sz << T1SZ | more;
                    if let Ok(tables) = Tables::from_registers(u64::MAX, tcr) {
                        assert!((1..=5).contains(&tables.shape().depth));
                    }
                }
            }
        }
    }

    #[test]
    fn the_root_is_free_of_asid_and_cnp_and_keeps_its_high_bits() {
        let root = |ttbr, tcr| Tables::from_registers(ttbr, tcr).unwrap().root;
        let asid_and_cnp = 0xabcd << 48 | 1;
        assert_eq!(
            root(asid_and_cnp | 0x8000_1234_5000, 2 << TG1 | 16 << T1SZ),
            0x8000_1234_5000
        );
        // 64 KiB, 52 bits: bits 5:2 are 51:48.
        assert_eq!(
            root(
                asid_and_cnp | 0x4321_0000 | 0xd << 2,
                3 << TG1 | 12 << T1SZ | IPS_52
            ),
            0xd << 48 | 0x4321_0000
        );
        // 16 KiB, 48 bits: a root of two entries is aligned to 16 bytes.
        assert_eq!(root(0x4000_0010 | 1, 1 << TG1 | 16 << T1SZ), 0x4000_0010);
    }

    #[test]
    fn only_the_kernels_half_is_canonical_and_a_tag_is_ignored_where_tcr_says_so() {
        let plain = Tables::from_registers(0, 2 << TG1 | 16 << T1SZ).unwrap();
        assert_eq!(plain.canonical(0xffff_0000_0000_0000), Ok(()));
        assert_eq!(plain.canonical(u64::MAX), Ok(()));
        assert_eq!(plain.canonical(0xfffe_ffff_ffff_ffff), Err(1));
        assert_eq!(plain.canonical(0), Err(0xffff_0000_0000_0000));
        assert_eq!(plain.canonical(0xf0ff_8000_0000_0000), Err(0x0eff_8000_0000_0000));
        let tagged = Tables::from_registers(0, 2 << TG1 | 16 << T1SZ | 1 << 38).unwrap();
        assert_eq!(tagged.canonical(0xf0ff_8000_0000_0000), Ok(()));
        assert_eq!(
            tagged.canonical(0xf000_8000_0000_0000),
            Err(0x00fe_8000_0000_0000)
        );
    }
}
