//! Page-table writers, after the manuals, sharing no code with the walker that they test.
//!
//! Both set the bits that a walk has to ignore (permissions, memory types, software bits) from a `noise` value.

use guestmem::{GuestPhys, MemError, PhysMem};

/// Tables for x86-64 (Intel SDM volume 3, tables 4-14 to 4-20).
pub struct X86Tables<'m> {
    mem: &'m dyn PhysMem,
    five: bool,
    root: u64,
    free: u64,
}

/// The pages of x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the sizes")]
pub enum X86Page {
    K4,
    M2,
    G1,
}

impl X86Page {
    /// The page's size in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            X86Page::K4 => 4096,
            X86Page::M2 => 512 * 4096,
            X86Page::G1 => 512 * 512 * 4096,
        }
    }
}

impl<'m> X86Tables<'m> {
    /// No mappings yet. Tables are made from `free` on, which is zeroed RAM at a page boundary.
    pub fn new(mem: &'m dyn PhysMem, five: bool, free: u64) -> Self {
        X86Tables {
            mem,
            five,
            root: free,
            free: free + 4096,
        }
    }

    /// The root, as CR3 holds it.
    pub fn cr3(&self) -> u64 {
        self.root
    }

    /// Maps the page that holds `virt` to the frame that holds `phys`. `Ok(false)` where something is mapped.
    pub fn map(&mut self, virt: u64, phys: u64, page: X86Page, noise: u64) -> Result<bool, MemError> {
        // (lowest bit of the index, may this table hold the leaf)
        let all = [
            (48, false),
            (39, false),
            (30, page == X86Page::G1),
            (21, page == X86Page::M2),
            (12, true),
        ];
        let walk = if self.five { &all[..] } else { &all[1..] };
        let mut table = self.root;
        for &(low, is_leaf) in walk {
            let at = GuestPhys(table + ((virt >> low) % 512) * 8);
            let entry = self.mem.read_u64(at)?;
            if is_leaf {
                if entry != 0 {
                    return Ok(false);
                }
                // R/W, U/S, PWT, PCD, A, D; G and software; software and protection key; XD.
                let mut value = 1 | (noise & 0xfff0_0000_0000_0f7e) | (phys / page.bytes() * page.bytes());
                value |= match page {
                    // PAT is bit 7 in a page table, bit 12 where bit 7 says "leaf".
                    X86Page::K4 => noise & 0x80,
                    X86Page::M2 | X86Page::G1 => 0x80 | (noise & 0x1000),
                };
                self.mem.write_u64(at, value)?;
                return Ok(true);
            }
            if entry & 0x80 != 0 {
                return Ok(false);
            }
            table = if entry == 0 {
                let made = self.free;
                self.free += 4096;
                self.mem
                    .write_u64(at, made | 1 | (noise & 0xfff0_0000_0000_0f7e))?;
                made
            } else {
                (entry >> 12) % (1 << 40) * 4096
            };
        }
        Ok(false)
    }
}

/// The form of aarch64 tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmFormat {
    /// 4, 16 or 64.
    pub granule_kib: u64,
    /// 64 − T1SZ.
    pub va_bits: u32,
    /// 52-bit physical addresses: LPA with 64 KiB, LPA2 (TCR_EL1.DS) with the others.
    pub pa52: bool,
}

/// A level of a granule: its number, the lowest bit of its index, and whether its blocks exist: never (0),
/// only with 52-bit addresses (52), always (48).
type ArmLevel = (i8, u32, u32);

/// Arm ARM, tables D8-18 and after: levels of each granule, from the top.
const K4: &[ArmLevel] = &[(-1, 48, 0), (0, 39, 52), (1, 30, 48), (2, 21, 48), (3, 12, 0)];
const K16: &[ArmLevel] = &[(0, 47, 0), (1, 36, 52), (2, 25, 48), (3, 14, 0)];
const K64: &[ArmLevel] = &[(1, 42, 52), (2, 29, 48), (3, 16, 0)];

