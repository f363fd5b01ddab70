//! Scenarios in files: `name.rig.toml`.
//!
//! ```text
//! text ──► tables: what stands where ──► meaning: a Scenario that keeps the rules
//!             └────────── mistake: line, column, what is allowed, the nearest word ──────────┘
//! ```

mod meaning;
mod mistake;
mod shape;
mod tables;
#[cfg(test)]
mod tests;
mod text;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use mistake::Mistake;

use spec::Topology;

use crate::Scenario;

/// What the name of a scenario's file ends with.
pub const SUFFIX: &str = ".rig.toml";

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A scenario's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: std::io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is no regular file", path.display())]
    NoFile {
        /// What it is called.
        path: PathBuf,
    },
    /// It is too large to be one.
    #[error("{} has more than {MAX_FILE} bytes, so it is no scenario", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something is wrong in it.
    #[error("{}:{mistake}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What, and where.
        mistake: Box<Mistake>,
    },
}

/// The scenario in a file. Without a name of its own it has the file's; `instead` is a machine's shape in the place of its own.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path, instead: Option<Topology>) -> Result<Scenario, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FileError::NoFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.strip_suffix(SUFFIX).or(file.strip_suffix(".toml"));
    parse(&text, name.unwrap_or(&file), instead).map_err(|mistake| FileError::Wrong {
        path: path.to_owned(),
        mistake: Box::new(mistake),
    })
}

/// The scenario in a text; `name` is its name if it has none of its own, `instead` a shape in the place of its machine's.
///
/// # Errors
/// [`Mistake`].
pub fn parse(text: &str, name: &str, instead: Option<Topology>) -> Result<Scenario, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((span, what)) = shape::mistake(text) {
        return Err(Mistake::at(text, span, &what));
    }
    let tables: tables::Scenario = toml::from_str(text).map_err(|error| Mistake::of(text, &error))?;
    meaning::of(&tables, name, instead).map_err(|(span, what)| Mistake::at(text, span, &what))
}

/// The JSON Schema of the files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(tables::Scenario).to_value()
}
