//! Damage: memory that notes what is read of it, and memory with some words wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use guestmem::{Extent, GuestPhys, MemError, PhysMem, Region};

/// Bytes of one step of a recipe.
const STEP: usize = 6;

/// A recipe for [`Corrupted`], of so many steps: another one for each seed, and the same on every machine (splitmix64's
/// finish).
pub fn recipe(seed: u64, steps: u64) -> Vec<u8> {
    let mix = |number: u64| {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 31
    };
    let words = (0..steps).map(|step| mix(seed << 8 | step | 1 << 40));
    words
        .flat_map(|word| word.to_le_bytes().into_iter().take(STEP))
        .collect()
}

/// Memory that notes which of its words are read.
pub struct Noted<'m> {
    mem: &'m dyn PhysMem,
    words: Mutex<BTreeSet<u64>>,
    reads: AtomicU64,
}

impl<'m> Noted<'m> {
    /// This memory.
    pub fn new(mem: &'m dyn PhysMem) -> Noted<'m> {
        Noted {
            mem,
            words: Mutex::default(),
            reads: AtomicU64::new(0),
        }
    }

    /// The physical addresses of the aligned words of 8 bytes that were read, and how many reads that took. Of a long
    /// read its first words.
    pub fn words(self) -> (Vec<u64>, u64) {
        let words = self.words.into_inner().unwrap_or_else(PoisonError::into_inner);
        (words.into_iter().collect(), self.reads.into_inner())
    }
}

impl PhysMem for Noted<'_> {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        const WORDS: u64 = 64;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.mem.read(at, into)?;
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let end = at.0.saturating_add(into.len() as u64);
        words.extend(
            (at.0 / 8..end.div_ceil(8))
                .take(WORDS as usize)
                .map(|word| word * 8),
        );
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        self.mem.write(at, from)
    }

    fn regions(&self) -> Vec<Region> {
        self.mem.regions()
    }

    fn data(&self) -> Vec<Extent> {
        self.mem.data()
    }
}

/// Memory some bytes of which are wrong; the memory below stays as it is.
pub struct Corrupted<'m> {
    mem: &'m dyn PhysMem,
    bytes: BTreeMap<u64, u8>,
    reads: AtomicU64,
    most: u64,
}

impl<'m> Corrupted<'m> {
    /// Damages some of these words as the recipe says, six bytes a step: what is done, to which word, with what. After
    /// `most` reads there is a panic: whoever reads so often has no bound.
    pub fn new(mem: &'m dyn PhysMem, words: &[u64], recipe: &[u8], most: u64) -> Corrupted<'m> {
        let mut corrupted = Corrupted {
            mem,
            bytes: BTreeMap::new(),
            reads: AtomicU64::new(0),
            most: u64::MAX,
        };
        for step in recipe.chunks_exact(STEP) {
            corrupted.step(words, step);
        }
        corrupted.most = most;
        corrupted.reads = AtomicU64::new(0);
        corrupted
    }

    /// How often it was read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn step(&mut self, words: &[u64], step: &[u8]) {
        let number = |at: usize| usize::from(u16::from_le_bytes([step[at], step[at + 1]]));
        let word = |number: usize| words.get(number.checked_rem(words.len())?).copied();
        let (Some(at), Some(other)) = (word(number(1)), word(number(3))) else {
            return;
        };
        let amount = u64::from(step[5]);
        let (Ok(old), Ok(of_other)) = (self.read_u64(GuestPhys(at)), self.read_u64(GuestPhys(other))) else {
            return;
        };
        let new = match step[0] % 10 {
            0 | 1 => old ^ 1 << (amount % 64),
            // A pointer to another's place: circles, and one thing taken for another.
            2 | 3 => of_other,
            4 => 0,
            5 => u64::MAX,
            6 => old.wrapping_add(amount.wrapping_mul(8)).wrapping_sub(1024),
            7 => old | 1,
            8 => amount << 56 | old >> 8,
            _ => u64::from_le_bytes([step[5]; 8]),
        };
        self.bytes.extend((at..).zip(new.to_le_bytes()));
    }
}

impl PhysMem for Corrupted<'_> {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(
            reads < self.most,
            "more than {} reads: is this walk bounded?",
            self.most
        );
        self.mem.read(at, into)?;
        let end = at.0.saturating_add(into.len() as u64);
        for (place, byte) in self.bytes.range(at.0..end) {
            into[(place - at.0) as usize] = *byte;
        }
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        Err(MemError::ReadOnly { at, len: from.len() })
    }

    fn regions(&self) -> Vec<Region> {
        self.mem.regions()
    }

    fn data(&self) -> Vec<Extent> {
        self.mem.data()
    }
}
