//! Round trips through the writer, and damaged tables.

use proptest::prelude::*;

use super::*;
use crate::symbols::Symbol;
use crate::testing::{KallsymsWriter, OffsetRule, RODATA, TEXT, TableOrder};

type List = Vec<(String, u64, char)>;

const ORDERS: [TableOrder; 3] = [
    TableOrder::NumSymsFirst,
    TableOrder::OffsetsFirst,
    TableOrder::OffsetsFirstSeqsInside,
];
const RULES: [OffsetRule; 3] = [
    OffsetRule::FromBase,
    OffsetRule::FromBaseOrAbsolute,
    OffsetRule::FromItself,
];

/// The layouts of real kernels: the last rule never occurs with the first order.
fn layouts() -> impl Iterator<Item = KallsymsWriter> {
    ORDERS
        .into_iter()
        .flat_map(|order| RULES.map(|rule| KallsymsWriter { order, rule }))
        .filter(|layout| layout.order == TableOrder::NumSymsFirst || layout.rule != OffsetRule::FromItself)
}

/// Tables between other read-only data.
fn region_of(layout: KallsymsWriter, symbols: &List) -> Vec<u8> {
    let mut bytes = b"Linux version 6.12.1\n\0\x30\0\x31\0\x32\0".repeat(40);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let tables = layout.write(symbols, RODATA + bytes.len() as u64);
    bytes.extend(tables);
    bytes.extend(b"and other data after them");
    bytes
}

fn decode_bytes(bytes: &[u8]) -> Result<Tables, KallsymsError> {
    decode(
        Arch::X86_64,
        &[Region {
            address: RODATA,
            bytes,
        }],
    )
}

fn list_of(symbols: &Symbols) -> List {
    symbols
        .iter()
        .map(|Symbol { name, address, kind }| (name.to_owned(), address, kind))
        .collect()
}

/// `count` symbols with names that compress, two of them alike, one long.
fn sample(count: u64) -> List {
    let mut list: List = (0..count)
        .map(|i| (format!("__pfx_sched_{}", i / 2), TEXT + 64 * i, 't'))
        .collect();
    if let Some(last) = list.last_mut() {
        last.0 = (0..400).map(|i| char::from(b'a' + (i * i % 23) as u8)).collect();
    }
    list
}

#[test]
fn every_layout_round_trips_at_the_marker_borders() {
    for layout in layouts() {
        for count in [1, 2, 255, 256, 257, 511, 512, 513, 1025] {
            let list = sample(count);
            let tables = decode_bytes(&region_of(layout, &list)).unwrap();
            assert!(list_of(&tables.symbols) == list, "{layout:?}, {count} symbols");
        }
    }
}

#[test]
fn tells_the_encoding() {
    let list = sample(10);
    let encoding = |rule| {
        let layout = KallsymsWriter {
            order: TableOrder::NumSymsFirst,
            rule,
        };
        decode_bytes(&region_of(layout, &list)).unwrap().encoding
    };
    assert_eq!(encoding(OffsetRule::FromBase), Encoding::FromBase { base: TEXT });
    assert_eq!(
        encoding(OffsetRule::FromBaseOrAbsolute),
        Encoding::FromBaseOrAbsolute { base: TEXT }
    );
    assert!(matches!(encoding(OffsetRule::FromItself), Encoding::FromItself { table } if table > RODATA));
}

#[test]
fn per_cpu_symbols_keep_their_low_addresses() {
    let mut list: List = vec![
        ("fixed_percpu_data".into(), 0, 'A'),
        ("runqueues".into(), 0x34c40, 'D'),
    ];
    list.extend(sample(300));
    let layout = KallsymsWriter {
        order: TableOrder::NumSymsFirst,
        rule: OffsetRule::FromBaseOrAbsolute,
    };
    let tables = decode_bytes(&region_of(layout, &list)).unwrap();
    assert_eq!(tables.symbols.address_of("runqueues"), Some(0x34c40));
    assert_eq!(
        tables.symbols.nearest(TEXT).map(|(symbol, _)| symbol.address),
        Some(TEXT)
    );
}

