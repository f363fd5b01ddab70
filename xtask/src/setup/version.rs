//! Versions, as far as the needs compare them: `major.minor`.

use std::fmt;

/// The leading two numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    /// The first version in a program's output for `--version`: the first word that begins with a digit.
    pub(crate) fn printed(text: &str) -> Option<Version> {
        text.split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(Version::leading)
    }

    /// The upstream version in a Debian package's version: `epoch:upstream-revision`.
    pub(crate) fn of_package(text: &str) -> Option<Version> {
        Version::leading(text.split_once(':').map_or(text, |(_epoch, rest)| rest))
    }

    fn leading(text: &str) -> Option<Version> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        Some(Version(
            major,
            numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0),
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_versions_are_read() {
        let check =
            |text: &str, expect: Option<Version>| assert_eq!(Version::printed(text), expect, "{text}");
        check(
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright",
            Some(Version(10, 0)),
        );
        check(
            "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)",
            Some(Version(7, 2)),
        );
        check(
            "Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu",
            Some(Version(19, 1)),
        );
        check("libprotoc 3.21.12", Some(Version(3, 21)));
        check("GNU Make 4.3", Some(Version(4, 3)));
        check("0.188", Some(Version(0, 188)));
        check("clang version 22", Some(Version(22, 0)));
        check("no digits here", None);
        check("99999999999.1", None);
        check("", None);
    }

    #[test]
    fn packages_versions_are_read() {
        let check =
            |text: &str, expect: Option<Version>| assert_eq!(Version::of_package(text), expect, "{text}");
        check("1:10.0.2+ds-2+deb13u1~bpo12+1", Some(Version(10, 0)));
        check("1:7.2+dfsg-7+deb12u18+b3", Some(Version(7, 2)));
        check("0.188-2.1", Some(Version(0, 188)));
        check("(none)", None);
    }

    #[test]
    fn later_versions_are_greater() {
        assert!(Version(10, 0) > Version(7, 2));
        assert!(Version(10, 1) > Version(10, 0));
    }
}
