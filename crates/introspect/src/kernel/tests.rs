//! A kernel that has just booted, by hand: image and page tables where KASLR puts them, what it says of itself, and how
//! it is found and read.

mod access;
mod phys_base;
mod placement;

use guestmem::{GuestPhys, GuestVirt, PhysMem};
use kimage::{BuildId, Symbols};
use testkit::{X86Page, X86Tables};

use super::*;
use crate::btf::testing::BtfWriter;
use crate::memo::Memo;
use crate::testing::Pages;

const MIB: u64 = 1 << 20;
/// Link addresses. The image is one page of 2 MiB; its tables are its second half.
const TEXT: u64 = START_KERNEL_MAP + 16 * MIB;
const BANNER: u64 = TEXT + 0x1000;
const PHYS_BASE: u64 = TEXT + 0x2000;
const PAGE_OFFSET_BASE: u64 = TEXT + 0x2008;
const PGDIR_SHIFT: u64 = TEXT + 0x2010;
const TABLES: u64 = TEXT + MIB;
const RAM: u64 = 128 * MIB;

/// What a boot is made of.
#[derive(Debug, Clone, Copy)]
struct Boot {
    /// Where the image is in RAM.
    at: u64,
    /// What KASLR added to link addresses.
    slide: u64,
    page_offset: u64,
    five: bool,
}

const PLAIN: Boot = Boot {
    at: 16 * MIB,
    slide: 0,
    page_offset: 0xffff_8880_0000_0000,
    five: false,
};
/// KASLR moves the image in RAM and in virtual space, and all RAM in virtual space.
const MOVED: Boot = Boot {
    at: 64 * MIB,
    slide: 0x1e0_0000,
    page_offset: 0xffff_9f40_4000_0000,
    five: false,
};
/// The same with five levels.
const FIVE: Boot = Boot {
    page_offset: 0xff13_7a00_0000_0000,
    five: true,
    ..MOVED
};

impl Boot {
    /// `phys_base`: negative where the image lies lower than it was linked.
    fn phys_base(&self) -> u64 {
        self.at.wrapping_sub(TEXT - START_KERNEL_MAP + self.slide)
    }

    fn phys(&self, link: u64) -> GuestPhys {
        GuestPhys(self.at + (link - TEXT))
    }

    fn cr3(&self) -> u64 {
        self.phys(TABLES).0
    }

    /// RAM with this kernel in it, and no VMCOREINFO yet.
    fn boot(&self) -> Pages {
        let mem = Pages::new(&[(0, RAM)]);
        self.boot_into(&mem);
        mem
    }

    fn boot_into(&self, mem: &Pages) {
        let put = |link, bytes: &[u8]| mem.write(self.phys(link), bytes).unwrap();
        put(BANNER, format!("{}\n", info().banner).as_bytes());
        put(PHYS_BASE, &self.phys_base().to_le_bytes());
        put(PAGE_OFFSET_BASE, &self.page_offset.to_le_bytes());
        put(PGDIR_SHIFT, &(if self.five { 48u32 } else { 39 }).to_le_bytes());
        self.map(mem, self.cr3());
    }

    /// Tables from `root` on: the image, and the direct map.
    fn map(&self, mem: &Pages, root: u64) {
        let mut tables = X86Tables::new(mem, self.five, root);
        assert!(
            tables
                .map(TEXT + self.slide, self.at, X86Page::M2, 0x163)
                .unwrap()
        );
        for at in (0..RAM).step_by(2 << 20) {
            assert!(tables.map(self.page_offset + at, at, X86Page::M2, 0x163).unwrap());
        }
    }

    fn vmcoreinfo(&self) -> String {
        let (base, levels) = (self.phys_base().cast_signed(), u32::from(self.five));
        format!(
            "OSRELEASE=6.99.0-fake\nBUILD-ID={}\nPAGESIZE=4096\nNUMBER(phys_base)={base}\n\
             NUMBER(pgtable_l5_enabled)={levels}\nKERNELOFFSET={:x}\n",
            info().build_id,
            self.slide
        )
    }

    fn placement(&self) -> Placement {
        Placement {
            slide: self.slide,
            text: Linear {
                virt: GuestVirt(START_KERNEL_MAP),
                phys: self.phys_base(),
            },
            direct: Linear {
                virt: GuestVirt(self.page_offset),
                phys: 0,
            },
            tables: self.tables(self.cr3()),
        }
    }

    fn tables(&self, cr3: u64) -> PageTables {
        let levels = match self.five {
            false => guestmem::x86_64::Levels::Four,
            true => guestmem::x86_64::Levels::Five,
        };
        PageTables::X86_64 { cr3, levels }
    }
}

fn info() -> DebugInfo {
    info_without("")
}

/// The kernel file's names, without one of them.
fn info_without(absent: &str) -> DebugInfo {
    let symbols = [
        ("_text", TEXT),
        ("linux_banner", BANNER),
        ("phys_base", PHYS_BASE),
        ("page_offset_base", PAGE_OFFSET_BASE),
        ("pgdir_shift", PGDIR_SHIFT),
        ("init_top_pgt", TABLES),
        ("_end", TEXT + 2 * MIB),
    ];
    let symbols = symbols.iter().filter(|(name, _)| *name != absent);
    let symbols: String = symbols
        .map(|(name, at)| format!("{at:016x} D {name}\n"))
        .collect();
    DebugInfo {
        release: "6.99.0-fake".to_owned(),
        banner: "Linux version 6.99.0-fake (by hand) #1 SMP".to_owned(),
        build_id: BuildId::from_bytes(&[0xfa; 20]).unwrap(),
        symbols: Symbols::from_map(&symbols).unwrap(),
        btf: Btf::parse(&BtfWriter::new().bytes()).unwrap(),
        addresses: Memo::default(),
    }
}
