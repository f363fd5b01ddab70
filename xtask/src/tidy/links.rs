//! Relative links in Markdown files resolve to files.

use std::path::Path;

use pulldown_cmark::{Event, Parser, Tag};

use super::{Finding, normal};

/// The violations of the rule; `exists` reports whether a path relative to the root exists.
pub(crate) fn check(file: &Path, text: &str, exists: &dyn Fn(&Path) -> bool) -> Vec<Finding> {
    if file.extension().is_none_or(|extension| extension != "md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (event, range) in Parser::new(text).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        let target = dest_url.split('#').next().unwrap_or_default();
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let path = file.parent().unwrap_or(Path::new("")).join(target);
        if !normal(&path).is_some_and(|path| exists(&path)) {
            let line = text
                .get(..range.start)
                .map_or(0, |before| before.matches('\n').count())
                + 1;
            findings.push(Finding::error(
                format!("{}:{line}", file.display()),
                format!("the link to {target} resolves to no file"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let exists = |path: &Path| {
            ["README.md", "docs/a.md"]
                .iter()
                .any(|file| path == Path::new(file))
        };
        let check = |file: &str, text: &str, expect: &[&str]| {
            let found = check(Path::new(file), text, &exists);
            assert_eq!(
                found
                    .iter()
                    .map(|finding| finding.at.as_str())
                    .collect::<Vec<_>>(),
                expect,
                "{file}: {text}"
            );
        };
        check("README.md", "see [a](docs/a.md) and [part](docs/a.md#part)", &[]);
        check("docs/a.md", "[up](../README.md)", &[]);
        check("docs/a.md", "[up](README.md)", &["docs/a.md:1"]);
        check("README.md", "one\n\n[b](docs/b.md)", &["README.md:3"]);
        check("README.md", "![picture](no.png)", &["README.md:1"]);
        check("README.md", "[out](../other/README.md)", &["README.md:1"]);
        check("README.md", "[b]\n\n[b]: docs/b.md", &["README.md:1"]);
        check("README.md", "[web](https://example.com/x) [here](#there)", &[]);
        check("README.md", "`[no](link)`\n\n```\n[no](link)\n```\n", &[]);
        check("code.rs", "// [b](docs/b.md)", &[]);
    }
}
