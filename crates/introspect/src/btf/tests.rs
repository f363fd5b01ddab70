use proptest::prelude::*;

use super::testing::{BtfWriter, ask_everything};
use super::*;

mod kernel;

fn parse(writer: &BtfWriter) -> Btf {
    Btf::parse(&writer.bytes()).unwrap()
}

/// Byte offset and size of a path in `struct it`.
fn place(btf: &Btf, path: &str) -> (u64, Option<u64>) {
    let field = btf.field(btf.structure("it").unwrap(), path).unwrap();
    (field.byte_offset().unwrap(), field.size)
}

/// `struct it { int a; union { long b; struct { int c; int d; }; }; struct in { short e[4]; } in[3]; char tail[]; }`
fn nested() -> BtfWriter {
    let mut w = BtfWriter::new();
    let int = w.int("int", 4, true);
    let long = w.int("long int", 8, true);
    let short = w.int("short int", 2, true);
    let char = w.int("char", 1, true);
    let inner = w.structure(Kind::Struct, "", 8, &[("c", int, 0), ("d", int, 32)]);
    let union = w.structure(Kind::Union, "", 8, &[("b", long, 0), ("", inner, 0)]);
    let shorts = w.array(short, 4);
    let named = w.structure(Kind::Struct, "in", 8, &[("e", shorts, 0)]);
    let typedef = w.plain(Kind::Typedef, "in_t", named);
    let three = w.array(typedef, 3);
    let flexible = w.array(char, 0);
    let next = w.next_id() + 1;
    let pointer = w.pointer(next);
    w.structure(
        Kind::Struct,
        "it",
        48,
        &[
            ("a", int, 0),
            ("", union, 64),
            ("in", three, 128),
            ("next", pointer, 320),
            ("tail", flexible, 384),
        ],
    );
    w
}

#[test]
fn paths_lead_through_anonymous_members_arrays_and_typedefs() {
    let btf = parse(&nested());
    for (path, expect) in [
        ("a", (0, Some(4))),
        ("b", (8, Some(8))),
        ("c", (8, Some(4))),
        ("d", (12, Some(4))),
        ("in", (16, Some(24))),
        ("in[2]", (32, Some(8))),
        ("in[2].e", (32, Some(8))),
        ("in[2].e[3]", (38, Some(2))),
        ("next", (40, Some(8))),
        ("tail", (48, Some(0))),
        ("tail[100]", (148, Some(1))),
    ] {
        assert_eq!(place(&btf, path), expect, "{path}");
        assert_eq!(place(&btf, path), expect, "{path}, remembered");
        assert_eq!(btf.offset_of("it", path), Ok(expect.0));
    }
}

#[test]
fn errors_name_the_step_and_the_struct() {
    let btf = parse(&nested());
    for (path, expect) in [
        ("dd", "struct it has no member 'dd'; did you mean d?"),
        (
            "zzz",
            "struct it has no member 'zzz'; it has a, b, c, d, in, next, tail",
        ),
        ("in[1].x", "struct in has no member 'x'; it has e"),
        ("in.e", "there is no 'e' in 'in': it is of type in_t[3]"),
        (
            "next.a",
            "there is no 'a' in 'next': it is of type struct it *, read the pointer first",
        ),
        ("a.b", "there is no 'b' in 'a': it is of type int"),
        ("a[0]", "'a' cannot be indexed: it is of type int"),
        ("in[3]", "'in' has 3 elements, so none with index 3"),
        ("", "'' is not a path such as 'a.b[3].c': see character 0"),
        (".a", "'.a' is not a path such as 'a.b[3].c': see character 0"),
        ("a.", "'a.' is not a path such as 'a.b[3].c': see character 2"),
        ("in[", "'in[' is not a path such as 'a.b[3].c': see character 3"),
        (
            "in[x]",
            "'in[x]' is not a path such as 'a.b[3].c': see character 3",
        ),
        (
            "in[+1]",
            "'in[+1]' is not a path such as 'a.b[3].c': see character 3",
        ),
        (
            "in[1]e",
            "'in[1]e' is not a path such as 'a.b[3].c': see character 5",
        ),
        (
            "in[é]",
            "'in[é]' is not a path such as 'a.b[3].c': see character 3",
        ),
    ] {
        assert_eq!(
            btf.offset_of("it", path).unwrap_err().to_string(),
            expect,
            "{path}"
        );
    }
    assert_eq!(
        btf.offset_of("scx_rq", "a").unwrap_err().to_string(),
        "this kernel has no struct scx_rq"
    );
}

