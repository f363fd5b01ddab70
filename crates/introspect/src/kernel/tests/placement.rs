//! A kernel is found in several ways, which must agree.

use super::*;

/// Where VMCOREINFO is in these tests.
const PAGE: GuestPhys = GuestPhys(8 * MIB);

fn with_vmcoreinfo(boot: &Boot) -> Pages {
    let mem = boot.boot();
    mem.write(PAGE, boot.vmcoreinfo().as_bytes()).unwrap();
    mem
}

fn find(mem: &Pages, hints: &Hints) -> Result<Placement, PlacementError> {
    Placement::find(&info(), mem, hints)
}

fn refused(mem: &Pages, hints: &Hints, words: &str) -> PlacementError {
    let error = find(mem, hints).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    error
}

const NONE: Hints = Hints {
    text: None,
    cr3: None,
};

#[test]
fn vmcoreinfo_banner_report_and_cr3_lead_to_the_same_place() {
    for boot in [PLAIN, MOVED, FIVE] {
        let expected = boot.placement();
        let mem = boot.boot();
        // By the banner alone, as long as the kernel has not written down where it is.
        assert_eq!(Placement::of_banner(&info(), &mem).unwrap(), expected);
        assert_eq!(find(&mem, &NONE).unwrap(), expected);
        mem.write(PAGE, boot.vmcoreinfo().as_bytes()).unwrap();
        assert_eq!(Placement::of_vmcoreinfo(&info(), &mem).unwrap(), expected);
        // Another task's tables have the same kernel in them.
        let of_task = 100 * MIB;
        boot.map(&mem, of_task);
        let hints = Hints {
            text: Some(GuestVirt(TEXT + boot.slide)),
            cr3: Some(of_task | 0xfff),
        };
        assert_eq!(find(&mem, &hints).unwrap(), expected);
    }
}

#[test]
fn a_report_of_another_place_is_refused() {
    let mem = with_vmcoreinfo(&MOVED);
    let hints = Hints {
        text: Some(GuestVirt(TEXT + MOVED.slide + 0x20_0000)),
        cr3: None,
    };
    let error = refused(&mem, &hints, "disagree about the slide: 0x1e00000 and 0x2000000");
    assert!(matches!(
        error,
        PlacementError::Disagree {
            one: Way::VmCoreInfo,
            other: Way::Report,
            ..
        }
    ));
}

#[test]
fn a_cr3_whose_tables_lead_elsewhere_or_nowhere_is_refused() {
    let mem = with_vmcoreinfo(&MOVED);
    let hints = |cr3| Hints {
        text: None,
        cr3: Some(cr3),
    };
    let elsewhere = Boot {
        at: 32 * MIB,
        ..MOVED
    };
    elsewhere.map(&mem, 100 * MIB);
    refused(
        &mem,
        &hints(100 * MIB),
        "disagree about the image's place: 0x4001000 and 0x2001000",
    );
    let other_direct = Boot {
        page_offset: 0xffff_8880_0000_0000,
        ..MOVED
    };
    other_direct.map(&mem, 104 * MIB);
    refused(&mem, &hints(104 * MIB), "the direct map's place");
    refused(
        &mem,
        &hints(120 * MIB),
        "linux_banner cannot be read the page tables of a vCPU's CR3",
    );
    refused(&mem, &hints(1 << 40), "outside of RAM");
}

#[test]
fn vmcoreinfo_that_lies_about_the_place_is_refused() {
    let mem = MOVED.boot();
    // The slide alone is wrong: the banner would be read 2 MiB further on.
    let lie = Boot {
        slide: MOVED.slide + 0x20_0000,
        at: MOVED.at + 0x20_0000,
        ..MOVED
    };
    mem.write(PAGE, lie.vmcoreinfo().as_bytes()).unwrap();
    refused(&mem, &NONE, "no kernel 6.99.0-fake");
    // It is right about RAM, and wrong about virtual space: the tables know better.
    let lie = Boot {
        slide: MOVED.slide + 0x20_0000,
        ..MOVED
    };
    mem.write(PAGE, lie.vmcoreinfo().as_bytes()).unwrap();
    refused(&mem, &NONE, "linux_banner cannot be read");
    let beyond = Boot { at: RAM * 2, ..MOVED };
    mem.write(PAGE, beyond.vmcoreinfo().as_bytes()).unwrap();
    refused(&mem, &NONE, "not in RAM");
}

