//! Type information: a base section, and a split one that continues it.
#![no_main]

use std::sync::LazyLock;

use introspect::btf::testing::{BtfWriter, ask_everything};
use introspect::btf::{Btf, Kind};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;

static BASE: LazyLock<Btf> = LazyLock::new(|| Btf::parse(&base().bytes()).expect("the writer's output"));

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    for btf in [Btf::parse(bytes), Btf::parse_split(&BASE, bytes)].into_iter().flatten() {
        ask_everything(&btf);
    }
});

/// One of every kind, and names that [`ask_everything`] asks for.
fn base() -> BtfWriter {
    let mut w = BtfWriter::new();
    let int = w.int("int", 4, true);
    let array = w.array(int, 4);
    let c = w.structure(Kind::Struct, "b", 8, &[("c", int, 0), ("", int, 32)]);
    let of_c = w.array(c, 8);
    let anonymous = w.structure(Kind::Union, "", 64, &[("b", of_c, 0), ("d", array, 0)]);
    let bits = w.bitfields(
        Kind::Struct,
        "bits",
        4,
        &[("x", int, 3 << 24 | 5), ("y", int, 8 << 24 | 8)],
    );
    let a = w.structure(
        Kind::Struct,
        "a",
        72,
        &[("a", anonymous, 0), ("", anonymous, 0), ("bits", bits, 512)],
    );
    let pointer = w.pointer(a);
    for kind in [
        Kind::Typedef,
        Kind::Volatile,
        Kind::Const,
        Kind::Restrict,
        Kind::TypeTag,
    ] {
        w.plain(kind, if kind == Kind::Typedef { "a_t" } else { "" }, pointer);
    }
    w.plain(Kind::Fwd, "a", 0);
    w.plain(Kind::Float, "double", 8);
    w.enumeration("e", true, &[("ONE", 1), ("MINUS", u32::MAX)]);
    w.enumeration64("e", false, &[("WIDE", u64::MAX)]);
    let proto = w.prototype(int, &[("a", pointer), ("", 0)]);
    let function = w.plain(Kind::Func, "f", proto);
    let var = w.var("v", int);
    w.datasec(".bss", 4, &[[var, 0, 4]]);
    w.raw(0, Kind::DeclTag as u32, false, 0, function, &[u32::MAX]);
    w
}

fn seeds() -> Vec<Vec<u8>> {
    let base = base();
    let mut split = base.split();
    let own = split.structure(Kind::Struct, "own", 8, &[("a", 1, 0)]);
    split.pointer(own);
    vec![BtfWriter::new().bytes(), base.bytes(), split.bytes()]
}
