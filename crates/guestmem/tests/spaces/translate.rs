//! Translations by correct tables, of every architecture and form.

use proptest::prelude::*;
use schedrig_guestmem::aarch64;
use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{AddressSpace, GuestPhys, GuestVirt, Leaf, PhysMem, Span, WalkError};
use testkit::{ArmFormat, ArmTables, SparseMemory, X86Page, X86Tables};

use crate::model::{Mapping, check_address, check_model, check_ranges};

/// The place of tables; a second one is above 48 bits.
const LOW: u64 = 0x10_0000;
const HIGH: u64 = 0xd << 48 | 0x1_0000;
const ROOM: u64 = 256 << 20;

fn memory() -> SparseMemory {
    SparseMemory::new(&[(LOW, ROOM), (HIGH, ROOM)])
}

const FORMATS: &[ArmFormat] = &[
    arm(4, 48, false),
    arm(4, 39, false),
    arm(4, 36, false),
    arm(4, 48, true),
    arm(4, 52, true),
    arm(16, 48, false),
    arm(16, 47, false),
    arm(16, 36, false),
    arm(16, 52, true),
    arm(64, 48, false),
    arm(64, 42, false),
    arm(64, 52, false),
    arm(64, 52, true),
    arm(64, 48, true),
];

const fn arm(granule_kib: u64, va_bits: u32, pa52: bool) -> ArmFormat {
    ArmFormat {
        granule_kib,
        va_bits,
        pa52,
    }
}

fn arm_space<'m>(mem: &'m SparseMemory, tables: &ArmTables, format: ArmFormat) -> AddressSpace<'m> {
    let tables = aarch64::Tables::from_registers(tables.ttbr1(), format.tcr()).unwrap();
    AddressSpace::aarch64(mem, tables)
}

/// A mapping to try: selectors that each architecture reduces to its own range.
#[derive(Debug, Clone)]
struct Wish {
    near: bool,
    virt: u64,
    phys: u64,
    size: usize,
    noise: u64,
}

fn wishes() -> impl Strategy<Value = (Vec<Wish>, u64)> {
    let wish = (any::<bool>(), any::<u64>(), any::<u64>(), 0usize..5, any::<u64>());
    let wish = wish.prop_map(|(near, virt, phys, size, noise)| Wish {
        near,
        virt,
        phys,
        size,
        noise,
    });
    (prop::collection::vec(wish, 1..24), any::<u64>())
}

