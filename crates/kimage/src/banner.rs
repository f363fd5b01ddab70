//! `linux_banner`: the first line that a kernel prints, and the most reliable sign that a file is a kernel.

use memchr::memmem;

/// Start of `linux_banner` (init/version-timestamp.c).
const PREFIX: &[u8] = b"Linux version ";
/// The longest banner accepted, in bytes; real ones have some 200.
const MAX_BANNER: usize = 1024;

/// A kernel's banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Banner {
    /// The whole line without its line feed: `Linux version 6.12.1 (builder@host) (gcc …) #1 SMP …`.
    pub(crate) line: String,
    /// The third word of the line: the release, as in `uname -r`.
    pub(crate) release: String,
}

/// Finds the banner in `kernel`: the prefix, a release that starts with a digit, printable text, a line feed.
/// (`linux_proc_banner` has `%s` for the release.)
///
/// Since 6.1 there are two: the one of init/version.c was compiled before the build had a number, contains `# SMP …`,
/// and is overridden at link time by the one of init/version-timestamp.c with its `#1 SMP …`, but its text remains.
pub(crate) fn find(kernel: &[u8]) -> Option<Banner> {
    let unnumbered = |banner: &Banner| banner.line.contains(" # ");
    let mut first = None;
    for banner in memmem::find_iter(kernel, PREFIX).filter_map(|at| at_prefix(&kernel[at..])) {
        if !unnumbered(&banner) {
            return Some(banner);
        }
        first.get_or_insert(banner);
    }
    first
}

fn at_prefix(line: &[u8]) -> Option<Banner> {
    let line = &line[..line.len().min(MAX_BANNER)];
    let end = line.iter().position(|byte| *byte == b'\n' || *byte == 0)?;
    let line = std::str::from_utf8(&line[..end]).ok()?;
    let release = line.split(' ').nth(2)?;
    let plausible = release.starts_with(|first: char| first.is_ascii_digit())
        && release
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
    plausible.then(|| Banner {
        line: line.to_owned(),
        release: release.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_release_from_the_first_real_banner() {
        let check = |text: &[u8], expected: Option<&str>| {
            assert_eq!(
                find(text).map(|banner| banner.release).as_deref(),
                expected,
                "{}",
                text.escape_ascii()
            );
        };
        check(
            b"..Linux version 7.2.13+deb14-cloud-amd64 (a@b) #1 SMP\n\0",
            Some("7.2.13+deb14-cloud-amd64"),
        );
        check(
            b"Linux version %s (%s)\n\0Linux version 6.1.0 (x)\n",
            Some("6.1.0"),
        );
        check(b"Linux version 6.1.0", None);
        check(b"Linux version 6/../1 (x)\n", None);
        check(b"Linux version \xff6.1.0 (x)\n", None);
        check(b"Linux", None);
    }

    #[test]
    fn the_banner_without_a_build_number_gives_way() {
        let check = |text: &[u8], expected: &str| assert_eq!(find(text).unwrap().line, expected);
        check(
            b"Linux version 6.1.0 (a@b) (cc) # SMP x\n\0Linux version 6.1.0 (a@b) (cc) #1 SMP x\n\0",
            "Linux version 6.1.0 (a@b) (cc) #1 SMP x",
        );
        check(
            b"Linux version 6.1.0 (a@b) (cc) # SMP x\n\0",
            "Linux version 6.1.0 (a@b) (cc) # SMP x",
        );
    }
}
