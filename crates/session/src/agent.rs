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

/// The configuration of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct KernelConfig<'k> {
    /// `uname -r`.
    pub release: &'k str,
    /// The text of its `.config`.
    pub text: &'k str,
}

/// A cpio archive (`newc`, Documentation/driver-api/early-userspace/buffer-format.rst) with the agent as `/init`, and the
/// kernel's configuration as `/boot/config-RELEASE`, where libbpf looks for the values of `__kconfig` externs.
/// The kernel's built-in archive brings `/dev/console`; the agent makes every other directory itself.
pub fn initrd(config: Option<KernelConfig<'_>>) -> Result<Vec<u8>, InitrdError> {
    const DIRECTORY: u32 = 0o040_755;
    const REGULAR: u32 = 0o100_644;
    const REGULAR_EXECUTABLE: u32 = 0o100_755;
    let mut files = vec![("init".to_owned(), REGULAR_EXECUTABLE, AGENT)];
    if let Some(KernelConfig { release, text }) = config {
        files.push(("boot".to_owned(), DIRECTORY, &[]));
        files.push((format!("boot/config-{release}"), REGULAR, text.as_bytes()));
    }
    let entries = files.into_iter().map(|(path, mode, bytes)| {
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let entry = cpio::NewcBuilder::new(&path).mode(mode).nlink(links);
        (entry, io::Cursor::new(bytes))
    });
    Ok(cpio::write_cpio(entries, Vec::new())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_one_static_executable() {
        let archive = initrd(None).unwrap();
        assert!(archive.starts_with(b"070701"), "newc magic");
        let text = "CONFIG_HZ=250\n";
        let config = KernelConfig { release: "7.2", text };
        let with_config = initrd(Some(config)).unwrap();
        let holds = |what: &str| {
            with_config
                .windows(what.len())
                .any(|bytes| bytes == what.as_bytes())
        };
        assert!(holds("boot/config-7.2") && holds(text));
        assert!(AGENT.starts_with(b"\x7fELF"));
        assert!(
            !AGENT.windows(11).any(|bytes| bytes == b"/lib64/ld-l"),
            "a static program names no loader"
        );
    }
}
