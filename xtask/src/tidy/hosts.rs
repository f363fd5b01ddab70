//! No file names a host from which packages are fetched.
//!
//! The mirror or registry is the machine's choice, in the configuration of apt and cargo. A host name in our
//! files would work on some machines and fail on those behind a mirror of their own.

use std::path::Path;

use super::Finding;

/// Organisations that run archives. A name below one of these is a package host if its first label is in [`SERVICES`].
const DOMAINS: [[&str; 2]; 12] = [
    ["debian", "org"],
    ["debian", "net"],
    ["ubuntu", "com"],
    ["kernel", "org"],
    ["crates", "io"],
    ["rust-lang", "org"],
    ["pypi", "org"],
    ["pythonhosted", "org"],
    ["npmjs", "org"],
    ["golang", "org"],
    ["fedoraproject", "org"],
    ["archlinux", "org"],
];

/// First labels of hosts that serve packages, as opposed to web pages.
const SERVICES: [&str; 19] = [
    "archive",
    "cdn",
    "cdn-fastly",
    "deb",
    "deb1",
    "dl",
    "download",
    "files",
    "ftp",
    "httpredir",
    "index",
    "mirror",
    "mirrors",
    "packages",
    "proxy",
    "registry",
    "security",
    "snapshot",
    "static",
];

/// Cargo writes the registry's name into the lock file.
const EXEMPT: &str = "Cargo.lock";

/// The violations of the rule.
pub(crate) fn check(file: &Path, text: &str) -> Vec<Finding> {
    if file.file_name().is_some_and(|name| name == EXEMPT) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-')) {
            if is_package_host(word) {
                let at = format!("{}:{}", file.display(), number + 1);
                findings.push(Finding::error(
                    at,
                    format!("names the package host {word}; take it from the machine's configuration"),
                ));
            }
        }
    }
    findings
}

fn is_package_host(word: &str) -> bool {
    let lower = word.trim_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let [first, .., domain, top] = labels.as_slice() else {
        return false;
    };
    let known = DOMAINS.contains(&[*domain, *top]);
    let serves = SERVICES.contains(first) || labels.contains(&"ftp");
    known && serves && labels.len() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_hosts_are_found_and_other_names_are_not() {
        // Assembled here, so that this file does not break its own rule.
        let check = |labels: &[&str], expect: bool| {
            let text = format!("a line\nURIs: http://{}/path\n", labels.join("."));
            let found = check(Path::new("a.md"), &text);
            assert_eq!(
                found
                    .iter()
                    .map(|finding| finding.at.as_str())
                    .collect::<Vec<_>>(),
                if expect { vec!["a.md:2"] } else { vec![] },
                "{text}"
            );
        };
        check(&["deb", "debian", "org"], true);
        check(&["DEB", "Debian", "org"], true);
        check(&["ftp", "de", "debian", "org"], true);
        check(&["archive", "ubuntu", "com"], true);
        check(&["static", "crates", "io"], true);
        check(&["www", "debian", "org"], false);
        check(&["docs", "kernel", "org"], false);
        check(&["crates", "io"], false);
        check(&["m", "example"], false);
        check(&["self", "mirror", "uri"], false);
    }

    #[test]
    fn the_lock_file_may_name_the_registry() {
        let line = ["index", "crates", "io"].join(".");
        assert_eq!(check(Path::new("Cargo.lock"), &line), []);
        assert_eq!(check(Path::new("Cargo.toml"), &line).len(), 1);
    }
}
