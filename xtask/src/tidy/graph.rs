//! The crate graph against the rows of ARCHITECTURE.md.
//!
//! - An ordinary dependency leads to a lower row, or to the right in its own.
//! - A build dependency leads to a crate with the mark `(build)`, and nothing else depends on such a crate.
//! - A crate with the mark `(dev)` is a dev-dependency only. Dev-dependencies are otherwise free: a test may look
//!   at the crate from above.
//! - Rows, duty table and workspace name the same crates.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;
use super::architecture::{Architecture, Mark, Place};

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Crate {
    /// The crate's directory name.
    pub(crate) name: String,
    /// The workspace crates that this one depends on, with the kind of dependency.
    pub(crate) dependencies: Vec<(String, DependencyKind)>,
}

/// The workspace's crates.
pub(crate) fn crates(metadata: &Metadata) -> Vec<Crate> {
    let packages = metadata.workspace_packages();
    let name = |directory: &cargo_metadata::camino::Utf8Path| directory.file_name().map(str::to_owned);
    packages
        .iter()
        .filter_map(|package| {
            let local = |dependency: &cargo_metadata::Dependency| {
                Some((name(dependency.path.as_ref()?)?, dependency.kind))
            };
            Some(Crate {
                name: name(package.manifest_path.parent()?)?,
                dependencies: package.dependencies.iter().filter_map(local).collect(),
            })
        })
        .collect()
}

/// The violations of the rules.
pub(crate) fn check(crates: &[Crate], architecture: &Architecture) -> Vec<Finding> {
    let mut findings = names(crates, architecture);
    for from in crates {
        for (to, kind) in &from.dependencies {
            if let Some(what) = edge(&from.name, to, *kind, &architecture.places) {
                findings.push(Finding::error(&from.name, what));
            }
        }
    }
    findings
}

fn names(crates: &[Crate], architecture: &Architecture) -> Vec<Finding> {
    let real: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let drawn: BTreeSet<&str> = architecture
        .places
        .iter()
        .map(|place| place.name.as_str())
        .collect();
    let described: BTreeSet<&str> = architecture.duties.iter().map(String::as_str).collect();
    let mut findings = Vec::new();
    for (named, where_named) in [(&drawn, "rows"), (&described, "duty table")] {
        let missing = real
            .difference(named)
            .map(|name| format!("the {where_named} lack the crate `{name}`"));
        let surplus = named
            .difference(&real)
            .map(|name| format!("the {where_named} name `{name}`, which is no crate of the workspace"));
        findings.extend(
            missing
                .chain(surplus)
                .map(|what| Finding::error("ARCHITECTURE.md", what)),
        );
    }
    findings
}

/// Why this dependency is not allowed; crates without a place are reported elsewhere.
fn edge(from: &str, to: &str, kind: DependencyKind, places: &[Place]) -> Option<String> {
    let index = |name: &str| places.iter().position(|place| place.name == name);
    let (from_index, to_index) = (index(from)?, index(to)?);
    let (from_row, target) = (places.get(from_index)?.row, places.get(to_index)?);
    match (kind, target.mark) {
        (DependencyKind::Build, Some(Mark::Build))
        | (DependencyKind::Development, None | Some(Mark::Dev)) => None,
        (DependencyKind::Build, _) => Some(format!(
            "build-depends on `{to}`; build scripts use only crates marked (build)"
        )),
        (_, Some(Mark::Build)) => Some(format!("depends on `{to}`, which is for build scripts only")),
        (_, Some(Mark::Dev)) => Some(format!("depends on `{to}`, which is for tests only")),
        (_, None) if target.row > from_row || (target.row == from_row && to_index > from_index) => None,
        (_, None) => Some(format!(
            "depends on `{to}`, which is above it or to its left in ARCHITECTURE.md"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(places: &[(&str, usize, Option<Mark>)]) -> Architecture {
        Architecture {
            places: places
                .iter()
                .map(|&(name, row, mark)| Place {
                    name: name.to_owned(),
                    row,
                    mark,
                })
                .collect(),
            unsafe_crates: Vec::new(),
            duties: places.iter().map(|&(name, ..)| name.to_owned()).collect(),
        }
    }

    fn drawn() -> Architecture {
        architecture(&[
            ("rig", 0, None),
            ("macros", 0, None),
            ("spec", 1, None),
            ("artifact", 2, Some(Mark::Build)),
            ("kit", 2, Some(Mark::Dev)),
        ])
    }

    /// All crates of the picture, one of them with one dependency.
    fn with_edge(from: &str, to: &str, kind: DependencyKind) -> Vec<Crate> {
        ["rig", "macros", "spec", "artifact", "kit"]
            .map(|name| Crate {
                name: name.to_owned(),
                dependencies: if name == from {
                    vec![(to.to_owned(), kind)]
                } else {
                    Vec::new()
                },
            })
            .to_vec()
    }

    #[test]
    fn dependencies_go_down_and_to_the_right() {
        use DependencyKind::{Build, Development, Normal};
        let check = |from, to, kind, expect: Option<&str>| {
            let found = check(&with_edge(from, to, kind), &drawn());
            match expect {
                None => assert_eq!(found, [], "{from} {to} {kind}"),
                Some(part) => assert!(
                    found.len() == 1 && found[0].what.contains(part),
                    "{from} {to} {kind}: {found:?}"
                ),
            }
        };
        check("rig", "spec", Normal, None);
        check("rig", "macros", Normal, None);
        check("macros", "rig", Normal, Some("above it or to its left"));
        check("spec", "rig", Normal, Some("above it or to its left"));
        check("spec", "rig", Development, None);
        check("rig", "kit", Development, None);
        check("rig", "kit", Normal, Some("for tests only"));
        check("rig", "artifact", Build, None);
        check("rig", "artifact", Normal, Some("for build scripts only"));
        check("rig", "artifact", Development, Some("for build scripts only"));
        check("rig", "spec", Build, Some("marked (build)"));
    }

    #[test]
    fn the_text_names_exactly_the_crates_that_there_are() {
        let one = [Crate {
            name: "rig".to_owned(),
            dependencies: Vec::new(),
        }];
        assert_eq!(check(&one, &architecture(&[("rig", 0, None)])), []);
        let found = check(&one, &architecture(&[("rog", 0, None)]));
        assert_eq!(
            found.len(),
            4,
            "lacking and surplus, in rows and in duties: {found:?}"
        );
        assert!(
            found
                .iter()
                .any(|finding| finding.what == "the rows lack the crate `rig`")
        );
        assert!(
            found
                .iter()
                .any(|finding| finding.what.contains("`rog`, which is no crate"))
        );
    }
}
