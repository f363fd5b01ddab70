use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use super::*;

/// An index in memory; versions are compared number by number.
struct FakeIndex(Vec<Package>);

fn index(packages: &[(&str, &str)]) -> FakeIndex {
    let package = |(name, version): &(&str, &str)| Package {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        size: 1,
    };
    FakeIndex(packages.iter().map(package).collect())
}

impl PackageIndex for FakeIndex {
    fn names(&self, prefix: &str) -> Result<String, AptError> {
        let names = self.0.iter().map(|package| package.name.as_str());
        let names: BTreeSet<_> = names.filter(|name| name.starts_with(prefix)).collect();
        Ok(names.into_iter().flat_map(|name| [name, "\n"]).collect())
    }

    fn show(&self, names: &[&str]) -> Result<Vec<Package>, AptError> {
        let known = |name: &&str| self.0.iter().any(|package| package.name == *name);
        if !names.iter().all(known) {
            return Err(AptError::Failed {
                command: "show".to_owned(),
                status: ExitStatus::from_raw(100 << 8),
                stderr: "no packages found".to_owned(),
            });
        }
        let shown = self
            .0
            .iter()
            .filter(|package| names.contains(&package.name.as_str()));
        Ok(shown.cloned().collect())
    }

    fn is_newer(&self, a: &str, b: &str) -> Result<bool, AptError> {
        let numbers = |version: &str| -> Vec<u32> {
            version
                .split(['.', '-'])
                .map(|word| word.parse().unwrap())
                .collect()
        };
        Ok(numbers(a) > numbers(b))
    }
}

fn request(text: &str) -> AptRequest {
    match text.parse().unwrap() {
        crate::KernelRequest::Apt(request) => request,
        other => panic!("{other}"),
    }
}

const SUITE: &[(&str, &str)] = &[
    ("linux-image-6.12.9-amd64", "6.12.9-1"),
    ("linux-image-6.12.10-amd64", "6.12.10-1"),
    ("linux-image-6.12.10-amd64", "6.12.10-2"),
    ("linux-image-7.2.13-rt-amd64", "7.2.13-1"),
    ("linux-binary-7.3.4-cloud-amd64", "7.3.4-1"),
    ("linux-base-7.3.4-cloud-amd64", "7.3.4-1"),
    ("linux-image-7.3.4-cloud-amd64", "7.3.4-1"),
];

#[test]
fn the_newest_admitted_version_of_the_flavour_is_chosen() {
    let check = |text: &str, expect: &str| {
        let chosen = newest_kernel(&index(SUITE), &request(text)).unwrap();
        assert_eq!(chosen.leading.to_string(), expect, "{text}");
    };
    check("apt:sid/amd64", "linux-image-6.12.10-amd64=6.12.10-2");
    check("apt:sid/amd64=6.12.10-1", "linux-image-6.12.10-amd64=6.12.10-1");
    check("apt:sid/amd64=6.12.9", "linux-image-6.12.9-amd64=6.12.9-1");
    check("apt:sid/amd64=6.12", "linux-image-6.12.10-amd64=6.12.10-2");
    check("apt:sid/rt-amd64", "linux-image-7.2.13-rt-amd64=7.2.13-1");
    check("apt:sid", "linux-binary-7.3.4-cloud-amd64=7.3.4-1");
}

#[test]
fn a_request_without_an_answer_is_refused_with_the_alternatives() {
    let check = |text: &str, part: &str| {
        let message = newest_kernel(&index(SUITE), &request(text))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{text}: {message}");
    };
    check("apt:sid/amd64=6.12.1", "no kernel `6.12.1-amd64`");
    check(
        "apt:sid/amd64=6.12.1",
        "the versions 6.12.10-1, 6.12.10-2, 6.12.9-1",
    );
    check("apt:sid/arm64", "no kernel `arm64`");
    check("apt:sid/arm64", "the flavours amd64, cloud-amd64, rt-amd64");
    let message = newest_kernel(&index(&[]), &request("apt:sid"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("the flavours none"), "{message}");
}

#[test]
fn candidates_are_all_versions_of_the_flavour_whether_admitted_or_not() {
    let candidates = candidates(&index(SUITE), &request("apt:sid/amd64=6.12.9")).unwrap();
    let versions: Vec<_> = candidates
        .iter()
        .map(|candidate| (candidate.release.as_str(), candidate.leading.version.as_str()))
        .collect();
    assert_eq!(
        versions,
        [
            ("6.12.9-amd64", "6.12.9-1"),
            ("6.12.10-amd64", "6.12.10-1"),
            ("6.12.10-amd64", "6.12.10-2"),
        ]
    );
}

#[test]
fn a_kernels_packages_are_taken_in_its_own_version() {
    let suite = index(&[
        ("linux-binary-7.3.4-amd64", "7.3.4-1"),
        ("linux-binary-7.3.4-amd64", "7.3.4-2"),
        ("linux-base-7.3.4-amd64", "7.3.4-3"),
        ("linux-base-7.3.4-amd64", "7.3.4-2"),
        ("linux-image-7.3.4-amd64", "7.3.4-1"),
    ]);
    let kernel = newest_kernel(&suite, &request("apt:sid/amd64")).unwrap();
    assert_eq!(
        kernel.parts,
        BTreeSet::from([Part::Binary, Part::Base, Part::Image])
    );
    let check = |parts: &[Part], expect: &[&str]| {
        let packages = packages_of(&suite, &kernel, parts).unwrap();
        let packages: Vec<_> = packages.iter().map(ToString::to_string).collect();
        assert_eq!(packages, expect, "{parts:?}");
    };
    check(
        &[Part::Binary, Part::Base],
        &[
            "linux-binary-7.3.4-amd64=7.3.4-2",
            "linux-base-7.3.4-amd64=7.3.4-2",
        ],
    );
    // Without the kernel's version, the first that the index lists.
    check(&[Part::Image], &["linux-image-7.3.4-amd64=7.3.4-1"]);
}

#[test]
fn any_package_is_chosen_in_its_newest_version() {
    let suite = index(&[
        ("stress-ng", "0.9-1"),
        ("stress-ng", "0.18-1"),
        ("stress-ng", "0.17-1"),
    ]);
    let package = newest_package(&suite, "sid", "stress-ng").unwrap();
    assert_eq!(package.to_string(), "stress-ng=0.18-1");
    let error = newest_package(&suite, "sid", "stress").unwrap_err();
    assert!(matches!(error, AptError::NoPackage { .. }), "{error}");
}
