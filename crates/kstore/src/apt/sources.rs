//! The archives that this machine's apt is configured for: the two formats of source lists, and the choice among them.
//!
//! ```text
//! *.list      deb [signed-by=/usr/share/keyrings/a.gpg] https://mirror.example/debian trixie main
//! *.sources   Types: deb
//!             URIs: https://mirror.example/debian
//!             Suites: trixie trixie-updates
//!             Components: main
//!             Signed-By: /usr/share/keyrings/a.gpg
//! ```
//!
//! The chosen source lends its keyring and mirror to *another* suite of the same distribution, so it must be the
//! distribution's own archive, not a third party's that uses the same suite names.
//! See `sources.list(5)`.

use std::collections::BTreeMap;

/// One archive that apt is configured for: an address, its suites and how it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The archive's address.
    pub(crate) uri: String,
    /// The suites taken from it.
    pub(crate) suites: Vec<String>,
    /// The components taken from it (`main`, …).
    pub(crate) components: Vec<String>,
    /// Options by their deb822 name in lower case, with the value as written; only those of [`KEPT_OPTIONS`].
    pub(crate) options: BTreeMap<String, String>,
}

/// The options that decide how an archive is trusted; they apply to its other suites too.
const KEPT_OPTIONS: [&str; 9] = [
    "signed-by",
    "trusted",
    "allow-insecure",
    "allow-weak",
    "allow-downgrade-to-insecure",
    "check-valid-until",
    "valid-until-max",
    "check-date",
    "by-hash",
];

/// The binary-package sources of a one-line-format file (`*.list`). Malformed lines are skipped;
/// apt itself reports them.
pub(crate) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

/// The enabled binary-package sources of a deb822-format file (`*.sources`), one for each address of a stanza.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    stanzas(text).iter().flat_map(from_stanza).collect()
}

/// Chooses the source for `suite`: one that serves it already, else the one that serves the machine's own suite
/// (`codename`), else one that serves any alias of a Debian suite. Among equals the one whose address ends like a
/// distribution's archive, then the first.
pub(crate) fn choose<'a>(sources: &'a [Source], suite: &str, codename: Option<&str>) -> Option<&'a Source> {
    let rank = |source: &Source| {
        let serves = |name: &str| source.suites.iter().any(|suite| suite == name);
        let suite_rank = if serves(suite) {
            0
        } else if codename.is_some_and(serves) {
            1
        } else if DEBIAN_ALIASES.iter().any(|alias| serves(alias)) {
            2
        } else {
            return None;
        };
        let last = source
            .uri
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let distribution = matches!(last, "debian" | "ubuntu" | "ubuntu-ports");
        Some((!distribution, suite_rank))
    };
    sources
        .iter()
        .filter(|source| source.components.iter().any(|component| component == "main"))
        .filter_map(|source| Some((rank(source)?, source)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, source)| source)
}

/// The aliases of Debian's suites, beside their code names.
const DEBIAN_ALIASES: [&str; 6] = [
    "stable",
    "testing",
    "unstable",
    "sid",
    "oldstable",
    "experimental",
];

impl Source {
    /// A deb822 stanza for one suite of this archive.
    pub(crate) fn stanza_for(&self, suite: &str, architecture: Option<&str>) -> String {
        let mut stanza = format!(
            "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n",
            self.uri
        );
        if let Some(architecture) = architecture {
            stanza.push_str(&format!("Architectures: {architecture}\n"));
        }
        for (name, value) in &self.options {
            stanza.push_str(&format!("{name}: {value}\n"));
        }
        stanza
    }
}

/// One line: `deb [name=value …] uri suite component…`.
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    rest = rest.trim_start();
    let mut options = BTreeMap::new();
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']')?;
        rest = after;
        for option in inside.split_whitespace() {
            let (name, value) = option.split_once('=')?;
            keep_option(&mut options, name, &value.replace(',', " "));
        }
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    usable(&uri).then(|| Source {
        uri,
        suites: vec![suite],
        components: words.collect(),
        options,
    })
}

type Stanza = BTreeMap<String, String>;

/// Fields by lower-case name; lines that continue a field stay in its value as they were.
fn stanzas(text: &str) -> Vec<Stanza> {
    let mut all = Vec::new();
    let mut stanza = Stanza::new();
    let mut last: Option<String> = None;
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            all.extend(Some(std::mem::take(&mut stanza)).filter(|stanza| !stanza.is_empty()));
            last = None;
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = last.as_ref().and_then(|name| stanza.get_mut(name)) {
                value.push('\n');
                value.push_str(line.trim_end());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            stanza.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    all
}

fn from_stanza(stanza: &Stanza) -> Vec<Source> {
    let words = |name: &str| -> Vec<String> {
        stanza
            .get(name)
            .map(|value| value.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let enabled = !stanza.get("enabled").is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "no" | "false" | "without" | "off" | "disable"
        )
    });
    if !enabled || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let mut options = BTreeMap::new();
    for (name, value) in stanza {
        keep_option(&mut options, name, value);
    }
    words("uris")
        .into_iter()
        .filter(|uri| usable(uri))
        .map(|uri| Source {
            uri,
            suites: words("suites"),
            components: words("components"),
            options: options.clone(),
        })
        .collect()
}

