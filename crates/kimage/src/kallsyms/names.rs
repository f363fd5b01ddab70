//! `kallsyms_num_syms`, `kallsyms_names` and `kallsyms_markers`.
//!
//! A name is a length and that many bytes, each a token; the first character of the expansion is the type letter:
//!
//! ```text
//!   names:    05 54 80 31 c2 07 │ 81 01 … 129 bytes … │ …          length < 128 in one byte, else (since 6.1) ULEB128
//!   markers:  0 │ offset of name 256 │ offset of name 512 │ …      in bytes from the start of names
//! ```
//!
//! Markers end where the token table begins (but for padding, and before 6.4 seqs_of_names), start with 0 and grow. So
//! walking down from the token table finds them. Their number bounds the number of names to within 256, and the last
//! marker bounds the start of names to within the length of 256 names. Every aligned word in that range that could be num_syms is
//! tried, by walking all names from marker to marker.

use super::align_up;
use super::tokens::Tokens;
use crate::bytes::u32_at;
use crate::symbols::Symbols;

/// The place of the names.
#[derive(Debug)]
pub(super) struct Names {
    /// Offset of the first name in the region.
    pub(super) start: usize,
    /// The number of names.
    pub(super) count: usize,
    /// Offset of num_syms in the region.
    pub(super) num_syms: usize,
}

/// A compressed name.
#[derive(Debug)]
pub(super) struct Name<'a> {
    tokens: &'a Tokens<'a>,
    codes: &'a [u8],
}

/// The number of names for each marker.
const MARKER_EVERY: usize = 256;
/// The longest name in bytes, expanded, with its type letter: `KSYM_NAME_LEN` is 512 since 6.1. As a code stands for
/// at least one byte, this also bounds compressed names.
const MAX_NAME: usize = 1024;
/// The most places for markers followed by seqs_of_names that are tried for a token table.
const MAX_MARKERS: usize = 16;
/// The most places for the start of names that are walked for a token table.
const MAX_WALKS: usize = 64;

/// Finds the names that belong to `tokens`.
pub(super) fn find(bytes: &[u8], tokens: &Tokens<'_>) -> Option<Names> {
    // An odd number of markers may be followed by four bytes of padding.
    let next_to_tokens = [4, 0].into_iter().filter_map(|padding| {
        let end = tokens.table_start.checked_sub(padding)?;
        let padding_is_zero = bytes.get(end..tokens.table_start)?.iter().all(|byte| *byte == 0);
        Markers::below(bytes, end).filter(|_| padding_is_zero)
    });
    next_to_tokens
        .chain(Markers::below_seqs(bytes, tokens.table_start).take(MAX_MARKERS))
        .find_map(|markers| find_below(bytes, tokens, &markers))
}

fn find_below(bytes: &[u8], tokens: &Tokens<'_>, markers: &Markers) -> Option<Names> {
    let last = *markers.offsets.last()? as usize;
    let highest = markers.start.checked_sub(last)?.checked_sub(4)? & !3;
    let lowest = highest.saturating_sub(MARKER_EVERY * (MAX_NAME + 2) + 4);
    let mut walks = 0;
    for num_syms in (lowest..=highest).rev().step_by(4) {
        let count = u32_at(bytes, num_syms)? as usize;
        if count == 0 || count > Symbols::MAX || count.div_ceil(MARKER_EVERY) != markers.offsets.len() {
            continue;
        }
        // Tables aligned to 8 leave a word of zeros between; no name begins with one, since that would be its length.
        let padding = if u32_at(bytes, num_syms + 4)? == 0 { 4 } else { 0 };
        let names = Names {
            start: num_syms + 4 + padding,
            count,
            num_syms,
        };
        if names.fit(bytes, tokens, markers) {
            return Some(names);
        }
        walks += 1;
        if walks == MAX_WALKS {
            return None;
        }
    }
    None
}

