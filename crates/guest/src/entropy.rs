//! The kernel's random generator, made to depend on the test's seed.
//!
//! Every fork begins with the generator that the saved machine had. From here on what it gives is a function of the
//! seed: `getrandom`, `AT_RANDOM` and the addresses of programs that are started later, and all that the kernel draws
//! for itself.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use spec::OpError;

use crate::error::system;

/// `RNDRESEEDCRNG`, `_IO('R', 0x07)` in include/uapi/linux/random.h: uses what was mixed in at once, not at the next
/// interval.
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;

/// Mixes the seed into the pool behind `device`, and has the generator begin anew from it.
pub(crate) fn seed(device: &Path, seed: u64) -> Result<(), OpError> {
    let doing = |what| system(format!("{what} {}", device.display()));
    let mut file = OpenOptions::new()
        .write(true)
        .open(device)
        .map_err(doing("open"))?;
    file.write_all(&seed.to_le_bytes())
        .map_err(doing("mix the seed into"))?;
    // SAFETY: RNDRESEEDCRNG takes no argument, and the descriptor is open.
    match unsafe { libc::ioctl(file.as_raw_fd(), RNDRESEEDCRNG) } {
        0 => Ok(()),
        _ => Err(doing("reseed")(io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_generator_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, text: &str| {
            let error = seed(&dir.path().join(name), 7).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(name), "{error}");
        };
        std::fs::write(dir.path().join("file"), b"").unwrap();
        check("file", "reseed");
        check("missing", "open");
    }
}
