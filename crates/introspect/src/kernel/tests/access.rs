//! Reads and writes at a kernel's own addresses.

use guestmem::{GuestPhys, GuestVirt, PhysMem};

use super::*;

/// A frame of vmalloc, where it is mapped, and what follows it: a hole.
const FRAME: u64 = 96 * MIB;
const VMALLOC: u64 = 0xffff_c900_0000_0000;

/// The kernel that was moved, with two pages of vmalloc whose frames lie the other way round.
fn with_vmalloc() -> Pages {
    let mem = Pages::new(&[(0, RAM)]);
    // All tables anew, with more in them.
    let mut tables = X86Tables::new(&mem, false, MOVED.cr3());
    tables.map(TEXT + MOVED.slide, MOVED.at, X86Page::M2, 0).unwrap();
    for at in (0..RAM).step_by(2 << 20) {
        tables.map(MOVED.page_offset + at, at, X86Page::M2, 0).unwrap();
    }
    tables.map(VMALLOC, FRAME + 4096, X86Page::K4, 0).unwrap();
    tables.map(VMALLOC + 4096, FRAME, X86Page::K4, 0).unwrap();
    mem
}

fn direct(phys: u64) -> GuestVirt {
    GuestVirt(MOVED.page_offset + phys)
}

fn is_memory<T: std::fmt::Debug>(read: &Result<T, ReadError>) {
    assert!(matches!(read, Err(ReadError::Memory { .. })), "{read:?}");
}

/// C2: image and direct map are translated by arithmetic, vmalloc by a walk, and what is not mapped is told.
#[test]
fn each_part_of_the_address_space_is_translated_in_its_way() {
    let (mem, info) = (with_vmalloc(), info());
    for kernel in [
        GuestKernel::frozen(&info, &mem, MOVED.placement()),
        GuestKernel::live(&info, &mem, MOVED.placement()),
    ] {
        let phys = |at: u64| kernel.translate(GuestVirt(at)).unwrap().at.0;
        assert_eq!(phys(TEXT + MOVED.slide + 0x1234), MOVED.at + 0x1234);
        assert_eq!(phys(MOVED.page_offset + 0x1234), 0x1234);
        assert_eq!(phys(VMALLOC + 0x234), FRAME + 4096 + 0x234);
        assert_eq!(phys(VMALLOC + 0x1234), FRAME + 0x234);
        for nowhere in [
            0,
            VMALLOC + 8192,
            TEXT + MOVED.slide + 2 * MIB,
            MOVED.page_offset + RAM,
            u64::MAX,
        ] {
            assert!(kernel.translate(GuestVirt(nowhere)).is_err(), "{nowhere:#x}");
            is_memory(&kernel.read_u64(GuestVirt(nowhere)));
        }
    }
    // The arithmetic needs no tables.
    let no_tables = Placement {
        tables: MOVED.tables(1 << 50),
        ..MOVED.placement()
    };
    let kernel = GuestKernel::frozen(&info, &mem, no_tables);
    assert!(kernel.read_u64(direct(0x1000)).is_ok());
    assert!(kernel.read_u64(GuestVirt(TEXT + MOVED.slide)).is_ok());
    is_memory(&kernel.read_u64(GuestVirt(VMALLOC)));
}

