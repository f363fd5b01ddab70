//! Kernel requests: which kernel is wanted, as one string.
//!
//! ```text
//! apt:<suite>[/<flavour>][=<version>]   newest kernel of a distribution suite, or newest of that version
//! path:<file or directory>              a kernel on this machine
//! host                                  the running kernel's own files
//! ```
//!
//! The words of an `apt:` request become file names and arguments of apt, so they are checked here, once: they
//! begin with a letter or digit and hold nothing but letters, digits, `.`, `+`, `-` and (in versions) `~`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The flavour an `apt:` request means when it names none: small, boots in virtual machines, has `sched_ext`.
pub const DEFAULT_FLAVOUR: &str = "cloud-amd64";

/// A request for a kernel. [`FromStr`] and [`Display`](fmt::Display) are each other's inverse.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KernelRequest {
    /// `apt:…`: a kernel package of a distribution suite.
    Apt(AptRequest),
    /// `path:…`: a kernel image, or a directory that holds one.
    Path(PathBuf),
    /// `host`: the kernel that runs on this machine.
    Host,
}

/// The parts of an `apt:` request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AptRequest {
    /// The suite: `sid`, `trixie-backports`, …
    pub suite: String,
    /// The flavour, as in `linux-image-<flavour>`; has Debian's name of the architecture in it.
    pub flavour: String,
    /// Admit only packages whose version begins with this (`6.12`, `7.2.13`, `7.2.13-1`); all versions if `None`.
    pub version: Option<String>,
}

/// A file in a package other than a kernel's: a program for a guest, for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagedFile<'a> {
    /// The suite: `sid`, `trixie-backports`, …
    pub suite: &'a str,
    /// Debian's name of the architecture.
    pub architecture: &'a str,
    /// The package: `busybox-static`.
    pub package: &'a str,
    /// The file's path in the package, without a leading `/`: `usr/bin/busybox`.
    pub path: &'a str,
}

impl PackagedFile<'_> {
    /// The request for the suite, after a check of all words.
    pub(crate) fn suite(&self) -> Result<AptRequest, RequestError> {
        let words = [("architecture", self.architecture), ("package", self.package)];
        let parts = self.path.split('/').map(|part| ("path of a file", part));
        for (what, word) in words.into_iter().chain(parts) {
            if !is_word(word, "_~") {
                return Err(RequestError::BadWord {
                    what,
                    word: word.to_owned(),
                    request: self.to_string(),
                });
            }
        }
        AptRequest::parse(
            &format!("{}/{}", self.suite, self.architecture),
            &self.to_string(),
        )
    }
}

impl fmt::Display for PackagedFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            suite,
            architecture,
            package,
            path,
        } = self;
        write!(f, "{path} of {package}:{architecture} in {suite}")
    }
}

/// Why a string is not a kernel request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request begins with neither `apt:` nor `path:` and is not `host`.
    #[error(
        "unknown kernel request `{0}`; write `apt:<suite>[/<flavour>][=<version>]`, `path:<vmlinuz or directory>` or `host`"
    )]
    UnknownKind(String),
    /// A part of an `apt:` request is empty or has a character that cannot be in it.
    #[error(
        "`{word}` is not a {what} in the kernel request `{request}`; write for example `apt:sid`, `apt:sid/cloud-amd64` or `apt:sid=7.2`"
    )]
    BadWord {
        /// The kind of part: suite, flavour or version.
        what: &'static str,
        /// The malformed part.
        word: String,
        /// The whole request.
        request: String,
    },
    /// A `path:` request without a path.
    #[error("`path:` without a path; write `path:/boot/vmlinuz-6.12`, or `host` for the running kernel")]
    EmptyPath,
}

impl FromStr for KernelRequest {
    type Err = RequestError;

    fn from_str(request: &str) -> Result<Self, RequestError> {
        if request == "host" {
            return Ok(Self::Host);
        }
        match request.split_once(':') {
            Some(("apt", rest)) => AptRequest::parse(rest, request).map(Self::Apt),
            Some(("path", "")) => Err(RequestError::EmptyPath),
            Some(("path", path)) => Ok(Self::Path(PathBuf::from(path))),
            _ => Err(RequestError::UnknownKind(request.to_owned())),
        }
    }
}

impl KernelRequest {
    /// The request that gives only the kernel that was made from these packages, each as `name=version`.
    pub(crate) fn exact(&self, packages: &[String]) -> KernelRequest {
        match self {
            Self::Apt(apt) => {
                let version = packages.first().and_then(|package| package.split_once('='));
                Self::Apt(AptRequest {
                    version: version
                        .map(|(_, version)| version.to_owned())
                        .or(apt.version.clone()),
                    ..apt.clone()
                })
            }
            Self::Path(path) => Self::Path(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Self::Host => Self::Host,
        }
    }
}

impl fmt::Display for KernelRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apt(apt) => apt.fmt(f),
            Self::Path(path) => write!(f, "path:{}", path.display()),
            Self::Host => f.write_str("host"),
        }
    }
}

