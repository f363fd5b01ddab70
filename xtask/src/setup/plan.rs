//! From what is missing to what is installed: pure, so that every machine can be tried in a test.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};

use super::needs::{Need, Packages};
use super::source::Archive;
use super::version::Version;

/// Where the backports' source goes.
pub(crate) const SOURCE_FILE: &str = "/etc/apt/sources.list.d/schedrig-backports.sources";

/// What apt knows on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The release's code name, when this is Debian itself and so has a backports suite.
    pub(crate) debian: Option<String>,
    /// The version of each package that apt would install; absent when it knows none.
    pub(crate) candidates: BTreeMap<String, String>,
    /// The archive that the machine's own packages come from.
    pub(crate) archive: Option<Archive>,
    /// The backports suite is configured already.
    pub(crate) has_backports: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A source to write to [`SOURCE_FILE`].
    pub(crate) source: Option<String>,
    /// Packages from the suite of that name.
    pub(crate) backported: Option<(String, Vec<String>)>,
    /// Packages from wherever apt takes them.
    pub(crate) packages: Vec<String>,
}

/// Does apt know none of the packages in question? Then its index was never fetched, as in a new container.
pub(crate) fn lacks_index(missing: &[&Need], facts: &Facts) -> bool {
    !missing.is_empty() && facts.candidates.is_empty()
}

/// Chooses the packages that bring what is missing.
pub(crate) fn plan(missing: &[&Need], facts: &Facts) -> Result<Plan> {
    let mut plan = Plan::default();
    for need in missing {
        match need.packages {
            Packages::Fixed(names) => plan.packages.extend(names.iter().map(|&name| name.to_owned())),
            Packages::FirstOf(names) => match names.iter().find(|&&name| facts.candidates.contains_key(name))
            {
                Some(&name) => plan.packages.push(name.to_owned()),
                None => bail!(
                    "apt has none of {}; install {} by hand or run `apt-get update` first",
                    names.join(", "),
                    need.name
                ),
            },
            Packages::AtLeast(name, least) => {
                let candidate = facts
                    .candidates
                    .get(name)
                    .and_then(|version| Version::of_package(version));
                if candidate.is_some_and(|version| version >= least) {
                    plan.packages.push(name.to_owned());
                } else {
                    backport(&mut plan, name, least, candidate, facts)?;
                }
            }
        }
    }
    Ok(plan)
}

fn backport(
    plan: &mut Plan,
    name: &str,
    least: Version,
    candidate: Option<Version>,
    facts: &Facts,
) -> Result<()> {
    let has = candidate.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let Some(codename) = &facts.debian else {
        bail!(
            "{name} {least} or later is needed, this distribution has {has}, and only Debian has a backports suite; install it by hand"
        );
    };
    let suite = format!("{codename}-backports");
    if !facts.has_backports {
        let Some(archive) = &facts.archive else {
            bail!(
                "{name} {least} or later is needed, which is in {suite}; no source of {codename} was found in apt's configuration to derive it from"
            );
        };
        plan.source = Some(archive.stanza(&suite));
    }
    let (_, packages) = plan.backported.get_or_insert_with(|| (suite, Vec::new()));
    packages.push(name.to_owned());
    Ok(())
}

impl Plan {
    /// The arguments of each `apt-get install`.
    pub(crate) fn installs(&self) -> Vec<Vec<String>> {
        let fixed = ["install", "--yes", "--no-install-recommends"].map(str::to_owned);
        let mut all = Vec::new();
        if let Some((suite, packages)) = &self.backported {
            all.push(
                fixed
                    .iter()
                    .cloned()
                    .chain(["--target-release".to_owned(), suite.clone()])
                    .chain(packages.iter().cloned())
                    .collect(),
            );
        }
        if !self.packages.is_empty() {
            all.push(
                fixed
                    .iter()
                    .cloned()
                    .chain(self.packages.iter().cloned())
                    .collect(),
            );
        }
        all
    }