/// C2: RAM has a hole below 4 GiB; nothing is read in it, nor over its edges, by whatever width.
#[test]
fn a_hole_in_ram_is_no_memory_and_neither_is_what_reaches_into_it() {
    const LOW: u64 = 256 * MIB;
    let mem = Pages::new(&[(0, LOW), (1 << 32, LOW)]);
    let info = info();
    let boot = Boot {
        page_offset: 0xffff_8880_0000_0000,
        ..MOVED
    };
    boot.boot_into(&mem);
    for (at, byte) in [
        (LOW - 4096, 0xaa),
        (1 << 32, 0xbb),
        ((1 << 32) + LOW - 4096, 0xcc),
    ] {
        mem.write(GuestPhys(at), &[byte; 4096]).unwrap();
    }
    let kernel = GuestKernel::frozen(&info, &mem, boot.placement());
    let direct = |phys: u64| GuestVirt(boot.page_offset + phys);
    for (edge, bytes) in [(LOW, 0xaa), ((1 << 32) + LOW, 0xcc)] {
        let last = direct(edge - 8);
        assert_eq!(kernel.read_u64(last).unwrap(), u64::from_ne_bytes([bytes; 8]));
        assert_eq!(kernel.translate(last).unwrap().rest, 8);
        is_memory(&kernel.read_u64(last.wrapping_add(4)));
        is_memory(&kernel.read_u32(last.wrapping_add(6)));
        is_memory(&kernel.read_u16(last.wrapping_add(7)));
        is_memory(&kernel.read_u8(last.wrapping_add(8)));
        is_memory(&kernel.read(last, &mut [0; 9]));
        is_memory(&kernel.read_chunked(last, 9));
        is_memory(&kernel.read_cstr(last, 9));
        assert_eq!(kernel.read_chunked(last, 8).unwrap(), [bytes; 8]);
        assert_eq!(kernel.read_cstr(last, 8).unwrap(), [bytes; 8]);
    }
    // Neither does a length that wraps, nor one that begins in the hole and ends behind it.
    is_memory(&kernel.read_chunked(direct(LOW), 16));
    is_memory(&kernel.read_chunked(direct((1 << 32) - 8), 16));
    is_memory(&kernel.read(direct((1 << 32) - 4), &mut [0; 8]));
    is_memory(&kernel.read_chunked(direct(0), usize::MAX));
    is_memory(&kernel.read_chunked(GuestVirt(u64::MAX - 3), 16));
    assert!(kernel.translate(direct(LOW)).is_err());
    assert_eq!(kernel.direct_map(), direct(0)..direct((1 << 32) + LOW));
}

/// C7: a symbol that the kernel lacks is an error that names it, in every direction and width.
#[test]
fn a_symbol_that_is_missing_is_an_error_that_names_it() {
    let (mem, info) = (with_vmalloc(), info());
    let kernel = GuestKernel::frozen(&info, &mem, MOVED.placement());
    for error in [
        kernel.symbol("nothing").err(),
        kernel.read_symbol_u32("nothing").err(),
        kernel.read_symbol_u64("nothing").err(),
        kernel.write_symbol("nothing", b"x").err(),
        kernel.variable("nothing", "int").err(),
        kernel.pointer_variable("nothing", "int").err(),
    ] {
        let error = error.unwrap();
        assert_eq!(error, ReadError::no_symbol("nothing"));
        assert!(error.is_absent());
        assert_eq!(error.to_string(), "this kernel has no symbol nothing");
    }
}

/// C7: symbols are read where they are, the direct map wherever there is RAM, and other addresses only if mapped.
#[test]
fn values_are_read_and_written_by_symbol_and_by_address() {
    let (mem, info) = (with_vmalloc(), info());
    let kernel = GuestKernel::frozen(&info, &mem, MOVED.placement());
    kernel
        .write_symbol("phys_base", &0x1122_3344_5566_7788u64.to_le_bytes())
        .unwrap();
    assert_eq!(
        kernel.read_symbol_u64("phys_base").unwrap(),
        0x1122_3344_5566_7788
    );
    assert_eq!(kernel.read_symbol_u32("phys_base").unwrap(), 0x5566_7788);
    assert_eq!(
        mem.read_u64(MOVED.phys(PHYS_BASE)).unwrap(),
        0x1122_3344_5566_7788
    );
    for phys in [0, 0x1001, RAM - 8] {
        assert!(kernel.read_u64(direct(phys)).is_ok());
    }
    kernel.write(GuestVirt(VMALLOC + 4094), b"over").unwrap();
    assert_eq!(
        kernel.read_u32(GuestVirt(VMALLOC + 4094)).unwrap(),
        u32::from_le_bytes(*b"over")
    );
    is_memory(&kernel.read_u32(GuestVirt(VMALLOC + 8190)));
    is_memory(&kernel.read_u64(GuestVirt(VMALLOC + 8192)));
}

