//! The plan for installing missing needs: a pure function, so that every kind of machine is tested.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};

use super::needs::{Need, Packages};
use super::source::Archive;
use super::version::Version;

/// The path of the source for backports.
pub(crate) const SOURCE_FILE: &str = "/etc/apt/sources.list.d/schedrig-backports.sources";

/// Facts from apt on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The release's code name, when this is Debian itself and so has a backports suite.
    pub(crate) debian: Option<String>,
    /// The version of each package that apt would install; absent when it knows none.
    pub(crate) candidates: BTreeMap<String, String>,
    /// The archive that the machine's own packages come from.
    pub(crate) archive: Option<Archive>,
    /// Whether the backports suite is configured already.
    pub(crate) has_backports: bool,
}

/// The steps of an installation, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A source to write to [`SOURCE_FILE`].
    pub(crate) source: Option<String>,
    /// The backports suite, if this machine has one or gets one.
    pub(crate) suite: Option<String>,
    /// Packages from apt's default suite. Installed first: with `--target-release`, apt takes *new* dependencies from
    /// the backports suite too, and a library from there does not match the default development package.
    pub(crate) packages: Vec<String>,
    /// Packages from the backports suite.
    pub(crate) backported: Vec<String>,
}

/// One `apt-get install`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Install {
    /// The arguments.
    pub(crate) args: Vec<String>,
    /// Alternative arguments, if apt refuses these.
    pub(crate) otherwise: Option<Vec<String>>,
}

/// Whether apt lacks a needed package in its index: the index is old, or was never fetched, as in a new container.
pub(crate) fn lacks_index(missing: &[&Need], facts: &Facts) -> bool {
    let known = |name: &&str| facts.candidates.contains_key(*name);
    !missing.iter().all(|need| match need.packages {
        Packages::Fixed(names) => names.iter().all(known),
        Packages::FirstOf(names) => names.iter().any(known),
        Packages::AtLeast(name, _) => known(&name),
    })
}

/// Chooses the packages that provide the missing needs.
pub(crate) fn plan(missing: &[&Need], facts: &Facts) -> Result<Plan> {
    let suite = facts
        .debian
        .as_deref()
        .filter(|_| facts.has_backports)
        .map(suite_of);
    let mut plan = Plan {
        suite,
        ..Plan::default()
    };
    for need in missing {
        match need.packages {
            Packages::Fixed(names) => plan.packages.extend(names.iter().map(|&name| name.to_owned())),
            Packages::FirstOf(names) => {
                let known = names.iter().find(|name| facts.candidates.contains_key(**name));
                // If apt knows none, installing the likeliest one makes apt itself report that.
                plan.packages
                    .extend(known.or(names.first()).map(|&name| name.to_owned()));
            }
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
    if plan.suite.is_none() {
        let suite = suite_of(codename);
        let Some(archive) = &facts.archive else {
            bail!(
                "{name} {least} or later is needed, which is in {suite}; no source of {codename} was found in apt's configuration to derive it from"
            );
        };
        plan.source = Some(archive.stanza(&suite));
        plan.suite = Some(suite);
    }
    plan.backported.push(name.to_owned());
    Ok(())
}

/// The name of a Debian release's backports suite.
pub(crate) fn suite_of(codename: &str) -> String {
    format!("{codename}-backports")
}

impl Plan {
    /// Each `apt-get install`, in order.
    pub(crate) fn installs(&self) -> Vec<Install> {
        let suite = self.suite.as_deref();
        let plain = (!self.packages.is_empty()).then(|| Install {
            args: install(None, &self.packages),
            // A library already installed from the suite needs its development package from there.
            otherwise: suite.map(|suite| install(Some(suite), &self.packages)),
        });
        let backported = (!self.backported.is_empty()).then(|| Install {
            args: install(suite, &self.backported),
            otherwise: None,
        });
        plain.into_iter().chain(backported).collect()
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
                install.args.join(" ")
            );
        }
        text
    }
}

fn install(suite: Option<&str>, packages: &[String]) -> Vec<String> {
    let fixed = ["install", "--yes", "--no-install-recommends"].into_iter();
    let release = suite.into_iter().flat_map(|suite| ["--target-release", suite]);
    fixed
        .chain(release)
        .map(str::to_owned)
        .chain(packages.iter().cloned())
        .collect()
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
        assert_eq!(plan.suite.as_deref(), Some("bookworm-backports"));
        assert_eq!(plan.backported, ["qemu-system-x86"]);
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
        assert_eq!(plan.backported, ["qemu-system-x86"]);
        assert_eq!(
            plan.installs()[0].args[3..],
            ["--target-release", "bookworm-backports", "qemu-system-x86"]
        );
    }

    #[test]
    fn plain_packages_come_first_and_from_the_suite_if_they_must() {
        let plan = plan(&[need("qemu"), need("make")], &bookworm()).unwrap();
        let installs = plan.installs();
        assert_eq!(installs[0].args[3..], ["make"]);
        let otherwise = installs[0].otherwise.as_ref().unwrap();
        assert_eq!(otherwise[3..], ["--target-release", "bookworm-backports", "make"]);
        assert_eq!(installs[1].args.last().unwrap(), "qemu-system-x86");
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
        let packages = plan(&[need("clang")], &facts).unwrap().packages;
        assert_eq!(packages, ["clang-19"], "apt itself then reports that it has none");
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
    fn an_index_without_a_needed_package_is_noticed() {
        let check = |names: &[&str], facts: &Facts, expect: bool| {
            let needs: Vec<&Need> = names.iter().map(|name| need(name)).collect();
            assert_eq!(lacks_index(&needs, facts), expect, "{names:?}");
        };
        check(&["make"], &Facts::default(), true);
        check(&["make"], &bookworm(), false);
        check(&["qemu", "clang", "make"], &bookworm(), false);
        check(&["make", "libelf"], &bookworm(), true);
        check(&[], &Facts::default(), false);
    }
}
