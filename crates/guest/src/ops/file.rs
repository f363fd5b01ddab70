//! Files that the host names, and files of the kernel.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use spec::OpError;

/// The agent has no directory of its own that a path could be relative to.
pub(super) fn check_absolute(path: &str) -> Result<(), OpError> {
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(OpError::State(format!("`{path}` is not an absolute path")))
    }
}

/// Writes to a file of the kernel: it is not made where it is missing, and gets the text in one call, which it takes for
/// one value.
pub(super) fn write_existing(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    match file.write(text.as_bytes())? {
        len if len == text.len() => Ok(()),
        len => Err(io::Error::other(format!(
            "only {len} of {} bytes were taken",
            text.len()
        ))),
    }
}
