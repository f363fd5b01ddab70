//! The names of distributions' kernel packages, and apt's answers about them.
//!
//! ```text
//! up to 6.18   linux-image-<version>-<flavour>     vmlinuz, config and modules
//! after it     linux-binary-<version>-<flavour>    vmlinuz
//!              linux-base-<version>-<flavour>      config, System.map (while absent, in linux-image)
//!              linux-modules-<version>-<flavour>   modules
//!              linux-image-<version>-<flavour>     depends on the others
//! ```
//!
//! `<version>-<flavour>` together is the kernel's release (`uname -r`). One flavour's name can end another's
//! (`amd64`, `cloud-amd64`), so that the version must be recognised as one: it begins with a digit, and no
//! word of it begins with a letter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The part of a kernel that a package holds; also the middle of the package's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Binary,
    Base,
    Image,
    Modules,
}

/// One version of one package, from apt's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Size of the package file, in bytes.
    pub(super) size: u64,
}

impl fmt::Display for Package {
    /// The form of apt's arguments: `name=version`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.version)
    }
}

impl Part {
    const ALL: [Self; 4] = [Self::Binary, Self::Base, Self::Image, Self::Modules];

    fn prefix(self) -> &'static str {
        match self {
            Self::Binary => "linux-binary-",
            Self::Base => "linux-base-",
            Self::Image => "linux-image-",
            Self::Modules => "linux-modules-",
        }
    }

    pub(super) fn package(self, release: &str) -> String {
        format!("{}{release}", self.prefix())
    }
}

/// The releases of a flavour among package names, each with the parts it is shipped in.
pub(super) fn releases(names: &str, flavour: &str) -> BTreeMap<String, BTreeSet<Part>> {
    let mut releases: BTreeMap<String, BTreeSet<Part>> = BTreeMap::new();
    for (part, release) in names.lines().filter_map(part_and_release) {
        if split_release(release).is_some_and(|(_, its)| its == flavour) {
            releases.entry(release.to_owned()).or_default().insert(part);
        }
    }
    releases.retain(|_, parts| parts.contains(&Part::Image) || parts.contains(&Part::Binary));
    releases
}

/// The flavours that the suite has kernels of, for the message that the wanted one is missing.
pub(super) fn flavours(names: &str) -> BTreeSet<&str> {
    names
        .lines()
        .filter_map(part_and_release)
        .filter(|(part, _)| *part == Part::Image)
        .filter_map(|(_, release)| Some(split_release(release)?.1))
        .filter(|flavour| !flavour.ends_with("-dbg") && !flavour.ends_with("-unsigned"))
        .collect()
}

/// The batches of packages to search for image and config, cheapest first; a batch is only needed when those before
/// it lack one of the two.
pub(super) fn batches(parts: &BTreeSet<Part>) -> Vec<Vec<Part>> {
    [
        vec![Part::Binary, Part::Base],
        vec![Part::Image],
        vec![Part::Modules],
    ]
    .into_iter()
    .map(|batch| {
        batch
            .into_iter()
            .filter(|part| parts.contains(part))
            .collect::<Vec<_>>()
    })
    .filter(|batch| !batch.is_empty())
    .collect()
}

/// The paths of a release's kernel image in a package, by distribution and age.
pub(super) fn image_paths(release: &str) -> [String; 3] {
    [
        format!("boot/vmlinuz-{release}"),
        format!("usr/lib/modules/{release}/vmlinuz"),
        format!("lib/modules/{release}/vmlinuz"),
    ]
}

/// The paths of a release's config in a package.
pub(super) fn config_paths(release: &str) -> [String; 3] {
    [
        format!("boot/config-{release}"),
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
    ]
}

/// The packages in the answer of `apt-cache show`.
pub(super) fn parse_show(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(parse_record).collect()
}

fn parse_record(record: &str) -> Option<Package> {
    let field = |name: &str| {
        record
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        size: field("Size").and_then(|size| size.parse().ok()).unwrap_or(0),
    })
}

fn part_and_release(name: &str) -> Option<(Part, &str)> {
    Part::ALL
        .into_iter()
        .find_map(|part| Some((part, name.strip_prefix(part.prefix())?)))
}

/// `6.12.95+deb12-cloud-amd64` into version and flavour.
fn split_release(release: &str) -> Option<(&str, &str)> {
    if !release.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let dash = release
        .match_indices('-')
        .map(|(at, _)| at)
        .find(|at| release[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic()))?;
    Some((&release[..dash], &release[dash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "linux-image-6.1.0-50-cloud-amd64\nlinux-image-6.1.0-50-amd64\nlinux-image-cloud-amd64\n\
        linux-image-6.1.0-50-amd64-dbg\nlinux-headers-6.1.0-50-amd64\nlinux-binary-unsigned-7.3.4+deb13-cloud-amd64\n\
        linux-binary-7.3.4+deb13-cloud-amd64\nlinux-base-7.3.4+deb13-cloud-amd64\nlinux-image-7.3.4+deb13-cloud-amd64\n\
        linux-base-9.9-cloud-amd64\nlinux-image-6.12.90+deb12.1-cloud-amd64-unsigned\nlinux-base\nlinux-image-\n";

    #[test]
    fn releases_of_one_flavour_are_distinguished_from_names_that_end_alike() {
        let found = releases(NAMES, "cloud-amd64");
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["6.1.0-50-cloud-amd64", "7.3.4+deb13-cloud-amd64"]
        );
        assert_eq!(found["6.1.0-50-cloud-amd64"], BTreeSet::from([Part::Image]));
        assert_eq!(
            found["7.3.4+deb13-cloud-amd64"],
            BTreeSet::from([Part::Binary, Part::Base, Part::Image])
        );
        assert_eq!(
            releases(NAMES, "amd64").keys().collect::<Vec<_>>(),
            ["6.1.0-50-amd64"]
        );
        assert!(releases(NAMES, "rt-amd64").is_empty());
    }

    #[test]
    fn the_flavours_that_exist_can_be_named() {
        assert_eq!(flavours(NAMES), BTreeSet::from(["amd64", "cloud-amd64"]));
    }

    #[test]
    fn small_packages_are_searched_first() {
        let check = |parts: &[Part], expect: &[&[Part]]| {
            assert_eq!(batches(&parts.iter().copied().collect()), expect);
        };
        check(&[Part::Image], &[&[Part::Image]]);
        check(&[Part::Image, Part::Modules], &[&[Part::Image], &[Part::Modules]]);
        check(
            &[Part::Image, Part::Binary, Part::Base],
            &[&[Part::Binary, Part::Base], &[Part::Image]],
        );
        check(&[Part::Image, Part::Binary], &[&[Part::Binary], &[Part::Image]]);
    }

    #[test]
    fn records_are_read_and_incomplete_ones_skipped() {
        let text = "Package: a\nVersion: 1:2-3~bpo\nDescription: x\n Version: no\nSize: 42\n\nPackage: b\n\nPackage: c\nVersion: 1\n";
        let package = |name: &str, version: &str, size| Package {
            name: name.into(),
            version: version.into(),
            size,
        };
        assert_eq!(
            parse_show(text),
            [package("a", "1:2-3~bpo", 42), package("c", "1", 0)]
        );
        assert!(parse_show("").is_empty());
    }
}
