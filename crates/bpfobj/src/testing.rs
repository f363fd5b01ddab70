//! A program with a BPF object in it, and kernels to load it.

use introspect::btf::testing::BtfWriter;
use introspect::btf::{Btf, Kind};
use object::write::{Object, Relocation, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationEncoding, RelocationFlags, RelocationKind, SectionKind,
    SymbolFlags, SymbolKind, SymbolScope,
};

/// A kernel with these variables, functions (with how many arguments) and members of `sched_ext_ops`; without members,
/// without that.
pub(crate) fn kernel(variables: &[&str], functions: &[(&str, usize)], members: &[&str]) -> Btf {
    let mut btf = BtfWriter::new();
    let long = btf.int("long", 8, true);
    for name in variables {
        btf.var(name, long);
    }
    for (name, arguments) in functions {
        function(&mut btf, name, *arguments, long);
    }
    if !members.is_empty() {
        ops(&mut btf, members, long);
    }
    Btf::parse(&btf.bytes()).unwrap()
}

/// Something, and an object that needs `put` with two arguments, `ticks`, and `enqueue` and `flags` of `sched_ext_ops`.
pub(crate) fn program() -> Vec<u8> {
    let mut btf = BtfWriter::new();
    let long = btf.int("long", 8, true);
    let put = function(&mut btf, "put", 2, long);
    let maybe = function(&mut btf, "maybe___new", 1, long);
    let ticks = btf.var("ticks", long);
    btf.datasec(".ksyms", 24, &[[put, 0, 8], [maybe, 8, 8], [ticks, 16, 8]]);
    let structure = ops(&mut btf, &["enqueue", "flags", "tick"], long);
    let variable = btf.var("baton_ops", structure);
    btf.datasec(".struct_ops.link", 24, &[[variable, 0, 24]]);

    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = elf.add_section(Vec::new(), b".BTF".to_vec(), SectionKind::Other);
    elf.append_section_data(section, &btf.bytes(), 8);
    // `enqueue` is an address that is put in later, `flags` is 7, `tick` is 0.
    let struct_ops = elf.add_section(Vec::new(), b".struct_ops.link".to_vec(), SectionKind::Data);
    let values = [0_u64, 7, 0].map(u64::to_le_bytes);
    elf.append_section_data(struct_ops, values.as_flattened(), 8);
    let mut undefined = |name: &str, weak| {
        elf.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        })
    };
    let enqueue = undefined("baton_enqueue", false);
    undefined("put", false);
    undefined("maybe___new", true);
    undefined("ticks", false);
    for (section, function) in [
        (".text", "helper"),
        ("struct_ops/enqueue", "one"),
        ("syscall", "two"),
    ] {
        let section = elf.add_section(Vec::new(), section.into(), SectionKind::Text);
        let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
        elf.append_section_data(section, &exit, 8);
        elf.add_symbol(Symbol {
            name: function.into(),
            value: 0,
            size: exit.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    let relocation = Relocation {
        offset: 0,
        symbol: enqueue,
        addend: 0,
        flags: RelocationFlags::Generic {
            kind: RelocationKind::Absolute,
            encoding: RelocationEncoding::Generic,
            size: 64,
        },
    };
    elf.add_relocation(struct_ops, relocation).unwrap();
    [b"a program".to_vec(), elf.write().unwrap()].concat()
}

fn function(btf: &mut BtfWriter, name: &str, arguments: usize, long: u32) -> u32 {
    let prototype = btf.prototype(long, &vec![("a", long); arguments]);
    let name = btf.string(name);
    btf.raw(name, Kind::Func as u32, false, 0, prototype, &[])
}

fn ops(btf: &mut BtfWriter, members: &[&str], long: u32) -> u32 {
    let members: Vec<_> = (0..)
        .zip(members)
        .map(|(index, name)| (*name, long, 64 * index))
        .collect();
    btf.structure(Kind::Struct, "sched_ext_ops", 8 * members.len() as u32, &members)
}