    /// The plan as commands for a shell.
    pub(crate) fn commands(&self) -> String {
        let mut text = String::new();
        if let Some(source) = &self.source {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "cat > {SOURCE_FILE} <<'END'\n{source}END");
        }
        text.push_str("apt-get update\n");
        for install in self.installs() {
            let _ = writeln!(
                text,
                "DEBIAN_FRONTEND=noninteractive apt-get {}",
                install.join(" ")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::needs::{NEEDS, QEMU};
    use super::*;

    fn need(name: &str) -> &'static Need {
        NEEDS.iter().find(|need| need.name == name).unwrap()
    }

    fn bookworm() -> Facts {
        let candidates = [
            ("qemu-system-x86", "1:7.2+dfsg-7+deb12u18"),
            ("clang-19", "1:19.1.7-3"),
            ("clang-17", "1:17"),
            ("make", "4.3"),
        ];
        Facts {
            debian: Some("bookworm".to_owned()),
            candidates: candidates
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into(),
            archive: Some(Archive {
                uri: "http://m.example/debian/".to_owned(),
                signed_by: Some(" /k/a.gpg".to_owned()),
            }),
            has_backports: false,
        }
    }

    #[test]
    fn an_old_distributions_qemu_comes_from_backports() {
        let plan = plan(&[need("qemu"), need("clang")], &bookworm()).unwrap();
        assert_eq!(
            plan.backported,
            Some((
                "bookworm-backports".to_owned(),
                vec!["qemu-system-x86".to_owned()]
            ))
        );
        assert_eq!(plan.packages, ["clang-19"]);
        let commands = plan.commands();
        for part in [
            "Suites: bookworm-backports",
            "apt-get update\n",
            "--target-release bookworm-backports qemu-system-x86\n",
            " clang-19\n",
        ] {
            assert!(commands.contains(part), "{part:?} is not in\n{commands}");
        }
    }

    #[test]
    fn a_configured_backports_suite_is_used_as_it_is() {
        let facts = Facts {
            has_backports: true,
            archive: None,
            ..bookworm()
        };
        let plan = plan(&[need("qemu")], &facts).unwrap();
        assert_eq!(plan.source, None);
        assert!(plan.backported.is_some());
    }

    #[test]
    fn a_new_distributions_qemu_comes_from_its_own_suite() {
        let mut facts = bookworm();
        facts
            .candidates
            .insert("qemu-system-x86".to_owned(), "1:10.0.2+ds-2".to_owned());
        let plan = plan(&[need("qemu")], &facts).unwrap();
        assert_eq!(
            plan,
            Plan {
                packages: vec!["qemu-system-x86".to_owned()],
                ..Plan::default()
            }
        );
    }

    #[test]
    fn the_first_clang_that_there_is_is_taken() {
        let mut facts = bookworm();
        facts.candidates.remove("clang-19");
        assert_eq!(plan(&[need("clang")], &facts).unwrap().packages, ["clang-17"]);
        facts.candidates.remove("clang-17");
        let error = plan(&[need("clang")], &facts).unwrap_err().to_string();
        assert!(error.contains("clang-22") && error.contains("by hand"), "{error}");
    }

    #[test]
    fn what_cannot_be_had_is_said_with_the_reason() {
        let check = |facts: &Facts, part: &str| {
            let error = plan(&[need("qemu")], facts).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains(&QEMU.to_string()),
                "{error}"
            );
        };
        check(
            &Facts {
                debian: None,
                ..bookworm()
            },
            "only Debian",
        );
        check(
            &Facts {
                archive: None,
                ..bookworm()
            },
            "no source of bookworm",
        );
    }

    #[test]
    fn an_empty_index_is_noticed() {
        assert!(lacks_index(&[need("make")], &Facts::default()));
        assert!(!lacks_index(&[need("make")], &bookworm()));
        assert!(!lacks_index(&[], &Facts::default()));
    }
}
