//! `kallsyms_token_table` and `kallsyms_token_index`: the dictionary that names are compressed with.
//!
//! 256 strings, each ended by a zero byte, then the 256 offsets of these strings as u16. A byte that occurs in names
//! stands for itself, so the string of `'0'` is `"0"` and so on; the other codes stand for frequent sequences, and a
//! small kernel leaves some of them empty.

use memchr::memmem;

use super::align_up;
use crate::bytes::u16_at;

/// The dictionary, and where it was found.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    tokens: Vec<&'a str>,
    /// Offset of the first string in the region.
    pub(super) table_start: usize,
    /// Offset of the end of the index.
    pub(super) index_end: usize,
}

/// Number of tokens: one for each byte value.
const TOKENS: usize = 256;
/// Bytes of the index.
const INDEX_SIZE: usize = 2 * TOKENS;
/// The strings of the ten digits in a row.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
/// The longest token accepted, in bytes. A token joins two others, so that its length has no natural bound short
/// of the kernel's for names.
const MAX_TOKEN: usize = 512;
/// The most places with ten digits in a row that are tried in one region. Kernels have one to three.
const MAX_CANDIDATES: usize = 16;

impl<'a> Tokens<'a> {
    /// The expansion of the code `byte`.
    pub(super) fn token(&self, byte: u8) -> &'a str {
        self.tokens.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// Reads the table at `table_start` and the index after it.
    fn at(bytes: &'a [u8], table_start: usize) -> Option<Tokens<'a>> {
        let mut tokens = Vec::with_capacity(TOKENS);
        let mut starts = Vec::with_capacity(TOKENS);
        let mut at = table_start;
        for _ in 0..TOKENS {
            let token = string_at(bytes, at)?;
            starts.push(u16::try_from(at - table_start).ok()?);
            tokens.push(token);
            at += token.len() + 1;
        }
        // The table does not show which alignment was used.
        let is_index = |start: &usize| {
            starts
                .iter()
                .enumerate()
                .all(|(i, offset)| u16_at(bytes, start + 2 * i) == Some(*offset))
        };
        let index = [align_up(at, 8), align_up(at, 4)].into_iter().find(is_index)?;
        Some(Tokens {
            tokens,
            table_start,
            index_end: index + INDEX_SIZE,
        })
    }
}

/// The dictionaries in `bytes`. Each was checked against its index, so there is rarely more than one.
pub(super) fn find(bytes: &[u8]) -> impl Iterator<Item = Tokens<'_>> {
    memmem::find_iter(bytes, DIGITS)
        .take(MAX_CANDIDATES)
        .filter_map(|digits| table_starts(bytes, digits)?.find_map(|start| Tokens::at(bytes, start)))
}

/// The possible starts of the table: walks back over the 48 strings below that of `'0'`. Printable bytes before the first
/// may belong to the preceding table, but each table starts at a multiple of 4.
fn table_starts(bytes: &[u8], digits: usize) -> Option<impl Iterator<Item = usize>> {
    let (mut lowest, mut highest) = (digits, digits);
    for _ in 0..b'0' {
        highest = lowest.checked_sub(1).filter(|end| bytes[*end] == 0)?;
        let below = bytes[..highest].iter().rev().take(MAX_TOKEN + 1);
        lowest = highest - below.take_while(|byte| byte.is_ascii_graphic()).count();
    }
    Some((align_up(lowest, 4)..=highest).step_by(4))
}

/// The string of printable bytes at `at`, ended by a zero byte; possibly empty.
fn string_at(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let len = rest.iter().take(MAX_TOKEN + 1).position(|byte| *byte == 0)?;
    let text = &rest[..len];
    text.iter()
        .all(u8::is_ascii_graphic)
        .then(|| std::str::from_utf8(text).ok())?
}
