//! apt's configuration on this machine: finding and reading its source lists.

use std::fs;
use std::path::{Path, PathBuf};

use super::AptError;
use super::program::{Programs, Run};
use super::sources::{self, Source};

/// The archive that serves `suite`.
pub(super) fn source_for(programs: &Programs, suite: &str) -> Result<Source, AptError> {
    let (list, parts) = source_paths(programs)?;
    let all = read_sources(&list, &parts);
    sources::choose(&all, suite, codename().as_deref())
        .cloned()
        .ok_or_else(|| AptError::NoSource {
            suite: suite.to_owned(),
            looked_in: parts,
        })
}

/// The paths of apt's main source list and of its directory of further lists.
fn source_paths(programs: &Programs) -> Result<(PathBuf, PathBuf), AptError> {
    let answer = Run {
        program: &programs.apt_config,
        args: [
            "shell",
            "LIST",
            "Dir::Etc::sourcelist/f",
            "PARTS",
            "Dir::Etc::sourceparts/d",
        ]
        .map(Into::into)
        .to_vec(),
        cwd: Path::new("/"),
        lock: None,
        patience: programs.patience,
    }
    .output()?;
    let value = |name: &str, otherwise: &str| {
        answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''))
            .map_or_else(|| PathBuf::from(otherwise), PathBuf::from)
    };
    Ok((
        value("LIST", "/etc/apt/sources.list"),
        value("PARTS", "/etc/apt/sources.list.d"),
    ))
}

/// All sources, in apt's order. Unreadable files are left out; apt reports them itself.
fn read_sources(list: &Path, parts: &Path) -> Vec<Source> {
    let mut files = vec![list.to_owned()];
    if let Ok(directory) = fs::read_dir(parts) {
        let mut found: Vec<_> = directory.flatten().map(|entry| entry.path()).collect();
        found.sort();
        files.extend(found);
    }
    let mut all = Vec::new();
    for file in files {
        let parse = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources::parse_list,
            Some("sources") => sources::parse_deb822,
            _ => continue,
        };
        match fs::read_to_string(&file) {
            Ok(text) => all.extend(parse(&text)),
            Err(error) => tracing::debug!(file = %file.display(), %error, "source list not read"),
        }
    }
    all
}

/// The code name of this machine's release, as in `os-release(5)`.
fn codename() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
        .ok()?;
    codename_in(&text)
}

fn codename_in(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("VERSION_CODENAME="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_from_list_and_parts() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("sources.list");
        let parts = dir.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        fs::write(&list, "deb http://one.example/debian trixie main\n").unwrap();
        fs::write(
            parts.join("b.list"),
            "deb http://three.example/debian trixie main\n",
        )
        .unwrap();
        fs::write(
            parts.join("a.sources"),
            "Types: deb\nURIs: http://two.example/debian\nSuites: trixie\nComponents: main\n",
        )
        .unwrap();
        fs::write(
            parts.join("c.list.save"),
            "deb http://old.example/debian trixie main\n",
        )
        .unwrap();
        let uris: Vec<_> = read_sources(&list, &parts)
            .into_iter()
            .map(|source| source.uri)
            .collect();
        assert_eq!(
            uris,
            [
                "http://one.example/debian",
                "http://two.example/debian",
                "http://three.example/debian"
            ]
        );
        assert!(read_sources(Path::new("/nonexistent.list"), Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn the_code_name_is_read_quoted_or_not() {
        let check =
            |text: &str, expect: Option<&str>| assert_eq!(codename_in(text).as_deref(), expect, "{text}");
        check("NAME=x\nVERSION_CODENAME=trixie\n", Some("trixie"));
        check("VERSION_CODENAME=\"noble\"\n", Some("noble"));
        check("VERSION_CODENAME=\n", None);
        check("NAME=x\n", None);
    }
}