/// Far addresses meet seldom, near ones share tables and adjoin.
fn virt_of(wish: &Wish) -> u64 {
    if wish.near {
        wish.virt % (1 << 24)
    } else {
        wish.virt
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// C2: vmalloc addresses are translated by a walk of 4 or 5 levels, and unmapped ones are not.
    #[test]
    fn x86_64_translates_exactly_what_was_mapped((wishes, at) in wishes(), five in any::<bool>()) {
        let mem = memory();
        let mut tables = X86Tables::new(&mem, five, LOW);
        let (bits, levels) = if five { (57, Levels::Five) } else { (48, Levels::Four) };
        let canonical = |virt: u64| ((virt << (64 - bits)) as i64 >> (64 - bits)) as u64;
        let mut model = Vec::new();
        for wish in &wishes {
            let page = [X86Page::K4, X86Page::M2, X86Page::G1][wish.size % 3];
            let virt = canonical(virt_of(wish)) / page.bytes() * page.bytes();
            let phys = wish.phys % (1 << 52) / page.bytes() * page.bytes();
            if tables.map(virt, phys, page, wish.noise).unwrap() {
                model.push(Mapping { virt, phys, len: page.bytes() });
            }
        }
        let space = AddressSpace::new(&mem, tables.cr3() | at & 0xfff, levels);
        check_model(&space, &model, at);
        check_address(&space, &model, canonical(at));
        for mapping in &model {
            check_ranges(&space, mapping.virt.saturating_sub(at % (1 << 32)), 1 << 33, 4000);
        }
        check_ranges(&space, 0, u64::MAX, 100_000);
    }

    /// C2: and on aarch64 with granules of 4, 16 and 64 KiB.
    #[test]
    fn aarch64_translates_exactly_what_was_mapped((wishes, at) in wishes(), form in 0..FORMATS.len()) {
        let format = FORMATS[form];
        let mem = memory();
        let mut tables = ArmTables::new(&mem, format, if format.pa52 { HIGH } else { LOW });
        let leaves = format.leaves();
        let pa_bits = if format.pa52 { 52 } else { 48 };
        let mut model = Vec::new();
        for wish in &wishes {
            let (level, len) = leaves[wish.size % leaves.len()];
            let virt = (virt_of(wish) | format.kernel_half()) / len * len;
            let phys = wish.phys % (1 << pa_bits) / len * len;
            if tables.map(virt, phys, level, wish.noise).unwrap() {
                model.push(Mapping { virt, phys, len });
            }
        }
        let space = arm_space(&mem, &tables, format);
        check_model(&space, &model, at);
        check_address(&space, &model, at | format.kernel_half());
        check_address(&space, &model, at & !format.kernel_half());
        for mapping in &model {
            check_ranges(&space, mapping.virt - at % (1 << 32), 1 << 33, 4000);
        }
        check_ranges(&space, 0, u64::MAX, 100_000);
    }
}

#[test]
fn every_leaf_of_every_aarch64_form_translates() {
    for &format in FORMATS {
        for (level, len) in format.leaves() {
            let mem = memory();
            let mut tables = ArmTables::new(&mem, format, LOW);
            let virt = 0u64.wrapping_sub(3 * len) | format.kernel_half();
            let virt = virt / len * len;
            let top = if format.pa52 { 1 << 51 } else { 1 << 47 };
            let phys = top / len * len + len % top;
            assert!(tables.map(virt, phys, level, u64::MAX).unwrap());
            let found = arm_space(&mem, &tables, format).translate(GuestVirt(virt + 0x123));
            let expect = Leaf {
                at: GuestPhys(phys + 0x123),
                rest: len - 0x123,
            };
            assert_eq!(found, Ok(expect), "{format:?} level {level}");
        }
    }
}

/// C3: of CR3 only bits 11:0 are no address. Bit 12 distinguishes the two roots of page-table isolation.
#[test]
fn cr3_keeps_bit_12_and_loses_bits_11_to_0() {
    let mem = memory();
    let (kernel, user) = (LOW, LOW + 0x1000);
    mem.write_u64(GuestPhys(kernel), (LOW + 0x2000) | 1).unwrap();
    mem.write_u64(GuestPhys(LOW + 0x2000), 3 << 30 | 0x81).unwrap();
    for low in [0, 1, 0x18, 0xfff] {
        let space = AddressSpace::new(&mem, kernel | low, Levels::Four);
        assert_eq!(space.translate(GuestVirt(5)).unwrap().at, GuestPhys(3 << 30 | 5));
        let space = AddressSpace::new(&mem, user | low, Levels::Four);
        let entry = GuestPhys(user);
        let (at, level) = (GuestVirt(5), 4);
        assert_eq!(
            space.translate(at),
            Err(WalkError::NotPresent { at, level, entry })
        );
    }
}

#[test]
fn a_failed_walk_names_where_it_ended_and_why() {
    let mem = memory();
    let mut tables = X86Tables::new(&mem, false, LOW);
    tables.map(0x4000_0000, 3 << 30, X86Page::M2, 0).unwrap();
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    let at = GuestVirt(0x4020_0000);
    let entry = GuestPhys(LOW + 0x2000 + 8);
    assert_eq!(
        space.translate(at),
        Err(WalkError::NotPresent { at, level: 2, entry })
    );
    // A leaf in a PML4, which the architecture does not have.
    mem.write_u64(GuestPhys(LOW + 8), 0x81).unwrap();
    let at = GuestVirt(1 << 39);
    let (entry, value) = (GuestPhys(LOW + 8), 0x81);
    assert_eq!(
        space.translate(at),
        Err(WalkError::Malformed {
            at,
            level: 4,
            entry,
            value
        })
    );
    let at = GuestVirt(1 << 47);
    assert_eq!(space.translate(at), Err(WalkError::NotCanonical { at }));
    let outside = AddressSpace::new(&mem, 1 << 41, Levels::Five);
    assert!(matches!(
        outside.translate(at),
        Err(WalkError::TableNotRam { level: 5, .. })
    ));
}

#[test]
fn a_reserved_descriptor_of_aarch64_is_malformed() {
    for (granule, va_bits, root_level) in [(4, 48, 0), (16, 48, 0), (64, 48, 1)] {
        let format = arm(granule, va_bits, false);
        let mem = memory();
        let tables = ArmTables::new(&mem, format, LOW);
        // A block where no block may be.
        mem.write_u64(GuestPhys(LOW), 0b01).unwrap();
        let found = arm_space(&mem, &tables, format).translate(GuestVirt(format.kernel_half()));
        assert!(
            matches!(found, Err(WalkError::Malformed { level, value: 1, .. }) if level == root_level),
            "{found:?}"
        );
    }
}

#[test]
fn an_unmapped_gigabyte_is_one_step() {
    let mem = memory();
    let mut tables = X86Tables::new(&mem, false, LOW);
    let base = 0xffff_8880_0000_0000u64;
    tables.map(base, 1 << 40, X86Page::G1, 0).unwrap();
    tables.map(base + (2 << 30), 1 << 30, X86Page::G1, 0).unwrap();
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    let spans = check_ranges(&space, base + 4096, 2 << 30, 100);
    let shape: Vec<_> = spans
        .iter()
        .map(|span| (matches!(span, Span::Mapped { .. }), span.bytes()))
        .collect();
    assert_eq!(shape, [(true, (1 << 30) - 4096), (false, 1 << 30), (true, 4096)],);
    let whole: Vec<Span> = check_ranges(&space, 0, u64::MAX, 10_000);
    assert!(whole.len() < 1200, "{} steps for an empty space", whole.len());
}

#[test]
fn pages_that_follow_each_other_in_physical_memory_are_one_range_up_to_the_end_of_a_region() {
    let mem = SparseMemory::new(&[(LOW, 1 << 20), (LOW + (1 << 20), 1 << 20), (1 << 32, 1 << 20)]);
    let mut tables = X86Tables::new(&mem, false, LOW);
    let seam = LOW + (1 << 20);
    let frames = [seam - 8192, seam - 4096, seam, seam + 4096, 1 << 32, 0];
    for (page, phys) in frames.into_iter().enumerate() {
        tables.map(0x1000 * page as u64, phys, X86Page::K4, 0).unwrap();
    }
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Four);
    let spans: Vec<_> = check_ranges(&space, 0x10, 0x6000 - 0x20, 100)
        .iter()
        .map(|span| (span.virt().0, span.bytes()))
        .collect();
    assert_eq!(
        spans,
        [
            (0x10, 0x2000 - 0x10),
            (0x2000, 0x2000),
            (0x4000, 0x1000),
            (0x5000, 0x1000 - 0x10)
        ]
    );
}

#[test]
fn a_walk_to_the_neighbour_costs_one_read() {
    let mem = memory();
    let mut tables = X86Tables::new(&mem, true, LOW);
    for page in 0..512 {
        // Backwards, so that nothing can be joined.
        tables
            .map(page << 12, LOW + ((511 - page) << 12), X86Page::K4, 0)
            .unwrap();
    }
    let space = AddressSpace::new(&mem, tables.cr3(), Levels::Five);
    let before = mem.reads();
    assert_eq!(space.ranges(GuestVirt(0), 512 << 12).count(), 512);
    assert_eq!(mem.reads() - before, 512 + 4);
}