#[test]
fn bitfields_in_both_encodings() {
    let mut w = BtfWriter::new();
    let int = w.int("unsigned int", 4, false);
    let three = w.int_with("unsigned int", 4, 3);
    let shifted = w.int_with("unsigned int", 4, 5 << 16 | 2);
    let pack = |bits: u32, offset: u32| bits << 24 | offset;
    w.bitfields(
        Kind::Struct,
        "new",
        8,
        &[
            ("a", int, pack(3, 29)),
            ("b", int, pack(0, 32)),
            ("c", int, pack(8, 8)),
        ],
    );
    w.structure(
        Kind::Struct,
        "old",
        8,
        &[("a", three, 29), ("b", int, 32), ("c", shifted, 0)],
    );
    let btf = parse(&w);
    let field = |name, path| btf.field(btf.structure(name).unwrap(), path).unwrap();
    for (name, path, offset_bits, bitfield, bytes) in [
        ("new", "a", 29, Some(3), 3..4),
        ("new", "b", 32, None, 4..8),
        ("new", "c", 8, Some(8), 1..2),
        ("old", "a", 29, Some(3), 3..4),
        ("old", "b", 32, None, 4..8),
        ("old", "c", 5, Some(2), 0..1),
    ] {
        let found = field(name, path);
        assert_eq!(
            (found.offset_bits, found.bitfield),
            (offset_bits, bitfield),
            "{name}.{path}"
        );
        assert_eq!(found.bytes(), bytes, "{name}.{path}");
    }
    assert_eq!(field("new", "a").value(&[0b1010_0000]), Some(0b101));
    assert_eq!(field("new", "b").value(&[1, 2, 0, 0]), Some(0x201));
    assert_eq!(field("new", "b").value(&[1, 2, 0]), None);
    assert_eq!(field("old", "c").value(&[0b0110_0000]), Some(0b11));
    assert!(matches!(
        btf.offset_of("new", "c"),
        Err(FieldError::Bitfield { path }) if path == "c"
    ));
}

#[test]
fn names_give_the_first_complete_type() {
    let mut w = BtfWriter::new();
    let declared = w.enumeration("e", false, &[]);
    let fwd = w.plain(Kind::Fwd, "s", 0);
    let first = w.structure(Kind::Struct, "s", 4, &[]);
    let second = w.structure(Kind::Struct, "s", 8, &[]);
    let defined = w.enumeration("e", false, &[("A", 1)]);
    let typedef = w.plain(Kind::Typedef, "s", first);
    let btf = parse(&w);
    assert_eq!(btf.find("s", KindSet::STRUCT), Some(TypeId(first)));
    assert_eq!(btf.find("s", KindSet::FWD | KindSet::STRUCT), Some(TypeId(first)));
    assert_eq!(btf.find("s", KindSet::FWD), Some(TypeId(fwd)));
    assert_eq!(btf.find("s", KindSet::UNION), None);
    assert_eq!(btf.find("e", KindSet::ENUM), Some(TypeId(defined)));
    assert_eq!(btf.find("", KindSet::ANY), None);
    let all: Vec<u32> = btf.find_all("s", KindSet::ANY).map(|id| id.0).collect();
    assert_eq!(all, [fwd, first, second, typedef]);
    assert!(
        btf.find_all("e", KindSet::ENUM)
            .eq([TypeId(declared), TypeId(defined)])
    );
}

