//! A writer of kallsyms tables, after scripts/kallsyms.c: byte-pair compression, then the tables in either order.

use std::collections::BTreeSet;

/// The form of the written tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KallsymsWriter {
    /// Order of the tables.
    pub order: TableOrder,
    /// Meaning of the offsets.
    pub rule: OffsetRule,
}

/// Order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOrder {
    /// Since 6.4.
    NumSymsFirst,
    /// Until 6.1.
    OffsetsFirst,
    /// Until 6.3, and in late 6.1 stable kernels: `seqs_of_names` is between markers and tokens.
    OffsetsFirstSeqsInside,
}

/// Meaning of the offsets; see `kallsyms::Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetRule {
    /// `base + offset`.
    FromBase,
    /// Negative offsets count from the base, others are absolute.
    FromBaseOrAbsolute,
    /// Offsets count from their own address.
    FromItself,
}

impl Default for KallsymsWriter {
    fn default() -> KallsymsWriter {
        KallsymsWriter {
            order: TableOrder::NumSymsFirst,
            rule: OffsetRule::FromItself,
        }
    }
}

impl KallsymsWriter {
    /// The tables for `symbols`, which are sorted by address, as they read at `address`, a multiple of 8.
    pub fn write(&self, symbols: &[(String, u64, char)], address: u64) -> Vec<u8> {
        let (tokens, names) = compress(symbols);
        let mut tables = Vec::new();
        if self.order != TableOrder::NumSymsFirst {
            self.offsets(symbols, address, &mut tables);
        }
        self.append(&mut tables, &(symbols.len() as u32).to_le_bytes());

        let (mut text, mut markers) = (Vec::new(), Vec::new());
        for (index, name) in names.iter().enumerate() {
            if index % 256 == 0 {
                markers.extend((text.len() as u32).to_le_bytes());
            }
            match u8::try_from(name.len()) {
                Ok(len) if len < 0x80 => text.push(len),
                _ => text.extend([0x80 | (name.len() & 0x7f) as u8, (name.len() >> 7) as u8]),
            }
            text.extend(name);
        }
        self.append(&mut tables, &text);
        self.append(&mut tables, &markers);

        let mut by_name: Vec<usize> = (0..symbols.len()).collect();
        by_name.sort_by_key(|index| &symbols[*index].0);
        let seqs: Vec<u8> = by_name
            .iter()
            .flat_map(|seq| (*seq as u32).to_be_bytes()[1..].to_vec())
            .collect();
        if self.order == TableOrder::OffsetsFirstSeqsInside {
            self.append(&mut tables, &seqs);
        }

        let (mut table, mut index) = (Vec::new(), Vec::new());
        for token in &tokens {
            index.extend((table.len() as u16).to_le_bytes());
            table.extend(token.iter().chain(&[0]));
        }
        self.append(&mut tables, &table);
        self.append(&mut tables, &index);

        if self.order == TableOrder::NumSymsFirst {
            self.offsets(symbols, address, &mut tables);
            self.append(&mut tables, &seqs);
        }
        tables
    }

    /// Appends a table and its padding; without a base, no table needs an alignment of 8 bytes.
    fn append(&self, tables: &mut Vec<u8>, table: &[u8]) {
        let unit = if self.rule == OffsetRule::FromItself { 4 } else { 8 };
        tables.extend(table);
        tables.resize(tables.len().next_multiple_of(unit), 0);
    }

    /// `kallsyms_offsets`, and the base if the rule has one.
    fn offsets(&self, symbols: &[(String, u64, char)], address: u64, tables: &mut Vec<u8>) {
        let table = address + tables.len() as u64;
        let base = symbols
            .iter()
            .map(|(_, address, _)| *address)
            .find(|address| *address >> 63 == 1)
            .unwrap_or(0);
        let offset = |(index, (_, address, _)): (usize, &(String, u64, char))| match self.rule {
            OffsetRule::FromBase => address.wrapping_sub(base) as u32,
            OffsetRule::FromBaseOrAbsolute if address >> 63 == 0 => *address as u32,
            OffsetRule::FromBaseOrAbsolute => base.wrapping_sub(1).wrapping_sub(*address) as u32,
            OffsetRule::FromItself => address.wrapping_sub(table + 4 * index as u64) as u32,
        };
        let offsets: Vec<u8> = symbols
            .iter()
            .enumerate()
            .map(offset)
            .flat_map(u32::to_le_bytes)
            .collect();
        self.append(tables, &offsets);
        if self.rule != OffsetRule::FromItself {
            self.append(tables, &base.to_le_bytes());
        }
    }
}

/// The 256 tokens, and each symbol's type letter and name in them.
///
/// Bytes that occur stand for themselves, and so do the digits; the other codes, from 255 down, each replace the most
/// frequent pair of codes at that time.
fn compress(symbols: &[(String, u64, char)]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut names: Vec<Vec<u8>> = symbols
        .iter()
        .map(|(name, _, kind)| format!("{kind}{name}").into_bytes())
        .collect();
    let literal: BTreeSet<u8> = names.iter().flatten().copied().chain(b'0'..=b'9').collect();
    let mut tokens: Vec<Vec<u8>> = (0..=255)
        .map(|code| {
            if literal.contains(&code) {
                vec![code]
            } else {
                Vec::new()
            }
        })
        .collect();
    for code in (0..=255_u8).rev().filter(|code| !literal.contains(code)) {
        let mut counts = vec![0_u32; 1 << 16];
        for pair in names.iter().flat_map(|name| name.windows(2)) {
            counts[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] += 1;
        }
        let Some((pair, 2..)) = counts.into_iter().enumerate().max_by_key(|(_, count)| *count) else {
            break;
        };
        let pair = (pair as u16).to_be_bytes();
        tokens[usize::from(code)] = pair
            .iter()
            .flat_map(|part| tokens[usize::from(*part)].clone())
            .collect();
        for name in &mut names {
            *name = replace(name, pair, code);
        }
    }
    (tokens, names)
}

fn replace(name: &[u8], pair: [u8; 2], code: u8) -> Vec<u8> {
    let (mut replaced, mut rest) = (Vec::with_capacity(name.len()), name);
    while let [first, tail @ ..] = rest {
        if rest.starts_with(&pair) {
            replaced.push(code);
            rest = &rest[2..];
        } else {
            replaced.push(*first);
            rest = tail;
        }
    }
    replaced
}
