//! A kernel's symbols, by name and by address.
//!
//! 180,000 names are kept in one string and their entries in one array, sorted by address; an array of positions,
//! sorted by name, serves lookups by name. Symbols with one address keep the order they came in, as
//! `/proc/kallsyms` shows them.

use std::fmt;

/// A symbol of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The symbol's name, with the compiler's suffixes: `finish_task_switch.isra.0`.
    pub name: &'a str,
    /// The symbol's address: a link address, unless the symbols were read from a running kernel.
    pub address: u64,
    /// The type letter, as `nm` and `/proc/kallsyms` show it: `T` text, `D` data, `B` bss, `R` read-only data, `A` absolute,
    /// `W` weak; lowercase when local.
    pub kind: char,
}

/// All symbols of a kernel, at most [`Symbols::MAX`].
#[derive(Clone, Default)]
pub struct Symbols {
    names: String,
    /// Sorted by address.
    entries: Vec<Entry>,
    /// Positions in `entries`, sorted by name and then by position.
    by_name: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    /// The name's range in `Symbols::names`.
    name_start: u32,
    name_len: u16,
    /// The type letter, ASCII.
    kind: u8,
}

/// A malformed line of `System.map` or `/proc/kallsyms`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not 'address type name': '{text}'")]
pub struct MapError {
    /// Number of the line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl Symbols {
    /// The most symbols kept; further ones are dropped. An `allyesconfig` kernel has under a million.
    pub const MAX: usize = 1 << 22;

    /// The number of symbols.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All symbols, ordered by address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Symbol<'_>> + Clone {
        self.entries.iter().map(|entry| self.symbol(entry))
    }

    /// The symbol `name`; of several (static functions share names) the one with the lowest address.
    pub fn get(&self, name: &str) -> Option<Symbol<'_>> {
        self.all(name).next()
    }

    /// The address of [`Symbols::get`].
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.get(name).map(|symbol| symbol.address)
    }

    /// All symbols called `name`, ordered by address.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = Symbol<'a>> {
        self.starting_at(name)
            .take_while(move |symbol| symbol.name == name)
    }

    /// All symbols whose names begin with `prefix`, ordered by name: finds `finish_task_switch.isra.0`
    /// for `finish_task_switch`.
    pub fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = Symbol<'a>> {
        self.starting_at(prefix)
            .take_while(move |symbol| symbol.name.starts_with(prefix))
    }

    /// The last symbol at or below `address`, and the distance from it in bytes; of several at one address the first.
    /// Mirrors `get_symbol_pos` in kernel/kallsyms.c, but does not check for the end of the kernel.
    pub fn nearest(&self, address: u64) -> Option<(Symbol<'_>, u64)> {
        let after = self.entries.partition_point(|entry| entry.address <= address);
        let found = self.entries.get(after.checked_sub(1)?)?.address;
        let first = self.entries.partition_point(|entry| entry.address < found);
        Some((self.symbol(self.entries.get(first)?), address - found))
    }

    /// Reads the text of a `System.map` or of `/proc/kallsyms` (whose module symbols, marked `[module]`, are left out).
    ///
    /// # Errors
    /// [`MapError`] for the first line that is not `address type name`.
    pub fn from_map(text: &str) -> Result<Symbols, MapError> {
        let mut symbols = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let malformed = || MapError {
                line: index + 1,
                text: line.to_owned(),
            };
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err(malformed());
            };
            let address = u64::from_str_radix(address, 16).map_err(|_| malformed())?;
            let kind = kind.parse().map_err(|_| malformed())?;
            if words.next().is_none() {
                symbols.push((name, address, kind));
            }
        }
        Ok(symbols.into_iter().collect())
    }

    /// Symbols ordered by name, from the first that is not less than `name`.
    fn starting_at(&self, name: &str) -> impl Iterator<Item = Symbol<'_>> {
        let start = self
            .by_name
            .partition_point(|position| self.at(*position).name < name);
        self.by_name[start..].iter().map(|position| self.at(*position))
    }

    /// Positions come from `by_name`, which is made together with `entries`.
    fn at(&self, position: u32) -> Symbol<'_> {
        self.symbol(&self.entries[position as usize])
    }

    fn symbol(&self, entry: &Entry) -> Symbol<'_> {
        let start = entry.name_start as usize;
        Symbol {
            name: &self.names[start..start + usize::from(entry.name_len)],
            address: entry.address,
            kind: char::from(entry.kind),
        }
    }

    /// The same symbols at addresses higher by `by` bytes; an address must not wrap.
    pub(crate) fn moved(mut self, by: u64) -> Symbols {
        for entry in &mut self.entries {
            entry.address = entry.address.saturating_add(by);
        }
        self
    }

    /// Adds a symbol if there is room for it; [`Symbols::finish`] must follow.
    pub(crate) fn push(&mut self, name: &str, address: u64, kind: char) {
        let (Ok(name_start), Ok(name_len)) = (u32::try_from(self.names.len()), u16::try_from(name.len()))
        else {
            return;
        };
        if self.entries.len() < Symbols::MAX {
            self.names.push_str(name);
            let kind = u8::try_from(kind).ok().filter(u8::is_ascii).unwrap_or(b'?');
            self.entries.push(Entry {
                address,
                name_start,
                name_len,
                kind,
            });
        }
    }

    /// Sorts the added symbols.
    pub(crate) fn finish(mut self) -> Symbols {
        self.names.shrink_to_fit();
        self.entries.sort_by_key(|entry| entry.address);
        // Most names differ in their first 16 bytes: comparing copies of these side by side, instead of the names
        // themselves, makes the sort several times faster.
        let mut by_name: Vec<(u128, u32)> = (0..self.entries.len() as u32)
            .map(|position| (first_bytes(self.at(position).name), position))
            .collect();
        by_name.sort_unstable_by(|one, other| {
            let rest = || self.at(one.1).name.cmp(self.at(other.1).name);
            one.0.cmp(&other.0).then_with(rest).then(one.1.cmp(&other.1))
        });
        self.by_name = by_name.into_iter().map(|(_, position)| position).collect();
        self
    }
}