#[test]
fn constants_of_enumerations_of_both_sizes() {
    let mut w = BtfWriter::new();
    let signed = w.enumeration("low", true, &[("MINUS", u32::MAX), ("ZERO", 0), ("NIL", 0)]);
    w.enumeration("", false, &[("SCX_TASK_QUEUED", 1), ("BIG", u32::MAX)]);
    let wide = w.enumeration64(
        "scx_dsq_id_flags",
        false,
        &[("SCX_DSQ_LOCAL", 0xc000_0000_0000_0002)],
    );
    w.plain(Kind::Typedef, "low_t", signed);
    let btf = parse(&w);
    for (of, name, expect) in [
        (None, "MINUS", Some(-1)),
        (None, "SCX_TASK_QUEUED", Some(1)),
        (None, "BIG", Some(0xffff_ffff)),
        (None, "SCX_DSQ_LOCAL", Some(0xc000_0000_0000_0002_u64 as i64)),
        (None, "MISSING", None),
        (Some("low"), "MINUS", Some(-1)),
        (Some("low_t"), "MINUS", Some(-1)),
        (Some("low"), "BIG", None),
        (Some("none"), "MINUS", None),
    ] {
        assert_eq!(btf.enum_value(of, name), expect, "{of:?} {name}");
    }
    assert_eq!(btf.enum_name(TypeId(signed), 0), Some("ZERO"));
    assert_eq!(btf.enum_name(TypeId(signed), 7), None);
    let local = btf.enumerators(TypeId(wide)).next().unwrap();
    assert_eq!((local.unsigned(), local.signed), (0xc000_0000_0000_0002, false));
    let names: Vec<_> = btf
        .enumerators(TypeId(signed))
        .map(|constant| constant.name)
        .collect();
    assert_eq!(names, ["MINUS", "ZERO", "NIL"]);
}

#[test]
fn split_sections_continue_their_base() {
    let mut w = nested();
    w.enumeration("", false, &[("BASE", 1)]);
    let base = parse(&w);
    let mut module = w.split();
    let it = base.structure("it").unwrap();
    let own = module.structure(Kind::Struct, "own", 52, &[("it", it.0, 32)]);
    module.enumeration("", false, &[("OWN", 2)]);
    // Names can be the base's, too.
    let borrowed = module.raw(1, Kind::Typedef as u32, false, 0, own, &[]);
    let btf = Btf::parse_split(&base, &module.bytes()).unwrap();
    assert_eq!(btf.structure("own"), Ok(TypeId(own)));
    assert_eq!(btf.structure("it"), Ok(it));
    assert_eq!(btf.offset_of("own", "it.in[1].e[1]"), Ok(4 + 26));
    assert_eq!(
        (btf.enum_value(None, "BASE"), btf.enum_value(None, "OWN")),
        (Some(1), Some(2))
    );
    assert_eq!(btf.name(TypeId(borrowed)), "int");
    assert!(
        btf.find_all("int", KindSet::ANY)
            .eq([TypeId(1), TypeId(borrowed)])
    );
    assert_eq!(base.structure("own").unwrap_err().name, "own");

    let mut above = module.split();
    above.plain(Kind::Typedef, "top", own);
    let above = Btf::parse_split(&btf, &above.bytes()).unwrap();
    assert_eq!(above.offset_of("own", "it.d"), Ok(16));
    assert_eq!(
        above.size_of(above.find("top", KindSet::TYPEDEF).unwrap()),
        Some(52)
    );
    ask_everything(&above);
}

#[test]
fn functions_and_sections() {
    let mut w = BtfWriter::new();
    let int = w.int("int", 4, true);
    let proto = w.prototype(int, &[("cpu", int), ("", 0)]);
    w.plain(Kind::Func, "kick", proto);
    let cpus = w.array(int, 4);
    let (one, two) = (w.var("nr", int), w.var("cpus", cpus));
    w.datasec(".bss", 20, &[[one, 0, 4], [two, 4, 16]]);
    let btf = parse(&w);
    let kick = btf.function("kick").unwrap();
    assert_eq!(kick.ret, TypeId(int));
    assert_eq!(kick.params, [("cpu", TypeId(int))]);
    assert!(kick.variadic);
    assert_eq!(btf.function("nr"), None);
    let vars: Vec<_> = btf.datasec_vars(".bss").collect();
    let expect = |name, type_id, offset, size| DatasecVar {
        name,
        type_id: TypeId(type_id),
        offset,
        size,
    };
    assert_eq!(vars, [expect("nr", int, 0, 4), expect("cpus", cpus, 4, 16)]);
    assert_eq!(btf.datasec_vars(".data").count(), 0);
    let kick = btf.find("kick", KindSet::FUNC).unwrap();
    assert_eq!(btf.declaration(kick), "int kick(int cpu, ...)");
}