#[test]
fn a_line_that_is_missing_or_strange_is_named() {
    let mem = MOVED.boot();
    for line in ["NUMBER(phys_base)", "NUMBER(pgtable_l5_enabled)", "KERNELOFFSET"] {
        let mut text = MOVED.vmcoreinfo().replace(line, &"x".repeat(line.len()));
        let named = refused_page(&mem, &text);
        assert!(named.contains(&format!("no good line {line}")), "{named}");
        text = MOVED
            .vmcoreinfo()
            .replace(&format!("{line}="), &format!("{line}=?"));
        let named = refused_page(&mem, &text);
        assert!(named.contains(&format!("no good line {line}")), "{named}");
    }
}

fn refused_page(mem: &Pages, text: &str) -> String {
    mem.write(PAGE, &[0; 4096]).unwrap();
    mem.write(PAGE, text.as_bytes()).unwrap();
    find(mem, &NONE).unwrap_err().to_string()
}

#[test]
fn another_kernel_is_not_taken_for_this_one_and_is_named() {
    let mem = Pages::new(&[(0, RAM)]);
    let words = refused(&mem, &NONE, "no kernel 6.99.0-fake (build id fafa").to_string();
    assert!(!words.contains("but one"), "{words}");
    let other = MOVED
        .vmcoreinfo()
        .replace("fafa", "0b0b")
        .replace("6.99.0-fake", "6.98.0-else");
    mem.write(PAGE, other.as_bytes()).unwrap();
    refused(&mem, &NONE, "but one that says it is 6.98.0-else (build id 0b0b");
}

#[test]
fn the_page_of_a_kernel_that_was_here_before_does_not_hide_this_one() {
    let mem = with_vmcoreinfo(&MOVED);
    // Lower in RAM, so found first: another kernel's, and this one's of an earlier boot.
    let other = MOVED.vmcoreinfo().replace("fafa", "0b0b");
    mem.write(GuestPhys(2 * MIB), other.as_bytes()).unwrap();
    mem.write(GuestPhys(3 * MIB), PLAIN.vmcoreinfo().as_bytes())
        .unwrap();
    assert_eq!(find(&mem, &NONE).unwrap(), MOVED.placement());
}

#[test]
fn a_copy_of_the_banner_in_the_page_cache_is_not_taken_for_the_kernel() {
    for boot in [PLAIN, MOVED, FIVE] {
        let mem = boot.boot();
        // The kernel's file, read by someone: the banner with all that is around it, but for what boot has written.
        let mut image = vec![0; 0x2000];
        mem.read(boot.phys(TEXT), &mut image).unwrap();
        mem.write(GuestPhys(4 * MIB), &image).unwrap();
        mem.write(GuestPhys(6 * MIB + 123), info().banner.as_bytes())
            .unwrap();
        assert_eq!(Placement::of_banner(&info(), &mem).unwrap(), boot.placement());
    }
}

#[test]
fn a_kernel_file_without_the_symbols_that_place_it_is_named() {
    let mem = MOVED.boot();
    for symbol in ["linux_banner", "init_top_pgt"] {
        mem.write(PAGE, MOVED.vmcoreinfo().as_bytes()).unwrap();
        let error = Placement::find(&info_without(symbol), &mem, &NONE)
            .unwrap_err()
            .to_string();
        let named = if symbol == "linux_banner" {
            symbol
        } else {
            "swapper_pg_dir"
        };
        assert!(error.contains(&format!("no symbol {named}")), "{error}");
    }
}
