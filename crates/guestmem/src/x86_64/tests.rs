use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::Region;

/// Sparse memory with an independent page-table writer.
#[derive(Default)]
struct Tables {
    words: Mutex<HashMap<u64, u64>>,
}

impl PhysMem for Tables {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        if at.0 >= 1 << 40 {
            return Err(MemError::NotRam { at, len: into.len() });
        }
        let word = self.words.lock().unwrap().get(&at.0).copied().unwrap_or(0);
        into.copy_from_slice(&word.to_le_bytes()[..into.len()]);
        Ok(())
    }
    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        Err(MemError::NotRam { at, len: from.len() })
    }
    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }
}

impl Tables {
    /// Writes entries so that `virt` reaches `frame` at `leaf` (1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB).
    fn map(&self, top: u8, virt: u64, leaf: u8, frame: u64) {
        let mut words = self.words.lock().unwrap();
        let mut table = 0x1000u64;
        for level in (leaf..=top).rev() {
            let index = (virt >> (12 + 9 * (u32::from(level) - 1))) & 511;
            let next = 0x1000 * (2 + u64::from(top - level));
            let large = if leaf > 1 { LARGE } else { 0 };
            let entry = if level == leaf {
                frame | PRESENT | large
            } else {
                next | PRESENT | 2
            };
            words.insert(table + 8 * index, entry);
            table = next;
        }
    }
}

#[test]
fn leaves_of_every_size_translate_at_both_depths() {
    for (levels, top) in [(Levels::Four, 4), (Levels::Five, 5)] {
        for (leaf, size) in [(1, 1u64 << 12), (2, 1 << 21), (3, 1 << 30)] {
            let tables = Tables::default();
            let virt = 0xffff_8880_c000_0000 + 0x123;
            tables.map(top, virt, leaf, 3 << 30);
            let found = walk(&tables, 0x1000 | 0xfff, levels, GuestVirt(virt)).unwrap();
            assert_eq!(
                found,
                Leaf {
                    at: GuestPhys((3 << 30) + 0x123),
                    rest: size - 0x123
                }
            );
        }
    }
}

#[test]
fn a_missing_entry_is_named_with_its_level() {
    let tables = Tables::default();
    tables.map(4, 0x4000_0000, 2, 3 << 30);
    let at = GuestVirt(0x4020_0000);
    let Err(WalkError::NotPresent { level: 2, .. }) = walk(&tables, 0x1000, Levels::Four, at) else {
        panic!("the neighbour of a 2 MiB page is unmapped at level 2");
    };
}

#[test]
fn a_table_outside_of_ram_is_an_error_not_a_page() {
    let tables = Tables::default();
    let wrong_root = 1u64 << 41;
    assert!(matches!(
        walk(&tables, wrong_root, Levels::Four, GuestVirt(0)),
        Err(WalkError::TableNotRam { level: 4, .. })
    ));
}

#[test]
fn a_non_canonical_address_is_refused_for_its_paging_width() {
    let tables = Tables::default();
    let at = GuestVirt(0x0000_8000_0000_0000);
    assert_eq!(
        walk(&tables, 0, Levels::Four, at),
        Err(WalkError::NotCanonical { at })
    );
    assert!(matches!(
        walk(&tables, 0, Levels::Five, at),
        Err(WalkError::NotPresent { .. })
    ));
}
