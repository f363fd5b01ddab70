//! Cached translations.

use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, CachedSpace, GuestPhys, GuestVirt, PhysMem};
use testkit::{SparseMemory, X86Page, X86Tables};

#[test]
fn a_list_within_a_page_costs_one_walk() {
    let mem = SparseMemory::new(&[(0, 1 << 20)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    let base = 0xffff_8880_0000_0000u64;
    tables.map(base, 0x8_0000, X86Page::K4, 0).unwrap();
    for node in 0..63u64 {
        mem.write_u64(GuestPhys(0x8_0000 + 64 * node), base + 64 * (node + 1))
            .unwrap();
    }
    let space = CachedSpace::new(AddressSpace::new(&mem, tables.cr3(), Levels::Four));
    let (before, mut at, mut nodes) = (mem.reads(), base, 0);
    while at != 0 {
        at = space.read_u64(GuestVirt(at)).unwrap();
        nodes += 1;
    }
    assert_eq!(nodes, 64);
    assert_eq!(mem.reads() - before, 4 + 64);
}

#[test]
fn a_translation_is_remembered_until_it_is_forgotten_and_a_hole_is_not() {
    let mem = SparseMemory::new(&[(0, 1 << 20)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    tables.map(0, 0x8_0000, X86Page::K4, 0).unwrap();
    mem.write(GuestPhys(0x8_0000), b"old").unwrap();
    mem.write(GuestPhys(0x8_1000), b"new").unwrap();
    let space = CachedSpace::new(AddressSpace::new(&mem, tables.cr3(), Levels::Four));
    let text = || space.read_cstr(GuestVirt(0), 16).unwrap();
    assert_eq!(text(), b"old");
    // The page table is the fourth table that was made.
    mem.write_u64(GuestPhys(0x4000), 0x8_1001).unwrap();
    assert_eq!(text(), b"old");
    space.forget();
    assert_eq!(text(), b"new");
    assert!(space.read_u8(GuestVirt(0x1000)).is_err());
    tables.map(0x1000, 0x8_0000, X86Page::K4, 0).unwrap();
    assert_eq!(space.read_u8(GuestVirt(0x1000)), Ok(b'o'));
}

#[test]
fn pages_that_share_a_slot_are_told_apart() {
    let mem = SparseMemory::new(&[(0, 1 << 20)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    for page in 0..4u64 {
        tables
            .map(page << 21, 0x8_0000 + (page << 12), X86Page::K4, 0)
            .unwrap();
        mem.write_u64(GuestPhys(0x8_0000 + (page << 12)), page).unwrap();
    }
    let space = CachedSpace::new(AddressSpace::new(&mem, tables.cr3(), Levels::Four));
    for page in [0, 1, 2, 3, 1, 0, 3, 3] {
        assert_eq!(space.read_u64(GuestVirt(page << 21)), Ok(page));
    }
}
