//! Contracts that comments cite are the lines of docs/contracts.md.
//!
//! A label is a letter and a number, as `A7`. A comment cites it at the beginning of a line (`A7, A8: …`), behind the word
//! (`contracts A1 to A4`), or in parentheses.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;

/// The contracts, relative to the root.
pub(crate) const FILE: &str = "docs/contracts.md";

/// The first place that cites each label.
#[derive(Debug, Default)]
pub(crate) struct Citations(BTreeMap<String, String>);

impl Citations {
    /// Takes the citations in the comments of a Rust file.
    pub(crate) fn add(&mut self, file: &Path, text: &str) {
        if file.extension().is_none_or(|extension| extension != "rs") {
            return;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let Some(comment) = line.trim_start().strip_prefix("//") else {
                continue;
            };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            for label in cited_in(comment) {
                let at = format!("{}:{number}", file.display());
                self.0.entry(label).or_insert(at);
            }
        }
    }

    /// What breaks the rule, with this text of [`FILE`].
    pub(crate) fn check(&self, contracts: &str) -> Vec<Finding> {
        let lines = (1..).zip(contracts.lines());
        let labels: BTreeMap<String, usize> = lines
            .filter_map(|(number, line)| Some((label_of(line)?, number)))
            .collect();
        let unknown = self.0.iter().filter(|(label, _)| !labels.contains_key(*label));
        let unknown = unknown.map(|(label, at)| {
            let what = format!("contract {label} is not in {FILE}: add its line, or take the citation out");
            Finding::error(at, what)
        });
        let uncited = labels.iter().filter(|(label, _)| !self.0.contains_key(*label));
        let uncited = uncited.map(|(label, number)| {
            let what =
                format!("no comment cites contract {label}: cite it at its proof, or take the line out");
            Finding::error(format!("{FILE}:{number}"), what)
        });
        unknown.chain(uncited).collect()
    }
}

/// The label of a line of the contracts: `- **A7** …`.
fn label_of(line: &str) -> Option<String> {
    let (label, _) = line.strip_prefix("- **")?.split_once("**")?;
    is_label(label).then(|| label.to_owned())
}

/// The labels that a comment cites.
fn cited_in(comment: &str) -> Vec<String> {
    let mut cited = Vec::new();
    let (labels, rest) = list(comment);
    if rest.starts_with(':') {
        cited.extend(labels);
    }
    for (at, word) in comment.match_indices("contract") {
        let behind = comment[at + word.len()..].trim_start_matches('s');
        cited.extend(list(behind.trim_start()).0);
    }
    for (at, _) in comment.match_indices('(') {
        let (labels, rest) = list(&comment[at + 1..]);
        if rest.starts_with(')') {
            cited.extend(labels);
        }
    }
    cited
}

/// The labels with which a text begins, and what is behind them.
fn list(text: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let len = rest
            .find(|char: char| !char.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at(len);
        if !is_label(word) {
            return (labels, rest);
        }
        labels.push(word.to_owned());
        let more = [", and ", ", ", " and ", " to "];
        match more.iter().find_map(|between| behind.strip_prefix(between)) {
            Some(next) => rest = next,
            None => return (labels, behind),
        }
    }
}

fn is_label(word: &str) -> bool {
    let mut chars = word.chars();
    let group = chars.next().is_some_and(|group| ('A'..='F').contains(&group));
    let number = chars.as_str();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    group && digits && (1..=2).contains(&number.len()) && !number.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cited_in_three_ways() {
        let check = |comment: &str, expect: &[&str]| assert_eq!(cited_in(comment), expect, "{comment}");
        check("A7: an OR keeps the other bits.", &["A7"]);
        check("D8, D9, D10: damaged frames (F5).", &["D8", "D9", "D10", "F5"]);
        check("Kernel ops (contracts A1 to A4, F14).", &["A1", "A4", "F14"]);
        check("The names (contract B10 and B11).", &["B10", "B11"]);
        check("Arm ARM, chapter D8, and tables D8-18 (D8.3).", &[]);
        check(
            "A: a letter. A100: no label. G1: no group. a contract of its own",
            &[],
        );
    }

    #[test]
    fn what_is_cited_and_what_is_promised_are_the_same() {
        let mut cited = Citations::default();
        cited.add(
            Path::new("a.rs"),
            "/// A1: one.\nfn f() {}\n//! Two (contract A2).\n",
        );
        cited.add(Path::new("a.md"), "// A9: not in code");
        let at = |contracts: &str| -> Vec<String> {
            let findings = cited.check(contracts);
            findings.into_iter().map(|finding| finding.at).collect()
        };
        assert_eq!(
            at("- **A1** One.\n  More.\n- **A2** Two.\n"),
            Vec::<String>::new()
        );
        assert_eq!(at("- **A1** One.\n"), ["a.rs:3"]);
        assert_eq!(
            at("- **A1** One.\n- **A2** Two.\n- **B3** Three.\n"),
            ["docs/contracts.md:3"]
        );
    }
}
