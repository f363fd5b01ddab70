//! The rules of ARCHITECTURE.md, parsed for comparison with the workspace.
//!
//! ```text
//! faces     xtask   cargo-schedrig   schedrig       the fenced block whose first word is `faces`: a line is a row,
//! say       spec                                    its first word the row's name, the others crates, each perhaps
//! beside    artifact (build)   testkit (dev)        with a mark
//! ```
//!
//! and the sentence that begins with "`unsafe` lives in" and names the crates in backticks, up to its full stop; and the
//! duty table, whose lines begin with a crate's name in backticks.

use anyhow::{Context, Result, bail};

/// The parts of ARCHITECTURE.md that are rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Architecture {
    /// The crates, from the top row to the bottom one, and from left to right.
    pub(crate) places: Vec<Place>,
    /// The crates in which `unsafe` is allowed.
    pub(crate) unsafe_crates: Vec<String>,
    /// The crates of the duty table.
    pub(crate) duties: Vec<String>,
}

/// A crate's place in the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The crate's name: that of its directory.
    pub(crate) name: String,
    /// The crate's row, from 0 at the top.
    pub(crate) row: usize,
    /// The crate's mark, which restricts its dependents.
    pub(crate) mark: Option<Mark>,
}

/// An exception from the rows' rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `(build)`: for build scripts only.
    Build,
    /// `(dev)`: for tests only.
    Dev,
}

/// Reads ARCHITECTURE.md.
pub(crate) fn parse(text: &str) -> Result<Architecture> {
    let mut places = Vec::new();
    for (row, line) in picture(text)
        .context("ARCHITECTURE.md has no fenced block that begins with `faces`")?
        .enumerate()
    {
        let mut words = line.split_whitespace().skip(1).peekable();
        while let Some(name) = words.next() {
            let mark = words
                .next_if(|word| word.starts_with('('))
                .map(mark)
                .transpose()?;
            places.push(Place {
                name: name.to_owned(),
                row,
                mark,
            });
        }
    }
    Ok(Architecture {
        places,
        unsafe_crates: unsafe_crates(text)?,
        duties: duties(text),
    })
}

fn picture(text: &str) -> Option<impl Iterator<Item = &str>> {
    let start = text.find("\nfaces ")? + 1;
    Some(
        text.get(start..)?
            .lines()
            .take_while(|line| !line.starts_with("```"))
            .filter(|line| !line.trim().is_empty()),
    )
}

fn mark(word: &str) -> Result<Mark> {
    match word {
        "(build)" => Ok(Mark::Build),
        "(dev)" => Ok(Mark::Dev),
        _ => bail!("ARCHITECTURE.md marks a crate with {word}; use (build) or (dev)"),
    }
}

fn unsafe_crates(text: &str) -> Result<Vec<String>> {
    let (_, rest) = text
        .split_once("`unsafe` lives in")
        .context("ARCHITECTURE.md has no sentence that begins with \"`unsafe` lives in\"")?;
    let sentence = rest.split_once('.').map_or(rest, |(sentence, _)| sentence);
    Ok(sentence
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect())
}

fn duties(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n\n```text\nnot this\n```\n\n```text\nfaces   xtask   rig\n\nsay     spec\nbeside  artifact (build)  kit (dev)\n```\n\n\
        | crate | duty |\n|---|---|\n| `spec` | data |\n| `rig` | all |\n\n`unsafe` lives in `spec`\nand `rig`. Not in `xtask`.\n";

    #[test]
    fn rows_marks_duties_and_unsafe_crates_are_read() {
        let place = |name: &str, row, mark| Place {
            name: name.to_owned(),
            row,
            mark,
        };
        let read = parse(TEXT).unwrap();
        let expect = [
            place("xtask", 0, None),
            place("rig", 0, None),
            place("spec", 1, None),
            place("artifact", 2, Some(Mark::Build)),
            place("kit", 2, Some(Mark::Dev)),
        ];
        assert_eq!(read.places, expect);
        assert_eq!(read.unsafe_crates, ["spec", "rig"]);
        assert_eq!(read.duties, ["spec", "rig"]);
    }

    #[test]
    fn a_text_without_its_parts_is_refused() {
        let check = |text: &str, part: &str| {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("", "faces");
        check("\nfaces a\n```\n", "unsafe");
        check("\nfaces a (maybe)\n```\n`unsafe` lives in `a`.", "(maybe)");
    }
}