impl AptRequest {
    /// Debian's name of the architecture, when a word of the flavour is one; else the machine's own is meant.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        const KNOWN: [&str; 6] = ["amd64", "arm64", "riscv64", "ppc64el", "s390x", "loong64"];
        self.flavour.split('-').rfind(|word| KNOWN.contains(word))
    }

    /// Whether a package version is one that [`AptRequest::version`] asks for: `7.2.1` admits `7.2.1-1` and not `7.2.13-1`.
    #[must_use]
    pub fn admits(&self, package_version: &str) -> bool {
        let Some(wanted) = &self.version else { return true };
        let Some(rest) = package_version.strip_prefix(wanted.as_str()) else {
            return false;
        };
        let mid_number =
            wanted.ends_with(|c: char| c.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_digit());
        !mid_number
    }

    fn parse(rest: &str, request: &str) -> Result<Self, RequestError> {
        let (rest, version) = match rest.split_once('=') {
            Some((rest, version)) => (rest, Some(version)),
            None => (rest, None),
        };
        let (suite, flavour) = rest.split_once('/').unwrap_or((rest, DEFAULT_FLAVOUR));
        let check = |what, word: &str, extra: &str| {
            if is_word(word, extra) {
                Ok(word.to_owned())
            } else {
                Err(RequestError::BadWord {
                    what,
                    word: word.to_owned(),
                    request: request.to_owned(),
                })
            }
        };
        Ok(Self {
            suite: check("suite", suite, "")?,
            flavour: check("flavour", flavour, "")?,
            version: version
                .map(|version| check("version", version, "~"))
                .transpose()?,
        })
    }
}

impl fmt::Display for AptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "apt:{}", self.suite)?;
        if self.flavour != DEFAULT_FLAVOUR {
            write!(f, "/{}", self.flavour)?;
        }
        if let Some(version) = &self.version {
            write!(f, "={version}")?;
        }
        Ok(())
    }
}

/// The longest word accepted, in bytes; words become file names.
const MAX_WORD: usize = 80;

fn is_word(word: &str, extra: &str) -> bool {
    word.len() <= MAX_WORD
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+-".contains(c) || extra.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apt(suite: &str, flavour: &str, version: Option<&str>) -> KernelRequest {
        let version = version.map(str::to_owned);
        KernelRequest::Apt(AptRequest {
            suite: suite.to_owned(),
            flavour: flavour.to_owned(),
            version,
        })
    }

    #[test]
    fn requests_mean_what_they_say() {
        let check = |text: &str, expect: KernelRequest| assert_eq!(text.parse(), Ok(expect), "{text}");
        check("apt:sid", apt("sid", "cloud-amd64", None));
        check(
            "apt:bookworm-backports/amd64",
            apt("bookworm-backports", "amd64", None),
        );
        check("apt:sid=7.2.13", apt("sid", "cloud-amd64", Some("7.2.13")));
        check(
            "apt:sid/rt-amd64=7.3~rc2",
            apt("sid", "rt-amd64", Some("7.3~rc2")),
        );
        check("path:/boot/vmlinuz", KernelRequest::Path("/boot/vmlinuz".into()));
        check("path:a:b=c", KernelRequest::Path("a:b=c".into()));
        check("host", KernelRequest::Host);
    }

    #[test]
    fn malformed_requests_are_refused_with_the_part_that_is_wrong() {
        let check = |text: &str, part: &str| {
            let message = text.parse::<KernelRequest>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        };
        check("", "unknown kernel request");
        check("Host", "unknown kernel request `Host`");
        check("/boot/vmlinuz", "path:<vmlinuz or directory>");
        check("apt:", "not a suite");
        check("apt:../../etc", "not a suite");
        check("apt:-o", "`-o` is not a suite");
        check("apt:sid/", "not a flavour");
        check("apt:sid/a/b", "not a flavour");
        check("apt:sid=", "not a version");
        check("apt:sid=1=2", "`1=2` is not a version");
        check("apt:a b", "not a suite");
        check("apt:sid\n", "not a suite");
        check("path:", "without a path");
    }

    #[test]
    fn a_version_matches_whole_numbers() {
        let check = |wanted: &str, version: &str, expect: bool| {
            let KernelRequest::Apt(request) = apt("sid", "amd64", Some(wanted)) else {
                unreachable!()
            };
            assert_eq!(request.admits(version), expect, "{wanted} {version}");
        };
        check("7.2", "7.2.13-1", true);
        check("7.2.13", "7.2.13-1", true);
        check("7.2.13-1", "7.2.13-1", true);
        check("7.2.1", "7.2.13-1", false);
        check("7.2.13-1", "7.2.13-1~bpo13+1", true);
        check("7.3", "7.2.13-1", false);
    }

    #[test]
    fn the_architecture_is_a_word_of_the_flavour() {
        let check = |flavour: &str, expect: Option<&str>| {
            let KernelRequest::Apt(request) = apt("sid", flavour, None) else {
                unreachable!()
            };
            assert_eq!(request.architecture(), expect);
        };
        check("cloud-amd64", Some("amd64"));
        check("amd64", Some("amd64"));
        check("cloud-arm64", Some("arm64"));
        check("arm64-16k", Some("arm64"));
        check("generic", None);
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(
            suite in "[a-z0-9][a-z0-9.+-]{0,20}",
            flavour in "[a-z0-9][a-z0-9.+-]{0,20}",
            version in proptest::option::of("[0-9][0-9A-Za-z.+~-]{0,20}"),
        ) {
            let request = apt(&suite, &flavour, version.as_deref());
            prop_assert_eq!(request.to_string().parse(), Ok(request));
        }

        #[test]
        fn any_text_that_parses_prints_to_an_equal_request(text in "(apt:|path:|host)?[ -~]{0,40}") {
            if let Ok(request) = text.parse::<KernelRequest>() {
                prop_assert_eq!(request.to_string().parse(), Ok(request));
            }
        }
    }
}
