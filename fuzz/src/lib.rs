//! What the fuzz targets share: seeds, written by programs and not kept as binary files.
#![forbid(unsafe_code)]

mod parts;

use std::path::Path;
use std::{env, fs};

pub use parts::{Part, parts};

/// The largest kernel, in bytes, that a target lets an input unpack to: enough for every path, and fast.
pub const MAX_UNPACKED: usize = 4 << 20;

/// Writes `seeds` into the corpus directory, the first argument, where libFuzzer reads them in a moment. Called before
/// it looks at its arguments (`init` of `fuzz_target!`).
///
/// # Panics
/// When the directory is not there or not writable.
pub fn plant(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(directory) = env::args().skip(1).find(|argument| Path::new(argument).is_dir()) else {
        return;
    };
    for (index, seed) in seeds.into_iter().enumerate() {
        let file = Path::new(&directory).join(format!("seed-{index:02}"));
        fs::write(&file, seed).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
