//! The addresses that a guest's program can write to, by its own page tables.

use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, GuestPhys, GuestVirt, PhysMem};
use testkit::SparseMemory;

const CR3: u64 = 0x1000;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const LARGE: u64 = 0x80;
const ALL: u64 = PRESENT | WRITABLE | USER;
/// The second entry of every table: index 1 at each of four levels, and a byte within.
const AT: GuestVirt = GuestVirt(1 << 39 | 1 << 30 | 1 << 21 | 1 << 12 | 0x123);

/// Tables at 0x1000 to 0x4000 with these bits, the topmost first.
fn memory(bits: [u64; 4]) -> SparseMemory {
    let memory = SparseMemory::new(&[(0, 1 << 20)]);
    for (level, bits) in bits.into_iter().enumerate() {
        let table = CR3 + 0x1000 * level as u64;
        memory
            .write_u64(GuestPhys(table + 8), (table + 0x1000) | bits)
            .unwrap();
    }
    memory
}

fn may(bits: [u64; 4]) -> bool {
    AddressSpace::new(&memory(bits), CR3 | 0x18, Levels::Four).is_writable_by_user(AT, 1)
}

#[test]
fn every_level_must_let_a_program_write() {
    assert!(may([ALL; 4]));
    for level in 0..4 {
        for missing in [PRESENT, WRITABLE, USER] {
            let mut bits = [ALL; 4];
            bits[level] &= !missing;
            assert!(!may(bits), "level {level} without {missing:#x}");
        }
    }
}

#[test]
fn a_large_page_ends_the_walk_and_is_no_table() {
    assert!(may([ALL, ALL, ALL | LARGE, 0]));
    assert!(may([ALL, ALL | LARGE, 0, 0]));
    assert!(!may([ALL, ALL, (ALL | LARGE) & !WRITABLE, ALL]));
    // Bit 7 is PAT in the last level, and ignored in the first.
    assert!(may([ALL, ALL, ALL, ALL | LARGE]));
    assert!(!may([ALL | LARGE, 0, 0, 0]));
}

#[test]
fn what_is_no_address_or_leads_out_of_ram_may_not_be_written() {
    let memory = memory([ALL; 4]);
    for at in [
        GuestVirt(1 << 47),
        GuestVirt(0xffff_8000_0000_0000),
        GuestVirt(0),
        GuestVirt(u64::MAX),
    ] {
        let space = AddressSpace::new(&memory, CR3, Levels::Four);
        assert!(!space.is_writable_by_user(at, 1), "{at}");
    }
    assert!(!AddressSpace::new(&memory, 1 << 40, Levels::Four).is_writable_by_user(AT, 1));
}

#[test]
fn every_page_of_a_range_must_be_the_programs() {
    let memory = memory([ALL; 4]);
    let space = AddressSpace::new(&memory, CR3, Levels::Four);
    let rest = 0x1000 - (AT.0 & 0xfff);
    assert!(space.is_writable_by_user(AT, rest));
    assert!(
        !space.is_writable_by_user(AT, rest + 1),
        "the next page is not mapped"
    );
    memory.write_u64(GuestPhys(0x4000 + 16), 0x6000 | ALL).unwrap();
    assert!(space.is_writable_by_user(AT, rest + 0x1000));
    assert!(!space.is_writable_by_user(AT, rest + 0x1001));
    assert!(!space.is_writable_by_user(AT, 0), "no byte is nobody's");
    assert!(!space.is_writable_by_user(AT, u64::MAX), "the range wraps");
}
