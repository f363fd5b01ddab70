//! `phys_base`, the number of levels, and `page_offset`, when the slide and a CR3 are known.

use guestmem::x86_64::Levels;

use super::*;

fn levels(boot: &Boot) -> Levels {
    if boot.five { Levels::Five } else { Levels::Four }
}

/// C4: a hint that is not zero is taken without a walk.
#[test]
fn a_hint_that_is_not_zero_is_taken_without_a_walk() {
    let mem = MOVED.boot();
    let nowhere = 1 << 50;
    let found = phys_base(&info(), &mem, nowhere, MOVED.slide, 0x20_0000).unwrap();
    assert_eq!(found.0, 0x20_0000);
}

/// C4: without a hint, the walk from CR3 leads to it.
#[test]
fn phys_base_is_read_by_a_walk_from_cr3() {
    for boot in [PLAIN, MOVED, FIVE] {
        let mem = boot.boot();
        let found = phys_base(&info(), &mem, boot.cr3() | 0x18, boot.slide, 0).unwrap();
        assert_eq!(found, (boot.phys_base(), levels(&boot)));
    }
}

/// C4: a kernel without the symbol has 0: it is not relocatable.
#[test]
fn a_kernel_without_the_symbol_has_zero() {
    let mem = PLAIN.boot();
    let found = phys_base(&info_without("phys_base"), &mem, 0, 0, 0).unwrap();
    assert_eq!(found, (0, Levels::Four));
}

/// C4: a symbol to which the walk does not lead is an error with the steps.
#[test]
fn a_walk_that_fails_is_an_error_with_its_steps() {
    let mem = MOVED.boot();
    let cr3 = 120 * MIB;
    let error = phys_base(&info(), &mem, cr3, MOVED.slide, 0).unwrap_err();
    let words = error.to_string();
    for step in [
        format!("link address {PHYS_BASE:#x}"),
        format!("slide {:#x}", MOVED.slide),
        format!("CR3 {cr3:#x}"),
        "Four".to_owned(),
        "Five".to_owned(),
        "not present".to_owned(),
    ] {
        assert!(words.contains(&step), "{words}");
    }
}

/// C5: the number of levels is read where it is without a `phys_base`, and again where it is with the real one.
#[test]
fn the_number_of_levels_is_read_again_with_the_real_phys_base() {
    let mem = FIVE.boot();
    // Where `pgdir_shift` would be with a phys_base of 0 something says "four".
    let decoy = GuestPhys(PGDIR_SHIFT - START_KERNEL_MAP + FIVE.slide);
    assert_ne!(decoy, FIVE.phys(PGDIR_SHIFT));
    mem.write_u32(decoy, 39).unwrap();
    let found = phys_base(&info(), &mem, FIVE.cr3(), FIVE.slide, 0).unwrap();
    assert_eq!(found, (FIVE.phys_base(), Levels::Five));
    // And the other way round.
    let mem = MOVED.boot();
    mem.write_u32(decoy, 48).unwrap();
    let found = phys_base(&info(), &mem, MOVED.cr3(), MOVED.slide, 0).unwrap();
    assert_eq!(found, (MOVED.phys_base(), Levels::Four));
    // A kernel that was built for four levels alone has no such variable.
    let found = phys_base(&info_without("pgdir_shift"), &mem, MOVED.cr3(), MOVED.slide, 0).unwrap();
    assert_eq!(found.1, Levels::Four);
}

/// C5: `page_offset` is that of `page_offset_base`, and the default of the number of levels without the symbol.
#[test]
fn page_offset_is_that_of_its_variable_or_the_default() {
    let (four, five) = (0xffff_8880_0000_0000, 0xff11_0000_0000_0000);
    for (boot, default) in [(MOVED, four), (FIVE, five)] {
        let mem = boot.boot();
        let found = Placement::of_banner(&info(), &mem).unwrap();
        assert_eq!(found.direct.virt.0, boot.page_offset);
        let found = Placement::of_banner(&info_without("page_offset_base"), &mem).unwrap();
        assert_eq!(found.direct.virt.0, default);
        assert_ne!(boot.page_offset, default);
    }
}
