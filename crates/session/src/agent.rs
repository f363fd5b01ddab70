//! The embedded agent, and the initial RAM disk that brings it into the guest.

use std::io;

/// The guest's PID 1: a static program, the same for all tests.
static AGENT: &[u8] = include_bytes!(env!("SCHEDRIG_GUEST"));

/// What every kernel is told.
///
/// - `console=ttyS0 loglevel=5`: warnings and worse reach the console from the first line on;
/// - `reboot=t panic=-1`: a panic ends the machine at once, and the backend sees it;
/// - `tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests audit=0 8250.nr_uarts=1`: no self-tests
///   and calibrations of a machine that is known;
/// - `mitigations=off`: there is nobody to attack, and the entry code is half as long;
/// - `nokaslr`: kernel addresses are link addresses however the kernel is booted;
/// - `schedrig.door=nop`: the agent's way to call the host.
pub const KERNEL_ARGUMENTS: &str = "console=ttyS0 loglevel=5 reboot=t panic=-1 tsc=reliable no_timer_check \
     random.trust_cpu=on cryptomgr.notests audit=0 8250.nr_uarts=1 mitigations=off nokaslr schedrig.door=nop";

/// The initial RAM disk could not be packed.
#[derive(Debug, thiserror::Error)]
#[error("pack the initial RAM disk")]
pub struct InitrdError(#[from] io::Error);

/// A cpio archive (`newc`, Documentation/driver-api/early-userspace/buffer-format.rst) with the agent as `/init`.
/// The kernel's built-in archive brings `/dev/console`; the agent makes every other directory itself.
pub fn initrd() -> Result<Vec<u8>, InitrdError> {
    const REGULAR_EXECUTABLE: u32 = 0o100_755;
    let entry = cpio::NewcBuilder::new("init").mode(REGULAR_EXECUTABLE).nlink(1);
    let archive = cpio::write_cpio([(entry, io::Cursor::new(AGENT))].into_iter(), Vec::new())?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_one_static_executable() {
        let archive = initrd().unwrap();
        assert!(archive.starts_with(b"070701"), "newc magic");
        assert!(AGENT.starts_with(b"\x7fELF"));
        assert!(
            !AGENT.windows(11).any(|bytes| bytes == b"/lib64/ld-l"),
            "a static program names no loader"
        );
    }
}
