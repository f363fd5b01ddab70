//! Writes (contract C9).

use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, GuestPhys, GuestVirt, PhysMem, VirtError, WriteError};
use testkit::{SparseMemory, X86Page, X86Tables};

/// Two pages, a hole from 0x2000 on, a page at 0x4000, followed by one that is not RAM.
fn space(mem: &SparseMemory) -> AddressSpace<'_> {
    let mut tables = X86Tables::new(mem, false, 0x1000);
    for (virt, phys) in [
        (0, 0x8_5000),
        (0x1000, 0x8_1000),
        (0x4000, 0x8_2000),
        (0x5000, 1 << 40),
    ] {
        tables.map(virt, phys, X86Page::K4, 0).unwrap();
    }
    AddressSpace::new(mem, tables.cr3(), Levels::Four)
}

/// C9: a write that goes through page by page leaves its prefix, and returns the prefix's length.
#[test]
fn a_write_that_goes_through_leaves_its_prefix() {
    let mem = SparseMemory::new(&[(0, 1 << 20)]);
    let space = space(&mem);
    let WriteError { written, source } = space.write_through(GuestVirt(0xfff), &[7; 0x1002]).unwrap_err();
    assert_eq!(written, 0x1001);
    assert!(matches!(source, VirtError::Walk(_)));
    assert_eq!(space.read_chunked(GuestVirt(0xfff), 0x1001), Ok(vec![7; 0x1001]));
    let failed = space.write_through(GuestVirt(0x4ffe), b"abc").unwrap_err();
    assert_eq!(failed.written, 2);
    assert!(matches!(
        failed.source,
        VirtError::NotRam {
            at: GuestVirt(0x5000),
            ..
        }
    ));
    assert_eq!(mem.read_u16(GuestPhys(0x8_2ffe)), Ok(u16::from_le_bytes(*b"ab")));
    space.write_through(GuestVirt(0xffe), b"whole").unwrap();
    assert_eq!(space.read_chunked(GuestVirt(0xffe), 5).unwrap(), b"whole");
}

/// C9, the stricter form: all pages first, so that a failure changes nothing.
#[test]
fn a_write_that_looks_ahead_changes_nothing_when_it_fails() {
    let mem = SparseMemory::new(&[(0, 1 << 20)]);
    let space = space(&mem);
    assert!(space.write(GuestVirt(0xfff), &[7; 0x1002]).is_err());
    assert!(space.write(GuestVirt(0x4ffe), b"abc").is_err());
    assert_eq!(space.read_chunked(GuestVirt(0), 0x2000), Ok(vec![0; 0x2000]));
    assert_eq!(space.read_u16(GuestVirt(0x4ffe)), Ok(0));
    space.write(GuestVirt(0xffe), b"whole").unwrap();
    assert_eq!(space.read_chunked(GuestVirt(0xffe), 5).unwrap(), b"whole");
    space.write(GuestVirt(0x2000), b"").unwrap();
}