#[test]
fn truncated_tables_are_an_error_at_every_length() {
    for layout in layouts() {
        let list = sample(3);
        let tables = layout.write(&list, RODATA);
        // Only seqs_of_names and padding are not needed to decode.
        let needed = (0..=tables.len())
            .find(|len| decode_bytes(&tables[..*len]).is_ok())
            .unwrap();
        let spare = match layout {
            KallsymsWriter {
                rule: OffsetRule::FromItself,
                ..
            } => 3,
            KallsymsWriter {
                order: TableOrder::NumSymsFirst,
                ..
            } => 16,
            _ => 0,
        };
        assert!(
            needed + spare >= tables.len(),
            "{layout:?} needs only {needed} of {}",
            tables.len()
        );
        for len in needed..tables.len() {
            assert_eq!(list_of(&decode_bytes(&tables[..len]).unwrap().symbols), list);
        }
    }
}

#[test]
fn says_how_far_it_came() {
    let layout = KallsymsWriter::default();
    let list = sample(300);
    let whole = layout.write(&list, RODATA);
    assert_eq!(
        decode_bytes(b"nothing of the kind").unwrap_err(),
        KallsymsError::NoTokenTable
    );

    let mut other_count = whole.clone();
    other_count[0] ^= 0xff;
    assert!(
        matches!(decode_bytes(&other_count).unwrap_err(), KallsymsError::NoNames { token_table } if token_table > RODATA)
    );

    let elsewhere = [Region {
        address: 0x1000_0000,
        bytes: &whole,
    }];
    let error = decode(Arch::X86_64, &elsewhere).unwrap_err();
    assert_eq!(
        error,
        KallsymsError::NoAddresses {
            names: 300,
            address: 0x1000_0004
        }
    );
}

#[test]
fn a_false_start_does_not_hide_the_tables() {
    let mut bytes: Vec<u8> = (0..=255_u8)
        .flat_map(|code| [code.clamp(0x21, 0x7e), 0])
        .collect();
    bytes.extend(KallsymsWriter::default().write(&sample(5), RODATA + bytes.len() as u64));
    assert_eq!(decode_bytes(&bytes).unwrap().symbols.len(), 5);
}

/// Read from four bytes later on, these few names are as well-formed: only the padding tells.
#[test]
fn names_begin_right_after_their_number_unless_there_is_padding() {
    let first = "e6x.l78zvi5_8ui_1.v_kl4v0rg904y_f_n0_5seu7.65_.42q....._1._oa.m5r.p._m.k.giq9_q.h_07...h_cr_.w.._g4__97._._f9v10d__lm1\
                 ncl.8a.s3.y.b____x4i.rm4_.k8bq_4d6_.7_..5s7..fs_t0.6n__r47o91_._ux1e.a__4.___..p._.6ajc6_1.pb.._w..jk_.7tx._gf0___4q\
                 .8xx_zhbf._ot___1._yj6t.0k9.iou_3_8..fdxf.v9_he1mi1i0_1.m0_z0s_4yqe..pb7e0..4t.omo.49rruyz_._v._a.";
    let list: List = vec![
        (first.to_owned(), TEXT + 1, 'D'),
        ("$..$A2acau.".to_owned(), TEXT + 2, 'T'),
        ("AA$..f".to_owned(), TEXT + 2, 'T'),
    ];
    for layout in layouts() {
        let tables = decode_bytes(&region_of(layout, &list)).unwrap();
        assert_eq!(list_of(&tables.symbols), list, "{layout:?}");
    }
}

fn symbols() -> impl Strategy<Value = List> {
    let name = prop_oneof![9 => "[A-Za-z_.$][A-Za-z0-9_.$]{0,40}", 1 => "[a-z_][a-z0-9_.]{120,500}"];
    let symbol = (
        name,
        0..1_u64 << 28,
        prop::sample::select(vec!['T', 't', 'D', 'b', 'W', 'A', 'r']),
    );
    prop::collection::vec(symbol, 1..400).prop_map(|mut list| {
        list.sort_by_key(|(_, offset, _)| *offset);
        list.into_iter()
            .map(|(name, offset, kind)| (name, TEXT + offset, kind))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read(list in symbols(), layout in prop::sample::select(layouts().collect::<Vec<_>>())) {
        let tables = decode_bytes(&region_of(layout, &list)).unwrap();
        prop_assert_eq!(list_of(&tables.symbols), list);
    }

    #[test]
    fn damage_never_panics(list in symbols(), layout in prop::sample::select(layouts().collect::<Vec<_>>()),
                           damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = layout.write(&list, RODATA);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(tables) = decode_bytes(&bytes) {
            prop_assert!(tables.symbols.len() <= bytes.len());
        }
    }

    #[test]
    fn noise_is_no_kernel(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert_eq!(decode_bytes(&bytes).err(), Some(KallsymsError::NoTokenTable));
    }
}