#[test]
fn types_are_spelled_as_in_c() {
    let mut w = BtfWriter::new();
    let int = w.int("int", 4, true);
    let rq = w.structure(Kind::Struct, "rq", 8, &[]);
    let to_rq = w.pointer(rq);
    let const_rq = w.plain(Kind::Const, "", rq);
    let to_const = w.pointer(const_rq);
    let const_pointer = w.plain(Kind::Const, "", to_rq);
    let inner = w.array(int, 4);
    let outer = w.array(inner, 2);
    let pointers = w.array(to_rq, 3);
    let to_array = w.pointer(inner);
    let proto = w.prototype(0, &[("", to_rq), ("n", int)]);
    let to_proto = w.pointer(proto);
    let nothing = w.prototype(to_rq, &[]);
    let to_nothing = w.pointer(nothing);
    let void = w.pointer(0);
    let anonymous = w.structure(Kind::Union, "", 8, &[]);
    let btf = parse(&w);
    for (id, expect) in [
        (0, "void"),
        (int, "int"),
        (to_rq, "struct rq *"),
        (to_const, "const struct rq *"),
        (const_pointer, "struct rq *const"),
        (inner, "int[4]"),
        (outer, "int[2][4]"),
        (pointers, "struct rq *[3]"),
        (to_array, "int (*)[4]"),
        (to_proto, "void (*)(struct rq *, int n)"),
        (to_nothing, "struct rq *(*)(void)"),
        (void, "void *"),
        (anonymous, "union {…}"),
    ] {
        assert_eq!(btf.declaration(TypeId(id)), expect);
    }
    assert_eq!(btf.declare(TypeId(outer), "cpus"), "int cpus[2][4]");
    assert_eq!(btf.declare(TypeId(to_rq), "curr"), "struct rq *curr");
}

#[test]
fn circles_end() {
    let mut w = BtfWriter::new();
    let (one, two) = (w.next_id(), w.next_id() + 1);
    w.plain(Kind::Typedef, "one", two);
    w.plain(Kind::Const, "", one);
    let pointer = w.next_id();
    w.pointer(pointer);
    let array = w.next_id();
    w.array(array, 2);
    let proto = w.next_id();
    w.prototype(proto, &[("a", proto), ("b", proto), ("c", proto)]);
    // Twenty anonymous members of its own type: without a bound, 20^32 places to look.
    let structure = w.next_id();
    let members: Vec<_> = (0..20).map(|index| ("", structure, index)).collect();
    w.structure(Kind::Struct, "it", 8, &members);
    let btf = parse(&w);
    assert_eq!(btf.resolve(TypeId(one)), TypeId::VOID);
    assert_eq!(btf.size_of(TypeId(one)), None);
    assert_eq!(btf.size_of(TypeId(array)), None);
    assert!(btf.declaration(TypeId(pointer)).starts_with('…'));
    assert!(btf.declaration(TypeId(proto)).len() < 1 << 16);
    assert!(matches!(
        btf.offset_of("it", "x"),
        Err(FieldError::TooDeep { .. })
    ));
    ask_everything(&btf);
}

