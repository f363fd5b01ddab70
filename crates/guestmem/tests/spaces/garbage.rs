//! Tables with random content: no panic, no loop, and the same answer from every operation.

use proptest::prelude::*;
use schedrig_guestmem::aarch64;
use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, CachedSpace, GuestPhys, GuestVirt, PageTables, PhysMem};
use testkit::SparseMemory;

use crate::model::check_ranges;

/// RAM of a few pages, so that entries often hit it.
const PAGES: u64 = 48;
/// The RAM is two adjoining regions.
const HALF: u64 = (PAGES / 2) << 12;

/// An entry that points into RAM or out of it, with any combination of the decoded bits.
fn entry() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        1 => any::<u64>(),
        6 => (0..PAGES, any::<u16>(), any::<bool>()).prop_map(|(page, low, large)| {
            page << 12 | u64::from(low & 0xf7c) | 3 | u64::from(large) << 7
        }),
    ]
}

fn page_tables() -> impl Strategy<Value = PageTables> {
    let root = prop_oneof![4 => (0..PAGES).prop_map(|page| page << 12), 1 => any::<u64>()];
    let tcr = (any::<u64>(), 1u64..4, 12u64..40)
        .prop_map(|(any, tg1, t1sz)| any & !(0xc0bf << 16) | tg1 << 30 | t1sz << 16);
    (root, tcr, 0..3).prop_map(|(root, tcr, kind)| {
        let levels = if kind == 0 { Levels::Four } else { Levels::Five };
        let x86 = PageTables::X86_64 { cr3: root, levels };
        match aarch64::Tables::from_registers(root, tcr) {
            Ok(tables) if kind == 2 => PageTables::Aarch64(tables),
            _ => x86,
        }
    })
}

/// Mostly addresses whose indices are in the few entries that are filled.
fn address() -> impl Strategy<Value = u64> {
    let small = || 0u64..4;
    prop_oneof![
        1 => any::<u64>(),
        2 => (any::<bool>(), small(), small(), small(), small(), 0u64..4096).prop_map(|(kernel, a, b, c, d, offset)| {
            (u64::from(kernel) * (u64::MAX << 48)) | a << 39 | b << 30 | c << 21 | d << 12 | offset
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn garbage_ends_every_walk_within_a_bounded_number_of_reads(
        entries in prop::collection::vec((0..PAGES, 0u64..8, entry()), 0..200),
        tables in page_tables(),
        at in address(),
        len in 0usize..100_000,
    ) {
        let mem = SparseMemory::new(&[(0, HALF), (HALF, HALF)]);
        for (page, index, value) in entries {
            // The last entries as well as the first ones.
            let index = if index < 4 { index } else { 504 + index };
            mem.write_u64(GuestPhys(page << 12 | index << 3), value).unwrap();
        }
        let space = AddressSpace::with_tables(&mem, tables);
        let before = mem.reads();
        let found = space.translate(GuestVirt(at));
        // One for each of five levels, and one look at the end of a table that is not there.
        prop_assert!(mem.reads() - before <= 6);
        if let Ok(leaf) = found {
            prop_assert!(leaf.rest > 0);
        }
        check_ranges(&space, at, u64::MAX, 200);
        check_ranges(&space, at, len as u64, 200);

        let mut cached = vec![0; len];
        let cache = CachedSpace::new(space);
        let cached = cache.read(GuestVirt(at), &mut cached).map(|()| cached);
        let chunked = space.read_chunked(GuestVirt(at), len);
        match bytewise(&space, at, len.min(20_000)) {
            Some(bytes) if len <= 20_000 => {
                prop_assert_eq!(chunked.as_ref().unwrap(), &bytes);
                prop_assert_eq!(cached.unwrap(), bytes);
            }
            Some(bytes) => {
                if let Ok(chunked) = chunked {
                    prop_assert_eq!(&chunked[..bytes.len()], &bytes[..]);
                    prop_assert_eq!(chunked, cached.unwrap());
                }
            }
            None => {
                prop_assert!(chunked.is_err());
                prop_assert!(cached.is_err());
            }
        }
        prop_assert!(space.read_cstr(GuestVirt(at), len).map_or(0, |text| text.len()) <= len);
        let by_bytes = bytewise(&space, at, 8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        prop_assert_eq!(space.read_u64(GuestVirt(at)).ok(), by_bytes);
        prop_assert_eq!(cache.read_u64(GuestVirt(at)).ok(), by_bytes);
    }

    #[test]
    fn garbage_is_written_whole_or_not_at_all(
        entries in prop::collection::vec((0..PAGES, 0u64..4, entry()), 0..200),
        tables in page_tables(),
        at in address(),
        len in 0usize..20_000,
    ) {
        let mem = SparseMemory::new(&[(0, PAGES << 12)]);
        for (page, index, value) in entries {
            mem.write_u64(GuestPhys(page << 12 | index << 3), value).unwrap();
        }
        let image = || {
            let mut bytes = vec![0; (PAGES << 12) as usize];
            mem.read(GuestPhys(0), &mut bytes).unwrap();
            bytes
        };
        let before = image();
        let space = AddressSpace::with_tables(&mem, tables);
        if space.write(GuestVirt(at), &vec![0xa5; len]).is_err() {
            prop_assert!(before == image());
        }
    }
}

/// The simplest and slowest implementation: a walk for every byte.
fn bytewise(space: &AddressSpace, at: u64, len: usize) -> Option<Vec<u8>> {
    (0..len as u64)
        .map(|offset| {
            let leaf = space.translate(GuestVirt(at.checked_add(offset)?)).ok()?;
            space.memory().read_u8(leaf.at).ok()
        })
        .collect()
}