impl ArmFormat {
    fn levels(self) -> &'static [ArmLevel] {
        let all = match self.granule_kib {
            4 => K4,
            16 => K16,
            _ => K64,
        };
        // The first level is the one whose index still has a bit.
        let unused = all.iter().filter(|(_, low, _)| *low >= self.va_bits).count();
        &all[unused..]
    }

    /// The levels that can hold a leaf, as their number and the size of the leaf.
    pub fn leaves(self) -> Vec<(i8, u64)> {
        let allowed =
            |&&(level, _, blocks): &&ArmLevel| level == 3 || blocks == 48 || blocks == 52 && self.pa52;
        self.levels()
            .iter()
            .filter(allowed)
            .map(|&(level, low, _)| (level, 1 << low))
            .collect()
    }

    /// The first address of the kernel's half.
    pub fn kernel_half(self) -> u64 {
        u64::MAX << self.va_bits
    }

    /// The value of TCR_EL1.
    pub fn tcr(self) -> u64 {
        let tg1 = match self.granule_kib {
            4 => 0b10,
            16 => 0b01,
            _ => 0b11,
        };
        let ips = if self.pa52 { 0b110 } else { 0b101 };
        let ds = u64::from(self.pa52 && self.granule_kib != 64);
        // T0SZ is different on purpose.
        33 | u64::from(64 - self.va_bits) << 16 | tg1 << 30 | ips << 32 | ds << 59
    }

    /// `address` as the bits of a descriptor.
    fn place(self, address: u64) -> u64 {
        match (self.granule_kib, self.pa52) {
            (64, true) => (address & 0x0000_ffff_ffff_0000) | ((address >> 48) & 0xf) << 12,
            (_, true) => (address & 0x0003_ffff_ffff_f000) | ((address >> 50) & 0x3) << 8,
            (_, false) => address & 0x0000_ffff_ffff_f000,
        }
    }
}

/// Tables for the kernel's half of aarch64 (Arm ARM, D8.3: descriptor formats).
pub struct ArmTables<'m> {
    mem: &'m dyn PhysMem,
    format: ArmFormat,
    root: u64,
    free: u64,
    /// The addresses of table descriptors and of their tables, so that nothing written has to be decoded.
    tables: std::collections::HashMap<u64, u64>,
}

impl<'m> ArmTables<'m> {
    /// No mappings yet. Tables are made from `free` on, which is zeroed RAM at a 64 KiB boundary.
    pub fn new(mem: &'m dyn PhysMem, format: ArmFormat, free: u64) -> Self {
        ArmTables {
            mem,
            format,
            root: free,
            free: free + format.granule_kib * 1024,
            tables: std::collections::HashMap::new(),
        }
    }

    /// TTBR1_EL1: the root, an ASID and CnP.
    pub fn ttbr1(&self) -> u64 {
        let high = if self.format.pa52 {
            (self.root >> 48) << 2
        } else {
            0
        };
        (self.root & 0x0000_ffff_ffff_ffff) | high | 0x0042 << 48 | 1
    }

    /// Maps the page or block of `level` that holds `virt` to the frame that holds `phys`. `Ok(false)` where
    /// something is mapped.
    pub fn map(&mut self, virt: u64, phys: u64, level: i8, noise: u64) -> Result<bool, MemError> {
        let mut table = self.root;
        let mut end = self.format.va_bits;
        for &(here, low, _) in self.format.levels() {
            let index = (virt >> low) % (1 << (end - low));
            end = low;
            let at = GuestPhys(table + index * 8);
            let entry = self.mem.read_u64(at)?;
            if here == level {
                if entry != 0 {
                    return Ok(false);
                }
                let kind = if level == 3 { 0b11 } else { 0b01 };
                // AttrIndx, NS, AP; AF, nG; GP, DBM, Contiguous, PXN, UXN, software. SH is an address with DS.
                let mut ignored = 0xfffc_0000_0000_0cfc;
                if !self.format.pa52 || self.format.granule_kib == 64 {
                    ignored |= 0x300;
                }
                // nT of a block.
                if level != 3 {
                    ignored |= 0x1_0000;
                }
                let frame = self.format.place(phys >> low << low);
                self.mem.write_u64(at, kind | frame | (noise & ignored))?;
                return Ok(true);
            }
            table = match (self.tables.get(&at.0), entry) {
                (Some(&next), _) => next,
                (None, 0) => {
                    let made = self.free;
                    self.free += self.format.granule_kib * 1024;
                    self.tables.insert(at.0, made);
                    // PXNTable, XNTable, APTable, NSTable; software.
                    let value = 0b11 | self.format.place(made) | (noise & 0xf800_0000_0000_00fc);
                    self.mem.write_u64(at, value)?;
                    made
                }
                _ => return Ok(false),
            };
        }
        Ok(false)
    }
}
