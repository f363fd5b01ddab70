//! Shared by the fuzz targets: the planting of seeds, which programs write, so that no binary files are kept.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{env, fs};

/// The largest kernel, in bytes, that a target lets an input unpack to: enough for every path, and fast.
pub const MAX_UNPACKED: usize = 4 << 20;

/// Writes `seeds` into the corpus directory, the first argument, from which libFuzzer then reads them. Called before
/// libFuzzer parses its arguments (`init` of `fuzz_target!`).
///
/// # Panics
/// When the directory is missing or not writable.
pub fn plant(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(directory) = env::args().skip(1).find(|argument| Path::new(argument).is_dir()) else {
        return;
    };
    for (index, seed) in seeds.into_iter().enumerate() {
        let file = Path::new(&directory).join(format!("seed-{index:02}"));
        fs::write(&file, seed).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
