//! A list of expected mappings, and an address space to compare with it.

use schedrig_guestmem::{AddressSpace, GuestPhys, GuestVirt, Span};

/// A page or a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) virt: u64,
    pub(crate) phys: u64,
    pub(crate) len: u64,
}

/// The physical address of `at`, and the rest of its page in bytes.
pub(crate) fn lookup(model: &[Mapping], at: u64) -> Option<(u64, u64)> {
    let mapping = model
        .iter()
        .find(|mapping| at.wrapping_sub(mapping.virt) < mapping.len)?;
    let offset = at - mapping.virt;
    Some((mapping.phys + offset, mapping.len - offset))
}

/// Asserts that the space maps `at` as the model does, or not at all.
pub(crate) fn check_address(space: &AddressSpace, model: &[Mapping], at: u64) {
    let found = space.translate(GuestVirt(at));
    let found = found.map(|leaf| (leaf.at.0, leaf.rest)).ok();
    assert_eq!(found, lookup(model, at), "at {at:#x} of {model:#x?}");
}

/// Asserts that every mapping is found, at its ends and inside, and so are the addresses beside it.
pub(crate) fn check_model(space: &AddressSpace, model: &[Mapping], inside: u64) {
    for mapping in model {
        let last = mapping.virt + (mapping.len - 1);
        for at in [
            mapping.virt,
            mapping.virt + inside % mapping.len,
            last,
            mapping.virt.wrapping_sub(1),
            last.wrapping_add(1),
        ] {
            check_address(space, model, at);
        }
    }
}

/// Asserts that the first `most` spans cover the range once, in order, and agree with walks.
pub(crate) fn check_ranges(space: &AddressSpace, at: u64, len: u64, most: usize) -> Vec<Span> {
    let spans: Vec<Span> = space.ranges(GuestVirt(at), len).take(most).collect();
    let mut here = at;
    for span in &spans {
        assert_eq!(span.virt(), GuestVirt(here), "no gap, no overlap");
        assert!(span.bytes() > 0);
        let last = GuestVirt(here + (span.bytes() - 1));
        match *span {
            Span::Mapped { virt, phys, len } => {
                assert_eq!(space.translate(virt).unwrap().at, phys);
                let end = GuestPhys(phys.0 + (len - 1));
                assert_eq!(space.translate(last).unwrap().at, end);
            }
            Span::Hole { virt, why, .. } => {
                assert_eq!(space.translate(virt), Err(why));
                assert!(space.translate(last).is_err());
            }
        }
        here = here.wrapping_add(span.bytes());
    }
    if spans.len() < most {
        let space_left = (u64::MAX - at).saturating_add(1);
        assert_eq!(here.wrapping_sub(at), len.min(space_left), "the whole range");
    }
    spans
}
