//! The symbols that are decoded from a kernel image are those that the kernel itself lists.

use std::collections::BTreeMap;

use kimage::KernelImage;
use schedrig::prelude::*;
use schedrig::{KernelRequest, PreparedKernel};

use crate::stage::{LONGTERM, NEWEST, STANDARD, pass, spec};

/// (name, type) → addresses, as often as they occur.
type Table = BTreeMap<(String, char), Vec<u64>>;

/// `/proc/kallsyms` without what modules and BPF programs added at run time.
fn parse(text: &str) -> Table {
    let mut table = Table::new();
    for line in text.lines().filter(|line| !line.contains('[')) {
        let mut words = line.split_whitespace();
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
            panic!("a line of another form: {line}");
        };
        let kind = kind.chars().next().unwrap();
        table
            .entry((name.to_owned(), kind))
            .or_default()
            .push(u64::from_str_radix(address, 16).unwrap());
    }
    table
}

fn agree(request: &str) {
    let parsed: KernelRequest = request.parse().unwrap();
    let kernel = PreparedKernel::resolve(&parsed, &mut |_| {}).unwrap();
    let symbols = KernelImage::read(&kernel.files.vmlinux)
        .unwrap()
        .symbols()
        .unwrap();
    let mut decoded = Table::new();
    for symbol in symbols.iter() {
        decoded
            .entry((symbol.name.to_owned(), symbol.kind))
            .or_default()
            .push(symbol.address);
    }
    pass(&spec("kallsyms", "1n1l1c1t", request, "eevdf"), |rig| {
        let mut listed = parse(&rig.read_file("/proc/kallsyms")?);
        for addresses in listed.values_mut().chain(decoded.values_mut()) {
            addresses.sort_unstable();
        }
        let count: usize = listed.values().map(Vec::len).sum();
        println!(
            "{request}: {count} symbols listed by the guest, {} decoded from the image",
            symbols.len()
        );
        assert!(
            count > 100_000,
            "{count} symbols: the guest lists all of them to root"
        );
        assert_eq!(symbols.len(), count);
        for (name, addresses) in &listed {
            assert_eq!(decoded.get(name), Some(addresses), "{name:?}");
        }
        rig.cgroup("a").spawn(Spin.workers(1))?;
        rig.run_for(millis(10))?;
        rig.finish()
    });
}

#[test]
fn kallsyms_of_the_longterm_kernel_agree_with_the_guest_symbol_for_symbol() {
    agree(LONGTERM);
}

#[test]
fn kallsyms_of_the_standard_kernel_agree_with_the_guest_symbol_for_symbol() {
    agree(STANDARD);
}

#[test]
fn kallsyms_of_the_newest_kernel_agree_with_the_guest_symbol_for_symbol() {
    agree(NEWEST);
}