#[test]
fn damage_is_told() {
    let good = nested().bytes();
    let changed = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        Btf::parse(&bytes).unwrap_err()
    };
    let start = |bytes: &[u8]| BtfError::NotBtf {
        start: format!("'{}'", bytes.escape_ascii()),
    };
    assert_eq!(Btf::parse(b"").unwrap_err(), start(b""));
    assert_eq!(Btf::parse(&good[..23]).unwrap_err(), start(&good[..8]));
    assert_eq!(changed(0, 0), start(&[0, 0, 0, 0, 24, 0, 0, 0]));
    assert_eq!(changed(0, 0x1_9feb), BtfError::BigEndian);
    assert_eq!(changed(0, 0x2_eb9f), BtfError::Version { version: 2 });
    for (at, part) in [
        (4, "types"),
        (8, "types"),
        (12, "types"),
        (16, "strings"),
        (20, "strings"),
    ] {
        let error = changed(at, u32::MAX);
        assert!(
            matches!(error, BtfError::OutOfBounds { part: found, .. } if found == part),
            "{at}: {error}"
        );
    }
    let types = u32::from_le_bytes(good[12..16].try_into().unwrap());
    assert_eq!(changed(12, types - 4), BtfError::Truncated { id: 13 });
    assert_eq!(changed(20, 4), BtfError::Unterminated);
    assert_eq!(
        changed(24, 0xffff),
        BtfError::BadName {
            id: 1,
            offset: 0xffff
        }
    );
    assert_eq!(
        changed(28, 0x1f00_0000),
        BtfError::UnknownKind { id: 1, kind: 31 }
    );
    assert_eq!(changed(28, 0x0400_ffff), BtfError::Truncated { id: 1 });
}

#[test]
fn a_section_cut_short_is_an_error() {
    let bytes = nested().bytes();
    for len in 0..bytes.len() {
        assert!(Btf::parse(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn references_must_exist() {
    let mut w = BtfWriter::new();
    w.pointer(2);
    let dangling = BtfError::BadReference {
        id: 1,
        to: 2,
        types: 2,
    };
    assert_eq!(Btf::parse(&w.bytes()).unwrap_err(), dangling);
    w.int("int", 4, true);
    assert!(Btf::parse(&w.bytes()).is_ok());
}

#[test]
fn names_must_be_names() {
    for name in [vec![0xff], vec![b'a'; 5000]] {
        let mut w = BtfWriter::new();
        w.raw(1, Kind::Fwd as u32, false, 0, 0, &[]);
        let mut bytes = w.bytes();
        bytes.extend(&name);
        bytes.push(0);
        let len = (name.len() + 2) as u32;
        bytes[20..24].copy_from_slice(&len.to_le_bytes());
        assert_eq!(
            Btf::parse(&bytes).unwrap_err(),
            BtfError::BadName { id: 1, offset: 1 }
        );
    }
}

#[test]
fn a_kernel_is_parsed_once() {
    let id = kimage::BuildId::from_bytes(&[7; 20]).unwrap();
    assert_eq!(cached(id, || Err("not there")).unwrap_err(), "not there");
    let first = cached(id, || Ok::<_, BtfError>(parse(&nested()))).unwrap();
    let second = cached(id, || -> Result<Btf, BtfError> { panic!("parsed twice") }).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first.0, &second.0));
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_value(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Btf::parse(&bytes);
    }

    #[test]
    fn any_records_end_in_a_value(
        records in prop::collection::vec((0u32..24, 0u32..20, any::<bool>(), 0u32..4, 0u32..24, prop::array::uniform9(0u32..24)), 0..24),
    ) {
        let mut w = BtfWriter::new();
        for name in ["a", "b", "c", "a"] {
            w.string(name);
        }
        for (name, kind, flag, count, word, tail) in records {
            let len = match kind {
                1 | 14 | 17 => 1,
                3 => 3,
                4 | 5 | 15 | 19 => 3 * count as usize,
                6 | 13 => 2 * count as usize,
                _ => 0,
            };
            w.raw(name % 9, kind, flag, count, word, &tail.map(|word| word % 12)[..len]);
        }
        if let Ok(btf) = Btf::parse(&w.bytes()) {
            ask_everything(&btf);
        }
    }

    #[test]
    fn one_wrong_word_ends_in_a_value(at in 0usize..100, word in any::<u32>()) {
        let mut bytes = nested().bytes();
        if let Some(target) = bytes.get_mut(4 * at..4 * at + 4) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            ask_everything(&btf);
        }
    }
}
