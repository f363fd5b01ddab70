//! The archive that this machine's packages come from: its address and its keyring.
//!
//! apt itself lists its configured archives (`apt-get indextargets`, a record of `Name: value` lines for each), with the
//! file and entry of each. It does not list the keyring, so that is read from the entry:
//!
//! ```text
//! *.sources   Signed-By: /usr/share/keyrings/a.gpg           field of the stanza; or a key itself, on indented lines
//! *.list      deb [signed-by=/usr/share/keyrings/a.gpg] …    option of the line
//! ```

use std::path::PathBuf;

/// An archive and its keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// The archive's address.
    pub(crate) uri: String,
    /// The value of `Signed-By`, as written; `None` for apt's general keyring.
    pub(crate) signed_by: Option<String>,
}

/// One record of `apt-get indextargets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `Repo-URI`: the archive's address.
    pub(crate) uri: String,
    /// `Release`: the suite as it is written in the source.
    pub(crate) suite: String,
    /// The file and the number of the entry in it (of the line in a `*.list`, of the stanza in a `*.sources`), from 1.
    pub(crate) entry: (PathBuf, usize),
}

/// The package indexes of component `main` in apt's output.
pub(crate) fn targets(answer: &str) -> Vec<Target> {
    answer.split("\n\n").filter_map(target).collect()
}

fn target(record: &str) -> Option<Target> {
    let field = |name: &str| {
        record
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    if field("Component") != Some("main") || field("Created-By") != Some("Packages") {
        return None;
    }
    let (file, number) = field("Sourcesentry")?.rsplit_once(':')?;
    Some(Target {
        uri: field("Repo-URI")?.to_owned(),
        suite: field("Release")?.to_owned(),
        entry: (PathBuf::from(file), number.parse().ok()?),
    })
}

/// The distribution's own archive of `suite`; others may use the same suite names for their packages.
pub(crate) fn choose<'a>(targets: &'a [Target], suite: &str) -> Option<&'a Target> {
    let serving = || targets.iter().filter(|target| target.suite == suite);
    serving()
        .find(|target| target.uri.trim_end_matches('/').ends_with("/debian"))
        .or_else(|| serving().next())
}

/// The `Signed-By` of the entry with this number in a `*.sources` file.
pub(crate) fn signed_by_in_stanzas(text: &str, number: usize) -> Option<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut stanza = 1;
    let mut inside = false;
    let mut value: Option<String> = None;
    for line in lines {
        if line.trim().is_empty() {
            stanza += usize::from(inside);
            inside = false;
            continue;
        }
        inside = true;
        if stanza != number {
            continue;
        }
        match (&mut value, line.split_once(':')) {
            (Some(value), _) if line.starts_with([' ', '\t']) => {
                value.push('\n');
                value.push_str(line);
            }
            (Some(_), _) => break,
            (None, Some((name, rest))) if name.eq_ignore_ascii_case("signed-by") => {
                value = Some(rest.to_owned());
            }
            (None, _) => {}
        }
    }
    value
}

/// The `signed-by` option of the line with this number in a `*.list` file.
pub(crate) fn signed_by_in_lines(text: &str, number: usize) -> Option<String> {
    let line = text.lines().nth(number.checked_sub(1)?)?;
    let (_, options) = line.split_once('[')?;
    let (options, _) = options.split_once(']')?;
    options.split_whitespace().find_map(|option| {
        let (name, value) = option.split_once('=')?;
        name.eq_ignore_ascii_case("signed-by")
            .then(|| format!(" {}", value.replace(',', " ")))
    })
}

impl Archive {
    /// A deb822 source for another suite of this archive.
    pub(crate) fn stanza(&self, suite: &str) -> String {
        let signed_by = self
            .signed_by
            .as_ref()
            .map(|value| format!("Signed-By:{value}\n"))
            .unwrap_or_default();
        format!(
            "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n{signed_by}",
            self.uri
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "MetaKey: main/binary-amd64/Packages\nComponent: main\nCreated-By: Packages\nRelease: bookworm\n\
        Repo-URI: http://tool.example/apt/\nSourcesentry: /etc/apt/sources.list.d/tool.list:2\n\n\
        MetaKey: main/dep11/x\nComponent: main\nCreated-By: DEP-11\nRelease: bookworm\nRepo-URI: http://m.example/debian/\n\
        Sourcesentry: /etc/apt/sources.list.d/debian.sources:1\n\n\
        MetaKey: main/binary-amd64/Packages\nComponent: main\nCreated-By: Packages\nRelease: bookworm\n\
        Repo-URI: http://m.example/debian/\nSourcesentry: /etc/apt/sources.list.d/debian.sources:1\n\n\
        MetaKey: contrib/binary-amd64/Packages\nComponent: contrib\nCreated-By: Packages\nRelease: bookworm\n\
        Repo-URI: http://n.example/debian/\nSourcesentry: /etc/apt/sources.list.d/debian.sources:1\n";

    #[test]
    fn the_distributions_archive_is_chosen_among_those_of_the_suite() {
        let all = targets(ANSWER);
        assert_eq!(all.len(), 2, "{all:?}");
        let chosen = choose(&all, "bookworm").unwrap();
        assert_eq!(chosen.uri, "http://m.example/debian/");
        assert_eq!(
            chosen.entry,
            (PathBuf::from("/etc/apt/sources.list.d/debian.sources"), 1)
        );
        assert_eq!(
            choose(&all[..1], "bookworm").unwrap().uri,
            "http://tool.example/apt/"
        );
        assert_eq!(choose(&all, "trixie"), None);
    }

    #[test]
    fn records_without_the_fields_are_passed_over() {
        assert_eq!(targets(""), []);
        assert_eq!(targets("Component: main\nCreated-By: Packages\n\n\nx"), []);
        assert_eq!(
            targets("Component: main\nCreated-By: Packages\nRelease: a\nRepo-URI: b\nSourcesentry: nonumber"),
            []
        );
    }

    #[test]
    fn a_stanzas_keyring_is_found() {
        let text = "# of the machine\n\nTypes: deb\nURIs: a\nSigned-By: /k/one.gpg\n\n\nTypes: deb\nsigned-by:\n KEY\n .\n MORE\nSuites: b\n\nTypes: deb\n";
        let check = |number, expect: Option<&str>| {
            assert_eq!(signed_by_in_stanzas(text, number).as_deref(), expect, "{number}");
        };
        check(1, Some(" /k/one.gpg"));
        check(2, Some("\n KEY\n .\n MORE"));
        check(3, None);
        check(9, None);
    }

    #[test]
    fn a_lines_keyring_is_found() {
        let text = "deb http://a.example x main\ndeb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://b.example x main\n";
        let check = |number, expect: Option<&str>| {
            assert_eq!(signed_by_in_lines(text, number).as_deref(), expect, "{number}");
        };
        check(0, None);
        check(1, None);
        check(2, Some(" /k/a.gpg /k/b.gpg"));
        check(3, None);
    }

    #[test]
    fn the_source_for_another_suite_keeps_address_and_keyring() {
        let archive = Archive {
            uri: "http://m.example/debian/".to_owned(),
            signed_by: Some("\n KEY".to_owned()),
        };
        let expect = "Types: deb\nURIs: http://m.example/debian/\nSuites: x-backports\nComponents: main\nSigned-By:\n KEY\n";
        assert_eq!(archive.stanza("x-backports"), expect);
        let archive = Archive {
            signed_by: None,
            ..archive
        };
        assert!(!archive.stanza("x").contains("Signed-By"));
    }
}