/// The beginning of a name as a number with the order of the names; shorter names are padded with zeros.
fn first_bytes(name: &str) -> u128 {
    const LEN: usize = size_of::<u128>();
    let mut first = [0; LEN];
    let len = name.len().min(LEN);
    first[..len].copy_from_slice(&name.as_bytes()[..len]);
    u128::from_be_bytes(first)
}

/// Name, address and type letter of each symbol, in any order. Names longer than 65,535 bytes are left out.
impl<S: AsRef<str>> FromIterator<(S, u64, char)> for Symbols {
    fn from_iter<I: IntoIterator<Item = (S, u64, char)>>(symbols: I) -> Symbols {
        let mut all = Symbols::default();
        for (name, address, kind) in symbols {
            all.push(name.as_ref(), address, kind);
        }
        all.finish()
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbols({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Symbols {
        Symbols::from_iter([
            ("schedule", 0x300, 'T'),
            ("_text", 0x100, 'T'),
            ("_stext", 0x100, 't'),
            ("show", 0x500, 't'),
            ("show", 0x400, 't'),
            ("schedule_timeout", 0x600, 'T'),
        ])
    }

    #[test]
    fn finds_by_name() {
        let symbols = sample();
        assert_eq!(
            symbols.get("schedule"),
            Some(Symbol {
                name: "schedule",
                address: 0x300,
                kind: 'T'
            })
        );
        assert_eq!(symbols.address_of("show"), Some(0x400));
        assert_eq!(symbols.address_of("sho"), None);
        assert_eq!(symbols.address_of("zzz"), None);
        assert_eq!(
            symbols
                .all("show")
                .map(|symbol| symbol.address)
                .collect::<Vec<_>>(),
            [0x400, 0x500]
        );
        let names: Vec<_> = symbols.with_prefix("sched").map(|symbol| symbol.name).collect();
        assert_eq!(names, ["schedule", "schedule_timeout"]);
    }

    #[test]
    fn finds_the_nearest_below() {
        let symbols = sample();
        let check = |address: u64, expected: Option<(&str, u64)>| {
            let found = symbols
                .nearest(address)
                .map(|(symbol, offset)| (symbol.name, offset));
            assert_eq!(found, expected, "{address:#x}");
        };
        check(0xff, None);
        check(0x100, Some(("_text", 0)));
        check(0x1ff, Some(("_text", 0xff)));
        check(0x300, Some(("schedule", 0)));
        check(u64::MAX, Some(("schedule_timeout", u64::MAX - 0x600)));
        assert_eq!(Symbols::default().nearest(7), None);
    }

    #[test]
    fn iterates_by_address_and_keeps_the_order_of_aliases() {
        let symbols = sample();
        let names: Vec<_> = symbols.iter().map(|symbol| symbol.name).collect();
        assert_eq!(
            names,
            ["_text", "_stext", "schedule", "show", "show", "schedule_timeout"]
        );
        assert_eq!((symbols.len(), symbols.is_empty()), (6, false));
    }

    #[test]
    fn reads_map_text() {
        let text =
            "ffffffff81000000 T _text\nffffffffc0000000 t probe\t[virtio_blk]\n0000000000000000 A fixed\n";
        let symbols = Symbols::from_map(text).unwrap();
        assert_eq!(symbols.len(), 2);
        assert_eq!(
            symbols.get("_text").map(|symbol| (symbol.address, symbol.kind)),
            Some((0xffff_ffff_8100_0000, 'T'))
        );
        for bad in ["ffffffff81000000 T", "x T _text", "1 TT _text"] {
            let text = format!("0 A fixed\n{bad}");
            assert_eq!(
                Symbols::from_map(&text).unwrap_err(),
                MapError {
                    line: 2,
                    text: bad.into()
                }
            );
        }
    }
}