impl Names {
    /// All names in the order of the tables.
    pub(super) fn iter<'a>(&self, bytes: &'a [u8], tokens: &'a Tokens<'a>) -> impl Iterator<Item = Name<'a>> {
        let mut at = self.start;
        (0..self.count).map_while(move |_| {
            let codes = codes_at(bytes, &mut at)?;
            Some(Name { tokens, codes })
        })
    }

    /// Whether every name is well formed, every marker points at its name, and names end where markers begin.
    fn fit(&self, bytes: &[u8], tokens: &Tokens<'_>, markers: &Markers) -> bool {
        let mut at = self.start;
        for index in 0..self.count {
            if index % MARKER_EVERY == 0 {
                let marker = markers
                    .offsets
                    .get(index / MARKER_EVERY)
                    .map(|offset| *offset as usize);
                if marker != Some(at - self.start) {
                    return false;
                }
            }
            let Some(codes) = codes_at(bytes, &mut at) else {
                return false;
            };
            let length: usize = codes.iter().map(|code| tokens.token(*code).len()).sum();
            // A type letter and at least one character.
            if !(2..=MAX_NAME).contains(&length) {
                return false;
            }
        }
        at <= markers.start && align_up(at, 8) >= markers.start
    }
}

impl Name<'_> {
    /// Appends the name to `text` and returns its type letter.
    pub(super) fn expand(&self, text: &mut String) -> char {
        let mut kind = None;
        for code in self.codes {
            let token = self.tokens.token(*code);
            let rest = match (kind, token.chars().next()) {
                (None, Some(first)) => {
                    kind = Some(first);
                    &token[first.len_utf8()..]
                }
                _ => token,
            };
            text.push_str(rest);
        }
        kind.unwrap_or('?')
    }
}

/// The codes of the name at `at`; moves `at` past them.
fn codes_at<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let first = usize::from(*bytes.get(*at)?);
    let (start, length) = if first & 0x80 == 0 {
        (*at + 1, first)
    } else {
        (*at + 2, first & 0x7f | usize::from(*bytes.get(*at + 1)?) << 7)
    };
    let codes = bytes
        .get(start..start + length)
        .filter(|_| (1..=MAX_NAME).contains(&length))?;
    *at = start + length;
    Some(codes)
}

#[derive(Debug)]
struct Markers {
    /// Offset of the first in the region.
    start: usize,
    /// The place of each 256th name, in bytes from the start of names.
    offsets: Vec<u32>,
}

impl Markers {
    /// The ascending words, from 0, that end at `end`.
    fn below(bytes: &[u8], end: usize) -> Option<Markers> {
        let mut offsets = Vec::new();
        let mut start = end;
        let mut above = u32::MAX;
        while above != 0 {
            start = start.checked_sub(4)?;
            let offset = u32_at(bytes, start).filter(|offset| *offset < above)?;
            if offsets.len() == Symbols::MAX / MARKER_EVERY {
                return None;
            }
            offsets.push(offset);
            above = offset;
        }
        offsets.reverse();
        Some(Markers { start, offsets })
    }
    /// All sequences of ascending words, from 0, whose length fits their distance to `end`: that distance is 3 bytes
    /// for each name, and there is one word for 256 names.
    fn below_seqs(bytes: &[u8], end: usize) -> impl Iterator<Item = Markers> {
        const SEQ: usize = 3;
        (0..=end.min(SEQ * Symbols::MAX))
            .skip(end % 4)
            .step_by(4)
            .flat_map(move |distance| {
                // Padding after seqs_of_names looks like up to two more names, and the markers may be padded themselves.
                let most = (distance / SEQ).div_ceil(MARKER_EVERY);
                let least = distance
                    .saturating_sub(7)
                    .max(SEQ)
                    .div_ceil(SEQ)
                    .div_ceil(MARKER_EVERY);
                (least..=most)
                    .flat_map(move |len| [(len, 4 * len), (len, 4 * len + 4)])
                    .filter_map(move |(len, size)| {
                        Markers::at(bytes, (end - distance).checked_sub(size)?, len)
                    })
            })
    }

    /// The `len` ascending words, from 0, at `start`.
    fn at(bytes: &[u8], start: usize, len: usize) -> Option<Markers> {
        let word = |index: usize| u32_at(bytes, start + 4 * index);
        let grows = |index: &usize| word(*index) < word(index + 1);
        if !start.is_multiple_of(4) || word(0) != Some(0) || !(0..len - 1).all(|index| grows(&index)) {
            return None;
        }
        let offsets = (0..len).map_while(word).collect();
        Some(Markers { start, offsets })
    }
}
