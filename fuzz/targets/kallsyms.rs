//! Symbols of an ELF file or an EFI image of arm64, or of bare tables at a fixed address.
#![no_main]

use kimage::kallsyms::{self, Region};
use kimage::testing::{KallsymsWriter, OffsetRule, RODATA, TEXT, TableOrder, TinyImage, TinyKernel};
use kimage::{Arch, Compression, KernelImage, Symbols};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::{MAX_UNPACKED, plant};

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let symbols = if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"MZ") {
        KernelImage::from_bytes_within(bytes, MAX_UNPACKED).ok().and_then(|image| image.symbols().ok())
    } else {
        let region = Region { address: RODATA, bytes };
        let _ = kallsyms::decode(Arch::Aarch64, &[region]);
        kallsyms::decode(Arch::X86_64, &[region]).ok().map(|tables| tables.symbols)
    };
    if let Some(symbols) = symbols {
        check(&symbols);
    }
});

/// Asserts that lookups of each decoded symbol find it.
fn check(symbols: &Symbols) {
    assert!(symbols.iter().is_sorted_by_key(|symbol| symbol.address));
    for symbol in symbols.iter() {
        assert!(symbols.all(symbol.name).any(|same| same == symbol));
        let (nearest, distance) = symbols.nearest(symbol.address).expect("the symbol itself");
        assert_eq!((nearest.address, distance), (symbol.address, 0));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let symbols: Vec<_> = (0..300)
        .map(|i| (format!("sched_{}", i / 2), TEXT + 64 * i, 't'))
        .collect();
    let mut seeds = vec![
        // Packed: unpacked, the seed would exceed the limit of inputs.
        TinyImage::default().zboot(Compression::Gzip),
        TinyKernel::default().elf(),
        TinyKernel {
            kallsyms: None,
            ..TinyKernel::default()
        }
        .elf(),
    ];
    for order in [
        TableOrder::NumSymsFirst,
        TableOrder::OffsetsFirst,
        TableOrder::OffsetsFirstSeqsInside,
    ] {
        for rule in [
            OffsetRule::FromBase,
            OffsetRule::FromBaseOrAbsolute,
            OffsetRule::FromItself,
        ] {
            let writer = KallsymsWriter { order, rule };
            seeds.push(writer.write(&symbols[..3], RODATA));
            seeds.push(writer.write(&symbols, RODATA));
        }
    }
    seeds
}
