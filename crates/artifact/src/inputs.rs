//! The files that a program was built from: a change of one makes the build script run again.
//!
//! Cargo writes a dep-info file (`name.d`, a make rule) beside each artifact; it names the sources of the
//! package and of all its path dependencies. Manifests are not in it: each source has the next `Cargo.toml` above it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::BuildError;

/// Sources, manifests and the lock file that the artifact `built` depends on, for a package that is built from `here`.
pub(crate) fn of(built: &Path, here: &Path) -> Result<BTreeSet<PathBuf>, BuildError> {
    let rule = built.with_extension("d");
    let text = fs::read_to_string(&rule).map_err(|source| BuildError::File {
        doing: "read",
        path: rule,
        source,
    })?;
    let sources = prerequisites(&text);
    let manifests = sources.iter().filter_map(|source| nearest(source, "Cargo.toml"));
    let lock = nearest(&here.join("Cargo.toml"), "Cargo.lock");
    Ok(manifests.chain(lock).chain(sources.iter().cloned()).collect())
}

/// The names to the right of the colon in the first rule; a space within a name is written as `\ `.
fn prerequisites(rule: &str) -> Vec<PathBuf> {
    let line = rule.lines().next().unwrap_or_default();
    let Some((_, names)) = line.split_once(": ") else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    let mut name = String::new();
    let mut characters = names.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                characters.next();
                name.push(' ');
            }
            ' ' => paths.push(std::mem::take(&mut name)),
            _ => name.push(character),
        }
    }
    paths.push(name);
    paths.retain(|path| !path.is_empty());
    paths.into_iter().map(PathBuf::from).collect()
}

/// The nearest file called `name` beside `path` or above it.
fn nearest(path: &Path, name: &str) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_sources() {
        let check = |rule: &str, expect: &[&str]| {
            let expect: Vec<_> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(prerequisites(rule), expect, "{rule}");
        };
        check("/t/libp.so: /s/lib.rs /s/a.rs\n", &["/s/lib.rs", "/s/a.rs"]);
        check("/t/p: /my\\ code/a.rs /b.rs", &["/my code/a.rs", "/b.rs"]);
        check("/t/p:", &[]);
        check("", &[]);
    }

    #[test]
    fn a_source_brings_its_manifest_and_the_lock_file() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = here.join("src/lib.rs");
        assert_eq!(nearest(&source, "Cargo.toml"), Some(here.join("Cargo.toml")));
        assert_eq!(nearest(&source, "no-such-file-anywhere"), None);
    }
}
