//! The choice of the package and version that answer a request.
//!
//! ```text
//! package names ─► releases of the flavour ─► their leading packages, all versions ─► admitted ─► newest
//! ```
//!
//! Decisions only: the facts come from a [`PackageIndex`], so that every choice is tested from memory.

use std::collections::{BTreeMap, BTreeSet};

use super::listed;
use crate::apt::AptError;
use crate::apt::packages::{self, Package, Part};
use crate::request::AptRequest;

/// The queries that a choice makes to a suite's package index.
pub(super) trait PackageIndex {
    /// The names of all packages that begin with `prefix`, one a line.
    ///
    /// # Errors
    /// [`AptError`] when the index cannot be read.
    fn names(&self, prefix: &str) -> Result<String, AptError>;

    /// All versions of the named packages.
    ///
    /// # Errors
    /// [`AptError::Failed`] when one of the names is unknown.
    fn show(&self, names: &[&str]) -> Result<Vec<Package>, AptError>;

    /// Whether the package version `a` is later than `b`, in the distribution's own ordering.
    ///
    /// # Errors
    /// [`AptError`] when the two cannot be compared.
    fn is_newer(&self, a: &str, b: &str) -> Result<bool, AptError>;
}

/// One version of one kernel release in the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The kernel's release, as `uname -r` prints it.
    pub(super) release: String,
    /// The packages that the release is split into.
    pub(super) parts: BTreeSet<Part>,
    /// The package with the image; its version is the candidate's.
    pub(super) leading: Package,
}

/// The newest kernel that `request` admits.
///
/// # Errors
/// [`AptError::NoKernel`], with the versions that the suite has of that flavour; otherwise as for [`candidates`].
pub(super) fn newest_kernel(index: &impl PackageIndex, request: &AptRequest) -> Result<Candidate, AptError> {
    let candidates = candidates(index, request)?;
    let versions: BTreeSet<_> = candidates
        .iter()
        .map(|candidate| candidate.leading.version.clone())
        .collect();
    let admitted = candidates
        .into_iter()
        .filter(|candidate| request.admits(&candidate.leading.version));
    newest(index, admitted, |candidate| &candidate.leading.version)?.ok_or_else(|| {
        let wanted = request.version.as_deref().unwrap_or_default();
        let versions: Vec<_> = versions.into_iter().collect();
        AptError::NoKernel {
            suite: request.suite.clone(),
            wanted: format!("{wanted}-{}", request.flavour),
            available: format!("the versions {}", listed(&versions)),
        }
    })
}

/// All kernels of the request's flavour, in every version that the suite has, admitted or not.
///
/// # Errors
/// [`AptError::NoKernel`], with the suite's flavours, when it has none of this one; otherwise the index's error.
pub(super) fn candidates(
    index: &impl PackageIndex,
    request: &AptRequest,
) -> Result<Vec<Candidate>, AptError> {
    let names = index.names("linux-")?;
    let releases = packages::releases(&names, &request.flavour);
    if releases.is_empty() {
        let flavours: Vec<_> = packages::flavours(&names).into_iter().collect();
        return Err(AptError::NoKernel {
            suite: request.suite.clone(),
            wanted: request.flavour.clone(),
            available: format!("the flavours {}", listed(&flavours)),
        });
    }
    let by_leading: BTreeMap<String, (String, BTreeSet<Part>)> = releases
        .into_iter()
        .map(|(release, parts)| (leading_part(&parts).package(&release), (release, parts)))
        .collect();
    let candidate = |leading: Package| {
        let (release, parts) = by_leading.get(&leading.name)?.clone();
        Some(Candidate {
            release,
            parts,
            leading,
        })
    };
    let names: Vec<_> = by_leading.keys().map(String::as_str).collect();
    Ok(index.show(&names)?.into_iter().filter_map(candidate).collect())
}

/// The packages of a kernel that hold `parts`, in the version of its leading package; a package that lacks this
/// version is taken in the first one listed.
///
/// # Errors
/// The index's error.
pub(super) fn packages_of(
    index: &impl PackageIndex,
    kernel: &Candidate,
    parts: &[Part],
) -> Result<Vec<Package>, AptError> {
    let names: Vec<_> = parts.iter().map(|part| part.package(&kernel.release)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let shown = index.show(&names)?;
    let matching = |name: &&str| {
        let mut versions = shown.iter().filter(|package| package.name == **name);
        let first = versions.clone().next();
        versions
            .find(|package| package.version == kernel.leading.version)
            .or(first)
            .cloned()
    };
    Ok(names.iter().filter_map(matching).collect())
}

/// The newest version of a package.
///
/// # Errors
/// [`AptError::NoPackage`] when the suite does not have it; otherwise the index's error.
pub(super) fn newest_package(
    index: &impl PackageIndex,
    suite: &str,
    name: &str,
) -> Result<Package, AptError> {
    let missing = || AptError::NoPackage {
        suite: suite.to_owned(),
        package: name.to_owned(),
    };
    let versions = match index.show(&[name]) {
        Ok(versions) => versions,
        Err(AptError::Failed { .. }) => return Err(missing()),
        Err(error) => return Err(error),
    };
    let versions = versions.into_iter().filter(|package| package.name == name);
    newest(index, versions, |package| &package.version)?.ok_or_else(missing)
}

/// The part of a release that has the image.
fn leading_part(parts: &BTreeSet<Part>) -> Part {
    if parts.contains(&Part::Binary) {
        Part::Binary
    } else {
        Part::Image
    }
}

/// The item with the latest version; the first of equals.
fn newest<T>(
    index: &impl PackageIndex,
    items: impl Iterator<Item = T>,
    version: impl Fn(&T) -> &str,
) -> Result<Option<T>, AptError> {
    let mut newest: Option<T> = None;
    for item in items {
        newest = match newest {
            Some(best) if !index.is_newer(version(&item), version(&best))? => Some(best),
            _ => Some(item),
        };
    }
    Ok(newest)
}

#[cfg(test)]
mod tests;