/// C8: a read goes over the boundary of two NUMA nodes; on a page that is not there it brings nothing at all.
#[test]
fn bytes_are_read_across_nodes_and_all_or_none() {
    let mem = Pages::new(&[(0, RAM), (RAM, RAM)]);
    let info = info();
    MOVED.boot_into(&mem);
    mem.write(GuestPhys(RAM - 4096), &[0xaa; 4096]).unwrap();
    mem.write(GuestPhys(RAM), &[0xbb; 4096]).unwrap();
    let kernel = GuestKernel::frozen(&info, &mem, MOVED.placement());
    let bytes = kernel.read_chunked(direct(RAM - 4096), 8192).unwrap();
    assert!(bytes[..4096].iter().all(|byte| *byte == 0xaa));
    assert!(bytes[4096..].iter().all(|byte| *byte == 0xbb));
    assert_eq!(kernel.read_u64(direct(RAM - 4)).unwrap(), 0xbbbb_bbbb_aaaa_aaaa);
    assert_eq!(kernel.read_chunked(direct(0), 0).unwrap(), [0; 0]);
    assert_eq!(kernel.read_chunked(GuestVirt(0), 0).unwrap(), [0; 0]);

    let mem = with_vmalloc();
    mem.write(GuestPhys(FRAME), &[0xbb; 4096]).unwrap();
    mem.write(GuestPhys(FRAME + 4096), &[0xaa; 4096]).unwrap();
    let kernel = GuestKernel::frozen(&info, &mem, MOVED.placement());
    let bytes = kernel.read_chunked(GuestVirt(VMALLOC), 8192).unwrap();
    assert_eq!((bytes[4095], bytes[4096]), (0xaa, 0xbb));
    is_memory(&kernel.read_chunked(GuestVirt(VMALLOC), 8193));
}

/// C9: a write that cannot be done whole is an error, and changes nothing: neither its prefix nor its tail.
#[test]
fn a_write_is_whole_or_changes_nothing() {
    let (mem, info) = (with_vmalloc(), info());
    let kernel = GuestKernel::frozen(&info, &mem, MOVED.placement());
    is_memory(&kernel.write(GuestVirt(VMALLOC + 8190), b"over"));
    assert_eq!(kernel.read_u16(GuestVirt(VMALLOC + 8190)).unwrap(), 0);
    // The end of the direct map, and of the image: no silent cut.
    is_memory(&kernel.write(direct(RAM - 2), b"over"));
    assert_eq!(kernel.read_u16(direct(RAM - 2)).unwrap(), 0);
    is_memory(&kernel.write_symbol("init_top_pgt", &vec![0; 2 * MIB as usize]));
    assert!(
        kernel.read_u64(GuestVirt(VMALLOC)).is_ok(),
        "the tables are as they were"
    );
    kernel.write(direct(RAM - 4), b"last").unwrap();
    assert_eq!(kernel.read_chunked(direct(RAM - 4), 4).unwrap(), b"last");
}

/// C10: what was found can be asked for.
#[test]
fn accessors_tell_what_was_found() {
    for boot in [MOVED, FIVE] {
        let (mem, info) = (boot.boot(), info());
        let place = Placement::find(&info, &mem, &Hints::default()).unwrap();
        let kernel = GuestKernel::frozen(&info, &mem, place);
        assert_eq!(kernel.page_offset(), GuestVirt(boot.page_offset));
        assert_eq!(kernel.cr3(), Some(boot.cr3()));
        assert_eq!(kernel.placement().text.virt, GuestVirt(START_KERNEL_MAP));
        assert_eq!(kernel.placement().text.phys, boot.phys_base());
        assert_eq!(kernel.placement().slide, boot.slide);
        // Root, number of levels and memory, in one.
        assert_eq!(kernel.space().tables(), boot.tables(boot.cr3()));
        assert_eq!(kernel.space().memory().regions(), mem.regions());
        assert!(kernel.is_frozen());
        assert!(!GuestKernel::live(&info, &mem, place).is_frozen());
        let inside = GuestVirt(BANNER + boot.slide + 5);
        assert_eq!(kernel.symbolize(inside), Some(("linux_banner", 5)));
        assert_eq!(kernel.symbolize(GuestVirt(boot.page_offset)), None);
    }
}