fn keep_option(options: &mut BTreeMap<String, String>, name: &str, value: &str) {
    let name = name.to_ascii_lowercase();
    if KEPT_OPTIONS.contains(&name.as_str()) {
        options.insert(name, value.to_owned());
    }
}

/// An installation disc serves no other suite.
fn usable(uri: &str) -> bool {
    !uri.starts_with("cdrom:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(uri: &str, suites: &[&str], components: &[&str], options: &[(&str, &str)]) -> Source {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Source {
            uri: uri.to_owned(),
            suites: owned(suites),
            components: owned(components),
            options: options
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    #[test]
    fn one_line_sources_are_read() {
        let check = |line: &str, expect: Option<Source>| {
            assert_eq!(parse_list(line), Vec::from_iter(expect), "{line}");
        };
        let plain = source("http://m.example/debian", &["trixie"], &["main", "contrib"], &[]);
        check(
            "deb http://m.example/debian trixie main contrib",
            Some(plain.clone()),
        );
        check(
            "  deb\thttp://m.example/debian  trixie main contrib # mine",
            Some(plain),
        );
        check(
            "deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg Trusted=yes] http://m.example/debian trixie main",
            Some(source(
                "http://m.example/debian",
                &["trixie"],
                &["main"],
                &[("signed-by", "/k/a.gpg /k/b.gpg"), ("trusted", "yes")],
            )),
        );
        check("deb-src http://m.example/debian trixie main", None);
        check("# deb http://m.example/debian trixie main", None);
        check("deb cdrom:[Debian_13_Trixie]/ trixie main", None);
        check("deb http://m.example/debian", None);
        check("deb [broken http://m.example/debian trixie main", None);
        check("", None);
    }

    #[test]
    fn stanzas_are_read() {
        let text = "# a comment\nTypes: deb deb-src\nURIs: http://m.example/debian\n  http://n.example/debian\n\
                    # inside\nsuites: trixie\n trixie-updates\nComponents: main\nSigned-By: /k/a.gpg\n\n\n\
                    Types: deb-src\nURIs: http://s.example/debian\nSuites: trixie\nComponents: main\n\n\
                    Types: deb\nEnabled: No\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n";
        let expect = |uri| {
            source(
                uri,
                &["trixie", "trixie-updates"],
                &["main"],
                &[("signed-by", "/k/a.gpg")],
            )
        };
        assert_eq!(
            parse_deb822(text),
            [
                expect("http://m.example/debian"),
                expect("http://n.example/debian")
            ]
        );
    }

    #[test]
    fn a_key_inside_a_stanza_survives_into_the_written_one() {
        let key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----";
        let text = format!(
            "Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\nSigned-By:{key}\n"
        );
        let sources = parse_deb822(&text);
        let written = sources[0].stanza_for("sid", Some("amd64"));
        assert!(written.contains(&format!("signed-by: {key}\n")), "{written}");
        let again = parse_deb822(&written);
        assert_eq!(again[0].options, sources[0].options);
        assert_eq!(again[0].suites, ["sid"]);
    }

    #[test]
    fn the_distributions_own_archive_is_chosen() {
        let debian = source(
            "http://m.example/debian/",
            &["bookworm", "bookworm-updates"],
            &["main"],
            &[],
        );
        let security = source(
            "http://m.example/debian-security",
            &["bookworm-security"],
            &["main"],
            &[],
        );
        let backports = source("http://b.example/debian", &["bookworm-backports"], &["main"], &[]);
        let third = source("http://apt.example/tool", &["bookworm"], &["main"], &[]);
        let docker = source(
            "http://docker.example/linux/debian",
            &["bookworm"],
            &["stable"],
            &[],
        );
        let all = [
            third.clone(),
            docker.clone(),
            security.clone(),
            debian.clone(),
            backports.clone(),
        ];

        let check = |sources: &[Source], suite: &str, codename: Option<&str>, expect: Option<&Source>| {
            assert_eq!(choose(sources, suite, codename), expect, "{suite} {codename:?}");
        };
        check(&all, "sid", Some("bookworm"), Some(&debian));
        check(&all, "bookworm-backports", Some("bookworm"), Some(&backports));
        check(&all, "bookworm", Some("bookworm"), Some(&debian));
        check(&[security, docker.clone()], "sid", Some("bookworm"), None);
        check(
            std::slice::from_ref(&third),
            "sid",
            Some("bookworm"),
            Some(&third),
        );
        let unstable = source("http://m.example/debian", &["unstable"], &["main"], &[]);
        check(&[docker, unstable.clone()], "trixie", None, Some(&unstable));
        check(&[], "sid", Some("bookworm"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "([ -~\\n\\t]|deb |Types: deb\\n|URIs: |\\[|\\]){0,60}") {
            parse_list(&text);
            parse_deb822(&text);
        }
    }
}
