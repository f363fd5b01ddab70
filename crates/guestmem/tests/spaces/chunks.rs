//! Reads of many bytes (contract C8).

use std::fs::File;

use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, GuestPhys, GuestVirt, PhysMem, RamLayout, SharedRam, VirtError};
use testkit::{SparseMemory, X86Page, X86Tables};

const MIB: u64 = 1 << 20;

fn file(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file
}

/// C8: crosses the boundary of two NUMA nodes, whose memory is not consecutive on the host.
#[test]
fn a_read_crosses_from_one_node_into_the_next() {
    let layout = RamLayout::numa(&[MIB, MIB], 4 * MIB);
    let ram = SharedRam::map_files(&[&file(MIB), &file(MIB)], layout).unwrap();
    ram.write(GuestPhys(MIB - 4096), &[0xaa; 4096]).unwrap();
    ram.write(GuestPhys(MIB), &[0xbb; 4096]).unwrap();
    let mut tables = X86Tables::new(&ram, false, 0x1000);
    tables.map(0, MIB - 4096, X86Page::K4, 0).unwrap();
    tables.map(4096, MIB, X86Page::K4, 0).unwrap();
    let space = AddressSpace::new(&ram, tables.cr3(), Levels::Four);
    let bytes = space.read_chunked(GuestVirt(0), 8192).unwrap();
    assert!(bytes[..4096].iter().all(|&byte| byte == 0xaa));
    assert!(bytes[4096..].iter().all(|&byte| byte == 0xbb));
    assert_eq!(
        space.ranges(GuestVirt(0), 8192).count(),
        2,
        "a range ends with its region"
    );
    assert_eq!(space.read_u64(GuestVirt(4092)), Ok(0xbbbb_bbbb_aaaa_aaaa));
}

/// C8: all or nothing on an unmapped page, and on one that maps no RAM; a length of zero is an empty vector.
#[test]
fn a_chunked_read_is_all_or_nothing() {
    let mem = SparseMemory::new(&[(0, MIB)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    for (virt, phys) in [(0, 0x8_0000), (0x1000, 0x8_1000), (0x3000, 1 << 40)] {
        tables.map(virt, phys, X86Page::K4, 0).unwrap();
    }
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    assert_eq!(space.read_chunked(GuestVirt(0), 0x2000).unwrap().len(), 0x2000);
    assert!(matches!(
        space.read_chunked(GuestVirt(0), 0x2001),
        Err(VirtError::Walk(_))
    ));
    assert!(matches!(
        space.read_chunked(GuestVirt(0x3ffe), 2),
        Err(VirtError::NotRam {
            at: GuestVirt(0x3ffe),
            ..
        })
    ));
    assert_eq!(space.read_chunked(GuestVirt(0x2000), 0), Ok(vec![]));
    assert_eq!(space.read_chunked(GuestVirt(u64::MAX), 0), Ok(vec![]));
}

/// C8: chunks grow while the next page is consecutive, so that a megabyte is few copies.
#[test]
fn consecutive_pages_are_one_copy() {
    let mem = SparseMemory::new(&[(0, 4 * MIB)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    for page in 0..256u64 {
        let phys = MIB + page * 4096 + if page < 128 { 0 } else { MIB };
        mem.write_u64(GuestPhys(phys), page).unwrap();
        tables.map(page * 4096, phys, X86Page::K4, 0).unwrap();
    }
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    let before = mem.reads();
    let bytes = space.read_chunked(GuestVirt(0), 256 * 4096).unwrap();
    // A walk to check the start, four tables, 256 entries and two copies.
    assert!(mem.reads() - before <= 4 + 3 + 256 + 2);
    for page in 0..256 {
        assert_eq!(u64::from(bytes[page * 4096]), page as u64);
    }
}

#[test]
fn a_length_that_no_one_can_mean_is_refused_before_memory_is_taken() {
    let mem = SparseMemory::new(&[(0, MIB)]);
    let space = AddressSpace::new(&mem, 0x1000, Levels::Four);
    let at = GuestVirt(0x1000);
    assert!(matches!(
        space.read_chunked(at, usize::MAX),
        Err(VirtError::TooLong { .. })
    ));
    let at_end = GuestVirt(u64::MAX);
    assert_eq!(
        space.read(at_end, &mut [0; 2]),
        Err(VirtError::Wraps { at: at_end, len: 2 })
    );
}

#[test]
fn the_last_byte_of_the_address_space_can_be_read() {
    let mem = SparseMemory::new(&[(0, MIB)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    tables
        .map(0xffff_ffff_ffff_f000, 0x8_0000, X86Page::K4, 0)
        .unwrap();
    mem.write(GuestPhys(0x8_0ff8), b"the last").unwrap();
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    assert_eq!(
        space.read_u64(GuestVirt(u64::MAX - 7)),
        Ok(u64::from_le_bytes(*b"the last"))
    );
    assert_eq!(space.read_chunked(GuestVirt(u64::MAX - 3), 4).unwrap(), b"last");
    assert!(matches!(
        space.read_cstr(GuestVirt(u64::MAX - 3), 100),
        Err(VirtError::Wraps { .. })
    ));
}

#[test]
fn a_string_ends_at_its_nul_or_at_the_limit_and_needs_no_page_behind() {
    let mem = SparseMemory::new(&[(0, MIB)]);
    let mut tables = X86Tables::new(&mem, false, 0x1000);
    tables.map(0, 0x8_0000, X86Page::K4, 0).unwrap();
    mem.write(GuestPhys(0x8_0ffa), b"short\0").unwrap();
    mem.write(GuestPhys(0x8_0100), &[b'x'; 700]).unwrap();
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    let check = |at, max, expect: &[u8]| {
        assert_eq!(space.read_cstr(GuestVirt(at), max).unwrap(), expect);
    };
    check(0xffa, 16, b"short");
    check(0xffa, 3, b"sho");
    check(0xffa, 0, b"");
    check(0x100, 4096, &[b'x'; 700]);
    mem.write(GuestPhys(0x8_0ffa), b"unended").unwrap();
    assert!(space.read_cstr(GuestVirt(0xffa), 16).is_err());
}
